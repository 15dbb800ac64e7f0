/*
 * test_aictld_unit: what aictld does for containers, against an aictl-runtime that the test plays
 * (unit_rig.h). Starts, ends, stops; who dies in between; nothing twice, nothing lost.
 */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/mem.h"
#include "tests/unit/adopt_rig.h"
#include "tests/unit/aictld_rig.h"
#include "tests/unit/unit_rig.h"

/* ---- tests ---- */

static void a_unit_runs_writes_and_exits(void **state)
{
	const struct wire_exit *x;
	const struct rig_slot *s;
	struct wire_key k;
	struct fake_unit *u;
	struct rig r;

	(void)state;
	unit_rig_begin(&r);
	k = rig_key(&r, "web", 0);
	u = unit_rig_start_running(&r, &k);
	s = rig_slot(&r, &k);
	assert_string_equal(u->spec, UNIT_RIG_SPEC);
	assert_true(unit_rig_has_files(&r, &k));
	assert_string_equal(s->m.runtime, "fake");
	assert_int_equal(s->m.pid, 4711);
	assert_int_equal(s->m.stage, WIRE_STAGE_EXEC);
	assert_string_equal(unit_rig()->told.id, "f00d");
	unit_rig_write(u, "hello from within\n");
	rig_expect_output(&r, &k, "hello from within");
	unit_rig()->silent = true;
	unit_rig_say_exited(&r, &k, 3);
	x = rig_wait_exit_of(&r, &k);
	assert_int_equal(x->code, 3);
	assert_int_equal(x->signal, 0);
	assert_true(x->status_known);
	assert_int_equal(x->pid, 4711);
	RIG_UNTIL(&r, u->n_remove == 1);
	assert_false(rig_slot(&r, &k)->m.swept);
	assert_false(rig_stream(&r, &k)->gone);
	unit_rig_write(u, "last words\n");
	unit_rig_close(u);
	unit_rig_say_state(&r, &k, WIRE_UNIT_GONE);
	rig_wait_swept(&r, &k);
	RIG_UNTIL(&r, rig_stream(&r, &k)->gone);
	assert_false(unit_rig_has_files(&r, &k));
	assert_int_equal(u->n_start, 1);
	unit_rig_end(&r);
}

/* The engine tells of its end only: who waits for it to run hears that it did. */
static void a_short_life_is_one(void **state)
{
	struct wire_key k;
	struct rig r;

	(void)state;
	unit_rig_begin(&r);
	unit_rig()->silent = true;
	k = rig_key(&r, "web", 0);
	unit_rig_start(&r, &k, "fake", 0);
	RIG_UNTIL(&r, unit_rig_of(&k)->n_start == 1);
	rig_wait_state(&r, &k, WIRE_SLOT_SPAWNING);
	assert_int_equal(rig_slot(&r, &k)->n_running, 0);
	unit_rig_say_exited(&r, &k, 3);
	assert_int_equal(rig_wait_exit_of(&r, &k)->code, 3);
	assert_int_equal(rig_slot(&r, &k)->n_running, 1);
	RIG_UNTIL(&r, unit_rig_of(&k)->n_remove == 1);
	unit_rig_close(unit_rig_of(&k));
	unit_rig_say_state(&r, &k, WIRE_UNIT_GONE);
	rig_wait_swept(&r, &k);
	unit_rig_end(&r);
}

static void a_stop_asks_then_kills(void **state)
{
	const struct wire_exit *x;
	struct wire_key k;
	struct fake_unit *u;
	struct rig r;

	(void)state;
	unit_rig_begin(&r);
	k = rig_key(&r, "web", 0);
	u = unit_rig_start_running(&r, &k);
	rig_stop_key(&r, &k, 0, -1);
	x = rig_wait_exit_of(&r, &k);
	assert_int_equal(x->signal, SIGTERM); /* the engine said 143 */
	assert_int_equal(x->code, -1);
	assert_true(x->by_stop && !x->killed);
	assert_int_equal(u->n_signals, 1);
	k = rig_key(&r, "web", 0);
	unit_rig()->deaf = true;
	u = unit_rig_start_running(&r, &k);
	rig_stop_key(&r, &k, SIGTERM, 50);
	x = rig_wait_exit_of(&r, &k);
	assert_int_equal(x->signal, SIGKILL);
	assert_true(x->by_stop && x->killed);
	assert_int_equal(u->n_signals, 2);
	assert_int_equal(u->signals[0], SIGTERM);
	assert_int_equal(u->signals[1], SIGKILL);
	rig_wait_swept(&r, &k);
	unit_rig_end(&r);
}

