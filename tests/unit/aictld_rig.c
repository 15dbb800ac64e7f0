/* aictld_rig: see aictld_rig.h. */
/* SPDX-License-Identifier: MIT */
#include "tests/unit/aictld_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "tests/unit/gateway_rig.h"

static void in_dir(const struct rig *r, const char *name, char *path, size_t n)
{
	snprintf(path, n, "%s/%s", r->dir, name);
}

static void link_helper(const struct rig *r, const char *name)
{
	char target[4096], path[256];
	ssize_t n = readlink("/proc/self/exe", target, sizeof(target) - 1);
	char *slash;

	assert_true(n > 0);
	target[n] = '\0';
	slash = strrchr(target, '/');
	snprintf(slash, sizeof(target) - (size_t)(slash - target), "/fake_helper");
	snprintf(path, sizeof(path), "%s/helpers/%s", r->dir, name);
	assert_int_equal(symlink(target, path), 0);
}

static void listen_for_helpers(struct rig *r)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/fake", r->dir);
	r->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_true(r->listen_fd >= 0);
	assert_int_equal(bind(r->listen_fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(chmod(addr.sun_path, 0666), 0);
	assert_int_equal(listen(r->listen_fd, 8), 0);
}

static void aictld_path(char *path, size_t n)
{
	const char *top = getenv("top_builddir");

	snprintf(path, n, "%s/aictld", top ? top : ".");
}

#define STARTED_MAX 256

/* Every aictld of this run, so that a failed test leaves none behind. */
static struct {
	pid_t pids[STARTED_MAX];
	unsigned n;
} started;

static void end_started(void)
{
	for (unsigned i = 0; i < started.n; i++)
		if (waitpid(started.pids[i], NULL, WNOHANG) ==
		    0) /* still our child, not a pid of others */
			kill(started.pids[i], SIGTERM);
}

static void note_started(pid_t pid)
{
	if (started.n == 0)
		atexit(end_started);
	assert_true(started.n < STARTED_MAX);
	started.pids[started.n++] = pid;
}

static void note_ended(pid_t pid)
{
	for (unsigned i = 0; i < started.n; i++)
		if (started.pids[i] == pid)
			started.pids[i] = started.pids[--started.n];
}

void rig_run(struct rig *r, const char *const *extra)
{
	char program[4096], runtime[256], state[256], logs[256], helpers[256], fake[256];
	const char *argv[32] = {"aictld", "--runtime-dir",    runtime,	    "--state-dir",
				state,	  "--log-dir",	      logs,	    "--helper-dir",
				helpers,  "--helper-restart", "10ms,40ms,0"};
	int n = 11, err[2];

	aictld_path(program, sizeof(program));
	in_dir(r, "run", runtime, sizeof(runtime));
	in_dir(r, "state", state, sizeof(state));
	in_dir(r, "log", logs, sizeof(logs));
	in_dir(r, "helpers", helpers, sizeof(helpers));
	in_dir(r, "fake", fake, sizeof(fake));
	setenv("AICTL_FAKE_SOCKET", fake, 1);
	if (getenv("RIG_CGROUP")) {
		argv[n++] = "--cgroup";
		argv[n++] = getenv("RIG_CGROUP");
	}
	while (extra && *extra)
		argv[n++] = *extra++;
	argv[n] = NULL;
	if (r->stderr_fd > 0)
		close(r->stderr_fd);
	assert_int_equal(pipe2(err, O_CLOEXEC), 0);
	r->pid = fork();
	assert_true(r->pid >= 0);
	if (r->pid == 0) {
		if (!getenv("RIG_VERBOSE"))
			dup2(err[1], 2);
		execv(program, (char **)(uintptr_t)argv);
		_exit(127);
	}
	note_started(r->pid);
	close(err[1]);
	r->stderr_fd = err[0];
}

void rig_start(struct rig *r, const char *const *extra)
{
	char path[256];

	*r = (struct rig){.listen_fd = -1, .logger_drains = true, .acks = true, .reload_fd = -1};
	r->logger_level = -1;
	r->controller.conn = r->controller.wire = r->logger.conn = r->logger.wire = -1;
	r->gateway.conn = r->gateway.wire = r->controller_peer = r->gateway_peer = -1;
	r->runtime.conn = r->runtime.wire = -1;
	snprintf(r->dir, sizeof(r->dir), "%s/aictld-test.XXXXXX",
		 getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	assert_non_null(mkdtemp(r->dir));
	assert_int_equal(chmod(r->dir, 0755), 0);
	in_dir(r, "helpers", path, sizeof(path));
	assert_int_equal(mkdir(path, 0755), 0);
	link_helper(r, "aictl-controller");
	link_helper(r, "aictl-logger");
	link_helper(r, "aictl-gateway");
	link_helper(r, "aictl-runtime");
	listen_for_helpers(r);
	r->slots = mem_array(RIG_SLOTS_MAX, sizeof(*r->slots));
	r->streams = mem_array(RIG_SLOTS_MAX, sizeof(*r->streams));
	r->exits = mem_array(RIG_SLOTS_MAX, sizeof(*r->exits));
	r->runs = mem_array(RIG_RUNS_MAX, sizeof(*r->runs));
	assert_true(r->slots && r->streams && r->exits && r->runs);
	rig_run(r, extra);
	rig_wait_synced(r);
}

void rig_wait_synced(struct rig *r)
{
	unsigned before = r->n_synced;

	RIG_UNTIL(r, r->n_synced > before && r->logger.pid != 0);
}

/* ---- helpers come and go ---- */

static void drop_helper(struct rig_helper *h)
{
	mem_closep(&h->wire);
	mem_closep(&h->conn);
	h->pid = 0;
}

void rig_kill_helper(struct rig *r, struct rig_helper *h)
{
	RIG_UNTIL(r, h->pid > 0);
	kill(h->pid, SIGKILL);
	drop_helper(h);
}

static void accept_helper(struct rig *r)
{
	char text[128] = "", control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {.iov_base = text, .iov_len = sizeof(text) - 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	int conn = accept4(r->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	struct cmsghdr *c = NULL;
	struct rig_helper *h;
	char name[64];
	int pid;

	if (conn >= 0 && recvmsg(conn, &msg, MSG_CMSG_CLOEXEC) > 0)
		c = CMSG_FIRSTHDR(&msg);
	if (!c) {
		close(conn);
		return;
	}
	assert_int_equal(sscanf(text, "%63s %d", name, &pid), 2);
	h = strcmp(name, "aictl-controller") == 0 ? &r->controller
	    : strcmp(name, "aictl-logger") == 0	  ? &r->logger
	    : strcmp(name, "aictl-runtime") == 0  ? &r->runtime
						  : &r->gateway;
	drop_helper(h);
	if (h == &r->gateway)
		rig_forget_gateway(r);
	h->conn = conn;
	h->pid = pid;
	h->n_seen++;
	memcpy(&h->wire, CMSG_DATA(c), sizeof(int));
}

/* ---- messages ---- */

static bool same_slot(const struct wire_key *a, const struct wire_key *b)
{
	return wire_key_same_slot(a, b);
}

struct rig_slot *rig_slot(struct rig *r, const struct wire_key *key)
{
	for (unsigned i = 0; i < r->n_slots; i++)
		if (same_slot(&r->slots[i].m.key, key))
			return &r->slots[i];
	return NULL;
}

struct rig_stream *rig_stream(struct rig *r, const struct wire_key *key)
{
	for (unsigned i = 0; i < r->n_streams; i++)
		if (wire_key_equal(&r->streams[i].m.key, key))
			return &r->streams[i];
	return NULL;
}

static void send_with(int fd, struct buf *b, const int *fds, unsigned n_fds)
{
	int r;

	do {
		struct pollfd p = {.fd = fd, .events = POLLOUT};

		r = wire_send(fd, b, fds, n_fds);
		if (r == -EAGAIN)
			poll(&p, 1, 100);
	} while (r == -EAGAIN);
	buf_done(b);
}

void rig_send_to(int fd, struct buf *b)
{
	send_with(fd, b, NULL, 0);
}

void rig_send(struct rig *r, struct buf *b, const int *fds, unsigned n_fds)
{
	send_with(r->controller.wire, b, fds, n_fds);
}

void rig_ack(struct rig *r, const struct wire_key *key, uint64_t seq)
{
	struct buf b = {0};

	wire_encode_ack(&b, key, seq);
	rig_send_to(r->controller.wire, &b);
}

static void set_level(struct rig *r, int level)
{
	struct buf b = {0};

	wire_encode_u32(&b, WIRE_LOG_LEVEL, (uint32_t)level);
	rig_send_to(r->controller.wire, &b);
	RIG_UNTIL(r, r->logger_level == level);
}

void rig_settle(struct rig *r)
{
	int level = r->logger_level;

	/* the logger hears of it when its turn has come */
	set_level(r, level == LOG_LVL_ERROR ? LOG_LVL_INFO : LOG_LVL_ERROR);
	set_level(r, level);
}

void rig_drained(struct rig *r, const struct wire_key *key)
{
	struct buf b = {0};
	struct rig_stream *s = rig_stream(r, key);

	if (s) {
		mem_closep(&s->fds[0]);
		mem_closep(&s->fds[1]);
	}
	wire_encode_key(&b, WIRE_DRAINED, key);
	rig_send_to(r->logger.wire, &b);
}

static void got_slot(struct rig *r)
{
	struct wire_slot m;
	struct rig_slot *s;

	assert_int_equal(wire_decode_slot(r->packet.body, r->packet.len, &m), 0);
	s = rig_slot(r, &m.key);
	if (!s) {
		assert_true(r->n_slots < RIG_SLOTS_MAX);
		s = &r->slots[r->n_slots++];
	}
	s->m = m;
	s->n_sent++;
	s->n_running += m.state == WIRE_SLOT_RUNNING;
	if (m.note) {
		memcpy(s->note, m.note, m.note_len);
		s->note[m.note_len] = '\0';
	}
	r->exits_lost += m.exits_lost;
	for (unsigned i = 0; i < m.n_exits; i++) {
		struct wire_key key = m.key;

		memcpy(key.incarnation, m.exits[i].incarnation, sizeof(key.incarnation));
		if (!rig_exit(r, &key) && r->n_exits < RIG_SLOTS_MAX)
			r->exits[r->n_exits++] = m.exits[i];
	}
	if (r->acks && m.n_exits > 0)
		rig_ack(r, &m.key, m.exits[m.n_exits - 1].seq);
}

static void got_stream(struct rig *r)
{
	struct wire_stream m;
	struct rig_stream *s;

	assert_int_equal(wire_decode_stream(r->packet.body, r->packet.len, &m), 0);
	assert_in_range(r->packet.n_fds, 2, 3);
	s = rig_stream(r, &m.key);
	if (!s) {
		assert_true(r->n_streams < RIG_SLOTS_MAX);
		s = &r->streams[r->n_streams++];
		*s = (struct rig_stream){.fds = {-1, -1}, .pidfd = -1};
	}
	s->m = m;
	s->gone = m.gone;
	s->n_sent++;
	for (int i = 0; i < 2; i++) {
		mem_closep(&s->fds[i]);
		s->fds[i] = TAKE_FD(r->packet.fds[i]);
	}
	mem_closep(&s->pidfd);
	if (r->packet.n_fds == 3)
		s->pidfd = TAKE_FD(r->packet.fds[2]);
	if (m.gone && r->logger_drains)
		rig_drained(r, &m.key);
}

static void got_gone(struct rig *r)
{
	struct rig_stream *s;
	struct wire_key key;

	assert_int_equal(wire_decode_key(r->packet.body, r->packet.len, &key), 0);
	s = rig_stream(r, &key);
	if (s)
		s->gone = true;
	if (r->logger_drains)
		rig_drained(r, &key);
}

static void got_hello(struct rig *r, struct rig_helper *h)
{
	struct wire_packet *p = &r->packet;

	assert_int_equal(wire_decode_hello(p->body, p->len, &r->hello), 0);
	/* The API's socket; the pipes; the directory of the access log. */
	assert_int_equal(p->n_fds, h == &r->logger ? 4 : 1);
	if (h == &r->logger)
		r->logger_level = r->hello.log_level;
}

static void got_run_end(struct rig *r)
{
	struct wire_run_end m;

	assert_int_equal(wire_run_decode_end(r->packet.body, r->packet.len, &m), 0);
	for (unsigned i = 0; i < r->n_runs; i++)
		assert_true(r->runs[i].id != m.id); /* each once */
	assert_true(r->n_runs < RIG_RUNS_MAX);
	r->runs[r->n_runs++] = m;
}

static void handle(struct rig *r, struct rig_helper *h)
{
	struct wire_packet *p = &r->packet;
	struct buf b = {0};
	uint32_t level;

	if (h == &r->runtime || p->type >= WIRE_UNIT_START) {
		if (r->on_unit)
			r->on_unit(r, h, p);
		return;
	}
	switch ((int)p->type) {
	case WIRE_HELLO:
		got_hello(r, h);
		break;
	case WIRE_RUN_END:
		got_run_end(r);
		break;
	case WIRE_LOG_LEVEL:
		assert_int_equal(wire_decode_u32(p->body, p->len, &level), 0);
		if (h == &r->logger)
			r->logger_level = (int)level;
		break;
	case WIRE_SLOT:
		got_slot(r);
		break;
	case WIRE_SYNCED:
		if (h == &r->gateway)
			r->gateway_synced = true;
		else
			r->n_synced++;
		break;
	case WIRE_STATUS:
		assert_int_equal(wire_decode_status(p->body, p->len, &r->status), 0);
		break;
	case WIRE_STREAM:
		got_stream(r);
		break;
	case WIRE_GONE:
		got_gone(r);
		break;
	case WIRE_RELOAD:
		r->n_reload++;
		mem_closep(&r->reload_fd);
		r->reload_fd = TAKE_FD(p->fds[0]);
		break;
	case WIRE_SECRETS_WRITTEN:
		assert_int_equal(wire_secrets_decode_written(p->body, p->len, &r->written), 0);
		break;
	case WIRE_QUIT:
		*(h == &r->gateway ? &r->gateway_quits : &r->logger_quits) = true;
		break;
	case WIRE_PING:
		wire_encode_empty(&b, WIRE_PONG);
		rig_send_to(h->wire, &b);
		break;
	case WIRE_LISTENER:
		rig_got_listener(r);
		break;
	case WIRE_LISTENER_OFF:
		rig_got_listener_off(r);
		break;
	case WIRE_PEER:
		rig_got_peer(r, h);
		break;
	case WIRE_LISTENING:
		wire_listen_free(&r->listening);
		assert_int_equal(wire_listen_decode(p->body, p->len, &r->listening), 0);
		r->n_listening++;
		break;
	default:
		fail_msg("unexpected %s", wire_type_name(p->type));
	}
}

static void read_helper(struct rig *r, struct rig_helper *h)
{
	for (;;) {
		int n = wire_recv(h->wire, &r->packet);

		if (n == -EAGAIN)
			return;
		if (n <= 0) {
			drop_helper(h); /* aictld let it go */
			return;
		}
		handle(r, h);
		wire_packet_done(&r->packet);
	}
}

void rig_pump(struct rig *r, int ms)
{
	struct rig_helper *all[] = {&r->controller, &r->logger, &r->gateway, &r->runtime};
	struct pollfd p[5] = {[3] = {.fd = -1}, [4] = {.fd = r->listen_fd, .events = POLLIN}};

	for (int i = 0; i < 3 + (r->on_unit != NULL); i++)
		p[i] = (struct pollfd){.fd = all[i]->wire, .events = POLLIN};
	if (poll(p, 5, ms) <= 0)
		return;
	for (int i = 0; i < 4; i++)
		if (p[i].revents)
			read_helper(r, all[i]);
	if (p[4].revents)
		accept_helper(r);
}

const struct wire_run_end *rig_wait_run(struct rig *r, uint64_t id)
{
	const struct wire_run_end *m = NULL;

	RIG_UNTIL(r, ({
			  for (unsigned i = 0; i < r->n_runs; i++)
				  if (r->runs[i].id == id)
					  m = &r->runs[i];
			  m != NULL;
		  }));
	return m;
}

/* ---- the end ---- */

int rig_wait_exit(struct rig *r)
{
	int64_t until = clock_mono_ms() + RIG_TIMEOUT_MS;
	int status = -1;
	pid_t got = 0;

	while (got == 0) {
		got = waitpid(r->pid, &status, WNOHANG);
		if (got == 0 && clock_mono_ms() >= until) {
			kill(r->pid, SIGKILL);
			waitpid(r->pid, &status, 0);
			note_ended(r->pid);
			fail_msg("aictld does not end");
		}
		rig_pump(r, 10);
	}
	note_ended(r->pid);
	r->pid = 0;
	drop_helper(&r->controller);
	drop_helper(&r->logger);
	drop_helper(&r->gateway);
	drop_helper(&r->runtime);
	return status;
}

void rig_crash(struct rig *r, struct rig_helper *controller, struct rig_helper *logger)
{
	kill(r->pid, SIGKILL);
	assert_int_equal(waitpid(r->pid, NULL, 0), r->pid);
	note_ended(r->pid);
	r->pid = 0;
	if (controller) {
		*controller = r->controller;
		r->controller = (struct rig_helper){.conn = -1, .wire = -1};
	}
	if (logger) {
		*logger = r->logger;
		r->logger = (struct rig_helper){.conn = -1, .wire = -1};
	}
	drop_helper(&r->controller);
	drop_helper(&r->logger);
	drop_helper(&r->gateway);
	drop_helper(&r->runtime);
}

int rig_connect_as(const struct rig_helper *h, const char *path)
{
	char text[16] = "", control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {.iov_base = text, .iov_len = sizeof(text) - 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	struct cmsghdr *c;
	int fd;

	assert_true(send(h->conn, path, strlen(path), MSG_NOSIGNAL) > 0);
	assert_true(recvmsg(h->conn, &msg, MSG_CMSG_CLOEXEC) > 0);
	c = CMSG_FIRSTHDR(&msg);
	if (!c)
		return -1;
	memcpy(&fd, CMSG_DATA(c), sizeof(int));
	if (strcmp(text, "yes") == 0)
		return fd;
	close(fd);
	return -1;
}

void rig_drop_helper(struct rig_helper *h)
{
	drop_helper(h);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path) < 0 && errno != ENOENT ? -1 : 0; /* gone by itself is gone, too */
}

void rig_remove_tree(const char *dir)
{
	assert_int_equal(nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

void rig_remove(struct rig *r)
{
	drop_helper(&r->gateway);
	drop_helper(&r->runtime);
	rig_forget_gateway(r);
	mem_closep(&r->controller_peer);
	wire_listen_free(&r->listening);
	drop_helper(&r->controller);
	drop_helper(&r->logger);
	for (unsigned i = 0; i < r->n_streams; i++) {
		mem_closep(&r->streams[i].fds[0]);
		mem_closep(&r->streams[i].fds[1]);
		mem_closep(&r->streams[i].pidfd);
	}
	mem_closep(&r->listen_fd);
	mem_closep(&r->reload_fd);
	close(r->stderr_fd);
	mem_free(r->slots);
	mem_free(r->streams);
	mem_free(r->exits);
	mem_free(r->runs);
	rig_remove_tree(r->dir);
}

int rig_stop(struct rig *r)
{
	kill(r->pid, SIGTERM);
	return rig_wait_exit(r);
}

void rig_clean_stop(struct rig *r)
{
	int status = rig_stop(r);

	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	rig_remove(r);
}

bool rig_is_alive(pid_t pid)
{
	char path[64], state = 'Z';
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	if (fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
		state = 'Z';
	fclose(f);
	return state != 'Z' && state != 'X';
}

/* ---- a file system that hangs ---- */

bool rig_hang(const char *mode, char *dir, size_t size, pid_t *ret_pid)
{
	const char *top = getenv("top_builddir");
	char program[4096], word[16] = "";
	int p[2];

	snprintf(program, sizeof(program), "%s/tests/e2e/fusehang", top ? top : ".");
	if (geteuid() != 0 || access("/dev/fuse", R_OK | W_OK) < 0 || access(program, X_OK) < 0)
		return false;
	snprintf(dir, size, "%s/aictld-hung.XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	assert_non_null(mkdtemp(dir));
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	*ret_pid = fork();
	if (*ret_pid == 0) {
		dup2(p[1], 1);
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* also when the test fails */
		execl(program, program, dir, mode, NULL);
		_exit(127);
	}
	close(p[1]);
	assert_int_equal(read(p[0], word, sizeof(word) - 1), 8);
	assert_string_equal(word, "mounted\n");
	close(p[0]);
	return true;
}

void rig_unhang(const char *dir, pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(umount2(dir, MNT_DETACH), 0);
	assert_int_equal(rmdir(dir), 0);
}

/* ---- asking for things ---- */

struct wire_key rig_key(struct rig *r, const char *service, uint32_t index)
{
	struct wire_key k = {.index = index};
	char hex[64];

	snprintf(k.service, sizeof(k.service), "%s", service);
	snprintf(hex, sizeof(hex), "%012llx%08x%012llx", (unsigned long long)clock_wall_ms(),
		 ++r->incarnations, (unsigned long long)getpid());
	memcpy(k.incarnation, hex, 32);
	return k;
}

void rig_spawn(struct rig *r, const struct wire_spawn *m)
{
	struct buf b = {0};

	wire_encode_spawn(&b, m);
	rig_send_to(r->controller.wire, &b);
}

void rig_spawn_sh(struct rig *r, const struct wire_key *key, const char *script, int64_t grace_ms)
{
	const char *paths[] = {"/nonexistent/sh", "/bin/sh", NULL};
	const char *argv[] = {"sh", "-c", script, NULL};
	const char *envp[] = {"PATH=/usr/bin:/bin", NULL};
	struct wire_spawn m = {.key = *key,
			       .child.cwd = "/",
			       .child.paths = (char *const *)(uintptr_t)paths,
			       .child.argv = (char *const *)(uintptr_t)argv,
			       .child.envp = (char *const *)(uintptr_t)envp,
			       .child.umask = 022,
			       .stop_signal = SIGTERM,
			       .grace_ms = grace_ms,
			       .logs.max_size = 1 << 20,
			       .logs.max_files = 5,
			       .note = (const uint8_t *)"first note",
			       .note_len = 10};

	rig_spawn(r, &m);
}

void rig_stop_key(struct rig *r, const struct wire_key *key, int signal, int64_t grace_ms)
{
	struct wire_stop m = {.key = *key, .signal = signal, .grace_ms = grace_ms};
	struct buf b = {0};

	wire_encode_stop(&b, &m);
	rig_send_to(r->controller.wire, &b);
}

struct rig_slot *rig_wait_state(struct rig *r, const struct wire_key *key,
				enum wire_slot_state state)
{
	struct rig_slot *s;

	RIG_UNTIL(r,
		  (s = rig_slot(r, key)) && s->m.state == state && wire_key_equal(&s->m.key, key));
	return s;
}

struct rig_slot *rig_wait_swept(struct rig *r, const struct wire_key *key)
{
	struct rig_slot *s;

	RIG_UNTIL(r, (s = rig_slot(r, key)) && s->m.state == WIRE_SLOT_EMPTY && s->m.swept);
	return s;
}

const struct wire_exit *rig_exit(const struct rig *r, const struct wire_key *key)
{
	for (unsigned i = 0; i < r->n_exits; i++)
		if (strcmp(r->exits[i].incarnation, key->incarnation) == 0)
			return &r->exits[i];
	return NULL;
}

const struct wire_exit *rig_wait_exit_of(struct rig *r, const struct wire_key *key)
{
	const struct wire_exit *x;

	RIG_UNTIL(r, (x = rig_exit(r, key)) != NULL);
	return x;
}

void rig_expect_output(struct rig *r, const struct wire_key *key, const char *what)
{
	char text[4096] = "";
	size_t n = 0;
	struct rig_stream *s;

	RIG_UNTIL(r, (s = rig_stream(r, key)) != NULL);
	RIG_UNTIL(r, ({
			  ssize_t got = read(s->fds[0], text + n, sizeof(text) - 1 - n);

			  n += got > 0 ? (size_t)got : 0;
			  text[n] = '\0';
			  strstr(text, what) != NULL;
		  }));
}
