/* test_rollout: when an update goes on, pauses, is complete, has failed, and where it ends then. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "daemon/controller/rollout.h"

#define NOW 1000000
#define WALL INT64_C(1767322745000)

static const struct update_spec usual = {.max_surge = 1,
					 .min_ready_ms = 10000,
					 .deadline_ms = 600000,
					 .on_failure = UPDATE_ROLLBACK};

static struct rollout begun(void)
{
	struct rollout r;

	rollout_begin(&r, 7, 77, NOW, WALL);
	return r;
}

static struct rollout_seen seen(unsigned available, unsigned others)
{
	return (struct rollout_seen){.wanted = 3,
				     .available = available,
				     .others = others,
				     .good = true,
				     .index = 3,
				     .why = "exit code 1",
				     .settles_mono_ms = INT64_MAX};
}

static enum rollout_verdict step(struct rollout *r, const struct update_spec *u,
				 struct rollout_seen s, int64_t at)
{
	return rollout_step(r, u, &s, at, WALL + at - NOW).verdict;
}

static void test_completes(void **state)
{
	struct rollout r = begun();

	(void)state;
	assert_int_equal(step(&r, &usual, seen(0, 4), NOW), ROLLOUT_GO_ON);
	assert_int_equal(step(&r, &usual, seen(3, 1), NOW + 1), ROLLOUT_GO_ON);
	assert_int_equal(step(&r, &usual, seen(3, 0), NOW + 2), ROLLOUT_CHANGED);
	assert_int_equal(r.state, ROLLOUT_COMPLETE);
	assert_int_equal(r.ended_wall_ms, WALL + 2);
	assert_false(rollout_is_under_way(&r));
}

static void test_deadline_is_for_progress(void **state)
{
	struct rollout r = begun();
	struct rollout_seen s = seen(1, 3);

	(void)state;
	assert_int_equal(step(&r, &usual, s, NOW + 599999), ROLLOUT_GO_ON);
	assert_int_equal(rollout_step(&r, &usual, &s, NOW + 600000, WALL).wake_mono_ms,
			 NOW + 599999 + 600000);
	assert_int_equal(step(&r, &usual, s, NOW + 599999 + 600000), ROLLOUT_TAKE_BACK);
	assert_string_equal(r.reason, "no progress for 10m: 1 of 3 available: exit code 1");
	assert_int_equal(r.state, ROLLOUT_ROLLING_BACK);
	assert_int_equal(step(&r, &usual, seen(2, 1), NOW + 1300000), ROLLOUT_GO_ON);
	assert_int_equal(step(&r, &usual, seen(3, 0), NOW + 1300000), ROLLOUT_CHANGED);
	assert_int_equal(r.state, ROLLOUT_ROLLED_BACK);
	assert_int_not_equal(r.reason[0], '\0'); /* it stays to be read */
}

static void test_failures(void **state)
{
	struct rollout r = begun();
	struct rollout_seen s = seen(0, 4);

	(void)state;
	s.ends = ROLLOUT_FAILURES_MAX - 1;
	assert_int_equal(step(&r, &usual, s, NOW), ROLLOUT_GO_ON);
	s.ends++;
	assert_int_equal(step(&r, &usual, s, NOW), ROLLOUT_TAKE_BACK);
	assert_string_equal(r.reason, "replica 3 ended 3 times: exit code 1");
	r = begun();
	s.ends = 0;
	s.given_up = true;
	s.why = "liveness probe failed 3/3: HTTP 500";
	assert_int_equal(step(&r, &usual, s, NOW), ROLLOUT_TAKE_BACK);
	assert_string_equal(r.reason, "replica 3: liveness probe failed 3/3: HTTP 500");
}

static void test_nothing_to_return_to(void **state)
{
	struct rollout r = begun();
	struct rollout_seen s = seen(0, 3);

	(void)state;
	s.good = false;
	s.given_up = true;
	assert_int_equal(step(&r, &usual, s, NOW), ROLLOUT_CHANGED);
	assert_int_equal(r.state, ROLLOUT_FAILED);
	assert_int_equal(step(&r, &usual, s, NOW + 1), ROLLOUT_GO_ON);
	assert_int_equal(step(&r, &usual, seen(3, 0), NOW + 2), ROLLOUT_CHANGED); /* after all */
	assert_int_equal(r.state, ROLLOUT_COMPLETE);
	assert_string_equal(r.reason, "");
}

