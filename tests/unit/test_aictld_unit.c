/*
 * test_aictld_unit: what aictld does for containers, against an aictl-runtime that the test plays: a
 * fake engine of some lines. Starts, ends, stops; who dies in between; nothing twice, nothing lost.
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
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/wire/wire_unit.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/mem.h"
#include "tests/unit/aictld_rig.h"

#define UNITS_MAX 16
#define SPEC "{\"image\":\"busybox\"}"

struct fake_unit { /* that the runtime has been told of */
	struct wire_key key;
	int fds[3];
	unsigned n_start, n_keep, n_remove;
	int signals[8];
	unsigned n_signals;
	char spec[64];
};

static struct {
	struct fake_unit units[UNITS_MAX];
	unsigned n_units;
	unsigned n_hello, n_synced, n_look;
	bool silent;		     /* no answers by itself */
	bool deaf;		     /* to SIGTERM */
	struct wire_unit_state told; /* to the controller, the last one */
	struct wire_runtime runtime;
	struct wire_unit_stats stats;
	uint64_t run_id, killed_id;
	struct wire_key run_key;
	char run_arg[64];
	int run_fds[3];
	int kill_signal;
} fake;

static void say(struct rig *r, const struct wire_unit_state *m)
{
	struct buf b = {0};

	wire_unit_encode_state(&b, m);
	rig_send_to(r->runtime.wire, &b);
}

static void say_state(struct rig *r, const struct wire_key *key, enum wire_unit state)
{
	say(r, &(struct wire_unit_state){
		       .key = *key, .state = (uint8_t)state, .pid = 4711, .id = "f00d"});
}

static void say_exited(struct rig *r, const struct wire_key *key, int code)
{
	say(r, &(struct wire_unit_state){
		       .key = *key, .state = WIRE_UNIT_EXITED, .status_known = true, .code = code});
}

static void close_fds(struct fake_unit *u)
{
	for (int i = 0; i < 3; i++)
		mem_closep(&u->fds[i]);
}

static struct fake_unit *find(const struct wire_key *key)
{
	for (unsigned i = 0; i < fake.n_units; i++)
		if (wire_key_equal(&fake.units[i].key, key))
			return &fake.units[i];
	return NULL;
}

static struct fake_unit *unit_of(const struct wire_key *key)
{
	struct fake_unit *u = find(key);

	if (u)
		return u;
	assert_true(fake.n_units < UNITS_MAX);
	u = &fake.units[fake.n_units++];
	*u = (struct fake_unit){.key = *key, .fds = {-1, -1, -1}};
	return u;
}

static void take_fds(struct fake_unit *u, struct wire_packet *p)
{
	struct stat st;

	assert_int_equal(p->n_fds, 3);
	close_fds(u);
	for (int i = 0; i < 3; i++)
		u->fds[i] = TAKE_FD(p->fds[i]);
	assert_int_equal(fstat(u->fds[2], &st), 0);
	assert_true(S_ISREG(st.st_mode) && st.st_size == WIRE_UNIT_CELL_SIZE);
}

static void got_start(struct rig *r, struct wire_packet *p)
{
	struct wire_unit_start m;
	struct fake_unit *u;

	assert_int_equal(wire_unit_decode_start(p->body, p->len, &m), 0);
	u = unit_of(&m.key);
	u->n_start++;
	snprintf(u->spec, sizeof(u->spec), "%.*s", (int)m.spec_len, m.spec);
	take_fds(u, p);
	if (!fake.silent)
		say_state(r, &m.key, WIRE_UNIT_RUNNING);
}

static void got_signal(struct rig *r, const struct wire_packet *p)
{
	struct wire_key key;
	struct fake_unit *u;
	int32_t n;

	assert_int_equal(wire_decode_signal(p->body, p->len, &key, &n), 0);
	u = unit_of(&key);
	assert_true(u->n_signals < 8);
	u->signals[u->n_signals++] = n;
	if (!fake.silent && (n == SIGKILL || (n == SIGTERM && !fake.deaf)))
		say_exited(r, &key, 128 + n);
}

