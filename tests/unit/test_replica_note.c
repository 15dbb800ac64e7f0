/* test_replica_note: round trip at the limits, and nothing bad accepted. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "daemon/controller/replica.h"
#include "daemon/controller/replica_note.h"
#include "daemon/wire/wire.h"
#include "lib/buf.h"

static void fill(struct replica *r)
{
	*r = (struct replica){.state = REPLICA_BACKOFF,
			      .launch_hash = UINT64_MAX - 5,
			      .revision = 17,
			      .port = 20001,
			      .restarts = 4000000000u,
			      .restart_wanted = true,
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
	r->ports[0] = (struct replica_port){.name = UINT32_MAX, .number = 20001};
	r->ports[1] = (struct replica_port){.name = 7, .number = 65535};
	r->health.started = r->health.ready = true;
	r->health.begun_mono_ms = INT64_C(123456000000);
	r->policy = (struct policy_state){.streak = 9, .delay_ms = 300000, .slow = true};
	for (int i = 0; i < POLICY_BUDGET_MAX; i++)
		policy_remember(&r->policy, INT64_C(123456000000) + i * 5900);
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
	policy_reset(&a.policy);
	policy_reset(&b.policy);
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
	policy_reset(&a.policy);
	policy_reset(&b.policy);
}

/* Written by the first version. */
static void test_old_note(void **state)
{
	static const char text[] = "1 2 -5 17 20001 3 0 0 7 1 0 100 200 0 9 0 0 1767322745000 2 "
				   "1000 0 2 5000 40";
	struct replica r = {.n_ports = 3};

	(void)state;
	assert_int_equal(replica_note_decode(&r, (const uint8_t *)text, strlen(text)), 0);
	assert_int_equal(r.port, 20001);
	assert_int_equal(r.exit_seq, 9);
	assert_int_equal(r.policy.n_recent, 2);
	assert_int_equal(r.policy.recent_mono_ms[1], 5040);
	policy_reset(&r.policy);
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
	policy_reset(&a.policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip_fits),
		cmocka_unit_test(test_too_much_still_fits),
		cmocka_unit_test(test_old_note),
		cmocka_unit_test(test_bad_notes_change_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
