/* reexec: see reexec.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/reexec.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/supervisor/activation.h"
#include "daemon/supervisor/push_keep.h"
#include "daemon/supervisor/supervisor.h"
#include "lib/clock.h"
#include "lib/fs.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/parse.h"
#include "lib/point.h"

#define LOCK_VARIABLE "AICTLD_LOCK_FD"
#define ALONE_VARIABLE "AICTLD_ALONE"
#define LISTEN_FD 3
#define DELETED " (deleted)"

/* ---- how we were started ---- */

static bool is_same_file(const char *a, const char *b)
{
	struct stat x, y;

	return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* The path we were called by, which may be a link that an upgrade moves; else what the kernel says. */
static char *find_program(const char *argv0)
{
	char self[PATH_MAX];
	size_t tail = strlen(DELETED);
	ssize_t n;

	if (argv0 && argv0[0] == '/' && is_same_file(argv0, "/proc/self/exe"))
		return mem_strdup(argv0);
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n <= 0)
		return mem_strdup(argv0 ? argv0 : "aictld");
	self[n] = '\0';
	if ((size_t)n > tail && strcmp(self + (size_t)n - tail, DELETED) == 0)
		self[(size_t)n - tail] = '\0';
	return mem_strdup(self);
}

int reexec_remember(struct reexec_self *self, char *const *argv)
{
	const char *lock = getenv(LOCK_VARIABLE), *alone = getenv(ALONE_VARIABLE);
	int64_t fd;

	*self = (struct reexec_self){.argv = argv, .lock_fd = -1};
	if (lock && parse_i64(lock, 3, INT_MAX, &fd, NULL) == 0 &&
	    fcntl((int)fd, F_SETFD, FD_CLOEXEC) == 0)
		self->lock_fd = (int)fd;
	self->alone = self->lock_fd >= 0 && alone && strcmp(alone, "1") == 0;
	unsetenv(LOCK_VARIABLE);
	unsetenv(ALONE_VARIABLE);
	self->program = find_program(argv[0]);
	return self->program ? 0 : -ENOMEM;
}

void reexec_forget(struct reexec_self *self)
{
	mem_free(self->program);
	self->program = NULL;
}

/* Working directory and arguments, each ended by a NUL. */
static int write_command(int fd, char *const *argv)
{
	char cwd[PATH_MAX];
	int r = 0;

	if (!getcwd(cwd, sizeof(cwd)))
		return -errno;
	r = fs_write_all(fd, cwd, strlen(cwd) + 1);
	for (; r == 0 && *argv; argv++)
		r = fs_write_all(fd, *argv, strlen(*argv) + 1);
	return r;
}

void reexec_note_command(const struct supervisor *sup)
{
	_cleanup_close_ int fd = -1;

	unlinkat(sup->dirs.sup_fd, "command", 0);
	if (sup->opt->parent_fd >= 0)
		return;
	fd = openat(sup->dirs.sup_fd, "command", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || write_command(fd, sup->opt->self->argv) < 0)
		log_warn("cannot write sup/command: %m, ignoring");
}

/* ---- can the new program take over? ---- */

/* Its last word is the reason; without a word, how it ended. */
static const char *first_line(struct reexec *x, size_t n)
{
	x->text[n] = '\0';
	x->text[strcspn(x->text, "\n")] = '\0';
	return x->text;
}

static void forget_check(struct supervisor *sup)
{
	loop_timer_disarm(&sup->loop, &sup->reexec.timer);
	mem_closep(&sup->reexec.text_fd);
}

static const char *why_not(struct reexec *x, const siginfo_t *si)
{
	ssize_t n = fs_read_some(x->text_fd, x->text, sizeof(x->text) - 1);

	if (x->check.own_cell.stage != WIRE_STAGE_EXEC || x->check.own_cell.err != 0) {
		snprintf(x->text, sizeof(x->text), "cannot run %.512s: %s", x->paths[0],
			 strerror(x->check.own_cell.err));
		return x->text;
	}
	if (si->si_code == CLD_EXITED && si->si_status == 0)
		return NULL;
	if (n > 0 && *first_line(x, (size_t)n))
		return x->text;
	snprintf(x->text, sizeof(x->text), "%.512s ended with %s %d", x->paths[0],
		 si->si_code == CLD_EXITED ? "exit code" : "signal", si->si_status);
	return x->text;
}

static void on_exit_(void *user, const siginfo_t *si)
{
	struct supervisor *sup = user;
	const char *why = why_not(&sup->reexec, si);

	forget_check(sup);
	detach_checked(sup, why);
	if (!detach_is_leaving(sup)) /* it was too late */
		table_drop_room(&sup->table);
}

/* Its end may be long in coming: it may wait for a disk. */
static void on_late(void *user)
{
	struct supervisor *sup = user;

	child_signal_group(&sup->reexec.check, SIGKILL);
	detach_checked(sup, "it did not answer within 5 s");
}

