/* supervisor: see supervisor.h. Start, the signals and modes, the end. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/supervisor/activation.h"
#include "daemon/supervisor/helpers.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/fs.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/sock.h"
#include "lib/version.h"

#define SAFE_MODE_MS 60000
#define FORMER_MS 10000 /* helpers wait at most so long for the left-overs of a former aictld */
#define API_BACKLOG 1024

/* ---- messages ---- */

void supervisor_fill_hello(const struct supervisor *sup, struct wire_hello *m)
{
	*m = (struct wire_hello){.aictld_pid = (int32_t)getpid(),
				 .safe_mode = sup->mode == WIRE_MODE_SAFE,
				 .shutting_down = sup->mode == WIRE_MODE_SHUTDOWN,
				 .first_start = !sup->table.former,
				 .other_state = sup->other_state};
	snprintf(m->version, sizeof(m->version), "%s", version_text);
	snprintf(m->boot_id, sizeof(m->boot_id), "%s", sup->boot_id);
	snprintf(m->secrets_dir, sizeof(m->secrets_dir), "%s", sup->secrets.dir);
	snprintf(m->sockets_dir, sizeof(m->sockets_dir), "%s", sup->sockets.dir);
	m->log_level = (uint8_t)log_level_get();
}

void supervisor_fill_key(struct wire_key *key, const struct slot *s, const char *incarnation)
{
	memcpy(key->service, s->t->service, sizeof(key->service));
	key->index = s->t->index;
	memcpy(key->incarnation, incarnation, sizeof(key->incarnation));
}

/* ---- modes ---- */

static void leave_safe(void *user)
{
	struct supervisor *sup = user;

	if (sup->mode != WIRE_MODE_SAFE)
		return;
	log_info("leaving safe mode");
	loop_timer_disarm(&sup->loop, &sup->safe_timer);
	control_set_mode(sup, WIRE_MODE_NORMAL);
}

void supervisor_leave_safe(struct supervisor *sup)
{
	leave_safe(sup);
}

void supervisor_enter_safe(struct supervisor *sup)
{
	if (sup->mode == WIRE_MODE_SHUTDOWN)
		return;
	log_error("the controller dies again and again: safe mode (it answers, nothing is changed) "
		  "for a minute or until aictl daemon reload");
	loop_timer_arm(&sup->loop, &sup->safe_timer, clock_mono_ms() + SAFE_MODE_MS);
	control_set_mode(sup, WIRE_MODE_SAFE);
}

void supervisor_reload(struct supervisor *sup)
{
	notify_reloading(sup);
	leave_safe(sup);
	manifests_request(sup);
	if (!sup->manifests.due)
		notify_reloaded(sup);
}

void supervisor_start_helpers(struct supervisor *sup)
{
	/* While all is being stopped, too: somebody has to write the exits down. */
	if (sup->helpers_started || sup->shutdown.phase > SHUTDOWN_SETTLING || sup->adopt.active ||
	    !adopt_controller_is_gone(sup))
		return;
	sup->helpers_started = true;
	loop_timer_disarm(&sup->loop, &sup->start_timer);
	helper_start(&sup->controller);
	notify_ready(sup);
}

/* ---- events ---- */

static void on_signal(void *user, uint32_t events)
{
	struct supervisor *sup = user;
	struct signalfd_siginfo si[16];
	ssize_t n = read(sup->signal_fd, si, sizeof(si));

	(void)events;
	for (size_t i = 0; n > 0 && i < (size_t)n / sizeof(si[0]); i++) {
		switch ((int)si[i].ssi_signo) {
		case SIGCHLD:
			child_collect(sup);
			break;
		case SIGHUP:
			if (sup->opt->parent_fd >= 0)
				shutdown_begin(sup, false);
			else
				supervisor_reload(sup);
			break;
		case SIGTERM:
		case SIGINT:
			shutdown_begin(sup, true);
			break;
		default:
			break;
		}
	}
}

/* The other end is held by `aictl up`. */
static void on_parent(void *user, uint32_t events)
{
	struct supervisor *sup = user;
	char junk[64];
	ssize_t n = events & EPOLLIN ? read(sup->opt->parent_fd, junk, sizeof(junk)) : 0;

	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return;
	loop_del(&sup->loop, &sup->parent_io);
	log_info("our parent is gone");
	shutdown_begin(sup, false);
}

