/* task: when a run is due, what was missed, retries, how an attempt's end counts. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "daemon/controller/task.h"
#include "lib/cron.h"
#include "lib/manifest.h"
#include "lib/mem.h"
#include "lib/tz.h"

#define S INT64_C(1000)
#define MIN (60 * S)
#define H (60 * MIN)
#define DAY (24 * H)
#define MIDNIGHT (20000 * DAY) /* 2024-10-04, a Friday */

/* ---- every ---- */

static const struct task_clock hourly = {.every_ms = H},
			       catches_up = {.every_ms = H, .run_missed = true};

static void test_not_yet(void **state)
{
	const struct task_due d = task_ask(&hourly, 5000, 5000 + H - 1);

	(void)state;
	assert_int_equal(d.verdict, TASK_NOT_YET);
	assert_int_equal(d.next_wall_ms, 5000 + H);
	assert_int_equal(d.after_wall_ms, 5000);
}

static void test_due_keeps_the_phase(void **state)
{
	const struct task_due d = task_ask(&hourly, 5000, 5000 + H + 700);

	(void)state;
	assert_int_equal(d.verdict, TASK_DUE);
	assert_int_equal(d.at_wall_ms, 5000 + H);
	assert_int_equal(d.after_wall_ms, 5000 + H);
	assert_int_equal(d.next_wall_ms, 5000 + 2 * H);
	assert_int_equal(task_ask(&hourly, d.after_wall_ms, 5000 + H + 700).verdict, TASK_NOT_YET);
}

/* Of ten that have passed one is left, and it is run or not. */
static void test_missed(void **state)
{
	struct task_due d = task_ask(&hourly, 0, 10 * H + TASK_LATE_MS + 1);

	(void)state;
	assert_int_equal(d.verdict, TASK_MISSED);
	assert_int_equal(d.at_wall_ms, 10 * H);
	assert_int_equal(d.next_wall_ms, 11 * H);
	assert_int_equal(task_ask(&hourly, d.after_wall_ms, 10 * H + 2 * TASK_LATE_MS).verdict,
			 TASK_NOT_YET);
	d = task_ask(&catches_up, 0, 10 * H + TASK_LATE_MS + 1);
	assert_int_equal(d.verdict, TASK_DUE);
	assert_int_equal(d.at_wall_ms, 10 * H);
	assert_int_equal(task_ask(&catches_up, d.after_wall_ms, 10 * H + 2 * TASK_LATE_MS).verdict,
			 TASK_NOT_YET);
}

/* The daemon's own restart misses nothing. */
static void test_a_little_late(void **state)
{
	(void)state;
	assert_int_equal(task_ask(&hourly, 0, H + TASK_LATE_MS).verdict, TASK_DUE);
	assert_int_equal(task_ask(&hourly, 0, 7 * H + TASK_LATE_MS).verdict, TASK_DUE);
	assert_int_equal(task_ask(&hourly, 0, 7 * H + TASK_LATE_MS).at_wall_ms, 7 * H);
}

static void test_the_clock_is_set_back(void **state)
{
	struct task_due d = task_ask(&hourly, 10 * H, 10 * H - TASK_LATE_MS);

	(void)state;
	assert_int_equal(d.verdict, TASK_NOT_YET); /* a bit: the same run does not come twice */
	assert_int_equal(d.next_wall_ms, 11 * H);
	d = task_ask(&hourly, 10 * H, 2 * H);
	assert_int_equal(d.verdict, TASK_NOT_YET);
	assert_int_equal(d.next_wall_ms, 3 * H); /* much: not nine hours without a run */
}

/* Two runs of one time never, whatever the steps between the looks; and none is left out. */
static void test_walk(void **state)
{
	const struct task_clock t = {.every_ms = 7 * S};
	int64_t after = 0, last = 0, n = 0;
	uint64_t random = 88172645463325252;

	(void)state;
	for (int64_t now = 0; now < 3 * H; now += (int64_t)(random % 3000)) {
		const struct task_due d = task_ask(&t, after, now);

		after = d.after_wall_ms;
		assert_true(d.next_wall_ms > now && d.next_wall_ms <= now + 7 * S);
		if (d.verdict == TASK_DUE) {
			assert_int_equal(d.at_wall_ms, last + 7 * S);
			last = d.at_wall_ms;
			n++;
		}
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
	}
	assert_true(n >= 3 * H / (7 * S) - 1);
}

/* ---- cron ---- */

