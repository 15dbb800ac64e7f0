/* test_replica_note: round trip at the limits, and nothing bad accepted. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "daemon/controller/replica.h"
#include "daemon/controller/replica_evidence.h"
#include "daemon/controller/replica_note.h"
#include "daemon/controller/service.h"
#include "daemon/wire/wire.h"
#include "lib/buf.h"
#include "lib/mem.h"

static void fill(struct replica *r)
{
	*r = (struct replica){.state = REPLICA_BACKOFF,
			      .launch_hash = UINT64_MAX - 5,
			      .revision = 17,
			      .port = 20001,
			      .restarts = 4000000000u,
			      .recycle = "memory",
			      .in_place = true,
			      .intent = STOP_HEAL,
			      .stop_cause = "probe",
			      .ready_mono_ms = INT64_C(123456789012),
			      .next_at_mono_ms = INT64_C(123456789999),
			      .exit_seq = UINT64_C(1) << 40,
			      .condemned_mono_ms = 77,
			      .start_ms = 86400000,
			      .stop_ms = 3600000,
			      .since_wall_ms = INT64_C(1767322745000)};
	r->n_ports = 2;
	r->ports = mem_array(REPLICA_PORTS_MAX, sizeof(r->ports[0]));
	assert_non_null(r->ports);
	r->ports[0] = (struct replica_port){.name = UINT32_MAX, .number = 20001};
	r->ports[1] = (struct replica_port){.name = 7, .number = 65535};
	r->health.started = r->health.ready = true;
	r->health.begun_mono_ms = INT64_C(123456000000);
	r->policy = (struct policy_state){.streak = 9, .delay_ms = 300000, .slow = true};
	for (int i = 0; i < POLICY_BUDGET_MAX; i++)
		policy_remember(&r->policy, INT64_C(123456000000) + i * 5900);
}

static void done(struct replica *r)
{
	policy_reset(&r->policy);
	mem_free(r->ports);
	reaction_done(&r->reaction);
}

static void remember(struct replica *r, unsigned n)
{
	reaction_done(&r->reaction);
	r->reaction = (struct reaction){
		.names = UINT32_MAX, .n = (uint8_t)n, .marks = mem_array(n, sizeof(uint32_t))};
	for (unsigned i = 0; i < n; i++)
		r->reaction.marks[i] = 0xffffff - i;
}

/* The service's life and what was seen of others; the marks go last of all. */
static void test_order(void **state)
{
	_cleanup_buf_ struct buf note = {.limit = WIRE_NOTE_MAX};
	struct service s = {.order = {.life = 4001}};
	struct replica a, b = {0};

	(void)state;
	fill(&a);
	a.service = &s;
	remember(&a, 3);
	replica_note_encode(&a, &note);
	assert_int_equal(replica_note_decode(&b, (uint8_t *)note.data, note.len), 0);
	assert_int_equal(b.reaction.note_life, 4001);
	assert_true(b.reaction.names == UINT32_MAX && b.reaction.n == 3);
	assert_true(b.reaction.marks[2] == 0xffffff - 2);
	assert_true(b.attempt_ran);
	a.reaction.ended_mono_ms = 5;
	s.order.life = 4000; /* its end is not looked at yet: all the same it is not forgotten */
	remember(&a, REACTION_MAX);
	a.reaction.ended_mono_ms = 5;
	buf_clear(&note);
	replica_note_encode(&a, &note);
	assert_false(note.failed);
	assert_int_equal(replica_note_decode(&b, (uint8_t *)note.data, note.len), 0);
	assert_int_equal(b.reaction.note_life, 4001);
	assert_int_equal(b.reaction.n, REACTION_MAX);
	a.n_ports = REPLICA_PORTS_MAX;
	for (unsigned i = 0; i < a.n_ports; i++)
		a.ports[i] = (struct replica_port){.name = UINT32_MAX - i, .number = 65535};
	buf_clear(&note);
	replica_note_encode(&a, &note);
	assert_false(note.failed);
	assert_int_equal(replica_note_decode(&b, (uint8_t *)note.data, note.len), 0);
	assert_int_equal(b.n_ports, REPLICA_PORTS_MAX);
	assert_int_equal(b.reaction.note_life, 4001);
	done(&a);
	done(&b);
}