void reexec_init(struct supervisor *sup)
{
	sup->reexec.text_fd = -1;
	sup->reexec.timer = (struct loop_timer){.fn = on_late, .user = sup};
	sup->reexec.check.sup = sup;
	sup->reexec.check.user = sup;
	sup->reexec.check.on_exit = on_exit_;
}

void reexec_done(struct supervisor *sup)
{
	forget_check(sup);
	mem_strv_free(sup->reexec.argv);
	sup->reexec.argv = NULL;
}

/* ARGV0 --check-state OUR OPTIONS... */
static char **check_argv(char *const *argv)
{
	_cleanup_free_ const char **v = NULL;
	size_t n = 0;

	while (argv[n])
		n++;
	v = mem_array(n + 2, sizeof(*v));
	if (!v)
		return NULL;
	v[0] = argv[0];
	v[1] = "--check-state";
	for (size_t i = 1; i < n; i++)
		v[i + 1] = argv[i];
	return mem_strv_dup(v);
}

static int start_check(struct supervisor *sup)
{
	struct reexec *x = &sup->reexec;
	struct spawn_job *j = &x->job.spawn;
	int p[2], r;

	mem_strv_free(x->argv);
	x->argv = check_argv(sup->opt->self->argv);
	if (!x->argv)
		return -ENOMEM;
	if (pipe2(p, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	x->text_fd = p[0];
	x->paths[0] = sup->opt->self->program;
	*j = (struct spawn_job){.exec_fd = -1,
				.paths = x->paths,
				.argv = x->argv,
				.envp = environ,
				.umask = 022,
				.n_fds = 3,
				.cell = &x->check.own_cell};
	j->fds[0] = sup->table.fd;
	j->fds[1] = j->fds[2] = p[1];
	r = child_start(&x->check, &x->job);
	close(p[1]);
	return r;
}

void reexec_check(struct supervisor *sup)
{
	int r;

	if (child_is_alive(&sup->reexec.check)) {
		detach_checked(sup, "an earlier check has not ended");
		return;
	}
	r = start_check(sup);
	if (r < 0) {
		forget_check(sup);
		detach_checked(sup, strerror(-r));
		return;
	}
	loop_timer_arm(&sup->loop, &sup->reexec.timer, clock_mono_ms() + REEXEC_CHECK_MS);
}

/* ---- exec ---- */

static bool inherit(int fd)
{
	return fd < 0 || fcntl(fd, F_SETFD, 0) == 0;
}

/* Descriptors from LISTEN_FD on, unless the one of --parent-fd is among them: that keeps its number. */
static int hand_on_listeners(const struct supervisor *sup)
{
	int parent = sup->opt->parent_fd;

	if (parent >= LISTEN_FD && parent <= LISTEN_FD + sup->activation.n_ports)
		return sup->activation.n_ports > 0 ? -EBUSY : 0;
	return activation_export(&sup->activation);
}

/* Whatever fails here costs a convenience, not a service: the new one makes its own. */
static void hand_over(struct supervisor *sup)
{
	const struct rlimit nofile = {sup->spawner.nofile.soft, sup->spawner.nofile.hard};
	char text[16];
	int r;

	if (dup2(sup->spawner.null_fd, STDIN_FILENO) < 0 ||
	    dup2(sup->spawner.null_fd, STDOUT_FILENO) < 0 ||
	    dup2(sup->stderr_fd, STDERR_FILENO) < 0)
		log_error("cannot restore the standard descriptors: %m, ignoring");
	if (setrlimit(RLIMIT_NOFILE, &nofile) < 0)
		log_error("cannot restore the limit of open files: %m, ignoring");
	snprintf(text, sizeof(text), "%d", sup->dirs.lock_fd);
	if (!inherit(sup->dirs.lock_fd) || setenv(LOCK_VARIABLE, text, 1) < 0 ||
	    setenv(ALONE_VARIABLE, sup->alone ? "1" : "0", 1) < 0)
		log_error("cannot hand on the instance lock: %m, ignoring");
	if (!inherit(sup->opt->parent_fd))
		log_error("cannot hand on --parent-fd: %m, ignoring");
	r = hand_on_listeners(sup);
	if (r < 0)
		log_error("cannot hand on the API's socket: %s, ignoring", strerror(-r));
	if (push_keep_export(sup) < 0)
		log_error("cannot hand on the services' notify sockets: %m, ignoring");
	if (notify_export(sup) < 0)
		log_error("cannot hand on the service manager's socket: %m, ignoring");
}

int reexec_exec(struct supervisor *sup)
{
	const struct reexec_self *self = sup->opt->self;

	log_info("program=%s exec", self->program);
	hand_over(sup);
	POINT("aictld.detach.exec");
	execve(self->program, self->argv, environ);
	log_error("cannot run %s: %m, running the present program again", self->program);
	fexecve(sup->self_fd, self->argv, environ);
	log_error("cannot run it either: %m, leaving the services to the next aictld");
	return 1;
}