static void what_cannot_start_says_why(void **state)
{
	const struct wire_exit *x;
	struct wire_key k;
	struct rig r;

	(void)state;
	unit_rig_begin(&r);
	k = rig_key(&r, "web", 0);
	unit_rig_start(&r, &k, "other", 0);
	x = rig_wait_exit_of(&r, &k);
	assert_int_equal(x->err, ENXIO);
	assert_int_equal(x->what, WIRE_WHAT_RUNTIME);
	assert_int_equal(x->stage, WIRE_STAGE_CLONE);
	assert_int_equal(unit_rig()->n_units, 0);
	unit_rig()->silent = true;
	k = rig_key(&r, "web", 0);
	unit_rig_start(&r, &k, "fake", 0);
	RIG_UNTIL(&r, unit_rig_of(&k)->n_start == 1);
	unit_rig_say(&r, &(struct wire_unit_state){.key = k,
						   .state = WIRE_UNIT_PULLING,
						   .done = 5,
						   .total = 10,
						   .text = "layer 1 of 2"});
	RIG_UNTIL(&r, unit_rig()->told.state == WIRE_UNIT_PULLING);
	assert_int_equal(unit_rig()->told.done, 5);
	rig_wait_state(&r, &k, WIRE_SLOT_SPAWNING);
	unit_rig_say(&r, &(struct wire_unit_state){.key = k,
						   .state = WIRE_UNIT_FAILED,
						   .what = WIRE_WHAT_IMAGE,
						   .err = ENOENT,
						   .text = "no such image"});
	x = rig_wait_exit_of(&r, &k);
	assert_int_equal(x->err, ENOENT);
	assert_int_equal(x->what, WIRE_WHAT_IMAGE);
	assert_string_equal(unit_rig()->told.text, "no such image"); /* before the slot */
	RIG_UNTIL(&r, unit_rig_of(&k)->n_remove == 1);
	unit_rig_say_state(&r, &k, WIRE_UNIT_GONE);
	rig_wait_swept(&r, &k);
	assert_false(unit_rig_has_files(&r, &k));
	unit_rig_end(&r);
}

static void a_living_slot_refuses_and_an_ended_one_does_not_wait(void **state)
{
	struct wire_key a, b;
	struct rig r;

	(void)state;
	unit_rig_begin(&r);
	a = rig_key(&r, "web", 0);
	unit_rig_start_running(&r, &a);
	b = rig_key(&r, "web", 0);
	unit_rig_start(&r, &b, "fake", 0);
	RIG_UNTIL(&r, rig_slot(&r, &a)->m.stage == WIRE_STAGE_REFUSED);
	assert_int_equal(rig_slot(&r, &a)->m.err, EBUSY);
	assert_null(unit_rig_find(&b));
	rig_spawn_sh(&r, &b, "exit 0", 0); /* no process either */
	rig_settle(&r);
	assert_string_equal(rig_slot(&r, &a)->m.key.incarnation, a.incarnation);
	unit_rig()->silent = true;
	unit_rig_say_exited(&r, &a, 0);
	RIG_UNTIL(&r, unit_rig_of(&a)->n_remove == 1);
	unit_rig()->silent = false;
	unit_rig_start_running(&r, &b); /* the other one is still to be removed */
	unit_rig_say_state(&r, &a, WIRE_UNIT_GONE);
	RIG_UNTIL(&r, rig_stream(&r, &a)->gone);
	assert_int_equal(rig_slot(&r, &b)->m.state, WIRE_SLOT_RUNNING);
	unit_rig_end(&r);
}

