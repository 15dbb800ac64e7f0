/*
 * test_aictld_context: what aictld makes of a child's description: limits, nice, oom score; runs
 * beside the slots; the log level. The helpers are played by the test (aictld_rig.h).
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "tests/unit/aictld_rig.h"

#define FAR 600000

/* sh -c SCRIPT; the lists live in v. */
struct shell {
	const char *paths[2], *argv[4], *envp[2];
};

static struct wire_child shell(struct shell *v, const char *script)
{
	*v = (struct shell){
		{"/bin/sh", NULL}, {"sh", "-c", script, NULL}, {"PATH=/usr/bin:/bin", NULL}};
	return (struct wire_child){.cwd = "/",
				   .paths = (char *const *)(uintptr_t)v->paths,
				   .argv = (char *const *)(uintptr_t)v->argv,
				   .envp = (char *const *)(uintptr_t)v->envp,
				   .umask = 027};
}

static struct wire_spawn spawn_of(const struct wire_key *k, const struct wire_child *child)
{
	return (struct wire_spawn){.key = *k,
				   .child = *child,
				   .stop_signal = SIGTERM,
				   .grace_ms = 1000,
				   .logs.max_size = 1 << 20,
				   .logs.max_files = 5};
}

/* ---- limits ---- */

static int own_oom_score(pid_t pid)
{
	char path[64];
	int n = -2000;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", (int)pid);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d", &n), 1);
	fclose(f);
	return n;
}

static void limits_nice_and_oom_score_are_applied(void **state)
{
	static const struct wire_rlimit limits[] = {
		{RLIMIT_NOFILE, 100, 200},
		{RLIMIT_CORE, 0, 0},
		{RLIMIT_FSIZE, 512 * 7, WIRE_LIMIT_KEEP},
		{RLIMIT_STACK, WIRE_LIMIT_KEEP, 1 << 20},
		{RLIMIT_CPU, WIRE_LIMIT_INFINITY, WIRE_LIMIT_INFINITY}};
	struct wire_spawn m;
	struct wire_child c;
	struct wire_key k;
	struct rlimit mine;
	struct shell v;
	struct rig r;
	char want[128];
	int before;

	(void)state;
	rig_start(&r, NULL);
	r.logger_drains = false;
	before = own_oom_score(r.pid);
	c = shell(&v, "echo $(ulimit -Sn) $(ulimit -Hn) $(ulimit -Hc) $(ulimit -Sf) $(ulimit -Hs) "
		      "$(ulimit -Ss) $(ulimit -t) n$(nice) o$(cat /proc/self/oom_score_adj) "
		      "m$(umask)");
	c.rlimits = limits;
	c.n_rlimits = sizeof(limits) / sizeof(limits[0]);
	c.nice = 5;
	c.set_oom_score = true;
	c.oom_score = before + 300;
	k = rig_key(&r, "a", 0);
	m = spawn_of(&k, &c);
	rig_spawn(&r, &m);
	snprintf(want, sizeof(want), "100 200 0 7 1024 1024 unlimited n5 o%d m0027\n",
		 before + 300);
	rig_expect_output(&r, &k, want);
	/* the limits are the child's alone, and so is its score */
	assert_int_equal(own_oom_score(r.pid), before);
	assert_int_equal(prlimit(r.pid, RLIMIT_CORE, NULL, &mine), 0);
	k = rig_key(&r, "b", 0);
	c = shell(&v, "echo n$(nice) o$(cat /proc/self/oom_score_adj) $(ulimit -Sn)");
	m = spawn_of(&k, &c);
	rig_spawn(&r, &m);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &mine), 0);
	snprintf(want, sizeof(want), "n%d o%d %llu\n", getpriority(PRIO_PROCESS, 0), before,
		 (unsigned long long)mine.rlim_cur);
	rig_expect_output(&r, &k, want);
	rig_drained(&r, &k);
	k.index = 0;
	memcpy(k.service, "a", 2);
	r.logger_drains = true;
	for (unsigned i = 0; i < r.n_streams; i++)
		rig_drained(&r, &r.streams[i].m.key);
	rig_clean_stop(&r);
}