static void on_start_times(void *user)
{
	slot_read_start_times(user);
}

static void on_start_timer(void *user)
{
	struct supervisor *sup = user;

	log_warn("what a former aictld left behind is not gone yet, going on");
	supervisor_start_helpers(sup);
	if (!sup->helpers_started) /* its controller hangs; the services do not */
		notify_ready(sup);
}

/* ---- start ---- */

static int read_boot_id(char *boot_id, size_t size, struct err **reterr)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = fs_read_file("/proc/sys/kernel/random/boot_id", 128, &text, &len, reterr);

	if (r < 0)
		return r;
	snprintf(boot_id, size, "%.*s", (int)strcspn(text, "\n"), text);
	return 0;
}

/* Own log: a pipe that never blocks us; the logger copies it to what stderr was. */
static int redirect_log(struct supervisor *sup, struct err **reterr)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_sys(reterr, errno, "cannot make the log pipe");
	sup->own_log_read_fd = p[0];
	sup->own_log_write_fd = p[1];
	sup->stderr_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, SPAWN_LOW_FDS);
	if (sup->stderr_fd < 0 || dup3(sup->spawner.null_fd, STDIN_FILENO, O_CLOEXEC) < 0 ||
	    dup3(sup->spawner.null_fd, STDOUT_FILENO, O_CLOEXEC) < 0)
		return err_sys(reterr, errno, "cannot move the standard descriptors");
	return 0;
}

/* All signals SIG_DFL and blocked: CLEAR_SIGHAND leaves SIG_IGN alone, and so does exec. */
static int set_up_signals(struct supervisor *sup, struct err **reterr)
{
	const struct sigaction def = {.sa_handler = SIG_DFL};
	struct sigaction old;
	sigset_t all, mine;
	int r;

	for (int i = 1; i <= 64; i++)
		if (sigaction(i, NULL, &old) == 0 && old.sa_handler == SIG_IGN)
			sigaction(i, &def, NULL);
	sigfillset(&all);
#ifdef AICTL_SANITIZED
	sigdelset(&all, SIGSEGV); /* its handler reports */
#endif
	sigprocmask(SIG_SETMASK, &all, NULL);
	sigemptyset(&mine);
	sigaddset(&mine, SIGCHLD);
	sigaddset(&mine, SIGTERM);
	sigaddset(&mine, SIGINT);
	sigaddset(&mine, SIGHUP);
	sup->signal_fd = signalfd(-1, &mine, SFD_CLOEXEC | SFD_NONBLOCK);
	if (sup->signal_fd < 0)
		return err_sys(reterr, errno, "cannot make a signalfd");
	sup->signal_io = (struct loop_io){.fn = on_signal, .user = sup};
	r = loop_add(&sup->loop, &sup->signal_io, sup->signal_fd, EPOLLIN);
	return r < 0 ? err_sys(reterr, -r, "cannot watch signals") : 0;
}

static int watch_parent(struct supervisor *sup, struct err **reterr)
{
	int r;

	if (sup->opt->parent_fd < 0)
		return 0;
	sup->parent_io = (struct loop_io){.fn = on_parent, .user = sup};
	r = loop_add(&sup->loop, &sup->parent_io, sup->opt->parent_fd, EPOLLIN);
	return r < 0 ? err_sys(reterr, -r, "cannot watch --parent-fd %d", sup->opt->parent_fd) : 0;
}

static int listen_api(struct supervisor *sup, struct err **reterr)
{
	bool root = geteuid() == 0;

	sup->api_path = mem_printf("%s/aictl.sock", sup->opt->paths.runtime_dir);
	if (!sup->api_path)
		return err_nomem(reterr);
	if (sup->activation.api_fd >= 0)
		return 0;
	return sock_listen(sup->api_path, root ? 0660 : 0600, sup->dirs.group, API_BACKLOG,
			   &sup->activation.api_fd, reterr);
}