static void a_container_removed_by_others_is_an_end(void **state)
{
	const struct wire_exit *x;
	struct wire_key k;
	struct rig r;

	(void)state;
	unit_rig_begin(&r);
	k = rig_key(&r, "web", 0);
	unit_rig_start_running(&r, &k);
	unit_rig_say_state(&r, &k, WIRE_UNIT_GONE);
	x = rig_wait_exit_of(&r, &k);
	assert_false(x->status_known);
	assert_int_equal(x->stage, WIRE_STAGE_EXEC);
	rig_wait_swept(&r, &k);
	unit_rig_end(&r);
}

static void another_runtime_process_is_told_everything(void **state)
{
	struct wire_key running, starting, ended, stopping;
	struct rig r;

	(void)state;
	unit_rig_begin(&r);
	running = rig_key(&r, "web", 0);
	unit_rig_start_running(&r, &running);
	stopping = rig_key(&r, "web", 1);
	unit_rig_start_running(&r, &stopping);
	ended = rig_key(&r, "web", 2);
	unit_rig_start_running(&r, &ended);
	unit_rig()->silent = true;
	starting = rig_key(&r, "web", 3);
	unit_rig_start(&r, &starting, "fake", 100);
	rig_stop_key(&r, &stopping, 0, 100000);
	unit_rig_say_exited(&r, &ended, 0);
	RIG_UNTIL(&r, unit_rig_of(&starting)->n_start == 1);
	RIG_UNTIL(&r, unit_rig_of(&stopping)->n_signals == 1 && unit_rig_of(&ended)->n_remove == 1);
	rig_kill_helper(&r, &r.runtime);
	RIG_UNTIL(&r, unit_rig()->n_synced == 2);
	assert_int_equal(unit_rig_of(&running)->n_keep, 1);
	assert_int_equal(unit_rig_of(&running)->n_start, 1);
	assert_int_equal(unit_rig_of(&starting)->n_start,
			 2); /* the same name: the engine makes one */
	assert_int_equal(unit_rig_of(&starting)->n_keep, 0);
	assert_int_equal(unit_rig_of(&stopping)->n_keep, 1);
	assert_int_equal(unit_rig_of(&stopping)->n_signals, 2);
	assert_int_equal(unit_rig_of(&ended)->n_keep, 1);
	assert_int_equal(unit_rig_of(&ended)->n_remove, 2);
	unit_rig_write(unit_rig_of(&running), "still here\n");
	rig_expect_output(&r, &running, "still here");
	unit_rig_say_state(&r, &ended, WIRE_UNIT_GONE);
	unit_rig_say_exited(&r, &stopping, 0);
	RIG_UNTIL(&r, unit_rig_of(&stopping)->n_remove == 1);
	unit_rig_say_state(&r, &stopping, WIRE_UNIT_GONE);
	unit_rig_say_state(&r, &starting, WIRE_UNIT_RUNNING);
	rig_wait_state(&r, &starting, WIRE_SLOT_RUNNING);
	RIG_UNTIL(&r, unit_rig()->runtime.restarts == 1);
	unit_rig()->silent = false;
	unit_rig_end(&r);
}