static void got_key(struct rig *r, struct wire_packet *p)
{
	struct wire_key key;
	struct fake_unit *u;

	assert_int_equal(wire_decode_key(p->body, p->len, &key), 0);
	u = unit_of(&key);
	if (p->type == WIRE_UNIT_KEEP) {
		u->n_keep++;
		take_fds(u, p);
	} else if (p->type == WIRE_LOOK) {
		struct buf b = {0};

		fake.n_look++;
		wire_unit_encode_stats(&b, &(struct wire_unit_stats){.key = key, .pids = 3});
		rig_send_to(r->runtime.wire, &b);
	} else {
		u->n_remove++;
		if (fake.silent)
			return;
		close_fds(u);
		say_state(r, &key, WIRE_UNIT_GONE);
	}
}

static void got_run(struct wire_packet *p)
{
	struct wire_run m;

	assert_int_equal(wire_run_decode(p->body, p->len, &m), 0);
	assert_true(m.inside);
	assert_int_equal(p->n_fds, 3);
	fake.run_id = m.id;
	fake.run_key = m.key;
	snprintf(fake.run_arg, sizeof(fake.run_arg), "%s", m.child.argv[0]);
	for (int i = 0; i < 3; i++)
		fake.run_fds[i] = TAKE_FD(p->fds[i]);
	wire_run_free(&m);
}

static void for_controller(const struct wire_packet *p)
{
	if (p->type == WIRE_UNIT_STATE)
		assert_int_equal(wire_unit_decode_state(p->body, p->len, &fake.told), 0);
	else if (p->type == WIRE_RUNTIME)
		assert_int_equal(wire_unit_decode_runtime(p->body, p->len, &fake.runtime), 0);
	else
		assert_int_equal(wire_unit_decode_stats(p->body, p->len, &fake.stats), 0);
}

static void on_unit(struct rig *r, struct rig_helper *h, struct wire_packet *p)
{
	struct buf b = {0};

	if (h != &r->runtime) {
		for_controller(p);
		return;
	}
	switch ((int)p->type) {
	case WIRE_HELLO:
		assert_int_equal(p->n_fds, 0);
		fake.n_hello++;
		break;
	case WIRE_UNIT_START:
		got_start(r, p);
		break;
	case WIRE_UNIT_KEEP:
	case WIRE_UNIT_REMOVE:
	case WIRE_LOOK:
		got_key(r, p);
		break;
	case WIRE_SIGNAL:
		got_signal(r, p);
		break;
	case WIRE_SYNCED:
		fake.n_synced++;
		break;
	case WIRE_RUN:
		got_run(p);
		break;
	case WIRE_RUN_KILL:
		assert_int_equal(
			wire_run_decode_kill(p->body, p->len, &fake.killed_id, &fake.kill_signal),
			0);
		break;
	case WIRE_PING:
		wire_encode_empty(&b, WIRE_PONG);
		rig_send_to(h->wire, &b);
		break;
	case WIRE_LOG_LEVEL:
	case WIRE_QUIT:
		break;
	default:
		fail_msg("unexpected %s for the runtime", wire_type_name(p->type));
	}
}

/* ---- set-up ---- */

static const char *const enabled[] = {"--runtime", "fake=tcp://nowhere", NULL};

static void forget(void)
{
	for (unsigned i = 0; i < fake.n_units; i++)
		close_fds(&fake.units[i]);
	memset(&fake, 0, sizeof(fake));
	fake.run_fds[0] = fake.run_fds[1] = fake.run_fds[2] = -1;
}

static void begin(struct rig *r)
{
	forget();
	rig_start(r, enabled);
	r->on_unit = on_unit;
	RIG_UNTIL(r, fake.n_synced == 1);
}

static void end(struct rig *r)
{
	rig_clean_stop(r);
	forget();
}

static void start(struct rig *r, const struct wire_key *key, const char *runtime, int64_t grace_ms)
{
	struct wire_unit_start m = {.key = *key,
				    .stop_signal = SIGTERM,
				    .grace_ms = grace_ms,
				    .logs = {.max_size = 1 << 20, .max_files = 3},
				    .note = (const uint8_t *)"a note",
				    .note_len = 6,
				    .spec = SPEC,
				    .spec_len = sizeof(SPEC) - 1};
	struct buf b = {0};

	snprintf(m.runtime, sizeof(m.runtime), "%s", runtime);
	wire_unit_encode_start(&b, &m);
	rig_send(r, &b, NULL, 0);
}