static void test_on_failure(void **state)
{
	struct update_spec u = usual;
	struct rollout r = begun();
	struct rollout_seen s = seen(0, 4);

	(void)state;
	s.given_up = true;
	u.on_failure = UPDATE_CONTINUE;
	assert_int_equal(step(&r, &u, s, NOW), ROLLOUT_CHANGED);
	assert_int_equal(r.state, ROLLOUT_FAILED);
	assert_false(rollout_bounds(&u, &r, 3).paused);
	r = begun();
	u.on_failure = UPDATE_PAUSE;
	assert_int_equal(step(&r, &u, s, NOW), ROLLOUT_CHANGED);
	assert_int_equal(r.state, ROLLOUT_PAUSED);
	assert_true(rollout_bounds(&u, &r, 3).paused);
	assert_true(rollout_resume(&r, NOW + 5)); /* the same failure does not stop it again, */
	assert_int_equal(step(&r, &u, s, NOW + 5), ROLLOUT_GO_ON);
	assert_int_equal(step(&r, &u, s, NOW + 5 + 600000), ROLLOUT_CHANGED); /* time does */
	assert_int_equal(r.state, ROLLOUT_PAUSED);
}

static void test_pause_after(void **state)
{
	struct update_spec u = usual;
	struct rollout r = begun();

	(void)state;
	u.pause_after = 1;
	u.max_surge = 2;
	assert_int_equal(rollout_bounds(&u, &r, 3).max_new, 1);
	assert_int_equal(step(&r, &u, seen(0, 4), NOW), ROLLOUT_GO_ON);
	assert_int_equal(step(&r, &u, seen(1, 3), NOW), ROLLOUT_CHANGED);
	assert_int_equal(r.state, ROLLOUT_PAUSED);
	assert_int_equal(step(&r, &u, seen(1, 3), NOW + 10000000), ROLLOUT_GO_ON);
	assert_true(rollout_resume(&r, NOW + 10000000));
	assert_false(rollout_resume(&r, NOW));
	assert_int_equal(rollout_bounds(&u, &r, 3).max_new, 0);
	assert_int_equal(step(&r, &u, seen(2, 2), NOW + 10000001), ROLLOUT_GO_ON);
	assert_true(rollout_pause(&r, "by the user"));
	assert_false(rollout_pause(&r, "again"));
}

/* Stopped by the user, held, frozen: no time passes until it is looked at again. */
static void test_idle(void **state)
{
	struct rollout r = begun();
	struct rollout_seen s = seen(0, 4);

	(void)state;
	s.idle = true; /* stopped, and nobody looks until it is started again */
	assert_int_equal(step(&r, &usual, s, NOW + 1), ROLLOUT_GO_ON);
	s.idle = false;
	assert_int_equal(step(&r, &usual, s, NOW + 700000), ROLLOUT_GO_ON);
	assert_int_equal(step(&r, &usual, s, NOW + 700000 + 599999), ROLLOUT_GO_ON);
	assert_int_equal(step(&r, &usual, s, NOW + 700000 + 600000), ROLLOUT_TAKE_BACK);
}

/* What it would return to does not go together with what is there: nothing more is replaced. */
static void test_no_way_back(void **state)
{
	struct rollout r = begun();
	struct rollout_seen s = seen(0, 4);

	(void)state;
	s.given_up = true;
	assert_int_equal(step(&r, &usual, s, NOW + 1), ROLLOUT_TAKE_BACK);
	rollout_stay(&r, "depends_on.db: there is no such service");
	assert_int_equal(r.state, ROLLOUT_FAILED);
	assert_string_equal(
		r.reason,
		"replica 3: exit code 1; not taken back: depends_on.db: there is no such service");
	assert_int_equal(r.ended_wall_ms, WALL + 1);
	assert_true(rollout_bounds(&usual, &r, 3).paused);
	assert_int_equal(step(&r, &usual, s, NOW + 10000000), ROLLOUT_GO_ON);
	rollout_take_back(&r, "by the user", NOW + 10000001); /* it goes now */
	assert_false(rollout_bounds(&usual, &r, 3).paused);
	assert_int_equal(step(&r, &usual, seen(3, 0), NOW + 10000002), ROLLOUT_CHANGED);
	assert_int_equal(r.state, ROLLOUT_ROLLED_BACK);
}