static void another_aictld_goes_on(void **state)
{
	struct wire_key running, starting, ended;
	const struct wire_exit *x;
	struct rig r;

	(void)state;
	unit_rig_begin(&r);
	running = rig_key(&r, "web", 0);
	unit_rig_start_running(&r, &running);
	assert_int_equal(pwrite(unit_rig_of(&running)->fds[2], "position", 8, 0), 8);
	ended = rig_key(&r, "web", 1);
	unit_rig_start_running(&r, &ended);
	unit_rig()->silent = true;
	r.acks = false;
	starting = rig_key(&r, "web", 2);
	unit_rig_start(&r, &starting, "fake", 100);
	unit_rig_say_exited(&r, &ended, 7);
	RIG_UNTIL(&r, unit_rig_of(&starting)->n_start == 1 && unit_rig_of(&ended)->n_remove == 1);
	rig_crash(&r, NULL, NULL);
	r.n_slots = r.n_exits = 0;
	rig_run(&r, unit_rig_enabled);
	rig_wait_synced(&r);
	RIG_UNTIL(&r, unit_rig()->n_synced == 2);
	assert_int_equal(unit_rig_of(&running)->n_keep, 1);
	assert_int_equal(unit_rig_of(&running)->n_start, 1);
	assert_int_equal(unit_rig_of(&starting)->n_start, 2);
	assert_string_equal(unit_rig_of(&starting)->spec, UNIT_RIG_SPEC);
	assert_int_equal(unit_rig_of(&ended)->n_keep, 1);
	assert_int_equal(unit_rig_of(&ended)->n_remove, 2);
	assert_int_equal(unit_rig_of(&ended)->n_start, 1);
	x = rig_wait_exit_of(&r, &ended);
	assert_int_equal(x->code, 7);
	assert_int_equal(r.n_exits, 1);
	rig_wait_state(&r, &running, WIRE_SLOT_RUNNING);
	rig_wait_state(&r, &starting, WIRE_SLOT_SPAWNING);
	{
		char cell[9] = "";

		assert_int_equal(pread(unit_rig_of(&running)->fds[2], cell, 8, 0), 8);
		assert_string_equal(cell, "position");
	}
	unit_rig_write(unit_rig_of(&running), "after it\n");
	rig_expect_output(&r, &running, "after it");
	r.acks = true;
	rig_ack(&r, &ended, x->seq);
	unit_rig_write(unit_rig_of(&ended), "its last\n");
	rig_expect_output(&r, &ended, "its last");
	unit_rig_say_state(&r, &ended, WIRE_UNIT_GONE);
	unit_rig_say_state(&r, &running, WIRE_UNIT_RUNNING);
	unit_rig_say_state(&r, &starting, WIRE_UNIT_RUNNING);
	rig_wait_state(&r, &starting, WIRE_SLOT_RUNNING);
	rig_wait_swept(&r, &ended);
	unit_rig()->silent = false;
	unit_rig_end(&r);
}

/* A logger that lives gives the read ends back: what waits in a pipe is not lost, nor what the unit
 * writes later. Of the ended one it has stored all by then. */
static void a_loggers_pipes_get_new_write_ends(void **state)
{
	struct rig_helper logger;
	struct wire_key running, ended;
	struct rig r;
	int fd;

	(void)state;
	unit_rig_begin(&r);
	running = rig_key(&r, "web", 0);
	unit_rig_start_running(&r, &running);
	ended = rig_key(&r, "web", 1);
	unit_rig_start_running(&r, &ended);
	RIG_UNTIL(&r, rig_stream(&r, &running) && rig_stream(&r, &ended));
	unit_rig()->silent = true;
	unit_rig_say_exited(&r, &ended, 0);
	RIG_UNTIL(&r, unit_rig_of(&ended)->n_remove == 1);
	unit_rig_write(unit_rig_of(&running), "unread before, ");
	rig_crash(&r, NULL, &logger);
	rig_run(&r, unit_rig_enabled);
	fd = adopt_rig_join(&r, &logger);
	adopt_rig_give(fd, rig_stream(&r, &running), WIRE_GIVE_STDOUT | WIRE_GIVE_STDERR);
	adopt_rig_give(fd, rig_stream(&r, &ended), 0);
	adopt_rig_give_end(fd);
	for (unsigned i = 0; i < r.n_streams; i++)
		for (int k = 0; k < 2; k++)
			mem_closep(&r.streams[i].fds[k]);
	r.n_streams = 0;
	rig_wait_synced(&r);
	RIG_UNTIL(&r, unit_rig()->n_synced == 2);
	unit_rig_write(unit_rig_of(&running), "written after");
	rig_expect_output(&r, &running, "unread before, written after");
	unit_rig_write(unit_rig_of(&ended), "and this");
	rig_expect_output(&r, &ended, "and this");
	assert_false(rig_stream(&r, &running)->gone || rig_stream(&r, &ended)->gone);
	close(fd);
	rig_drop_helper(&logger);
	unit_rig_say_state(&r, &ended, WIRE_UNIT_GONE);
	RIG_UNTIL(&r, rig_stream(&r, &ended)->gone);
	unit_rig()->silent = false;
	unit_rig_end(&r);
}

