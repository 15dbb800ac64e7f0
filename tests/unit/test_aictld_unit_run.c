/*
 * test_aictld_unit_run: commands in containers, against an aictl-runtime that the test plays
 * (unit_rig.h).
 */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/mem.h"
#include "tests/unit/adopt_rig.h"
#include "tests/unit/aictld_rig.h"
#include "tests/unit/unit_rig.h"

static void run_inside(struct rig *r, const struct wire_key *key, uint64_t id, int64_t timeout_ms)
{
	static const char *const paths[] = {"/", NULL}, *const argv[] = {"ls", NULL};
	struct wire_run m = {.id = id,
			     .key = *key,
			     .inside = true,
			     .timeout_ms = timeout_ms,
			     .child = {.cwd = "/",
				       .paths = (char *const *)(uintptr_t)paths,
				       .argv = (char *const *)(uintptr_t)argv}};
	struct buf b = {0};
	int p[2], fds[3];

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	fds[0] = p[0];
	fds[1] = fds[2] = p[1];
	wire_run_encode(&b, &m);
	rig_send(r, &b, fds, 3);
	close(p[0]);
	close(p[1]);
}

static void say_run_end(struct rig *r, uint64_t id, int code)
{
	struct buf b = {0};

	for (int i = 0; i < 3; i++)
		mem_closep(&unit_rig()->run_fds[i]);
	wire_run_encode_end(
		&b, &(struct wire_run_end){.id = id, .stage = WIRE_STAGE_EXEC, .code = code});
	rig_send_to(r->runtime.wire, &b);
}

static void say_pid(struct rig *r, uint64_t id, int pid)
{
	struct buf b = {0};

	wire_unit_encode_pid(&b, id, pid);
	rig_send_to(r->runtime.wire, &b);
}

static void on_interrupt(int signal)
{
	_exit(signal);
}

/* A sleeper; apart: in a pid namespace of its own, as in a container. -1: not permitted. */
static int start_sleeper(bool apart)
{
	const struct timespec while_ = {.tv_sec = 300};
	const struct sigaction sa = {.sa_handler = on_interrupt};
	sigset_t interrupt, before;
	long pid;

	sigemptyset(&interrupt);
	sigaddset(&interrupt, SIGINT);
	sigprocmask(SIG_BLOCK, &interrupt, &before);
	pid = syscall(SYS_clone, SIGCHLD | (apart ? CLONE_NEWPID : 0), 0, 0, 0, 0);
	if (pid == 0) {
		sigaction(SIGINT, &sa, NULL); /* without it the first process is spared */
		sigprocmask(SIG_UNBLOCK, &interrupt, NULL);
		setpgid(0, 0);
		nanosleep(&while_, NULL);
		_exit(0);
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	return (int)pid;
}

static void end_sleeper(int pid, int want_signal)
{
	int status;

	if (want_signal == 0)
		kill(pid, SIGTERM);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), want_signal ? want_signal : SIGTERM);
}

static void commands_run_inside(void **state)
{
	const struct wire_run_end *e;
	struct wire_key k;
	struct rig r;

	(void)state;
	unit_rig_begin(&r);
	k = rig_key(&r, "web", 0);
	run_inside(&r, &k, 1, 0);
	assert_int_equal(rig_wait_run(&r, 1)->err, ESRCH);
	unit_rig_start_running(&r, &k);
	run_inside(&r, &k, 2, 0);
	RIG_UNTIL(&r, unit_rig()->run_id == 2);
	assert_string_equal(unit_rig()->run_arg, "ls");
	assert_true(wire_key_equal(&unit_rig()->run_key, &k));
	say_run_end(&r, 2, 5);
	e = rig_wait_run(&r, 2);
	assert_int_equal(e->code, 5);
	assert_int_equal(e->stage, WIRE_STAGE_EXEC);
	run_inside(&r, &k, 3, 50);
	RIG_UNTIL(&r, unit_rig()->killed_id == 3);
	assert_int_equal(unit_rig()->kill_signal, SIGKILL);
	say_run_end(&r, 3, 137);
	assert_true(rig_wait_run(&r, 3)->timed_out);
	run_inside(&r, &k, 4, 0);
	RIG_UNTIL(&r, unit_rig()->run_id == 4);
	rig_kill_helper(&r, &r.runtime);
	e = rig_wait_run(&r, 4);
	assert_int_equal(e->err, ECONNRESET);
	assert_int_equal(e->what, WIRE_WHAT_RUNTIME);
	for (int i = 0; i < 3; i++)
		mem_closep(&unit_rig()->run_fds[i]);
	RIG_UNTIL(&r, unit_rig()->n_synced == 2);
	unit_rig_end(&r);
}