/* Both have room in the reason, however long they are. */
static void test_no_way_back_in_many_words(void **state)
{
	struct rollout r = begun();
	struct rollout_seen s = seen(0, 4);
	char why[2 * ROLLOUT_REASON_MAX];

	(void)state;
	memset(why, 'x', sizeof(why) - 1);
	why[sizeof(why) - 1] = '\0';
	s.given_up = true;
	s.why = why;
	assert_int_equal(step(&r, &usual, s, NOW), ROLLOUT_TAKE_BACK);
	rollout_stay(&r, "depends_on.db: there is no such service");
	assert_non_null(strstr(r.reason, "x; not taken back: depends_on.db: there is no such"));
	rollout_stay(&r, why);
	assert_int_equal(strlen(r.reason), ROLLOUT_REASON_MAX - 1);
}

static void test_shares(void **state)
{
	struct update_spec u = usual;
	struct rollout r = begun();
	struct plan_update b;

	(void)state;
	u.max_surge = u.max_unavailable = -25;
	b = rollout_bounds(&u, &r, 10);
	assert_int_equal(b.max_surge, 3);	/* rounded up */
	assert_int_equal(b.max_unavailable, 2); /* rounded down */
	b = rollout_bounds(&u, &r, 4);
	assert_int_equal(b.max_surge, 1);
	assert_int_equal(b.max_unavailable, 1);
	u.max_surge = -100;
	assert_int_equal(rollout_bounds(&u, &r, 1000).max_surge, 1000);
	assert_string_equal(rollout_state_name(ROLLOUT_ROLLING_BACK), "rolling_back");
	assert_string_equal(rollout_state_name(ROLLOUT_STATE_MAX_), "unknown");
}

/* ---- canary ---- */

static char tenth[] = "10%/10s", half[] = "50%/20s", all[] = "100%";
static char *short_steps[] = {tenth, half, all, NULL};
static const struct update_spec by_steps = {.max_surge = 1,
					    .deadline_ms = 600000,
					    .on_failure = UPDATE_ROLLBACK,
					    .strategy = UPDATE_CANARY,
					    .steps = short_steps,
					    .judge = {0.01, 1.5, 50}};
static const struct judge_result waits = {.verdict = JUDGE_WAITS, .lacks = 3},
				 good = {.verdict = JUDGE_GOOD}, doubt = {.verdict = JUDGE_DOUBT},
				 bad = {.verdict = JUDGE_BAD,
					.by = JUDGE_BY_ERRORS,
					.requests = 50,
					.errors = 5,
					.stable_requests = 450};

static struct rollout begun_by_steps(void)
{
	struct rollout r = begun();

	r.canary = true;
	return r;
}

/* Four replicas are wanted; so many new ones are available. */
static struct rollout_seen beside(unsigned available, const struct judge_result *judged)
{
	struct rollout_seen s = seen(available, 4);

	s.wanted = 4;
	s.judged = judged;
	return s;
}

static void test_canary_goes_by_steps(void **state)
{
	struct rollout r = begun_by_steps();
	struct rollout_seen s = beside(1, &waits);

	(void)state;
	assert_int_equal(rollout_bounds(&by_steps, &r, 4).canaries, 1);
	assert_int_equal(rollout_share(&r, &by_steps), 0); /* nothing before they are available */
	assert_int_equal(step(&r, &by_steps, beside(0, NULL), NOW), ROLLOUT_GO_ON);
	assert_int_equal(step(&r, &by_steps, beside(1, NULL), NOW + 5), ROLLOUT_CHANGED);
	assert_int_equal(rollout_share(&r, &by_steps), 10);
	assert_int_equal(rollout_step(&r, &by_steps, &s, NOW + 6, WALL).wake_mono_ms, NOW + 10005);
	/* good, and not yet; over, and not enough; over, and in doubt; over and good */
	assert_int_equal(step(&r, &by_steps, beside(1, &good), NOW + 10004), ROLLOUT_GO_ON);
	assert_int_equal(step(&r, &by_steps, beside(1, &waits), NOW + 10005), ROLLOUT_GO_ON);
	assert_int_equal(step(&r, &by_steps, beside(1, &doubt), NOW + 10005), ROLLOUT_GO_ON);
	assert_int_equal(step(&r, &by_steps, beside(0, &good), NOW + 10005), ROLLOUT_GO_ON);
	assert_int_equal(step(&r, &by_steps, beside(1, &good), NOW + 10005), ROLLOUT_CHANGED);
	assert_int_equal(rollout_bounds(&by_steps, &r, 4).canaries, 2);
	assert_int_equal(rollout_share(&r, &by_steps), 10); /* until all of them are there */
	assert_int_equal(step(&r, &by_steps, beside(1, &good), NOW + 20000), ROLLOUT_GO_ON);
	assert_int_equal(step(&r, &by_steps, beside(2, &good), NOW + 20000), ROLLOUT_CHANGED);
	assert_int_equal(rollout_share(&r, &by_steps), 50);
	assert_int_equal(step(&r, &by_steps, beside(2, &good), NOW + 40000), ROLLOUT_CHANGED);
	assert_false(rollout_is_canary(&r, &by_steps));
	assert_int_equal(rollout_bounds(&by_steps, &r, 4).canaries, 0);
	assert_int_equal(rollout_bounds(&by_steps, &r, 4).max_surge, 1);
	assert_int_equal(r.state, ROLLOUT_PROGRESSING);
	s = seen(4, 0);
	s.wanted = 4;
	assert_int_equal(step(&r, &by_steps, s, NOW + 50000), ROLLOUT_CHANGED);
	assert_int_equal(r.state, ROLLOUT_COMPLETE);
}