static void test_round_trip_fits(void **state)
{
	_cleanup_buf_ struct buf note = {.limit = WIRE_NOTE_MAX}, again = {.limit = WIRE_NOTE_MAX};
	struct replica a, b = {0};

	(void)state;
	fill(&a);
	replica_note_encode(&a, &note);
	assert_false(note.failed); /* the largest budget fits into a note */
	assert_int_equal(replica_note_decode(&b, (uint8_t *)note.data, note.len), 0);
	replica_note_encode(&b, &again);
	assert_string_equal(note.data, again.data);
	assert_int_equal(b.policy.recent_mono_ms[POLICY_BUDGET_MAX - 1],
			 a.policy.recent_mono_ms[POLICY_BUDGET_MAX - 1]);
	assert_string_equal(b.stop_cause, "probe");
	assert_true(b.launch_hash == a.launch_hash);
	assert_int_equal(b.start_ms, a.start_ms);
	assert_int_equal(b.n_ports, 2);
	assert_true(b.ports[0].name == UINT32_MAX);
	assert_int_equal(b.ports[1].number, 65535);
	assert_int_equal(b.stop_ms, a.stop_ms);
	done(&a);
	done(&b);
}

/* What a start has shown is known to the next controller; nothing of it once that is over. */
static void test_evidence(void **state)
{
	const struct replica_evidence seen = {.progress_mono_ms = 77000,
					      .io_bytes = UINT64_C(1) << 40,
					      .block_bytes = 5,
					      .memory_bytes = 6,
					      .output_bytes = 7};
	_cleanup_buf_ struct buf note = {.limit = WIRE_NOTE_MAX}, again = {.limit = WIRE_NOTE_MAX};
	struct replica a, b = {0};

	(void)state;
	fill(&a);
	a.state = REPLICA_STARTING;
	a.health.started = a.health.ready = false;
	replica_evidence_recall(&a, &seen);
	replica_note_encode(&a, &note);
	assert_int_equal(replica_note_decode(&b, (uint8_t *)note.data, note.len), 0);
	assert_non_null(replica_evidence_kept(&b));
	assert_memory_equal(replica_evidence_kept(&b), &seen, sizeof(seen));
	assert_int_equal(b.health.progress_mono_ms, 77000);
	replica_note_encode(&b, &again);
	assert_string_equal(note.data, again.data);
	for (size_t len = 0; len < note.len; len++) /* cut anywhere it is another one, or none */
		if (replica_note_decode(&b, (uint8_t *)note.data, len) == 0)
			assert_true(len > note.len - 3);
	b.health.started = true;
	assert_null(replica_evidence_kept(&b));
	replica_evidence_free(&a);
	replica_evidence_free(&b);
	done(&a);
	done(&b);
}

/* Ports go before the oldest restarts. */
static void test_too_much_still_fits(void **state)
{
	_cleanup_buf_ struct buf note = {.limit = WIRE_NOTE_MAX};
	struct replica a, b = {0};

	(void)state;
	fill(&a);
	a.n_ports = REPLICA_PORTS_MAX;
	for (unsigned i = 0; i < a.n_ports; i++)
		a.ports[i] = (struct replica_port){.name = UINT32_MAX - i, .number = 65535};
	for (int i = 0; i < POLICY_BUDGET_MAX; i++)
		a.policy.recent_mono_ms[i] = INT64_C(123456000000) + i * INT64_C(86400000);
	replica_note_encode(&a, &note);
	assert_false(note.failed);
	assert_int_equal(replica_note_decode(&b, (uint8_t *)note.data, note.len), 0);
	assert_int_equal(b.n_ports, REPLICA_PORTS_MAX);
	assert_in_range(b.policy.n_recent, 20, POLICY_BUDGET_MAX - 1);
	assert_int_equal(b.policy.recent_mono_ms[b.policy.n_recent - 1],
			 a.policy.recent_mono_ms[POLICY_BUDGET_MAX - 1]);
	done(&a);
	done(&b);
}