/* Nobody else reaps and nobody else is reaped: what we inherit later are our services' orphans. */
static void become_reaper(struct supervisor *sup)
{
	siginfo_t si = {0};

	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	sup->alone = sup->opt->self->alone ||
		     (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD);
	sup->started_wall_ms = clock_wall_ms();
	sup->environ_ = environ;
}

static void set_up_timers(struct supervisor *sup)
{
	sup->start_times = (struct loop_timer){.fn = on_start_times, .user = sup};
	sup->safe_timer = (struct loop_timer){.fn = leave_safe, .user = sup};
	sup->start_timer = (struct loop_timer){.fn = on_start_timer, .user = sup};
	adopt_init(sup);
	shutdown_init(sup);
	detach_init(sup);
	reexec_init(sup);
	stream_init(sup);
	control_init(sup);
	sweep_init(sup);
	cgroup_job_init(sup);
	manifests_init(sup);
	listen_init(sup);
}

static void clear(struct supervisor *sup, const struct options *opt)
{
	*sup = (struct supervisor){
		.opt = opt, .activation.api_fd = -1, .self_fd = -1, .stderr_fd = -1};
	sup->own_log_read_fd = sup->own_log_write_fd = sup->signal_fd = -1;
	dirs_init(&sup->dirs);
	sup->adopt.controller_pidfd = -1;
	sup->giveback.listen_fd = -1;
	for (int i = 0; i < GIVEBACK_PEERS; i++)
		sup->giveback.peers[i].pidfd = sup->giveback.peers[i].conn_fd = -1;
	sup->spawner = (struct spawner){.null_fd = -1, .lock_fd = -1, .spare = {-1, -1}};
	sup->table = (struct table){.fd = -1, .intent_fd = -1, .dir_fd = -1};
	sup->loop.epoll_fd = -1;
	sup->controller.binary_fd = sup->logger.binary_fd = sup->gateway.binary_fd = -1;
	sup->controller.link.fd = sup->logger.link.fd = sup->gateway.link.fd = -1;
	sup->controller.sup = sup->controller.link.sup = sup; /* supervisor_done needs them */
	sup->logger.sup = sup->logger.link.sup = sup;
	sup->gateway.sup = sup->gateway.link.sup = sup;
	gateway_init(sup);
	sup->manifests.peer_fd = sup->manifests.writer_fd = -1;
	sup->secrets.dir_fd = sup->pushes.dir_fd = -1;
	sup->sockets.dir_fd = sup->sockets.watch_fd = -1;
	sup->runtimes.binary_fd = -1;
	sup->dying.fds[0] = sup->dying.fds[1] = -1;
	sup->notify.fd = -1;
	sup->reexec.text_fd = -1;
}

/* What may fail before anything of another aictld could be touched. */
static int init_basics(struct supervisor *sup, struct err **reterr)
{
	int r = spawn_supported(reterr) ? 0 : -ERR_SYS;

	if (r == 0)
		r = dirs_find_users(&sup->dirs, reterr);
	if (r == 0)
		r = spawn_init(&sup->spawner, reterr);
	if (r == 0 && (r = loop_init(&sup->loop)) < 0)
		r = err_sys(reterr, -r, "cannot make an epoll descriptor");
	if (r == 0 && !(sup->packet = mem_alloc(sizeof(*sup->packet))))
		r = err_nomem(reterr);
	if (r == 0)
		r = read_boot_id(sup->boot_id, sizeof(sup->boot_id), reterr);
	if (r == 0)
		r = helpers_find(sup, reterr);
	return r;
}

static void note_state(struct supervisor *sup)
{
	const struct dirs *d = &sup->dirs;

	sup->other_state = table_note_state(&sup->table, d->state_dev, d->state_ino);
	if (sup->other_state)
		log_warn("what runs was begun with another state directory than %s: "
			 "what this one does not know is left alone",
			 sup->opt->paths.state_dir);
}