static struct task_due ask_cron(const char *text, const struct tz *tz, bool run_missed,
				int64_t after, int64_t now)
{
	struct task_clock t = {.tz = tz, .run_missed = run_missed};
	struct cron cron;

	assert_int_equal(cron_parse(text, &cron, NULL), 0);
	t.cron = &cron;
	return task_ask(&t, after, now);
}

static void test_cron(void **state)
{
	struct task_due d = ask_cron("0 3 * * *", NULL, false, MIDNIGHT, MIDNIGHT + H);

	(void)state;
	assert_int_equal(d.verdict, TASK_NOT_YET);
	assert_int_equal(d.next_wall_ms, MIDNIGHT + 3 * H);
	d = ask_cron("0 3 * * *", NULL, false, MIDNIGHT, MIDNIGHT + 3 * H);
	assert_int_equal(d.verdict, TASK_DUE);
	assert_int_equal(d.at_wall_ms, MIDNIGHT + 3 * H);
	assert_int_equal(d.next_wall_ms, MIDNIGHT + DAY + 3 * H);
	/* the same second again: the timer may be early, the clock stepped by little */
	d = ask_cron("0 3 * * *", NULL, false, d.after_wall_ms, MIDNIGHT + 3 * H + 1);
	assert_int_equal(d.verdict, TASK_NOT_YET);
}

static void test_cron_missed(void **state)
{
	const int64_t now = MIDNIGHT + 40 * DAY + 8 * H;
	struct task_due d = ask_cron("0 3 * * *", NULL, false, MIDNIGHT, now);

	(void)state;
	assert_int_equal(d.verdict, TASK_MISSED);
	assert_int_equal(d.next_wall_ms, MIDNIGHT + 41 * DAY + 3 * H);
	d = ask_cron("0 3 * * *", NULL, true, MIDNIGHT, now);
	assert_int_equal(d.verdict, TASK_DUE);
	assert_int_equal(ask_cron("0 3 * * *", NULL, true, d.after_wall_ms, now + 1).verdict,
			 TASK_NOT_YET);
	/* every minute for forty days: the newest, and at once */
	d = ask_cron("* * * * *", NULL, false, MIDNIGHT, now + 10 * S);
	assert_int_equal(d.verdict, TASK_DUE);
	assert_int_equal(d.at_wall_ms, now);
}

static void test_cron_never(void **state)
{
	const struct task_due d =
		ask_cron("0 0 30 2 *", NULL, true, MIDNIGHT, MIDNIGHT + 400 * DAY);

	(void)state;
	assert_int_equal(d.verdict, TASK_NOT_YET);
	assert_int_equal(d.next_wall_ms, TASK_NEVER);
}

static void test_cron_in_a_zone(void **state)
{
	struct tz *tz = NULL;
	struct task_due d;

	(void)state;
	if (tz_load("Europe/Vienna", &tz, NULL) < 0)
		skip();
	d = ask_cron("0 3 * * *", tz, false, MIDNIGHT, MIDNIGHT);
	assert_int_equal(d.next_wall_ms, MIDNIGHT + H); /* summer time */
	d = ask_cron("0 3 * * *", tz, false, MIDNIGHT + 60 * DAY, MIDNIGHT + 60 * DAY);
	assert_int_equal(d.next_wall_ms, MIDNIGHT + 60 * DAY + 2 * H);
	tz_free(tz);
}

/* ---- the end of an attempt ---- */

static struct service_spec spec_of(int64_t type, int64_t retries)
{
	return (struct service_spec){.type = type,
				     .retries = retries,
				     .restart = {.policy = RESTART_ALWAYS,
						 .backoff_initial_ms = 1000,
						 .backoff_factor = 2,
						 .backoff_max_ms = 60000,
						 .budget_restarts = 1,
						 .budget_window_ms = H}};
}

static const struct policy_end good = {.exited = true, .now_mono_ms = 5000},
			       bad = {.exited = true, .code = 1, .now_mono_ms = 5000},
			       killed = {.now_mono_ms = 5000},
			       /* had been ready for a day: no attempt more for that */
	late = {.exited = true, .code = 1, .ready_ms = DAY, .now_mono_ms = 5000};

static void test_a_service_has_its_policy(void **state)
{
	const struct service_spec spec = spec_of(SPEC_SERVICE, 5);
	struct policy_state st = {0};

	(void)state;
	assert_int_equal(task_after_end(&spec, &st, &good).verdict, POLICY_RESTART);
	assert_true(task_after_end(&spec, &st, &good).slow); /* its budget, too */
	policy_reset(&st);
}