static void a_detach_loses_no_start(void **state)
{
	struct wire_key running, starting;
	struct buf b = {0};
	struct rig r;

	(void)state;
	unit_rig_begin(&r);
	running = rig_key(&r, "web", 0);
	unit_rig_start_running(&r, &running);
	unit_rig()->silent = true;
	starting = rig_key(&r, "web", 1);
	unit_rig_start(&r, &starting, "fake", 100);
	RIG_UNTIL(&r, unit_rig_of(&starting)->n_start == 1);
	wire_encode_u32(&b, WIRE_CONTROL, WIRE_CONTROL_DETACH);
	rig_send(&r, &b, NULL, 0);
	assert_int_equal(WEXITSTATUS(rig_wait_exit(&r)), 100);
	rig_run(&r, unit_rig_enabled);
	rig_wait_synced(&r);
	RIG_UNTIL(&r, unit_rig()->n_synced == 2);
	assert_int_equal(unit_rig_of(&starting)->n_start, 2);
	assert_int_equal(unit_rig_of(&running)->n_keep, 1);
	rig_wait_state(&r, &starting, WIRE_SLOT_SPAWNING);
	unit_rig_say_state(&r, &starting, WIRE_UNIT_RUNNING);
	rig_wait_state(&r, &starting, WIRE_SLOT_RUNNING);
	rig_wait_state(&r, &running, WIRE_SLOT_RUNNING);
	unit_rig()->silent = false;
	unit_rig_end(&r);
}

/* Its unit does not answer: the plan knows, and a shutdown does not wait for ever. */
static void a_start_is_given_up_by_a_stop(void **state)
{
	const struct wire_exit *x;
	struct wire_key k;
	struct rig r;

	(void)state;
	unit_rig_begin(&r);
	unit_rig()->silent = true;
	k = rig_key(&r, "web", 0);
	unit_rig_start(&r, &k, "fake", 100000);
	RIG_UNTIL(&r, unit_rig_of(&k)->n_start == 1);
	rig_stop_key(&r, &k, 0, -1);
	RIG_UNTIL(&r, unit_rig_of(&k)->n_signals == 1);
	rig_wait_state(&r, &k, WIRE_SLOT_STOPPING);
	unit_rig_say(&r, &(struct wire_unit_state){.key = k,
						   .state = WIRE_UNIT_FAILED,
						   .what = WIRE_WHAT_CONTAINER,
						   .err = ECANCELED});
	x = rig_wait_exit_of(&r, &k);
	assert_true(x->by_stop);
	assert_int_equal(x->err, ECANCELED);
	unit_rig_say_state(&r, &k, WIRE_UNIT_GONE);
	rig_wait_swept(&r, &k);
	k = rig_key(&r, "web", 0); /* one that had just started all the same */
	unit_rig_start(&r, &k, "fake", 100000);
	RIG_UNTIL(&r, unit_rig_of(&k)->n_start == 1);
	rig_stop_key(&r, &k, 0, -1);
	RIG_UNTIL(&r, unit_rig_of(&k)->n_signals == 1);
	unit_rig_say_state(&r, &k, WIRE_UNIT_RUNNING);
	RIG_UNTIL(&r, unit_rig_of(&k)->n_signals == 2);
	unit_rig()->silent = false;
	unit_rig_say_exited(&r, &k, 0);
	rig_wait_swept(&r, &k);
	unit_rig_end(&r);
}