static void expect_failure(struct rig *r, const struct wire_child *c, int stage, int what, int err)
{
	struct wire_key k = rig_key(r, "a", 0);
	struct wire_spawn m = spawn_of(&k, c);
	const struct wire_exit *x;

	rig_spawn(r, &m);
	x = rig_wait_exit_of(r, &k);
	assert_int_equal(x->stage, stage);
	assert_int_equal(x->what, what);
	assert_int_equal(x->err, err);
	rig_wait_state(r, &k, WIRE_SLOT_EMPTY);
	assert_int_equal(rig_slot(r, &k)->m.what, what);
}

static void a_limit_that_fails_is_named(void **state)
{
	static const struct wire_rlimit too_many[] = {
		{RLIMIT_CORE, 0, 0}, {RLIMIT_NOFILE, 10, UINT64_C(1) << 40}, {RLIMIT_CPU, 1, 1}};
	static const struct wire_rlimit upside_down = {RLIMIT_MEMLOCK, 2, 1};
	struct wire_child c;
	struct shell v;
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	c = shell(&v, "exit 0");
	c.rlimits = too_many;
	c.n_rlimits = 3;
	expect_failure(&r, &c, WIRE_STAGE_LIMITS, WIRE_WHAT_RLIMIT + RLIMIT_NOFILE, EPERM);
	c.rlimits = &upside_down;
	c.n_rlimits = 1;
	expect_failure(&r, &c, WIRE_STAGE_LIMITS, WIRE_WHAT_RLIMIT + RLIMIT_MEMLOCK, EINVAL);
	if (geteuid() != 0) {
		c = shell(&v, "exit 0");
		c.nice = -5;
		expect_failure(&r, &c, WIRE_STAGE_LIMITS, WIRE_WHAT_NICE, EACCES);
		c.nice = 0;
		c.set_oom_score = true;
		c.oom_score = -1000;
		expect_failure(&r, &c, WIRE_STAGE_LIMITS, WIRE_WHAT_OOM_SCORE, EACCES);
	}
	rig_clean_stop(&r);
}

/* ---- runs ---- */

/* Starts one with a pipe at stdout; returns the read end. */
static int run_sh(struct rig *r, uint64_t id, const char *script, int64_t timeout_ms)
{
	struct wire_run m = {.id = id, .timeout_ms = timeout_ms};
	struct buf b = {0};
	struct shell v;
	int p[2], null;

	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	m.child = shell(&v, script);
	wire_run_encode(&b, &m);
	rig_send(r, &b, (int[]){null, p[1], null}, 3);
	close(null);
	close(p[1]);
	return p[0];
}

/* Pumps while reading until the text has come, or (NULL) to the end; closes fd. */
static void expect_text(struct rig *r, int fd, const char *what)
{
	int64_t until = clock_mono_ms() + RIG_TIMEOUT_MS;
	char text[8192] = "";
	size_t len = 0;

	assert_true(fcntl(fd, F_SETFL, O_NONBLOCK) >= 0);
	for (;;) {
		ssize_t n = read(fd, text + len, sizeof(text) - 1 - len);

		len += n > 0 ? (size_t)n : 0;
		text[len] = '\0';
		if (what ? strstr(text, what) != NULL : n == 0)
			break;
		if (clock_mono_ms() > until)
			fail_msg("did not come: %s, got: %s", what ? what : "end of file", text);
		rig_pump(r, 10);
	}
	close(fd);
}