static void test_bad_canary_is_taken_back_at_once(void **state)
{
	struct rollout r = begun_by_steps();

	(void)state;
	step(&r, &by_steps, beside(1, &bad), NOW); /* of no step: nothing of it counts */
	assert_int_equal(r.state, ROLLOUT_PROGRESSING);
	assert_int_equal(step(&r, &by_steps, beside(1, &bad), NOW + 1), ROLLOUT_TAKE_BACK);
	assert_string_equal(r.reason, "canary at 10 %: errors 10.0 % (5 of 50) against 0.0 % (0 of "
				      "450), more than 1 point above");
	assert_int_equal(rollout_share(&r, &by_steps), 0);
	assert_true(r.canary); /* the routes know it by that */
}

static void test_canary_that_does_not_come_up(void **state)
{
	struct rollout r = begun_by_steps();
	struct rollout_seen s = beside(0, NULL);

	(void)state;
	s.ends = ROLLOUT_FAILURES_MAX;
	assert_int_equal(step(&r, &by_steps, s, NOW), ROLLOUT_TAKE_BACK);
	r = begun_by_steps();
	s.ends = 0;
	assert_int_equal(rollout_step(&r, &by_steps, &s, NOW, WALL).wake_mono_ms, NOW + 600000);
	assert_int_equal(step(&r, &by_steps, s, NOW + 600000), ROLLOUT_TAKE_BACK);
	/* a step without requests is no failure */
	r = begun_by_steps();
	step(&r, &by_steps, beside(1, &waits), NOW);
	step(&r, &by_steps, beside(1, &waits), NOW + 599999);
	assert_int_equal(step(&r, &by_steps, beside(1, &waits), NOW + 1100000), ROLLOUT_GO_ON);
	/* but one whose replica is not there any more is */
	assert_int_equal(step(&r, &by_steps, beside(0, &waits), NOW + 1699999), ROLLOUT_GO_ON);
	assert_int_equal(step(&r, &by_steps, beside(0, &waits), NOW + 1700000), ROLLOUT_TAKE_BACK);
}

static void test_canary_paused(void **state)
{
	struct rollout r = begun_by_steps();

	(void)state;
	step(&r, &by_steps, beside(1, &good), NOW);
	assert_true(rollout_pause(&r, "by the user"));
	assert_int_equal(rollout_bounds(&by_steps, &r, 4).canaries, 1);
	assert_int_equal(rollout_share(&r, &by_steps), 10);
	assert_int_equal(step(&r, &by_steps, beside(1, &good), NOW + 900000), ROLLOUT_GO_ON);
	assert_int_equal(r.step, 0);
	assert_true(rollout_resume(&r, NOW + 900000));
	assert_int_equal(step(&r, &by_steps, beside(1, &good), NOW + 900000), ROLLOUT_CHANGED);
	assert_int_equal(r.step, 1);
	assert_true(rollout_pause(&r, "by the user")); /* a bad one does not wait for the user */
	step(&r, &by_steps, beside(2, &good), NOW + 900001);
	r.step_mono_ms = NOW;
	assert_int_equal(step(&r, &by_steps, beside(2, &bad), NOW + 900002), ROLLOUT_TAKE_BACK);
}