static void a_controller_of_another_time_finds_its_slots(void **state)
{
	struct wire_key k;
	struct rig r;

	(void)state;
	unit_rig_begin(&r);
	k = rig_key(&r, "web", 0);
	unit_rig_start_running(&r, &k);
	rig_kill_helper(&r, &r.controller);
	r.n_slots = 0;
	memset(&unit_rig()->told, 0, sizeof(unit_rig()->told));
	rig_wait_synced(&r);
	assert_string_equal(rig_slot(&r, &k)->m.runtime, "fake");
	assert_string_equal(rig_slot(&r, &k)->note, "a note");
	assert_string_equal(unit_rig()->told.id, "f00d");
	assert_int_equal(unit_rig()->told.state, WIRE_UNIT_RUNNING);
	unit_rig_end(&r);
}

/* ---- inside ---- */

static void a_look_is_answered_by_the_runtime(void **state)
{
	struct wire_key k;
	struct buf b = {0};
	struct rig r;

	(void)state;
	unit_rig_begin(&r);
	k = rig_key(&r, "web", 0);
	unit_rig_start_running(&r, &k);
	wire_encode_key(&b, WIRE_LOOK, &k);
	rig_send(&r, &b, NULL, 0);
	RIG_UNTIL(&r, unit_rig()->stats.pids == 3);
	assert_true(wire_key_equal(&unit_rig()->stats.key, &k));
	unit_rig_end(&r);
}

static void say_runtime(struct rig *r, enum wire_runtime_state state, const char *text)
{
	struct wire_runtime m = {.name = "fake", .state = (uint8_t)state, .since_wall_ms = 12345};
	struct buf b = {0};

	snprintf(m.text, sizeof(m.text), "%s", text);
	wire_unit_encode_runtime(&b, &m);
	rig_send_to(r->runtime.wire, &b);
}

static void an_unreachable_engine_is_told_of(void **state)
{
	struct wire_key k;
	struct rig r;

	(void)state;
	unit_rig_begin(&r);
	k = rig_key(&r, "web", 0);
	unit_rig_start_running(&r, &k);
	say_runtime(&r, WIRE_RUNTIME_UNREACHABLE, "connection refused");
	RIG_UNTIL(&r, unit_rig()->runtime.state == WIRE_RUNTIME_UNREACHABLE);
	assert_int_equal(unit_rig()->runtime.since_wall_ms, 12345);
	assert_int_equal(unit_rig()->runtime.pid, r.runtime.pid);
	assert_string_equal(unit_rig()->runtime.text, "connection refused");
	memset(&unit_rig()->runtime, 0, sizeof(unit_rig()->runtime));
	rig_kill_helper(&r, &r.controller); /* the next one hears of it before it plans */
	rig_wait_synced(&r);
	assert_int_equal(unit_rig()->runtime.state, WIRE_RUNTIME_UNREACHABLE);
	assert_int_equal(rig_slot(&r, &k)->m.state, WIRE_SLOT_RUNNING);
	say_runtime(&r, WIRE_RUNTIME_OK, "");
	RIG_UNTIL(&r, unit_rig()->runtime.state == WIRE_RUNTIME_OK);
	unit_rig_end(&r);
}

/* The clock was set while it started: by it the unit would be hours late. */
static void a_start_is_not_before_it_was_asked_for(void **state)
{
	int64_t wall = clock_wall_ms(), mono = clock_mono_ms();
	struct wire_key k;
	struct rig r;

	(void)state;
	unit_rig_begin(&r);
	unit_rig()->silent = true;
	k = rig_key(&r, "web", 0);
	unit_rig_start(&r, &k, "fake", 0);
	RIG_UNTIL(&r, unit_rig_of(&k)->n_start == 1);
	unit_rig_say(&r, &(struct wire_unit_state){.key = k,
						   .state = WIRE_UNIT_RUNNING,
						   .started_wall_ms = wall - 3600000});
	rig_wait_state(&r, &k, WIRE_SLOT_RUNNING);
	assert_true(rig_slot(&r, &k)->m.started_mono_ms >= mono);
	assert_true(rig_slot(&r, &k)->m.started_wall_ms >= wall);
	unit_rig()->silent = false;
	unit_rig_end(&r);
}