static void runs_end_once_with_their_status(void **state)
{
	const struct wire_run_end *e;
	struct wire_run m = {.id = 100};
	struct buf b = {0};
	struct shell v;
	struct rig r;
	int fd;

	(void)state;
	rig_start(&r, NULL);
	fd = run_sh(&r, 1, "ls /proc/self/fd | tr '\\n' ' '; umask; exit 7", 0);
	expect_text(&r, fd, "0 1 2 3 0027"); /* 3 is ls's own */
	e = rig_wait_run(&r, 1);
	assert_int_equal(e->code, 7);
	assert_int_equal(e->signal, 0);
	assert_int_equal(e->stage, WIRE_STAGE_EXEC);
	assert_int_equal(e->err, 0);
	assert_false(e->timed_out);
	close(run_sh(&r, 2, "kill -USR1 $$", 0));
	assert_int_equal(rig_wait_run(&r, 2)->signal, SIGUSR1);
	assert_int_equal(rig_wait_run(&r, 2)->code, -1);
	fd = run_sh(&r, 3, "sleep 1000 & sleep 1000", 100); /* the group, not the shell alone */
	assert_true(rig_wait_run(&r, 3)->timed_out);
	assert_int_equal(rig_wait_run(&r, 3)->signal, SIGKILL);
	expect_text(&r, fd, NULL);
	fd = run_sh(&r, 4, "trap 'exit 9' TERM; echo up; while :; do sleep 0.05; done", FAR);
	expect_text(&r, fd, "up");
	wire_run_encode_kill(&b, 4, SIGTERM);
	rig_send(&r, &b, NULL, 0);
	assert_int_equal(rig_wait_run(&r, 4)->code, 9);
	assert_false(rig_wait_run(&r, 4)->timed_out);
	m.child = shell(&v, "");
	v.paths[0] = "/nonexistent";
	wire_run_encode(&b, &m);
	rig_send(&r, &b, (int[]){1, 1, 1}, 3);
	e = rig_wait_run(&r, 100);
	assert_int_equal(e->stage, WIRE_STAGE_EXEC);
	assert_int_equal(e->err, ENOENT);
	m.id = 101;
	wire_run_encode(&b, &m);
	rig_send(&r, &b, (int[]){1, 1}, 2); /* a descriptor is missing */
	assert_int_equal(rig_wait_run(&r, 101)->stage, WIRE_STAGE_REFUSED);
	assert_int_equal(rig_wait_run(&r, 101)->err, EBADF);
	rig_clean_stop(&r);
}

/* One with its output stored: a hook of k's replica. */
static void run_hook(struct rig *r, uint64_t id, const struct wire_key *k, const char *script,
		     int64_t timeout_ms)
{
	struct wire_run m = {.id = id,
			     .key = *k,
			     .log = true,
			     .logs.max_size = 1 << 20,
			     .logs.max_files = 2,
			     .timeout_ms = timeout_ms};
	char cookie[64];
	char *envp[] = {(char *)(uintptr_t) "PATH=/usr/bin:/bin", cookie, NULL};
	struct buf b = {0};
	struct shell v;

	m.child = shell(&v, script);
	snprintf(cookie, sizeof(cookie), "AICTL_INCARNATION=%s", k->incarnation);
	m.child.envp = envp;
	wire_run_encode(&b, &m);
	rig_send(r, &b, NULL, 0);
}

static void a_hook_is_logged_under_its_own_name(void **state)
{
	struct wire_key main_key, first, second, left;
	struct buf b = {0};
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	r.logger_drains = false;
	main_key = rig_key(&r, "web", 0);
	first = rig_key(&r, "web", 0);
	run_hook(&r, 1, &first, "echo before; echo $AICTL_INCARNATION; exit 3", FAR);
	assert_int_equal(rig_wait_run(&r, 1)->code, 3);
	rig_expect_output(&r, &first, first.incarnation);
	RIG_UNTIL(&r, rig_stream(&r, &first)->gone);
	assert_int_equal(r.status.slots, 1); /* of a replica that has not started yet */
	rig_drained(&r, &first);
	/* Beside the process: neither is taken for the other. */
	rig_spawn_sh(&r, &main_key, "echo main; exec sleep 1000", 1000);
	rig_wait_state(&r, &main_key, WIRE_SLOT_RUNNING);
	second = rig_key(&r, "web", 0);
	run_hook(&r, 2, &second, "echo beside; exec sleep 1000", 200);
	assert_true(rig_wait_run(&r, 2)->timed_out);
	rig_expect_output(&r, &second, "beside");
	rig_expect_output(&r, &main_key, "main");
	assert_false(rig_stream(&r, &main_key)->gone);
	assert_int_equal(rig_slot(&r, &main_key)->m.state, WIRE_SLOT_RUNNING);
	rig_drained(&r, &second);
	/* What it leaves behind is ended: only then is its pipe at its end. */
	rig_stop_key(&r, &main_key, 0, -1);
	rig_wait_exit_of(&r, &main_key);
	rig_drained(&r, &main_key);
	left = rig_key(&r, "web", 0);
	run_hook(&r, 3, &left, "setsid sh -c 'echo left; exec sleep 1000' & exit 0", FAR);
	assert_int_equal(rig_wait_run(&r, 3)->code, 0);
	RIG_UNTIL(&r, rig_slot(&r, &main_key)->m.swept);
	RIG_UNTIL(&r, rig_stream(&r, &left) && rig_stream(&r, &left)->gone);
	rig_drained(&r, &left);
	wire_encode_key(&b, WIRE_RELEASE, &main_key);
	rig_send(&r, &b, NULL, 0);
	RIG_UNTIL(&r, r.status.slots == 0);
	rig_clean_stop(&r);
}