static void test_bad_canary_may_only_pause(void **state)
{
	struct update_spec u = by_steps;
	struct rollout r = begun_by_steps();

	(void)state;
	u.on_failure = UPDATE_PAUSE;
	step(&r, &u, beside(1, &good), NOW);
	assert_int_equal(step(&r, &u, beside(1, &bad), NOW + 1), ROLLOUT_CHANGED);
	assert_int_equal(r.state, ROLLOUT_PAUSED);
	assert_int_equal(rollout_share(&r, &u), 0); /* it is there to be looked at */
	assert_int_equal(rollout_bounds(&u, &r, 4).canaries, 1);
	assert_int_equal(step(&r, &u, beside(1, &good), NOW + 20000), ROLLOUT_GO_ON);
	assert_true(rollout_resume(&r, NOW + 20000)); /* the user says that it is good enough */
	assert_int_equal(rollout_share(&r, &u), 10);
	assert_int_equal(step(&r, &u, beside(1, &waits), NOW + 20000), ROLLOUT_GO_ON);
	assert_int_equal(step(&r, &u, beside(1, &bad), NOW + 20000), ROLLOUT_CHANGED);
	assert_int_equal(r.step, 1);
	u.on_failure = UPDATE_CONTINUE;
	r = begun_by_steps();
	step(&r, &u, beside(1, &good), NOW);
	assert_int_equal(step(&r, &u, beside(1, &bad), NOW + 1), ROLLOUT_CHANGED);
	assert_int_equal(r.state, ROLLOUT_FAILED);
	assert_int_equal(rollout_share(&r, &u), 10);
	assert_int_equal(step(&r, &u, beside(1, &bad), NOW + 10000), ROLLOUT_CHANGED);
	assert_int_equal(r.step, 1);
	rollout_stay(&r,
		     "port 8000 is taken"); /* and one that could not be taken back gets nothing */
	assert_int_equal(rollout_share(&r, &u), 0);
	assert_int_equal(step(&r, &u, beside(2, &good), NOW + 900000), ROLLOUT_GO_ON);
}

static void test_canary_promoted(void **state)
{
	struct rollout r = begun_by_steps();

	(void)state;
	step(&r, &by_steps, beside(1, &good), NOW);
	assert_true(rollout_promote(&r, &by_steps, NOW + 1));
	assert_false(rollout_is_canary(&r, &by_steps));
	assert_int_equal(rollout_bounds(&by_steps, &r, 4).canaries, 0);
	assert_false(rollout_promote(&r, &by_steps, NOW + 1));
	r = begun_by_steps();
	assert_true(rollout_pause(&r, "by the user"));
	assert_true(rollout_promote(&r, &by_steps, NOW + 1));
	assert_int_equal(r.state, ROLLOUT_PROGRESSING);
	r = begun(); /* any other update has no steps */
	assert_false(rollout_promote(&r, &by_steps, NOW));
}

static void test_canary_beside_nothing(void **state)
{
	struct rollout r = begun_by_steps();
	struct rollout_seen s = beside(4, NULL);

	(void)state;
	s.others = 0;
	assert_int_equal(step(&r, &by_steps, s, NOW), ROLLOUT_CHANGED);
	assert_int_equal(r.state, ROLLOUT_COMPLETE);
	assert_false(r.canary);
}

/* The manifest may change its steps meanwhile. */
static void test_canary_whose_steps_have_gone(void **state)
{
	static char *one[] = {all, NULL};
	struct update_spec u = by_steps;
	struct rollout r = begun_by_steps();

	(void)state;
	step(&r, &u, beside(1, &good), NOW);
	u.steps = one;
	assert_false(rollout_is_canary(&r, &u));
	assert_int_equal(step(&r, &u, beside(1, NULL), NOW + 1), ROLLOUT_GO_ON);
	assert_false(r.canary);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_completes),
		cmocka_unit_test(test_deadline_is_for_progress),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_nothing_to_return_to),
		cmocka_unit_test(test_on_failure),
		cmocka_unit_test(test_pause_after),
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_shares),
		cmocka_unit_test(test_no_way_back),
		cmocka_unit_test(test_no_way_back_in_many_words),
		cmocka_unit_test(test_canary_goes_by_steps),
		cmocka_unit_test(test_bad_canary_is_taken_back_at_once),
		cmocka_unit_test(test_canary_that_does_not_come_up),
		cmocka_unit_test(test_canary_paused),
		cmocka_unit_test(test_bad_canary_may_only_pause),
		cmocka_unit_test(test_canary_promoted),
		cmocka_unit_test(test_canary_beside_nothing),
		cmocka_unit_test(test_canary_whose_steps_have_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
