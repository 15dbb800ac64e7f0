/*
 * test_replica_sm: what must hold of every cell of the state machine, and the paths of a life.
 * (That no cell is missing or doubled is proved by the compiler.)
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "daemon/controller/replica_sm.h"

static enum replica_state go(enum replica_state s, enum replica_event e, enum policy_verdict v,
			     enum stop_intent i)
{
	const struct replica_sm_in in = {.verdict = v, .intent = i};

	return replica_sm_step(s, e, &in).to;
}

static void test_every_cell(void **state)
{
	(void)state;
	for (int s = 0; s < REPLICA_STATE_MAX_; s++) {
		for (int e = 0; e < REPLICA_EVENT_MAX_; e++) {
			for (int v = 0; v < 3; v++) {
				const struct replica_sm_in in = {.verdict = (enum policy_verdict)v,
								 .intent = STOP_REMOVE};
				struct replica_sm_out o = replica_sm_step(
					(enum replica_state)s, (enum replica_event)e, &in);

				assert_in_range(o.to, 0, REPLICA_STATE_MAX_ - 1);
				/* a spawn only where nothing can be alive, and it is starting then
				 */
				if (o.action == REPLICA_ACT_SPAWN)
					assert_true(!replica_sm_is_live((enum replica_state)s) &&
						    o.to == REPLICA_STARTING);
				/* ready is reached by health only */
				if (o.to == REPLICA_READY && s != REPLICA_READY)
					assert_int_equal(e, REPLICA_EV_HEALTHY);
				/* a living state is left for a dead one only by word from aictld */
				if (replica_sm_is_live((enum replica_state)s) &&
				    !replica_sm_is_live(o.to))
					assert_true(e == REPLICA_EV_EXITED ||
						    e == REPLICA_EV_SPAWN_FAILED ||
						    e == REPLICA_EV_CLEARED);
				if (!o.handled)
					assert_int_equal(o.to, s);
			}
		}
	}
}

static void test_exit_follows_the_policy(void **state)
{
	(void)state;
	assert_int_equal(go(REPLICA_READY, REPLICA_EV_EXITED, POLICY_RESTART, STOP_REMOVE),
			 REPLICA_BACKOFF);
	assert_int_equal(go(REPLICA_READY, REPLICA_EV_EXITED, POLICY_FAILED, STOP_REMOVE),
			 REPLICA_FAILED);
	assert_int_equal(
		go(REPLICA_STARTING, REPLICA_EV_SPAWN_FAILED, POLICY_SUCCEEDED, STOP_REMOVE),
		REPLICA_SUCCEEDED);
}

static void test_stop_ends_by_its_intent(void **state)
{
	(void)state;
	assert_int_equal(go(REPLICA_STOPPING, REPLICA_EV_EXITED, POLICY_RESTART, STOP_REMOVE),
			 REPLICA_STOPPING);
	assert_int_equal(go(REPLICA_STOPPING, REPLICA_EV_CLEARED, POLICY_RESTART, STOP_REMOVE),
			 REPLICA_EXITED);
	assert_int_equal(go(REPLICA_STOPPING, REPLICA_EV_CLEARED, POLICY_RESTART, STOP_REPLACE),
			 REPLICA_PENDING);
	assert_int_equal(go(REPLICA_STOPPING, REPLICA_EV_CLEARED, POLICY_FAILED, STOP_HEAL),
			 REPLICA_FAILED);
}

static struct replica_sm_out stop(enum replica_state s, bool drains)
{
	const struct replica_sm_in in = {.intent = STOP_REMOVE, .drains = drains};

	return replica_sm_step(s, REPLICA_EV_STOP, &in);
}

static void test_what_serves_drains_first(void **state)
{
	static const enum replica_state serving[] = {REPLICA_READY, REPLICA_UNREADY};
	const struct replica_sm_in in = {.intent = STOP_REMOVE};
	struct replica_sm_out o;

	(void)state;
	for (int i = 0; i < 2; i++) {
		o = stop(serving[i], true);
		assert_true(o.to == REPLICA_DRAINING && o.action == REPLICA_ACT_NONE);
		o = stop(serving[i], false);
		assert_true(o.to == REPLICA_STOPPING && o.action == REPLICA_ACT_STOP);
	}
	o = stop(REPLICA_STARTING, true); /* it has never been in a route */
	assert_true(o.to == REPLICA_STOPPING && o.action == REPLICA_ACT_STOP);
	assert_false(stop(REPLICA_DRAINING, true).handled); /* one stop is enough */
	o = replica_sm_step(REPLICA_DRAINING, REPLICA_EV_DRAINED, &in);
	assert_true(o.to == REPLICA_STOPPING && o.action == REPLICA_ACT_STOP);
	/* whatever ends it meanwhile is not for the restart policy to judge */
	o = replica_sm_step(REPLICA_DRAINING, REPLICA_EV_EXITED, &in);
	assert_true(o.to == REPLICA_STOPPING && o.action == REPLICA_ACT_STOP);
	o = replica_sm_step(REPLICA_DRAINING, REPLICA_EV_CONDEMNED, &in);
	assert_true(o.to == REPLICA_STOPPING && o.action == REPLICA_ACT_STOP);
	assert_true(replica_sm_is_ending(REPLICA_DRAINING) &&
		    replica_sm_is_ending(REPLICA_STOPPING) && !replica_sm_is_ending(REPLICA_READY));
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(replica_sm_state_name(REPLICA_PENDING), "pending");
	assert_string_equal(replica_sm_state_name(REPLICA_UNKNOWN), "unknown");
	assert_string_equal(replica_sm_state_name(REPLICA_STATE_MAX_), "unknown");
	assert_string_equal(replica_sm_event_name(REPLICA_EV_CONDEMNED), "condemned");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_cell),
		cmocka_unit_test(test_exit_follows_the_policy),
		cmocka_unit_test(test_stop_ends_by_its_intent),
		cmocka_unit_test(test_what_serves_drains_first),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