int supervisor_init(struct supervisor *sup, const struct options *opt, struct err **reterr)
{
	int r;

	clear(sup, opt);
	umask(022);
	notify_init(sup);
	r = activation_take(&sup->activation, reterr);
	become_reaper(sup);
	if (r == 0)
		r = init_basics(sup, reterr);
	if (r == 0)
		r = dirs_prepare(&sup->dirs, opt, reterr);
	if (r == 0)
		reexec_note_command(sup);
	if (r == 0)
		r = dirs_take_spawn_lock(&sup->dirs, &sup->spawner.lock_fd, reterr);
	if (r == 0)
		r = table_open(&sup->table, opt->paths.runtime_dir, sup->dirs.sup_fd, sup->boot_id,
			       reterr);
	if (r == 0)
		note_state(sup);
	if (r == 0)
		cgroups_init(sup);
	if (r == 0)
		r = secrets_init(sup, reterr);
	if (r == 0)
		r = push_init(sup, reterr);
	if (r == 0)
		r = sockets_init(sup, reterr);
	if (r < 0)
		return r;
	run_init(sup);
	r = set_up_signals(sup, reterr);
	if (r == 0)
		r = watch_parent(sup, reterr);
	if (r == 0)
		giveback_init(sup);
	if (r == 0)
		r = listen_api(sup, reterr);
	if (r == 0)
		r = redirect_log(sup, reterr);
	if (r < 0)
		return r;
	set_up_timers(sup);
	r = helpers_init(sup, reterr);
	return r < 0 ? r : runtime_init(sup, reterr);
}

int supervisor_run(struct supervisor *sup)
{
	int r;

	/* From here on our own log goes through the pipe. */
	if (dup3(sup->own_log_write_fd, STDERR_FILENO, O_CLOEXEC) < 0)
		return 1;
	log_info("version=%s pid=%d runtime_dir=%s table=%s started", version_text, (int)getpid(),
		 sup->opt->paths.runtime_dir, sup->table.dir);
	loop_timer_arm(&sup->loop, &sup->start_timer, clock_mono_ms() + FORMER_MS);
	adopt_begin(sup);
	r = loop_run(&sup->loop);
	if (r < 0) {
		errno = -r;
		log_error("epoll: %m");
		r = 1;
	}
	log_info("ended exit=%d", r);
	return r;
}

/* ---- the end ---- */

/* What the logger has not copied; a stderr that does not take it loses it. */
static void copy_own_log(struct supervisor *sup)
{
	char part[4096];
	ssize_t n;

	while ((n = read(sup->own_log_read_fd, part, sizeof(part))) > 0) {
		struct pollfd p = {.fd = sup->stderr_fd, .events = POLLOUT};

		if (poll(&p, 1, 200) != 1 || !(p.revents & POLLOUT) ||
		    write(sup->stderr_fd, part, (size_t)n) < 0)
			return;
	}
}

void supervisor_done(struct supervisor *sup, int exit_code)
{
	helper_done(&sup->controller);
	helper_done(&sup->logger);
	helper_done(&sup->gateway);
	gateway_done(sup);
	listen_done(sup);
	manifests_done(sup);
	reexec_done(sup);
	sweep_done(sup);
	cgroup_job_done(sup);
	adopt_done(sup);
	giveback_done(sup);
	run_done(sup);
	slot_free_all(sup);
	runtime_done(sup, exit_code == 0);
	cgroups_done(sup, exit_code == 0);
	stream_done(sup);
	control_done(sup);
	notify_done(sup);
	if (sup->activation.api_fd >= 0 && sup->api_path &&
	    !sup->activation.api_foreign) /* else somebody else's */
		unlink(sup->api_path);
	mem_closep(&sup->activation.api_fd);
	activation_done(&sup->activation);
	mem_free(sup->api_path);
	secrets_done(sup, exit_code == 0);
	push_done(sup, exit_code == 0);
	sockets_done(sup, exit_code == 0);
	table_close(&sup->table, exit_code == 0);
	if (sup->own_log_read_fd >= 0)
		copy_own_log(sup);
	mem_closep(&sup->own_log_read_fd);
	mem_closep(&sup->own_log_write_fd);
	mem_closep(&sup->self_fd);
	mem_closep(&sup->signal_fd);
	loop_done(&sup->loop);
	spawn_done(&sup->spawner);
	mem_free(sup->packet);
	dirs_done(&sup->dirs); /* last: the instance lock */
}