/* Written by the first version. */
static void test_old_note(void **state)
{
	static const char text[] = "1 2 -5 17 20001 3 0 0 7 1 0 100 200 0 9 0 0 1767322745000 2 "
				   "1000 0 2 5000 40";
	struct replica r = {.n_ports = 3, .ports = mem_array(3, sizeof(r.ports[0]))};

	(void)state;
	assert_int_equal(replica_note_decode(&r, (const uint8_t *)text, strlen(text)), 0);
	assert_int_equal(r.port, 20001);
	assert_int_equal(r.n_ports, 0);
	assert_null(r.ports);
	assert_int_equal(r.exit_seq, 9);
	assert_int_equal(r.policy.n_recent, 2);
	assert_int_equal(r.policy.recent_mono_ms[1], 5040);
	done(&r);
}

static void test_bad_notes_change_nothing(void **state)
{
	static const char *const bad[] = {"", "1", "x", "1 0 0 0",
					  "2 99 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0"};
	_cleanup_buf_ struct buf note = {0};
	struct replica a, b = {.port = 5};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_true(replica_note_decode(&b, (const uint8_t *)bad[i], strlen(bad[i])) < 0);
	fill(&a);
	replica_note_encode(&a, &note);
	for (size_t n = 0; n + 4 < note.len;
	     n++) { /* every truncation but inside the last number */
		if (replica_note_decode(&b, (uint8_t *)note.data, n) == 0)
			fail_msg("a note cut at %zu was accepted", n);
	}
	buf_str(&note, " 1");
	assert_true(replica_note_decode(&b, (uint8_t *)note.data, note.len) < 0);
	assert_int_equal(b.port, 5);
	assert_null(b.ports);
	done(&a);
}

/* What a death of the controller in the middle of a hook leaves to the next one. */
static void test_hooks_that_are_owed(void **state)
{
	static const struct {
		enum replica_state state, want;
		bool attempt, ran, preparing, want_attempt, want_ran;
	} cases[] = {
		{REPLICA_STARTING, REPLICA_PENDING, true, false, true, true, false},
		{REPLICA_STOPPING, REPLICA_PENDING, true, false, true, true, false},
		{REPLICA_BACKOFF, REPLICA_BACKOFF, true, true, false, true, true},
		{REPLICA_BACKOFF, REPLICA_BACKOFF, false, true, false, false, true},
		{REPLICA_READY, REPLICA_READY, true, true, false, true, true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_buf_ struct buf note = {.limit = WIRE_NOTE_MAX};
		struct replica a, b = {0};

		fill(&a);
		a.state = cases[i].state;
		a.attempt = cases[i].attempt;
		a.attempt_ran = cases[i].ran;
		a.preparing = cases[i].preparing;
		replica_note_encode(&a, &note);
		assert_false(note.failed);
		assert_int_equal(replica_note_decode(&b, (uint8_t *)note.data, note.len), 0);
		assert_int_equal(b.state, cases[i].want);
		assert_int_equal(b.attempt, cases[i].want_attempt);
		assert_int_equal(b.attempt_ran, cases[i].want_ran);
		done(&a);
		done(&b);
	}
}

/* The secrets that it has read, beside what else may be owed. */
static void test_secrets_read(void **state)
{
	(void)state;
	for (unsigned owed = 0; owed < 2; owed++) {
		_cleanup_buf_ struct buf note = {.limit = WIRE_NOTE_MAX};
		struct replica a, b = {.secrets_read = 3};

		fill(&a);
		a.attempt = owed;
		a.attempt_ran = !owed;
		a.secrets_read = UINT64_MAX - 9;
		replica_note_encode(&a, &note);
		assert_false(note.failed);
		assert_int_equal(replica_note_decode(&b, (uint8_t *)note.data, note.len), 0);
		assert_true(b.secrets_read == UINT64_MAX - 9);
		assert_int_equal(b.attempt, owed);
		assert_int_equal(b.attempt_ran, !owed);
		a.secrets_read = 0;
		buf_clear(&note);
		replica_note_encode(&a, &note);
		assert_int_equal(note.data[0], owed ? '3' : '2'); /* as builds before wrote it */
		assert_int_equal(replica_note_decode(&b, (uint8_t *)note.data, note.len), 0);
		assert_true(b.secrets_read == 0);
		done(&a);
		done(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hooks_that_are_owed),
		cmocka_unit_test(test_secrets_read),
		cmocka_unit_test(test_round_trip_fits),
		cmocka_unit_test(test_too_much_still_fits),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_evidence),
		cmocka_unit_test(test_old_note),
		cmocka_unit_test(test_bad_notes_change_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