static struct fake_unit *start_running(struct rig *r, const struct wire_key *key)
{
	start(r, key, "fake", 5000);
	rig_wait_state(r, key, WIRE_SLOT_RUNNING);
	return unit_of(key);
}

static void write_line(const struct fake_unit *u, const char *text)
{
	assert_int_equal(write(u->fds[0], text, strlen(text)), (int)strlen(text));
}

static bool has_files(const struct rig *r, const struct wire_key *key)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/run/sup/unit-%s.cell", r->dir, key->incarnation);
	if (access(path, F_OK) == 0)
		return true;
	snprintf(path, sizeof(path), "%s/run/sup/unit-%s.start", r->dir, key->incarnation);
	return access(path, F_OK) == 0;
}

/* ---- tests ---- */

static void a_unit_runs_writes_and_exits(void **state)
{
	const struct wire_exit *x;
	const struct rig_slot *s;
	struct wire_key k;
	struct fake_unit *u;
	struct rig r;

	(void)state;
	begin(&r);
	k = rig_key(&r, "web", 0);
	u = start_running(&r, &k);
	s = rig_slot(&r, &k);
	assert_string_equal(u->spec, SPEC);
	assert_string_equal(s->m.runtime, "fake");
	assert_int_equal(s->m.pid, 4711);
	assert_int_equal(s->m.stage, WIRE_STAGE_EXEC);
	assert_string_equal(fake.told.id, "f00d");
	write_line(u, "hello from within\n");
	rig_expect_output(&r, &k, "hello from within");
	fake.silent = true;
	say_exited(&r, &k, 3);
	x = rig_wait_exit_of(&r, &k);
	assert_int_equal(x->code, 3);
	assert_int_equal(x->signal, 0);
	assert_true(x->status_known);
	assert_int_equal(x->pid, 4711);
	RIG_UNTIL(&r, u->n_remove == 1);
	assert_false(rig_slot(&r, &k)->m.swept);
	assert_false(rig_stream(&r, &k)->gone);
	write_line(u, "last words\n");
	close_fds(u);
	say_state(&r, &k, WIRE_UNIT_GONE);
	rig_wait_swept(&r, &k);
	RIG_UNTIL(&r, rig_stream(&r, &k)->gone);
	assert_false(has_files(&r, &k));
	assert_int_equal(u->n_start, 1);
	end(&r);
}

static void a_stop_asks_then_kills(void **state)
{
	const struct wire_exit *x;
	struct wire_key k;
	struct fake_unit *u;
	struct rig r;

	(void)state;
	begin(&r);
	k = rig_key(&r, "web", 0);
	u = start_running(&r, &k);
	rig_stop_key(&r, &k, 0, -1);
	x = rig_wait_exit_of(&r, &k);
	assert_int_equal(x->signal, SIGTERM); /* the engine said 143 */
	assert_int_equal(x->code, -1);
	assert_true(x->by_stop && !x->killed);
	assert_int_equal(u->n_signals, 1);
	k = rig_key(&r, "web", 0);
	fake.deaf = true;
	u = start_running(&r, &k);
	rig_stop_key(&r, &k, SIGTERM, 50);
	x = rig_wait_exit_of(&r, &k);
	assert_int_equal(x->signal, SIGKILL);
	assert_true(x->by_stop && x->killed);
	assert_int_equal(u->n_signals, 2);
	assert_int_equal(u->signals[0], SIGTERM);
	assert_int_equal(u->signals[1], SIGKILL);
	rig_wait_swept(&r, &k);
	end(&r);
}