/* Its pid comes late; it is signalled by it, and the engine is left alone. */
static void commands_inside_are_signalled(void **state)
{
	struct wire_key k;
	struct buf b = {0};
	struct rig r;
	int status;
	pid_t pid;

	(void)state;
	unit_rig_begin(&r);
	k = rig_key(&r, "web", 0);
	unit_rig_start_running(&r, &k);
	run_inside(&r, &k, 2, 0);
	RIG_UNTIL(&r, unit_rig()->run_id == 2);
	wire_run_encode_kill(&b, 2, SIGINT);
	rig_send(&r, &b, NULL, 0);
	run_inside(&r, &k, 3, 0); /* the signal has been read when this is there */
	RIG_UNTIL(&r, unit_rig()->run_id == 3);
	assert_int_equal(unit_rig()->killed_id, 0);
	pid = start_sleeper(true);
	if (pid < 0)
		goto ends;
	setpgid(pid, pid);
	say_pid(&r, 2, pid);
	RIG_UNTIL(&r, waitpid(pid, &status, WNOHANG) == pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == SIGINT);
	assert_int_equal(unit_rig()->killed_id, 0);
ends:
	say_run_end(&r, 2, 130);
	assert_int_equal(rig_wait_run(&r, 2)->code, 130);
	say_run_end(&r, 3, 0);
	rig_wait_run(&r, 3);
	unit_rig_end(&r);
}

static void hooks_inside_are_logged(void **state)
{
	static const char *const paths[] = {"/", NULL}, *const argv[] = {"hook", NULL};
	struct wire_run m = {.id = 9,
			     .inside = true,
			     .log = true,
			     .logs = {.max_size = 1 << 20, .max_files = 3},
			     .child = {.cwd = "/",
				       .paths = (char *const *)(uintptr_t)paths,
				       .argv = (char *const *)(uintptr_t)argv}};
	struct wire_key k;
	struct buf b = {0};
	struct rig r;

	(void)state;
	unit_rig_begin(&r);
	k = rig_key(&r, "web", 0);
	unit_rig_start_running(&r, &k);
	m.key = rig_key(&r, "web", 0); /* one of its own, for its output */
	wire_run_encode(&b, &m);
	rig_send(&r, &b, NULL, 0);
	RIG_UNTIL(&r, unit_rig()->run_id == 9);
	assert_true(wire_key_equal(&unit_rig()->run_key, &k));
	assert_int_equal(write(unit_rig()->run_fds[1], "from the hook", 13), 13);
	rig_expect_output(&r, &m.key, "from the hook");
	say_run_end(&r, 9, 0);
	assert_int_equal(rig_wait_run(&r, 9)->code, 0);
	RIG_UNTIL(&r, rig_stream(&r, &m.key)->gone);
	unit_rig_end(&r);
}

/* What a plugin calls the process of a RUN may be any of this machine. */
static void only_what_is_in_a_container_is_killed(void **state)
{
	struct wire_key k;
	struct rig r;
	int outside, inside;

	(void)state;
	unit_rig_begin(&r);
	k = rig_key(&r, "web", 0);
	unit_rig_start_running(&r, &k);
	run_inside(&r, &k, 1, 0);
	RIG_UNTIL(&r, unit_rig()->run_id == 1);
	outside = start_sleeper(false);
	assert_true(outside > 0);
	say_pid(&r, 1, outside);
	rig_settle(&r);
	rig_kill_helper(&r, &r.runtime);
	assert_int_equal(rig_wait_run(&r, 1)->err, ECONNRESET);
	end_sleeper(outside, 0);
	RIG_UNTIL(&r, unit_rig()->n_synced == 2);
	run_inside(&r, &k, 2, 0);
	RIG_UNTIL(&r, unit_rig()->run_id == 2);
	inside = start_sleeper(true);
	if (inside > 0) {
		say_pid(&r, 2, inside);
		rig_settle(&r);
	}
	rig_kill_helper(&r, &r.runtime);
	assert_int_equal(rig_wait_run(&r, 2)->err, ECONNRESET);
	if (inside > 0)
		end_sleeper(inside, SIGKILL);
	for (int i = 0; i < 3; i++)
		mem_closep(&unit_rig()->run_fds[i]);
	RIG_UNTIL(&r, unit_rig()->n_synced == 3);
	unit_rig_end(&r);
}

static int may_run(void **state)
{
	(void)state;
	return geteuid() == 0 && !getpwnam("aictl-rt") ? -1 : 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands_run_inside),
		cmocka_unit_test(commands_inside_are_signalled),
		cmocka_unit_test(hooks_inside_are_logged),
		cmocka_unit_test(only_what_is_in_a_container_is_killed),
	};

	if (may_run(NULL) < 0) {
		puts("SKIP: no user aictl-rt");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