static void a_hook_that_cannot_start_leaves_nothing(void **state)
{
	struct wire_run m = {.id = 1, .log = true, .logs.max_size = 1 << 20, .logs.max_files = 1};
	struct buf b = {0};
	struct shell v;
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	m.key = rig_key(&r, "web", 0);
	m.child = shell(&v, "");
	v.paths[0] = "/nonexistent";
	wire_run_encode(&b, &m);
	rig_send(&r, &b, NULL, 0);
	assert_int_equal(rig_wait_run(&r, 1)->err, ENOENT);
	assert_null(rig_stream(&r, &m.key));
	m.id = 2;
	wire_run_encode(&b, &m);
	rig_send(&r, &b, (int[]){1, 1, 1}, 3); /* it has none of its own */
	assert_int_equal(rig_wait_run(&r, 2)->err, EBADF);
	wire_encode_key(&b, WIRE_RELEASE, &m.key);
	rig_send(&r, &b, NULL, 0);
	RIG_UNTIL(&r, r.status.slots == 0);
	rig_clean_stop(&r);
}

static void a_run_has_limits_and_a_score(void **state)
{
	static const struct wire_rlimit limit = {RLIMIT_NOFILE, 50, 60};
	struct wire_run m = {.id = 5};
	struct buf b = {0};
	struct shell v;
	struct rig r;
	int p[2], score;
	char want[64];

	(void)state;
	rig_start(&r, NULL);
	score = own_oom_score(r.pid);
	m.child = shell(&v, "echo $(ulimit -Hn) $(nice) $(cat /proc/self/oom_score_adj)");
	m.child.rlimits = &limit;
	m.child.n_rlimits = 1;
	m.child.nice = 3;
	m.child.set_oom_score = true;
	m.child.oom_score = score + 10;
	wire_run_encode(&b, &m);
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	rig_send(&r, &b, (int[]){p[0], p[1], p[1]}, 3);
	close(p[1]);
	snprintf(want, sizeof(want), "60 3 %d\n", score + 10);
	expect_text(&r, p[0], want);
	assert_int_equal(rig_wait_run(&r, 5)->code, 0);
	assert_int_equal(own_oom_score(r.pid), score);
	rig_clean_stop(&r);
}

static void a_run_may_have_a_terminal(void **state)
{
	struct wire_run m = {.id = 1, .tty = true};
	struct buf b = {0};
	struct shell v;
	struct rig r;
	int master, slave, p[2];

	(void)state;
	rig_start(&r, NULL);
	assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
	m.child = shell(&v, "tty -s && echo on-$((6*7)) >/dev/tty; exit 3");
	wire_run_encode(&b, &m);
	rig_send(&r, &b, (int[]){slave, slave, slave}, 3);
	close(slave);
	expect_text(&r, master, "on-42");
	assert_int_equal(rig_wait_run(&r, 1)->code, 3);
	assert_int_equal(pipe2(p, O_CLOEXEC), 0); /* no terminal at all */
	m.id = 2;
	wire_run_encode(&b, &m);
	rig_send(&r, &b, (int[]){p[0], p[0], p[0]}, 3);
	assert_int_equal(rig_wait_run(&r, 2)->stage, WIRE_STAGE_FDS);
	assert_int_equal(rig_wait_run(&r, 2)->what, WIRE_WHAT_TTY);
	assert_int_equal(rig_wait_run(&r, 2)->err, ENOTTY);
	close(p[0]);
	close(p[1]);
	rig_clean_stop(&r);
}