static void what_cannot_start_says_why(void **state)
{
	const struct wire_exit *x;
	struct wire_key k;
	struct rig r;

	(void)state;
	begin(&r);
	k = rig_key(&r, "web", 0);
	start(&r, &k, "other", 0);
	x = rig_wait_exit_of(&r, &k);
	assert_int_equal(x->err, ENXIO);
	assert_int_equal(x->what, WIRE_WHAT_RUNTIME);
	assert_int_equal(x->stage, WIRE_STAGE_CLONE);
	assert_int_equal(fake.n_units, 0);
	fake.silent = true;
	k = rig_key(&r, "web", 0);
	start(&r, &k, "fake", 0);
	RIG_UNTIL(&r, unit_of(&k)->n_start == 1);
	say(&r, &(struct wire_unit_state){.key = k,
					  .state = WIRE_UNIT_PULLING,
					  .done = 5,
					  .total = 10,
					  .text = "layer 1 of 2"});
	RIG_UNTIL(&r, fake.told.state == WIRE_UNIT_PULLING);
	assert_int_equal(fake.told.done, 5);
	rig_wait_state(&r, &k, WIRE_SLOT_SPAWNING);
	say(&r, &(struct wire_unit_state){.key = k,
					  .state = WIRE_UNIT_FAILED,
					  .what = WIRE_WHAT_IMAGE,
					  .err = ENOENT,
					  .text = "no such image"});
	x = rig_wait_exit_of(&r, &k);
	assert_int_equal(x->err, ENOENT);
	assert_int_equal(x->what, WIRE_WHAT_IMAGE);
	assert_string_equal(fake.told.text, "no such image"); /* before the slot */
	RIG_UNTIL(&r, unit_of(&k)->n_remove == 1);
	say_state(&r, &k, WIRE_UNIT_GONE);
	rig_wait_swept(&r, &k);
	assert_false(has_files(&r, &k));
	end(&r);
}

static void a_living_slot_refuses_and_an_ended_one_does_not_wait(void **state)
{
	struct wire_key a, b;
	struct rig r;

	(void)state;
	begin(&r);
	a = rig_key(&r, "web", 0);
	start_running(&r, &a);
	b = rig_key(&r, "web", 0);
	start(&r, &b, "fake", 0);
	RIG_UNTIL(&r, rig_slot(&r, &a)->m.stage == WIRE_STAGE_REFUSED);
	assert_int_equal(rig_slot(&r, &a)->m.err, EBUSY);
	assert_null(find(&b));
	rig_spawn_sh(&r, &b, "exit 0", 0); /* no process either */
	rig_settle(&r);
	assert_string_equal(rig_slot(&r, &a)->m.key.incarnation, a.incarnation);
	fake.silent = true;
	say_exited(&r, &a, 0);
	RIG_UNTIL(&r, unit_of(&a)->n_remove == 1);
	fake.silent = false;
	start_running(&r, &b); /* the other one is still to be removed */
	say_state(&r, &a, WIRE_UNIT_GONE);
	RIG_UNTIL(&r, rig_stream(&r, &a)->gone);
	assert_int_equal(rig_slot(&r, &b)->m.state, WIRE_SLOT_RUNNING);
	end(&r);
}

static void a_container_removed_by_others_is_an_end(void **state)
{
	const struct wire_exit *x;
	struct wire_key k;
	struct rig r;

	(void)state;
	begin(&r);
	k = rig_key(&r, "web", 0);
	start_running(&r, &k);
	say_state(&r, &k, WIRE_UNIT_GONE);
	x = rig_wait_exit_of(&r, &k);
	assert_false(x->status_known);
	assert_int_equal(x->stage, WIRE_STAGE_EXEC);
	rig_wait_swept(&r, &k);
	end(&r);
}

static void another_runtime_process_is_told_everything(void **state)
{
	struct wire_key running, starting, ended, stopping;
	struct rig r;

	(void)state;
	begin(&r);
	running = rig_key(&r, "web", 0);
	start_running(&r, &running);
	stopping = rig_key(&r, "web", 1);
	start_running(&r, &stopping);
	ended = rig_key(&r, "web", 2);
	start_running(&r, &ended);
	fake.silent = true;
	starting = rig_key(&r, "web", 3);
	start(&r, &starting, "fake", 100);
	rig_stop_key(&r, &stopping, 0, 100000);
	say_exited(&r, &ended, 0);
	RIG_UNTIL(&r, unit_of(&starting)->n_start == 1);
	RIG_UNTIL(&r, unit_of(&stopping)->n_signals == 1 && unit_of(&ended)->n_remove == 1);
	rig_kill_helper(&r, &r.runtime);
	RIG_UNTIL(&r, fake.n_synced == 2);
	assert_int_equal(unit_of(&running)->n_keep, 1);
	assert_int_equal(unit_of(&running)->n_start, 1);
	assert_int_equal(unit_of(&starting)->n_start, 2); /* the same name: the engine makes one */
	assert_int_equal(unit_of(&starting)->n_keep, 0);
	assert_int_equal(unit_of(&stopping)->n_keep, 1);
	assert_int_equal(unit_of(&stopping)->n_signals, 2);
	assert_int_equal(unit_of(&ended)->n_keep, 1);
	assert_int_equal(unit_of(&ended)->n_remove, 2);
	write_line(unit_of(&running), "still here\n");
	rig_expect_output(&r, &running, "still here");
	say_state(&r, &ended, WIRE_UNIT_GONE);
	say_exited(&r, &stopping, 0);
	RIG_UNTIL(&r, unit_of(&stopping)->n_remove == 1);
	say_state(&r, &stopping, WIRE_UNIT_GONE);
	say_state(&r, &starting, WIRE_UNIT_RUNNING);
	rig_wait_state(&r, &starting, WIRE_SLOT_RUNNING);
	RIG_UNTIL(&r, fake.runtime.restarts == 1);
	fake.silent = false;
	end(&r);
}

