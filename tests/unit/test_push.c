/*
 * test_push: notify sockets: who is heard, what becomes of it, watchdogs, another main process, s6's
 * descriptor, and what the next aictld knows. The services are this program itself ("say"), so
 * nothing else is needed. The helpers are played by the test (aictld_rig.h).
 * Descriptors that come along: test_push_aside.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/supervisor/push_message.h"
#include "daemon/supervisor/table.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/mem.h"
#include "tests/unit/aictld_rig.h"
#include "tests/unit/push_rig.h"

/* Has what hangs as descriptor n. */
static int hold_main(const char *path, int n)
{
	int fd = open(path, O_PATH | O_CLOEXEC);

	if (fd < 0 || dup2(fd, n) != n || write(1, "held\n", 5) != 5)
		return 1;
	for (;;)
		pause();
}

/* The environment is empty for a moment while the program is executed: 0 then. */
static size_t environ_of(pid_t pid, char *env, size_t size)
{
	char name[64];
	ssize_t n;
	int fd;

	snprintf(name, sizeof(name), "/proc/%d/environ", pid);
	fd = open(name, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	n = read(fd, env, size - 1);
	close(fd);
	assert_true(n >= 0);
	env[n] = '\0';
	return (size_t)n;
}

static void socket_of(struct rig *r, pid_t pid, char *path, size_t size)
{
	char env[8192], *at = NULL;
	size_t n;

	RIG_UNTIL(r, (n = environ_of(pid, env, sizeof(env))) > 0);
	for (char *p = env; p < env + n; p += strlen(p) + 1)
		if (strncmp(p, "NOTIFY_SOCKET=", 14) == 0)
			at = p + 14;
	assert_non_null(at);
	snprintf(path, size, "%s", at);
}

/* ---- levels ---- */

static void words_become_levels(void **state)
{
	struct wire_key k;
	char path[256];
	struct stat st;
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	k = rig_key(&r, "chat", 0);
	push_rig_spawn(&r, &k, (struct wire_spawn){.notify = true},
		       "$SAY 'STATUS=loading 3/8' BARRIER=1; read x; $SAY READY=1 BARRIER=1;"
		       "$SAY ERRNO=2 'STATUS=a\tb' RELOADING=1 BARRIER=1; exec sleep 1000");
	rig_wait_state(&r, &k, WIRE_SLOT_RUNNING);
	RIG_UNTIL(&r, push_rig_levels(&r, &k)->err == 2);
	RIG_UNTIL(&r, push_rig_levels(&r, &k)->flags == (WIRE_PUSH_READY | WIRE_PUSH_RELOADING));
	assert_string_equal(push_rig_levels(&r, &k)->status, "a b");
	assert_int_equal(push_rig_levels(&r, &k)->dropped, 0);
	socket_of(&r, push_rig_pid(&r, &k), path, sizeof(path));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	rig_stop_key(&r, &k, 0, -1);
	rig_wait_swept(&r, &k);
	assert_int_equal(push_rig_levels(&r, &k)->flags, 0);
	rig_clean_stop(&r);
	assert_int_equal(stat(path, &st), -1);
}

static void who_asks_for_none_has_none(void **state)
{
	struct wire_key k;
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	k = rig_key(&r, "chat", 0);
	push_rig_spawn(&r, &k, (struct wire_spawn){0},
		       "echo has ${NOTIFY_SOCKET:-none}; exec sleep 1000");
	rig_wait_state(&r, &k, WIRE_SLOT_RUNNING);
	rig_expect_output(&r, &k, "has /nowhere");
	assert_false(rig_wait_state(&r, &k, WIRE_SLOT_RUNNING)->m.has_push);
	rig_clean_stop(&r);
}

static void strangers_are_not_heard(void **state)
{
	struct wire_key a, b;
	char path[256], script[512];
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	a = rig_key(&r, "a", 0);
	push_rig_spawn(&r, &a, (struct wire_spawn){.notify = true}, "read x; exec sleep 1000");
	rig_wait_state(&r, &a, WIRE_SLOT_RUNNING);
	socket_of(&r, push_rig_pid(&r, &a), path, sizeof(path));
	assert_int_equal(push_rig_say(path, "READY=1", 7, false), 0); /* we are in no slot */
	b = rig_key(&r, "b", 0); /* the same user, and another slot's process, which stays */
	snprintf(script, sizeof(script),
		 "NOTIFY_SOCKET=%s; $SAY READY=1 BARRIER=1; exec sleep 1000", path);
	push_rig_spawn(&r, &b, (struct wire_spawn){.notify = true}, script);
	RIG_UNTIL(&r, push_rig_levels(&r, &a)->dropped >= 2);
	assert_int_equal(push_rig_levels(&r, &a)->flags, 0);
	rig_clean_stop(&r);
}

static void the_environment_names_it(void **state)
{
	struct wire_key k;
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	k = rig_key(&r, "chat", 0);
	push_rig_spawn(
		&r, &k, (struct wire_spawn){.notify = true, .watchdog_ms = 30000},
		"test $WATCHDOG_PID = $$ && test -S $NOTIFY_SOCKET && echo usec=$WATCHDOG_USEC;"
		"env | grep -c NOTIFY_SOCKET; exec sleep 1000");
	rig_expect_output(&r, &k, "usec=30000000\n1\n");
	rig_clean_stop(&r);
}

/* ---- watchdog ---- */

static void a_watchdog_that_is_not_served_expires(void **state)
{
	struct wire_key k, served, waits;
	struct buf b = {0};
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	k = rig_key(&r, "a", 0);
	served = rig_key(&r, "b", 0);
	waits = rig_key(&r, "c", 0);
	push_rig_spawn(&r, &served, (struct wire_spawn){.notify = true, .watchdog_ms = 1500},
		       "while :; do $SAY WATCHDOG=1; sleep 0.1; done");
	push_rig_spawn(&r, &waits, (struct wire_spawn){.notify = true, .watchdog_ms = 100},
		       "exec sleep 1000");
	push_rig_spawn(&r, &k, (struct wire_spawn){.notify = true, .watchdog_ms = 300},
		       "$SAY READY=1 BARRIER=1; exec sleep 1000");
	RIG_UNTIL(&r,
		  push_rig_has(&r, &k, WIRE_PUSH_READY | WIRE_PUSH_WATCHED | WIRE_PUSH_EXPIRED));
	assert_int_equal(push_rig_levels(&r, &k)->watchdog_ms, 300);
	for (int64_t end = clock_mono_ms() + 2500; clock_mono_ms() < end;)
		rig_pump(&r, 50);
	assert_true(push_rig_has(&r, &served, WIRE_PUSH_WATCHED));
	assert_false(push_rig_has(&r, &served, WIRE_PUSH_EXPIRED));
	assert_int_equal(push_rig_levels(&r, &waits)->flags, 0); /* it has not begun */
	wire_encode_key(&b, WIRE_WATCH, &waits);
	rig_send(&r, &b, NULL, 0);
	RIG_UNTIL(&r, push_rig_has(&r, &waits, WIRE_PUSH_EXPIRED));
	rig_clean_stop(&r);
}

static void a_service_may_trip_and_set_its_watchdog(void **state)
{
	struct wire_key k, set;
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	k = rig_key(&r, "a", 0);
	set = rig_key(&r, "b", 0);
	push_rig_spawn(&r, &k, (struct wire_spawn){.notify = true},
		       "$SAY WATCHDOG=trigger BARRIER=1; exec sleep 1000");
	push_rig_spawn(&r, &set, (struct wire_spawn){.notify = true, .watchdog_ms = 3600000},
		       "$SAY READY=1 WATCHDOG_USEC=200001 BARRIER=1; exec sleep 1000");
	RIG_UNTIL(&r, push_rig_has(&r, &k, WIRE_PUSH_EXPIRED));
	RIG_UNTIL(&r, push_rig_has(&r, &set, WIRE_PUSH_EXPIRED));
	assert_int_equal(push_rig_levels(&r, &set)->watchdog_ms, 201);
	rig_clean_stop(&r);
}

/* ---- another main process, more time ---- */

static void main_pid_moves_on(void **state)
{
	const struct wire_exit *x;
	struct wire_key k, other;
	char script[1024], path[256];
	pid_t first, next;
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	k = rig_key(&r, "a", 0);
	/* The child lives until its file comes; the first one ends when it has been taken over. */
	snprintf(script, sizeof(script),
		 "sh -c 'until test -e %s/go; do sleep 0.02; done; exit 7' & "
		 "until test -e %s/start; do sleep 0.02; done; $SAY MAINPID=1 MAINPID=$! BARRIER=1;"
		 "until test -e %s/end; do sleep 0.02; done",
		 r.dir, r.dir, r.dir);
	push_rig_spawn(&r, &k, (struct wire_spawn){.notify = true}, script);
	first = rig_wait_state(&r, &k, WIRE_SLOT_RUNNING)->m.pid;
	push_rig_touch(&r, "start");
	RIG_UNTIL(&r, push_rig_pid(&r, &k) != first);
	next = push_rig_pid(&r, &k);
	assert_true(push_rig_levels(&r, &k)->dropped ==
		    0); /* 1 is refused before it is looked at */
	other = rig_key(&r, "b", 0);
	snprintf(path, sizeof(path), "$SAY MAINPID=%d BARRIER=1; exec sleep 1000", next);
	push_rig_spawn(&r, &other, (struct wire_spawn){.notify = true}, path);
	RIG_UNTIL(&r, push_rig_levels(&r, &other)->dropped == 1);
	push_rig_touch(&r, "end");
	RIG_UNTIL(&r, !rig_is_alive(first));
	rig_wait_state(&r, &k, WIRE_SLOT_RUNNING);
	rig_crash(&r, NULL, NULL); /* the next aictld knows it, too */
	rig_run(&r, NULL);
	rig_wait_synced(&r);
	assert_int_equal(rig_wait_state(&r, &k, WIRE_SLOT_RUNNING)->m.pid, next);
	push_rig_touch(&r, "go");
	x = rig_wait_exit_of(&r, &k);
	assert_int_equal(x->pid, next);
	assert_true(!x->status_known || x->code == 7);
	rig_clean_stop(&r);
}

static void the_new_main_process_is_stopped(void **state)
{
	const struct wire_exit *x;
	struct wire_key k;
	char script[512];
	pid_t first;
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	k = rig_key(&r, "a", 0);
	snprintf(script, sizeof(script),
		 "sh -c 'trap \"exit 5\" TERM; : >%s/up; while :; do sleep 0.05; done' & "
		 "until test -e %s/start -a -e %s/up; do sleep 0.02; done;"
		 "$SAY MAINPID=$! BARRIER=1; exit 3",
		 r.dir, r.dir, r.dir);
	push_rig_spawn(&r, &k, (struct wire_spawn){.notify = true, .grace_ms = 60000}, script);
	first = rig_wait_state(&r, &k, WIRE_SLOT_RUNNING)->m.pid;
	push_rig_touch(&r, "start");
	RIG_UNTIL(&r, push_rig_pid(&r, &k) != first && !rig_is_alive(first));
	rig_stop_key(&r, &k, 0, -1);
	x = rig_wait_exit_of(&r, &k);
	assert_int_equal(x->code, 5);
	assert_true(x->by_stop && !x->killed && x->status_known);
	rig_clean_stop(&r);
}

static void a_stop_waits_for_who_asks_for_time(void **state)
{
	const struct wire_exit *x;
	struct wire_key k;
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	k = rig_key(&r, "a", 0);
	push_rig_spawn(&r, &k, (struct wire_spawn){.notify = true, .grace_ms = 500},
		       "trap '$SAY EXTEND_TIMEOUT_USEC=20000000 BARRIER=1; sleep 1.5; exit 4' TERM;"
		       "$SAY READY=1; while :; do sleep 0.05; done");
	RIG_UNTIL(&r, push_rig_has(&r, &k, WIRE_PUSH_READY));
	rig_stop_key(&r, &k, 0, -1);
	x = rig_wait_exit_of(&r, &k);
	assert_int_equal(x->code, 4);
	assert_false(x->killed);
	rig_clean_stop(&r);
}

/* Longer than all grace periods and what is added to them. */
static void a_shutdown_waits_for_who_asks_for_time(void **state)
{
	struct wire_key k;
	char script[512], path[256];
	struct rig r;
	int64_t begun;

	(void)state;
	rig_start(&r, NULL);
	k = rig_key(&r, "a", 0);
	snprintf(script, sizeof(script),
		 "trap 'for i in 1 2 3 4 5 6 7; do $SAY EXTEND_TIMEOUT_USEC=4000000; sleep 2; done;"
		 ": >%s/done; exit 0' TERM; $SAY READY=1; while :; do sleep 0.05; done",
		 r.dir);
	push_rig_spawn(&r, &k, (struct wire_spawn){.notify = true, .grace_ms = 500}, script);
	RIG_UNTIL(&r, push_rig_has(&r, &k, WIRE_PUSH_READY));
	snprintf(path, sizeof(path), "%s/done", r.dir);
	begun = clock_mono_ms();
	assert_int_equal(rig_stop(&r), 0);
	assert_true(clock_mono_ms() - begun > 13000);
	assert_int_equal(access(path, F_OK), 0);
	rig_remove(&r);
}

/* ---- s6's descriptor ---- */

static void a_newline_on_the_descriptor_is_ready(void **state)
{
	static const uint8_t numbers[] = {3, 7, 9};
	char script[512];
	struct wire_key k;
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	for (unsigned i = 0; i < 3; i++) {
		k = rig_key(&r, "a", i);
		/* With 3 free, ls reads the directory there, else at 4. */
		snprintf(script, sizeof(script),
			 "ls -v /proc/self/fd | tr '\\n' ' '; printf up >/proc/self/fd/%u;"
			 "read x; echo >/proc/self/fd/%u; exec sleep 1000",
			 numbers[i], numbers[i]);
		push_rig_spawn(&r, &k, (struct wire_spawn){.notify_fd = numbers[i]}, script);
		snprintf(script, sizeof(script), "0 1 2 %s%u ", numbers[i] > 3 ? "3 " : "",
			 numbers[i]);
		rig_expect_output(&r, &k, script);
		RIG_UNTIL(&r, push_rig_has(&r, &k, WIRE_PUSH_READY));
	}
	rig_clean_stop(&r);
}

/* ---- without a controller, and with another aictld ---- */

static void levels_outlive_the_controller(void **state)
{
	struct wire_key k;
	char path[256], script[512];
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	k = rig_key(&r, "a", 0);
	snprintf(
		script, sizeof(script),
		"until test -e %s/go; do sleep 0.02; done; for i in 1 2 3 4 5 6 7 8 9; do "
		"$SAY STATUS=$i BARRIER=1; done; $SAY READY=1 BARRIER=1; : >%s/said; exec sleep 1000",
		r.dir, r.dir);
	push_rig_spawn(&r, &k, (struct wire_spawn){.notify = true}, script);
	rig_wait_state(&r, &k, WIRE_SLOT_RUNNING);
	rig_kill_helper(&r, &r.controller);
	snprintf(path, sizeof(path), "%s/go", r.dir);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	snprintf(path, sizeof(path), "%s/said", r.dir);
	for (int i = 0; access(path, F_OK) < 0; i++) { /* nobody reads what aictld would say */
		assert_true(i < 1000);
		poll(NULL, 0, 20);
	}
	rig_wait_synced(&r);
	assert_true(push_rig_has(&r, &k, WIRE_PUSH_READY));
	assert_string_equal(push_rig_levels(&r, &k)->status, "9");
	rig_clean_stop(&r);
}

static void levels_outlive_aictld(void **state)
{
	struct wire_key a, fd;
	char script[512], path[256];
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	a = rig_key(&r, "a", 0);
	fd = rig_key(&r, "b", 0);
	snprintf(script, sizeof(script),
		 "$SAY READY=1 STATUS=one BARRIER=1; until test -e %s/go; do sleep 0.02; done;"
		 "until $SAY STATUS=two WATCHDOG=trigger; do sleep 0.02; done; exec sleep 1000",
		 r.dir);
	push_rig_spawn(&r, &a, (struct wire_spawn){.notify = true}, script);
	snprintf(script, sizeof(script),
		 "until test -e %s/go; do sleep 0.02; done; echo >&3; exec sleep 1000", r.dir);
	push_rig_spawn(&r, &fd, (struct wire_spawn){.notify_fd = 3}, script);
	RIG_UNTIL(&r, push_rig_has(&r, &a, WIRE_PUSH_READY) && *push_rig_levels(&r, &a)->status);
	rig_wait_state(&r, &fd, WIRE_SLOT_RUNNING);
	rig_crash(&r, NULL, NULL);
	rig_run(&r, NULL);
	rig_wait_synced(&r);
	assert_true(push_rig_has(&r, &a, WIRE_PUSH_READY));
	assert_string_equal(push_rig_levels(&r, &a)->status, "one");
	assert_int_equal(push_rig_levels(&r, &fd)->flags, 0);
	snprintf(path, sizeof(path), "%s/go", r.dir);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	RIG_UNTIL(&r, push_rig_has(&r, &a, WIRE_PUSH_EXPIRED));
	assert_string_equal(push_rig_levels(&r, &a)->status, "two");
	RIG_UNTIL(&r, push_rig_has(&r, &fd, WIRE_PUSH_READY));
	rig_clean_stop(&r);
}

/* What stands at the descriptor is whatever the service likes: here what hangs as soon as it is asked
 * for its status. */
static void a_hung_descriptor_hangs_nobody(void **state)
{
	char dir[64], script[4300];
	pid_t server = 0;
	struct wire_key k;
	struct rig r;

	(void)state;
	if (!rig_hang("read", dir, sizeof(dir), &server))
		skip();
	rig_start(&r, NULL);
	k = rig_key(&r, "a", 0);
	snprintf(script, sizeof(script), "exec %s hold %s 3", push_rig_self(), dir);
	push_rig_spawn(&r, &k, (struct wire_spawn){.notify_fd = 3}, script);
	rig_expect_output(&r, &k, "held");
	rig_crash(&r, NULL, NULL);
	rig_run(&r, NULL);
	rig_wait_synced(&r);
	rig_wait_state(&r, &k, WIRE_SLOT_RUNNING);
	rig_clean_stop(&r);
	rig_unhang(dir, server);
}

/* Words cost the controller next to nothing, however many there are. */
static void a_flood_is_gathered(void **state)
{
	struct wire_key k, other;
	unsigned before;
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	k = rig_key(&r, "a", 0);
	push_rig_spawn(
		&r, &k, (struct wire_spawn){.notify = true},
		"$SAY STATUS=begin BARRIER=1; $SAY flood; $SAY STATUS=end BARRIER=1; exec sleep 1000");
	RIG_UNTIL(&r, *push_rig_levels(&r, &k)->status);
	before = rig_slot(&r, &k)->n_sent;
	other = rig_key(&r, "b", 0); /* and others get their turn */
	rig_spawn_sh(&r, &other, "exec sleep 1000", 1000);
	rig_wait_state(&r, &other, WIRE_SLOT_RUNNING);
	assert_string_not_equal(push_rig_levels(&r, &k)->status, "end");
	RIG_UNTIL(&r, strcmp(push_rig_levels(&r, &k)->status, "end") == 0);
	assert_in_range(rig_slot(&r, &k)->n_sent - before, 2, 60);
	rig_clean_stop(&r);
}

/* A former process's words are not its successor's. */
static void the_next_process_begins_anew(void **state)
{
	struct wire_key k, next;
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	k = rig_key(&r, "a", 0);
	push_rig_spawn(&r, &k, (struct wire_spawn){.notify = true},
		       "$SAY READY=1 STATUS=x ERRNO=3 BARRIER=1; exec sleep 1000");
	RIG_UNTIL(&r, push_rig_has(&r, &k, WIRE_PUSH_READY) && push_rig_levels(&r, &k)->err == 3);
	rig_stop_key(&r, &k, 0, -1);
	rig_wait_swept(&r, &k);
	next = rig_key(&r, "a", 0);
	push_rig_spawn(&r, &next, (struct wire_spawn){.notify = true}, "exec sleep 1000");
	rig_wait_state(&r, &next, WIRE_SLOT_RUNNING);
	rig_pump(&r, 300);
	assert_int_equal(push_rig_levels(&r, &next)->flags, 0);
	assert_int_equal(push_rig_levels(&r, &next)->err, 0);
	assert_string_equal(push_rig_levels(&r, &next)->status, "");
	rig_clean_stop(&r);
}

/* ---- one message ---- */

static struct push_message_out take(struct table_push *p, const char *text, size_t len)
{
	struct push_message_out out;
	char copy[8192];

	memcpy(copy, text, len);
	push_message_take(p, copy, len, 1000, &out);
	return out;
}
#define TAKE(p, text) take(p, text, sizeof(text) - 1)

static void a_message_is_taken_apart(void **state)
{
	struct table_push p = {0};
	struct push_message_out out;

	(void)state;
	out = TAKE(&p, "READY=1\nSTATUS=up\nUNKNOWN=1\nMAINPID=77\nno line\n\n");
	assert_int_equal(p.flags, WIRE_PUSH_READY);
	assert_int_equal(out.main_pid, 77);
	assert_string_equal(p.status, "up");
	TAKE(&p, "READY=0");
	assert_int_equal(p.flags, WIRE_PUSH_READY);
	TAKE(&p, "STOPPING=1");
	assert_int_equal(p.flags, WIRE_PUSH_READY | WIRE_PUSH_STOPPING);
	TAKE(&p, "RELOADING=1\nMONOTONIC_USEC=123");
	assert_int_equal(p.flags,
			 WIRE_PUSH_READY | WIRE_PUSH_RELOADING); /* and no longer stopping */
	out = TAKE(&p, "READY=1\0");
	assert_false(out.malformed);
	assert_int_equal(p.flags, WIRE_PUSH_READY);
	out = TAKE(&p, "STOPPING=1\0STATUS=x");
	assert_true(out.malformed);
	assert_int_equal(p.flags, WIRE_PUSH_READY);
	out = TAKE(&p, "MAINPID=1\nMAINPID=-5\nMAINPID=99999999999\nERRNO=-1\nERRNO=x");
	assert_true(out.main_pid == 0 && p.err == 0);
	out = TAKE(&p, "EXTEND_TIMEOUT_USEC=5000001");
	assert_true(out.extend);
	assert_int_equal(p.extend_until_mono_ms, 1000 + 5001);
	TAKE(&p, "EXTEND_TIMEOUT_USEC=9223372036854775807");
	assert_int_equal(p.extend_until_mono_ms, 1000 + 3600 * 1000);
	out = TAKE(&p, "EXTEND_TIMEOUT_USEC=-1");
	assert_false(out.extend);
	out = TAKE(&p, "WATCHDOG_USEC=1");
	assert_true(out.rewatch && p.watchdog_ms == 1);
	out = TAKE(&p, "");
	assert_false(out.malformed);
}

static void a_status_is_safe_to_show(void **state)
{
	static const char *const cases[][2] = {{"plain", "plain"},
					       {"tab\tnew\x1b[31mred\x7f", "tab new [31mred "},
					       {"\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80",
						"\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80"},
					       {"\xc2\x9b!", "  !"},	  /* a C1 control */
					       {"\xe2\x80\xae!", "   !"}, /* right to left */
					       {"\xc0\xaf\xff\x80", "    "},
					       {"\xed\xa0\x80", "   "}, /* a surrogate */
					       {"\xe2\x82", "  "},	/* cut off */
					       {"", ""}};
	char out[12], whole[64];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		push_message_clean(whole, sizeof(whole), cases[i][0]);
		assert_string_equal(whole, cases[i][1]);
	}
	push_message_clean(out, sizeof(out), "0123456789\xe2\x82\xac");
	assert_string_equal(out, "0123456789"); /* never half a character */
	push_message_clean(out, sizeof(out), "0123456789abcdef");
	assert_string_equal(out, "0123456789a");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_is_taken_apart),
		cmocka_unit_test(a_status_is_safe_to_show),
		cmocka_unit_test(words_become_levels),
		cmocka_unit_test(who_asks_for_none_has_none),
		cmocka_unit_test(strangers_are_not_heard),
		cmocka_unit_test(the_environment_names_it),
		cmocka_unit_test(a_watchdog_that_is_not_served_expires),
		cmocka_unit_test(a_service_may_trip_and_set_its_watchdog),
		cmocka_unit_test(main_pid_moves_on),
		cmocka_unit_test(the_new_main_process_is_stopped),
		cmocka_unit_test(a_stop_waits_for_who_asks_for_time),
		cmocka_unit_test(a_shutdown_waits_for_who_asks_for_time),
		cmocka_unit_test(a_newline_on_the_descriptor_is_ready),
		cmocka_unit_test(levels_outlive_the_controller),
		cmocka_unit_test(levels_outlive_aictld),
		cmocka_unit_test(a_hung_descriptor_hangs_nobody),
		cmocka_unit_test(a_flood_is_gathered),
		cmocka_unit_test(the_next_process_begins_anew),
	};

	if (argc > 1 && strcmp(argv[1], "say") == 0)
		return push_rig_say_main(argc - 2, argv + 2);
	if (argc == 4 && strcmp(argv[1], "hold") == 0)
		return hold_main(argv[2], argv[3][0] - '0');
	return cmocka_run_group_tests(tests, NULL, NULL);
}