static void runs_are_bounded_and_die_with_the_controller(void **state)
{
	const struct wire_run_end *e;
	unsigned synced;
	struct rig r;
	int fd, last;

	(void)state;
	rig_start(&r, NULL);
	fd = run_sh(&r, 1, "sleep 1000 & echo $!; wait", 0);
	for (uint64_t id = 2; id <= WIRE_RUNS_MAX; id++)
		close(run_sh(&r, id, "exec sleep 1000", 0));
	close(run_sh(&r, 1000, "exit 0", 0)); /* one too many */
	e = rig_wait_run(&r, 1000);
	assert_int_equal(e->stage, WIRE_STAGE_REFUSED);
	assert_int_equal(e->err, EAGAIN);
	synced = r.n_synced;
	rig_kill_helper(&r, &r.controller);
	expect_text(&r, fd, NULL); /* no one holds the write end any more */
	RIG_UNTIL(&r, r.n_synced > synced);
	assert_int_equal(r.n_runs, 1);				/* the new one is told of nothing */
	last = run_sh(&r, 1, "echo again; exec sleep 1000", 0); /* its own numbers, and room */
	expect_text(&r, last, "again");
	assert_int_equal(r.n_runs, 1);
	rig_clean_stop(&r); /* kills it, and says so */
}

static void the_end_kills_runs(void **state)
{
	struct rig r;
	char line[32] = "";
	int fd, status;
	pid_t pid;

	(void)state;
	rig_start(&r, NULL);
	fd = run_sh(&r, 1, "trap '' TERM HUP INT; echo $$; while :; do sleep 1; done", 0);
	assert_true(read(fd, line, sizeof(line) - 1) > 0);
	assert_int_equal(sscanf(line, "%d", &pid), 1);
	assert_true(pid > 1 && rig_is_alive(pid));
	status = rig_stop(&r);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_false(rig_is_alive(pid));
	assert_int_equal(r.n_runs, 1);
	assert_int_equal(r.runs[0].signal, SIGKILL);
	close(fd);
	rig_remove(&r);
}

/* On its way to exec; one that SIGKILL does not end is told of all the same, once. */
static void a_run_that_hangs_is_told_of(void **state)
{
	static const char *const modes[] = {"unread", "read"};
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	for (uint64_t i = 0; i < 2; i++) {
		struct wire_run m = {.id = 1 + i, .timeout_ms = 200};
		const struct wire_run_end *e;
		struct buf b = {0};
		struct shell v;
		char dir[64];
		pid_t server = 0;

		if (!rig_hang(modes[i], dir, sizeof(dir), &server)) {
			rig_clean_stop(&r);
			skip();
		}
		m.child = shell(&v, "exit 0");
		m.child.cwd = dir;
		wire_run_encode(&b, &m);
		rig_send(&r, &b, (int[]){1, 1, 1}, 3);
		e = rig_wait_run(&r, m.id);
		assert_true(e->timed_out);
		assert_int_equal(e->err, ETIMEDOUT);
		assert_int_equal(e->signal, SIGKILL);
		expect_text(&r, run_sh(&r, 100 + i, "echo others go on", 0), "others go on");
		rig_wait_run(&r, 100 + i);
		rig_unhang(dir, server);
	}
	rig_clean_stop(&r); /* it has ended by now: nothing more was told of it (got_run_end) */
}

/* ---- what a tracer keeps ---- */

/* Clock ticks that a process has used; nothing of its name has spaces. */
static long ticks_of(pid_t pid)
{
	char path[64], text[1024] = "";
	long user = 0, system = 0;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	assert_int_equal(sscanf(text, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld",
				&user, &system),
			 2);
	return user + system;
}