static void another_aictld_goes_on(void **state)
{
	struct wire_key running, starting, ended;
	const struct wire_exit *x;
	struct rig r;

	(void)state;
	begin(&r);
	running = rig_key(&r, "web", 0);
	start_running(&r, &running);
	assert_int_equal(pwrite(unit_of(&running)->fds[2], "position", 8, 0), 8);
	ended = rig_key(&r, "web", 1);
	start_running(&r, &ended);
	fake.silent = true;
	r.acks = false;
	starting = rig_key(&r, "web", 2);
	start(&r, &starting, "fake", 100);
	say_exited(&r, &ended, 7);
	RIG_UNTIL(&r, unit_of(&starting)->n_start == 1 && unit_of(&ended)->n_remove == 1);
	rig_crash(&r, NULL, NULL);
	r.n_slots = r.n_exits = 0;
	rig_run(&r, enabled);
	rig_wait_synced(&r);
	RIG_UNTIL(&r, fake.n_synced == 2);
	assert_int_equal(unit_of(&running)->n_keep, 1);
	assert_int_equal(unit_of(&running)->n_start, 1);
	assert_int_equal(unit_of(&starting)->n_start, 2);
	assert_string_equal(unit_of(&starting)->spec, SPEC);
	assert_int_equal(unit_of(&ended)->n_keep, 1);
	assert_int_equal(unit_of(&ended)->n_remove, 2);
	assert_int_equal(unit_of(&ended)->n_start, 1);
	x = rig_wait_exit_of(&r, &ended);
	assert_int_equal(x->code, 7);
	assert_int_equal(r.n_exits, 1);
	rig_wait_state(&r, &running, WIRE_SLOT_RUNNING);
	rig_wait_state(&r, &starting, WIRE_SLOT_SPAWNING);
	{
		char cell[9] = "";

		assert_int_equal(pread(unit_of(&running)->fds[2], cell, 8, 0), 8);
		assert_string_equal(cell, "position");
	}
	write_line(unit_of(&running), "after it\n");
	rig_expect_output(&r, &running, "after it");
	r.acks = true;
	rig_ack(&r, &ended, x->seq);
	write_line(unit_of(&ended), "its last\n");
	rig_expect_output(&r, &ended, "its last");
	say_state(&r, &ended, WIRE_UNIT_GONE);
	say_state(&r, &running, WIRE_UNIT_RUNNING);
	say_state(&r, &starting, WIRE_UNIT_RUNNING);
	rig_wait_state(&r, &starting, WIRE_SLOT_RUNNING);
	rig_wait_swept(&r, &ended);
	fake.silent = false;
	end(&r);
}

/* ---- inside ---- */

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
		mem_closep(&fake.run_fds[i]);
	wire_run_encode_end(
		&b, &(struct wire_run_end){.id = id, .stage = WIRE_STAGE_EXEC, .code = code});
	rig_send_to(r->runtime.wire, &b);
}

