/* test_aictld_log_faults: what loggers say of the storing of output, and what controllers hear. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/mem.h"
#include "tests/unit/aictld_rig.h"

static void say(struct rig *r, const struct wire_key *k, const struct wire_log_fault *m)
{
	_cleanup_buf_ struct buf b = {0};

	wire_logs_encode_fault(&b, k, m);
	assert_int_equal(wire_send(r->logger.wire, &b, NULL, 0), 0);
}

/* What SLOT says now; zeroes when it says nothing. */
static struct wire_log_fault now(struct rig *r, const struct wire_key *k)
{
	const struct rig_slot *s = rig_slot(r, k);

	return s && s->m.has_log ? s->m.log : (struct wire_log_fault){0};
}

static struct wire_key begin(struct rig *r)
{
	struct wire_key k;

	rig_start(r, NULL);
	k = rig_key(r, "a", 0);
	rig_spawn_sh(r, &k, "exec sleep 1000", 1000);
	rig_wait_state(r, &k, WIRE_SLOT_RUNNING);
	RIG_UNTIL(r, rig_stream(r, &k));
	assert_false(rig_slot(r, &k)->m.has_log);
	return k;
}

static const struct wire_log_fault full = {
	.state = WIRE_LOG_STALLED, .err = ENOSPC, .since_wall_ms = 1234};

static void a_fault_is_told_and_its_end(void **state)
{
	struct wire_log_fault drop = {
		.state = WIRE_LOG_DROPPING, .err = EIO, .since_wall_ms = 2000};
	struct wire_key k;
	struct rig r;

	(void)state;
	k = begin(&r);
	say(&r, &k, &full);
	RIG_UNTIL(&r, now(&r, &k).state == WIRE_LOG_STALLED);
	assert_int_equal(now(&r, &k).err, ENOSPC);
	assert_int_equal(now(&r, &k).since_wall_ms, 1234);
	drop.dropped_bytes = 100;
	drop.dropped_lines = 7;
	say(&r, &k, &drop);
	RIG_UNTIL(&r, now(&r, &k).state == WIRE_LOG_DROPPING);
	assert_int_equal(now(&r, &k).since_wall_ms, 1234); /* of the trouble, not of its kind */
	assert_int_equal(now(&r, &k).dropped_lines, 7);
	drop.state = WIRE_LOG_OK;
	say(&r, &k, &drop);
	RIG_UNTIL(&r, now(&r, &k).state == WIRE_LOG_OK);
	assert_int_equal(now(&r, &k).dropped_bytes, 100);
	/* The next trouble counts for itself; one that was over before it was told, too. */
	drop.dropped_bytes = 150;
	say(&r, &k, &drop);
	RIG_UNTIL(&r, now(&r, &k).all_bytes == 150);
	assert_int_equal(now(&r, &k).dropped_bytes, 50);
	rig_clean_stop(&r);
}

static void a_new_controller_hears_what_the_last_one_heard(void **state)
{
	const struct wire_log_fault ok = {.since_wall_ms = 1300};
	struct wire_key k;
	struct rig r;

	(void)state;
	k = begin(&r);
	say(&r, &k, &full);
	RIG_UNTIL(&r, now(&r, &k).state == WIRE_LOG_STALLED);
	assert_int_equal(now(&r, &k).told, WIRE_LOG_OK);
	rig_kill_helper(&r, &r.controller);
	RIG_UNTIL(&r, r.n_synced == 2);
	assert_int_equal(now(&r, &k).state, WIRE_LOG_STALLED);
	assert_int_equal(now(&r, &k).told, WIRE_LOG_STALLED);
	say(&r, &k, &ok);
	RIG_UNTIL(&r, now(&r, &k).state == WIRE_LOG_OK);
	rig_clean_stop(&r);
}

static void what_a_dead_logger_said_holds_until_the_next_one_says_nothing(void **state)
{
	struct wire_log_fault drop = full;
	struct wire_key k;
	struct rig r;

	(void)state;
	k = begin(&r);
	drop.state = WIRE_LOG_DROPPING;
	drop.dropped_bytes = 10;
	say(&r, &k, &drop);
	RIG_UNTIL(&r, now(&r, &k).state == WIRE_LOG_DROPPING);
	rig_kill_helper(&r, &r.logger);
	RIG_UNTIL(&r, rig_stream(&r, &k)->n_sent == 2);
	assert_int_equal(now(&r, &k).state, WIRE_LOG_DROPPING);
	drop.dropped_bytes = 5; /* it counts anew */
	drop.since_wall_ms = 5678;
	say(&r, &k, &drop);
	RIG_UNTIL(&r, now(&r, &k).all_bytes == 15);
	assert_int_equal(now(&r, &k).since_wall_ms, 1234);
	rig_kill_helper(&r, &r.logger);
	RIG_UNTIL(&r, now(&r, &k).state == WIRE_LOG_OK);
	assert_int_equal(now(&r, &k).all_bytes, 15);
	rig_clean_stop(&r);
}

static void it_ends_with_the_last_incarnation_that_waits(void **state)
{
	struct wire_log_fault drop = full;
	struct wire_key old, k;
	struct rig r;

	(void)state;
	old = begin(&r);
	drop.dropped_bytes = 10;
	drop.dropped_lines = 1;
	say(&r, &old, &drop);
	RIG_UNTIL(&r, now(&r, &old).state == WIRE_LOG_STALLED);
	rig_stop_key(&r, &old, 0, -1);
	rig_wait_swept(&r, &old);
	k = rig_key(&r, "a", 0);
	rig_spawn_sh(&r, &k, "exec sleep 1000", 1000);
	rig_wait_state(&r, &k, WIRE_SLOT_RUNNING);
	assert_int_equal(now(&r, &k).state, WIRE_LOG_STALLED);
	rig_drained(&r, &old);
	RIG_UNTIL(&r, now(&r, &k).state == WIRE_LOG_OK);
	assert_int_equal(now(&r, &k).dropped_lines, 1);
	say(&r, &old, &full); /* a late word */
	say(&r, &k, &full);
	RIG_UNTIL(&r, now(&r, &k).state == WIRE_LOG_STALLED);
	assert_int_equal(now(&r, &k).dropped_bytes, 0);
	assert_int_equal(now(&r, &k).all_bytes, 10);
	rig_clean_stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fault_is_told_and_its_end),
		cmocka_unit_test(a_new_controller_hears_what_the_last_one_heard),
		cmocka_unit_test(what_a_dead_logger_said_holds_until_the_next_one_says_nothing),
		cmocka_unit_test(it_ends_with_the_last_incarnation_that_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