/* A dead process whose tracer does not look at it is nobody's to reap, and its pidfd is readable. */
static void the_dead_of_a_tracer_make_nobody_spin(void **state)
{
	struct wire_key k;
	struct rig r;
	long before;
	pid_t pid;

	(void)state;
	rig_start(&r, NULL);
	k = rig_key(&r, "a", 0);
	rig_spawn_sh(&r, &k, "exec sleep 1000", 1000);
	pid = rig_wait_state(&r, &k, WIRE_SLOT_RUNNING)->m.pid;
	assert_int_equal(ptrace(PTRACE_SEIZE, pid, 0, 0), 0);
	kill(pid, SIGKILL);
	rig_pump(&r, 200);
	before = ticks_of(r.pid);
	rig_pump(&r, 1500);
	assert_in_range(ticks_of(r.pid) - before, 0, 40);
	assert_null(rig_exit(&r, &k));
	assert_int_equal(waitpid(pid, NULL, __WALL), pid);
	assert_int_equal(rig_wait_exit_of(&r, &k)->signal, SIGKILL);
	rig_clean_stop(&r);
}

static void an_ordered_end_does_not_wait_for_a_stuck_run(void **state)
{
	char line[32] = "";
	struct buf b = {0};
	struct wire_key k;
	struct rig r;
	pid_t pid = 0;
	int fd;

	(void)state;
	rig_start(&r, NULL);
	k = rig_key(&r, "a", 0);
	rig_spawn_sh(&r, &k, "exec sleep 1000", 1000);
	rig_wait_state(&r, &k, WIRE_SLOT_RUNNING);
	fd = run_sh(&r, 1, "echo $$; exec sleep 1000", 0);
	assert_true(read(fd, line, sizeof(line) - 1) > 0);
	assert_int_equal(sscanf(line, "%d", &pid), 1);
	close(fd);
	assert_int_equal(ptrace(PTRACE_SEIZE, pid, 0, 0), 0);
	wire_encode_u32(&b, WIRE_CONTROL, WIRE_CONTROL_ORDERED);
	rig_send(&r, &b, NULL, 0);
	rig_pump(&r, 100);
	kill(r.pid, SIGTERM);
	rig_wait_exit_of(&r, &k);
	assert_int_equal(waitpid(pid, NULL, __WALL), pid);
	assert_int_equal(rig_wait_exit(&r), 0);
	rig_remove(&r);
}

/* ---- log level ---- */

static void the_log_level_reaches_all(void **state)
{
	struct buf b = {0};
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	RIG_UNTIL(&r, r.logger_level == LOG_LVL_INFO);
	assert_int_equal(r.hello.log_level, LOG_LVL_INFO);
	wire_encode_u32(&b, WIRE_LOG_LEVEL, LOG_LVL_DEBUG);
	rig_send(&r, &b, NULL, 0);
	RIG_UNTIL(&r, r.logger_level == LOG_LVL_DEBUG);
	wire_encode_u32(&b, WIRE_LOG_LEVEL, 77); /* no such level */
	rig_send(&r, &b, NULL, 0);
	r.logger_level = -1;
	rig_kill_helper(&r, &r.logger);
	RIG_UNTIL(&r, r.logger_level == LOG_LVL_DEBUG);
	rig_kill_helper(&r, &r.controller);
	rig_wait_synced(&r);
	assert_int_equal(r.hello.log_level, LOG_LVL_DEBUG);
	rig_clean_stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limits_nice_and_oom_score_are_applied),
		cmocka_unit_test(a_limit_that_fails_is_named),
		cmocka_unit_test(runs_end_once_with_their_status),
		cmocka_unit_test(a_run_has_limits_and_a_score),
		cmocka_unit_test(a_hook_is_logged_under_its_own_name),
		cmocka_unit_test(a_hook_that_cannot_start_leaves_nothing),
		cmocka_unit_test(a_run_may_have_a_terminal),
		cmocka_unit_test(runs_are_bounded_and_die_with_the_controller),
		cmocka_unit_test(the_end_kills_runs),
		cmocka_unit_test(a_run_that_hangs_is_told_of),
		cmocka_unit_test(the_dead_of_a_tracer_make_nobody_spin),
		cmocka_unit_test(an_ordered_end_does_not_wait_for_a_stuck_run),
		cmocka_unit_test(the_log_level_reaches_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