static void commands_run_inside(void **state)
{
	const struct wire_run_end *e;
	struct wire_key k;
	struct rig r;

	(void)state;
	begin(&r);
	k = rig_key(&r, "web", 0);
	run_inside(&r, &k, 1, 0);
	assert_int_equal(rig_wait_run(&r, 1)->err, ESRCH);
	start_running(&r, &k);
	run_inside(&r, &k, 2, 0);
	RIG_UNTIL(&r, fake.run_id == 2);
	assert_string_equal(fake.run_arg, "ls");
	assert_true(wire_key_equal(&fake.run_key, &k));
	say_run_end(&r, 2, 5);
	e = rig_wait_run(&r, 2);
	assert_int_equal(e->code, 5);
	assert_int_equal(e->stage, WIRE_STAGE_EXEC);
	run_inside(&r, &k, 3, 50);
	RIG_UNTIL(&r, fake.killed_id == 3);
	assert_int_equal(fake.kill_signal, SIGKILL);
	say_run_end(&r, 3, 137);
	assert_true(rig_wait_run(&r, 3)->timed_out);
	run_inside(&r, &k, 4, 0);
	RIG_UNTIL(&r, fake.run_id == 4);
	rig_kill_helper(&r, &r.runtime);
	e = rig_wait_run(&r, 4);
	assert_int_equal(e->err, ECONNRESET);
	assert_int_equal(e->what, WIRE_WHAT_RUNTIME);
	for (int i = 0; i < 3; i++)
		mem_closep(&fake.run_fds[i]);
	RIG_UNTIL(&r, fake.n_synced == 2);
	end(&r);
}

static void a_look_is_answered_by_the_runtime(void **state)
{
	struct wire_key k;
	struct buf b = {0};
	struct rig r;

	(void)state;
	begin(&r);
	k = rig_key(&r, "web", 0);
	start_running(&r, &k);
	wire_encode_key(&b, WIRE_LOOK, &k);
	rig_send(&r, &b, NULL, 0);
	RIG_UNTIL(&r, fake.stats.pids == 3);
	assert_true(wire_key_equal(&fake.stats.key, &k));
	end(&r);
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
	begin(&r);
	k = rig_key(&r, "web", 0);
	start_running(&r, &k);
	say_runtime(&r, WIRE_RUNTIME_UNREACHABLE, "connection refused");
	RIG_UNTIL(&r, fake.runtime.state == WIRE_RUNTIME_UNREACHABLE);
	assert_int_equal(fake.runtime.since_wall_ms, 12345);
	assert_int_equal(fake.runtime.pid, r.runtime.pid);
	assert_string_equal(fake.runtime.text, "connection refused");
	memset(&fake.runtime, 0, sizeof(fake.runtime));
	rig_kill_helper(&r, &r.controller); /* the next one hears of it before it plans */
	rig_wait_synced(&r);
	assert_int_equal(fake.runtime.state, WIRE_RUNTIME_UNREACHABLE);
	assert_int_equal(rig_slot(&r, &k)->m.state, WIRE_SLOT_RUNNING);
	say_runtime(&r, WIRE_RUNTIME_OK, "");
	RIG_UNTIL(&r, fake.runtime.state == WIRE_RUNTIME_OK);
	end(&r);
}

/* Units of a runtime that is enabled no more wait for it. */
static void a_runtime_that_is_not_enabled_any_more(void **state)
{
	struct wire_key k;
	struct rig r;

	(void)state;
	begin(&r);
	k = rig_key(&r, "web", 0);
	start_running(&r, &k);
	rig_crash(&r, NULL, NULL);
	rig_run(&r, NULL);
	rig_wait_synced(&r);
	rig_wait_state(&r, &k, WIRE_SLOT_RUNNING);
	RIG_UNTIL(&r, fake.runtime.state == WIRE_RUNTIME_DOWN);
	assert_non_null(strstr(fake.runtime.text, "--runtime"));
	rig_crash(&r, NULL, NULL);
	rig_run(&r, enabled);
	rig_wait_synced(&r);
	RIG_UNTIL(&r, fake.n_synced == 2);
	assert_int_equal(unit_of(&k)->n_keep, 1);
	end(&r);
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
		cmocka_unit_test(a_stop_asks_then_kills),
		cmocka_unit_test(what_cannot_start_says_why),
		cmocka_unit_test(a_living_slot_refuses_and_an_ended_one_does_not_wait),
		cmocka_unit_test(a_container_removed_by_others_is_an_end),
		cmocka_unit_test(another_runtime_process_is_told_everything),
		cmocka_unit_test(another_aictld_goes_on),
		cmocka_unit_test(commands_run_inside),
		cmocka_unit_test(a_look_is_answered_by_the_runtime),
		cmocka_unit_test(an_unreachable_engine_is_told_of),
		cmocka_unit_test(a_runtime_that_is_not_enabled_any_more),
	};

	if (may_run(NULL) < 0) {
		puts("SKIP: no user aictl-rt");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