/* Its log cannot be kept any more. Were it not named, it would be removed. */
static void a_unit_without_a_cell_is_named_all_the_same(void **state)
{
	struct wire_key k;
	struct rig r;

	(void)state;
	unit_rig_begin(&r);
	k = rig_key(&r, "web", 0);
	unit_rig_start_running(&r, &k);
	unit_rig_spoil_cell(&r, &k);
	rig_kill_helper(&r, &r.runtime);
	RIG_UNTIL(&r, unit_rig()->n_synced == 2);
	assert_int_equal(unit_rig_of(&k)->n_keep, 1);
	assert_int_equal(unit_rig_of(&k)->n_bare, 1);
	unit_rig_say_state(&r, &k, WIRE_UNIT_RUNNING);
	rig_wait_state(&r, &k, WIRE_SLOT_RUNNING);
	unit_rig_end(&r);
}

/* Not as one that nobody had begun: that is started again at once, without end. */
static void what_is_gone_before_it_ran_has_failed(void **state)
{
	const struct wire_exit *x;
	struct wire_key k;
	struct rig r;

	(void)state;
	unit_rig_begin(&r);
	unit_rig()->silent = true;
	k = rig_key(&r, "web", 0);
	unit_rig_start(&r, &k, "fake", 0);
	RIG_UNTIL(&r, unit_rig_of(&k)->n_start == 1);
	unit_rig_say_state(&r, &k, WIRE_UNIT_GONE);
	x = rig_wait_exit_of(&r, &k);
	assert_int_equal(x->err, EIDRM);
	assert_int_equal(x->what, WIRE_WHAT_CONTAINER);
	unit_rig()->silent = false;
	rig_wait_swept(&r, &k);
	unit_rig_end(&r);
}

/* An engine that is installed, or started, after us. */
static void the_group_of_a_later_socket_is_taken(void **state)
{
	char config[160], path[64];
	const char *const args[] = {"--runtime", config, NULL};
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct rig r;

	(void)state;
	if (geteuid() != 0) {
		close(fd);
		skip();
	}
	snprintf(path, sizeof(path), "/tmp/aictl-engine-%d.sock", getpid());
	snprintf(config, sizeof(config), "fake=unix://%s", path);
	unit_rig_begin_with(&r, args);
	say_runtime(&r, WIRE_RUNTIME_UNREACHABLE, "no such file");
	RIG_UNTIL(&r, unit_rig()->runtime.state == WIRE_RUNTIME_UNREACHABLE);
	assert_int_equal(unit_rig()->n_quit, 0);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(chown(path, 0, 1234), 0);
	assert_int_equal(chmod(path, 0660), 0);
	say_runtime(&r, WIRE_RUNTIME_UNREACHABLE, "permission denied");
	RIG_UNTIL(&r, unit_rig()->n_quit == 1);
	RIG_UNTIL(&r, unit_rig()->n_synced == 2);
	say_runtime(&r, WIRE_RUNTIME_UNREACHABLE, "permission denied");
	rig_settle(&r);
	assert_int_equal(unit_rig()->n_quit, 1);
	unlink(path);
	close(fd);
	unit_rig_end(&r);
}

/* Units of a runtime that is unit_rig_enabled no more wait for it. */
static void a_runtime_that_is_not_enabled_any_more(void **state)
{
	struct wire_key k;
	struct rig r;

	(void)state;
	unit_rig_begin(&r);
	k = rig_key(&r, "web", 0);
	unit_rig_start_running(&r, &k);
	rig_crash(&r, NULL, NULL);
	rig_run(&r, NULL);
	rig_wait_synced(&r);
	rig_wait_state(&r, &k, WIRE_SLOT_RUNNING);
	RIG_UNTIL(&r, unit_rig()->runtime.state == WIRE_RUNTIME_DOWN);
	assert_non_null(strstr(unit_rig()->runtime.text, "--runtime"));
	rig_crash(&r, NULL, NULL);
	rig_run(&r, unit_rig_enabled);
	rig_wait_synced(&r);
	RIG_UNTIL(&r, unit_rig()->n_synced == 2);
	assert_int_equal(unit_rig_of(&k)->n_keep, 1);
	unit_rig_end(&r);
}