static void test_retries(void **state)
{
	const struct policy_end *const ends[] = {&bad, &killed, &late};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		const struct service_spec spec = spec_of(SPEC_TASK, 2);
		struct policy_state st = {0};
		struct policy_decision d = task_after_end(&spec, &st, ends[i]);

		assert_int_equal(d.verdict, POLICY_RESTART);
		assert_int_equal(d.next_at_mono_ms, 6000);
		d = task_after_end(&spec, &st, ends[i]);
		assert_int_equal(d.verdict, POLICY_RESTART);
		assert_int_equal(d.next_at_mono_ms, 7000);
		d = task_after_end(&spec, &st, ends[i]);
		assert_int_equal(d.verdict, POLICY_FAILED);
		assert_true(d.retries_spent && !d.slow && !d.budget_spent);
		assert_int_equal(st.streak, 0); /* the next run has all of them again */
		policy_reset(&st);
	}
}

static void test_no_retries(void **state)
{
	const struct service_spec spec = spec_of(SPEC_TASK, 0);
	struct policy_state st = {0};
	const struct policy_decision d = task_after_end(&spec, &st, &bad);

	(void)state;
	assert_int_equal(d.verdict, POLICY_FAILED);
	assert_false(d.retries_spent); /* there were none to spend */
	assert_int_equal(task_after_end(&spec, &st, &good).verdict, POLICY_SUCCEEDED);
}

static void test_a_success_after_failures(void **state)
{
	const struct service_spec spec = spec_of(SPEC_TASK, 1);
	struct policy_state st = {0};

	(void)state;
	assert_int_equal(task_after_end(&spec, &st, &bad).verdict, POLICY_RESTART);
	assert_int_equal(task_after_end(&spec, &st, &good).verdict, POLICY_SUCCEEDED);
	assert_int_equal(task_after_end(&spec, &st, &bad).verdict, POLICY_RESTART);
	policy_reset(&st);
}

static void test_codes_and_rules(void **state)
{
	int64_t codes[] = {0, 3}, four = 4, one = 1;
	struct restart_rule rules[] = {{.exit = {&four, 1}, .then = RULE_FAIL},
				       {.exit = {&one, 1}, .then = RULE_SUCCEED}};
	const struct policy_end three = {.exited = true, .code = 3},
				fourth = {.exited = true, .code = 4};
	struct service_spec spec = spec_of(SPEC_TASK, 5);
	struct policy_state st = {0};

	(void)state;
	spec.restart.success_exit_codes = (struct spec_ints){codes, 2};
	spec.restart.rules = (struct spec_table){rules, 2};
	assert_int_equal(task_after_end(&spec, &st, &three).verdict, POLICY_SUCCEEDED);
	assert_int_equal(task_after_end(&spec, &st, &fourth).verdict, POLICY_FAILED);
	assert_int_equal(task_after_end(&spec, &st, &bad).verdict, POLICY_SUCCEEDED);
	assert_int_equal(task_outcome(&spec, "exit", 3), 1);
	assert_int_equal(task_outcome(&spec, "exit", 4), 0);
	assert_int_equal(task_outcome(&spec, "exit", 1), 1);
	assert_int_equal(task_outcome(&spec, "exit", 2), 0);
}

static void test_outcome(void **state)
{
	static const char *const failures[] = {"signal", "oom",	  "start", "timeout",
					       "probe",	 "stall", "lost"};
	static const char *const ours[] = {"user", "update", "shutdown", "delete", "scale"};
	const struct service_spec spec = spec_of(SPEC_TASK, 0);

	(void)state;
	assert_int_equal(task_outcome(&spec, "exit", 0), 1);
	for (size_t i = 0; i < ARRAY_SIZE(failures); i++)
		assert_int_equal(task_outcome(&spec, failures[i], 0), 0);
	for (size_t i = 0; i < ARRAY_SIZE(ours); i++) /* it ended, but not its work */
		assert_int_equal(task_outcome(&spec, ours[i], 0), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_not_yet),
		cmocka_unit_test(test_due_keeps_the_phase),
		cmocka_unit_test(test_missed),
		cmocka_unit_test(test_a_little_late),
		cmocka_unit_test(test_the_clock_is_set_back),
		cmocka_unit_test(test_walk),
		cmocka_unit_test(test_cron),
		cmocka_unit_test(test_cron_missed),
		cmocka_unit_test(test_cron_never),
		cmocka_unit_test(test_cron_in_a_zone),
		cmocka_unit_test(test_a_service_has_its_policy),
		cmocka_unit_test(test_retries),
		cmocka_unit_test(test_no_retries),
		cmocka_unit_test(test_a_success_after_failures),
		cmocka_unit_test(test_codes_and_rules),
		cmocka_unit_test(test_outcome),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