/* Of a start that no runtime process has begun no engine has heard: it is dropped, even where none
 * is left who could say so. One that was begun waits. */
static void only_a_start_that_was_never_begun_is_dropped(void **state)
{
	const uint32_t word = WIRE_UNIT_CELL_BEGUN;
	struct wire_key fresh, begun;
	const struct wire_exit *x;
	uint32_t said = 0;
	struct rig r;

	(void)state;
	unit_rig_begin(&r);
	unit_rig()->silent = true;
	fresh = rig_key(&r, "web", 0);
	begun = rig_key(&r, "web", 1);
	unit_rig_start(&r, &fresh, "fake", 100000);
	unit_rig_start(&r, &begun, "fake", 100000);
	RIG_UNTIL(&r, unit_rig_of(&begun)->n_start == 1 && unit_rig_of(&fresh)->n_start == 1);
	assert_int_equal(pread(unit_rig_of(&fresh)->fds[2], &said, sizeof(said), 0), sizeof(said));
	assert_int_equal(said, WIRE_UNIT_CELL_FRESH);
	assert_int_equal(pwrite(unit_rig_of(&begun)->fds[2], &word, sizeof(word), 0), sizeof(word));
	rig_crash(&r, NULL, NULL);
	rig_run(&r, NULL);
	rig_wait_synced(&r);
	rig_stop_key(&r, &fresh, 0, -1);
	rig_stop_key(&r, &begun, 0, -1);
	x = rig_wait_exit_of(&r, &fresh);
	assert_int_equal(x->err, ECANCELED);
	rig_wait_swept(&r, &fresh);
	assert_false(unit_rig_has_files(&r, &fresh));
	rig_wait_state(&r, &begun, WIRE_SLOT_STOPPING);
	rig_crash(&r, NULL, NULL);
	rig_run(&r, unit_rig_enabled);
	RIG_UNTIL(&r, unit_rig_of(&begun)->n_signals == 1);
	assert_int_equal(unit_rig_of(&begun)->n_keep, 1);
	assert_int_equal(unit_rig_of(&fresh)->n_keep, 0);
	unit_rig()->silent = false;
	unit_rig_say_exited(&r, &begun, 0);
	rig_wait_swept(&r, &begun);
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
		cmocka_unit_test(a_unit_runs_writes_and_exits),
		cmocka_unit_test(a_short_life_is_one),
		cmocka_unit_test(a_stop_asks_then_kills),
		cmocka_unit_test(what_cannot_start_says_why),
		cmocka_unit_test(a_living_slot_refuses_and_an_ended_one_does_not_wait),
		cmocka_unit_test(a_container_removed_by_others_is_an_end),
		cmocka_unit_test(another_runtime_process_is_told_everything),
		cmocka_unit_test(another_aictld_goes_on),
		cmocka_unit_test(a_loggers_pipes_get_new_write_ends),
		cmocka_unit_test(a_detach_loses_no_start),
		cmocka_unit_test(a_start_is_given_up_by_a_stop),
		cmocka_unit_test(a_controller_of_another_time_finds_its_slots),
		cmocka_unit_test(a_look_is_answered_by_the_runtime),
		cmocka_unit_test(an_unreachable_engine_is_told_of),
		cmocka_unit_test(a_runtime_that_is_not_enabled_any_more),
		cmocka_unit_test(a_start_is_not_before_it_was_asked_for),
		cmocka_unit_test(a_unit_without_a_cell_is_named_all_the_same),
		cmocka_unit_test(what_is_gone_before_it_ran_has_failed),
		cmocka_unit_test(the_group_of_a_later_socket_is_taken),
		cmocka_unit_test(only_a_start_that_was_never_begun_is_dropped),
	};

	if (may_run(NULL) < 0) {
		puts("SKIP: no user aictl-rt");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
