/* test_policy: back-off, reset, budget, slow mode, and the kinds of end, at exact times. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "daemon/controller/policy.h"
#include "lib/manifest.h"

static struct restart_spec defaults(void)
{
	return (struct restart_spec){.policy = RESTART_ALWAYS,
				     .backoff_initial_ms = 1000,
				     .backoff_factor = 2,
				     .backoff_max_ms = 60000,
				     .backoff_jitter = 0,
				     .budget_restarts = 0,
				     .budget_window_ms = 600000,
				     .budget_then = BUDGET_SLOW};
}

static struct policy_decision crash(const struct restart_spec *spec, struct policy_state *st,
				    int64_t now, int64_t ready_ms)
{
	const struct policy_end end = {.now_mono_ms = now, .ready_ms = ready_ms};

	return policy_after_end(spec, st, &end);
}

static void test_doubles_up_to_max(void **state)
{
	static const int64_t want[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
	struct restart_spec spec = defaults();
	struct policy_state st __attribute__((cleanup(policy_reset))) = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		struct policy_decision d = crash(&spec, &st, 5000, 0);

		assert_int_equal(d.verdict, POLICY_RESTART);
		assert_int_equal(d.delay_ms, want[i]);
		assert_int_equal(d.next_at_mono_ms, 5000 + want[i]);
	}
}

static void test_at_once_after_reset_time(void **state)
{
	struct restart_spec spec = defaults();
	struct policy_state st __attribute__((cleanup(policy_reset))) = {0};

	(void)state;
	assert_int_equal(crash(&spec, &st, 0, 60000).delay_ms, 0);
	assert_int_equal(crash(&spec, &st, 0, 59999).delay_ms, 1000);
	for (int i = 0; i < 8; i++)
		crash(&spec, &st, 0, 0);
	/* the last delay was 60 s: two minutes are needed now */
	assert_int_equal(crash(&spec, &st, 0, 119999).delay_ms, 60000);
	assert_int_equal(crash(&spec, &st, 0, 120000).delay_ms, 0);
	assert_int_equal(crash(&spec, &st, 0, 0).delay_ms, 1000);
}

static void test_jitter(void **state)
{
	struct restart_spec spec = defaults();
	struct policy_end end = {.now_mono_ms = 0, .random = -1};
	struct policy_state st __attribute__((cleanup(policy_reset))) = {0};

	(void)state;
	spec.backoff_jitter = 0.2;
	assert_int_equal(policy_after_end(&spec, &st, &end).delay_ms, 800);
	end.random = 1;
	assert_int_equal(policy_after_end(&spec, &st, &end).delay_ms, 2400);
}

static void test_initial_zero_is_always_at_once(void **state)
{
	struct restart_spec spec = defaults();
	struct policy_state st __attribute__((cleanup(policy_reset))) = {0};

	(void)state;
	spec.backoff_initial_ms = 0;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(crash(&spec, &st, i, 0).delay_ms, 0);
}

static void test_budget_then_slow(void **state)
{
	struct restart_spec spec = defaults();
	struct policy_state st __attribute__((cleanup(policy_reset))) = {0};
	struct policy_decision d;

	(void)state;
	spec.budget_restarts = 3;
	for (int i = 0; i < 3; i++)
		assert_false(crash(&spec, &st, i, 0).slow);
	d = crash(&spec, &st, 3, 0);
	assert_true(d.slow);
	assert_int_equal(d.delay_ms, POLICY_SLOW_MS);
	/* slow mode stays, even when the window is empty again */
	assert_true(crash(&spec, &st, 10000000, 0).slow);
	/* until it has been ready for the reset time, twice the slow delay */
	assert_true(crash(&spec, &st, 10000000, 2 * POLICY_SLOW_MS - 1).slow);
	assert_false(crash(&spec, &st, 10000000, 2 * POLICY_SLOW_MS).slow);
}

static void test_budget_window_forgets(void **state)
{
	struct restart_spec spec = defaults();
	struct policy_state st __attribute__((cleanup(policy_reset))) = {0};

	(void)state;
	spec.budget_restarts = 2;
	spec.budget_window_ms = 1000;
	crash(&spec, &st, 0, 0);
	crash(&spec, &st, 500, 0);
	assert_false(crash(&spec, &st, 1501, 0).slow); /* both are older than the window */
	assert_int_equal(st.n_recent, 1);
}

static void test_budget_then_fail(void **state)
{
	struct restart_spec spec = defaults();
	struct policy_state st __attribute__((cleanup(policy_reset))) = {0};
	struct policy_decision d;

	(void)state;
	spec.budget_restarts = 1;
	spec.budget_then = BUDGET_FAIL;
	crash(&spec, &st, 0, 0);
	d = crash(&spec, &st, 1, 0);
	assert_int_equal(d.verdict, POLICY_FAILED);
	assert_true(d.budget_spent);
	policy_reset(&st); /* the user restarts it */
	assert_int_equal(crash(&spec, &st, 2, 0).verdict, POLICY_RESTART);
}

static void test_policies(void **state)
{
	const struct policy_end good = {.exited = true}, bad = {0};
	struct restart_spec spec = defaults();
	struct policy_state st __attribute__((cleanup(policy_reset))) = {0};

	(void)state;
	assert_int_equal(policy_after_end(&spec, &st, &good).verdict, POLICY_RESTART);
	spec.policy = RESTART_ON_FAILURE;
	assert_int_equal(policy_after_end(&spec, &st, &good).verdict, POLICY_SUCCEEDED);
	assert_int_equal(policy_after_end(&spec, &st, &bad).verdict, POLICY_RESTART);
	spec.policy = RESTART_NEVER;
	assert_int_equal(policy_after_end(&spec, &st, &good).verdict, POLICY_SUCCEEDED);
	assert_int_equal(policy_after_end(&spec, &st, &bad).verdict, POLICY_FAILED);
}

static enum policy_verdict exit_with(const struct restart_spec *spec, int code)
{
	const struct policy_end end = {.exited = true, .code = code};
	struct policy_state st __attribute__((cleanup(policy_reset))) = {0};

	return policy_after_end(spec, &st, &end).verdict;
}

static void test_success_exit_codes(void **state)
{
	int64_t codes[] = {0, 3};
	const struct policy_end killed = {.code = 3}; /* not exited: the code means nothing */
	struct restart_spec spec = defaults();
	struct policy_state st __attribute__((cleanup(policy_reset))) = {0};

	(void)state;
	spec.policy = RESTART_ON_FAILURE;
	assert_int_equal(exit_with(&spec, 3), POLICY_RESTART);
	spec.success_exit_codes = (struct spec_ints){codes, 2};
	assert_int_equal(exit_with(&spec, 3), POLICY_SUCCEEDED);
	assert_int_equal(exit_with(&spec, 0), POLICY_SUCCEEDED);
	assert_int_equal(exit_with(&spec, 1), POLICY_RESTART);
	assert_int_equal(policy_after_end(&spec, &st, &killed).verdict, POLICY_RESTART);
	spec.policy = RESTART_NEVER;
	assert_int_equal(exit_with(&spec, 3), POLICY_SUCCEEDED);
	assert_int_equal(exit_with(&spec, 1), POLICY_FAILED);
	spec.policy = RESTART_ALWAYS;
	assert_int_equal(exit_with(&spec, 3), POLICY_RESTART);
	/* those that are given replace the 0 */
	spec.policy = RESTART_ON_FAILURE;
	spec.success_exit_codes = (struct spec_ints){codes + 1, 1};
	assert_int_equal(exit_with(&spec, 0), POLICY_RESTART);
}

static void test_first_rule_decides(void **state)
{
	int64_t bad[] = {125, 126}, done[] = {126, 9}, again[] = {0};
	struct restart_rule rules[] = {{.exit = {bad, 2}, .then = RULE_FAIL},
				       {.exit = {done, 2}, .then = RULE_SUCCEED},
				       {.exit = {again, 1}, .then = RULE_RESTART}};
	const struct policy_end killed = {.code = 125}, end = {.exited = true, .code = 125};
	struct restart_spec spec = defaults();
	struct policy_state st __attribute__((cleanup(policy_reset))) = {0};
	struct policy_decision d;

	(void)state;
	spec.rules = (struct spec_table){rules, 3};
	assert_int_equal(exit_with(&spec, 125), POLICY_FAILED);
	assert_int_equal(exit_with(&spec, 126), POLICY_FAILED); /* the first that names it */
	assert_int_equal(exit_with(&spec, 9), POLICY_SUCCEEDED);
	assert_int_equal(exit_with(&spec, 1), POLICY_RESTART); /* none: by the policy */
	d = policy_after_end(&spec, &st, &end);
	assert_true(d.by_rule);
	assert_string_equal(policy_rule_name(d.then), "fail");
	assert_false(policy_after_end(&spec, &st, &killed).by_rule);
	spec.policy = RESTART_NEVER;
	assert_int_equal(exit_with(&spec, 0), POLICY_RESTART); /* above success and policy */
	assert_int_equal(exit_with(&spec, 1), POLICY_FAILED);
}

static void test_rule_restart_obeys_backoff_and_budget(void **state)
{
	int64_t again[] = {7};
	struct restart_rule rule = {.exit = {again, 1}, .then = RULE_RESTART};
	const struct policy_end end = {.exited = true, .code = 7};
	struct restart_spec spec = defaults();
	struct policy_state st __attribute__((cleanup(policy_reset))) = {0};
	struct policy_decision d;

	(void)state;
	spec.policy = RESTART_NEVER;
	spec.rules = (struct spec_table){&rule, 1};
	spec.budget_restarts = 1;
	spec.budget_then = BUDGET_FAIL;
	assert_int_equal(policy_after_end(&spec, &st, &end).delay_ms, 1000);
	d = policy_after_end(&spec, &st, &end);
	assert_int_equal(d.verdict, POLICY_FAILED);
	assert_true(d.budget_spent);
}

static void test_no_standing_order_with_ending_rules(void **state)
{
	int64_t codes[] = {7};
	struct restart_rule rule = {.exit = {codes, 1}, .then = RULE_RESTART};
	struct restart_spec spec = defaults();
	struct policy_state st __attribute__((cleanup(policy_reset))) = {0};

	(void)state;
	spec.backoff_initial_ms = 0;
	spec.rules = (struct spec_table){&rule, 1};
	assert_int_equal(policy_at_once_from(&spec, &st, 0), 0);
	rule.then = RULE_FAIL;
	assert_true(policy_at_once_from(&spec, &st, 0) == INT64_MAX);
	rule.then = RULE_SUCCEED;
	assert_true(policy_at_once_from(&spec, &st, 0) == INT64_MAX);
}

static void test_memory_is_bounded(void **state)
{
	struct restart_spec spec = defaults();
	struct policy_state st __attribute__((cleanup(policy_reset))) = {0};

	(void)state;
	crash(&spec, &st, 0, 0);
	assert_int_equal(st.n_recent, 0); /* no budget: nothing to remember */
	spec.budget_restarts = POLICY_BUDGET_MAX;
	spec.budget_window_ms = INT64_MAX;
	for (int i = 0; i < 3 * POLICY_BUDGET_MAX; i++)
		crash(&spec, &st, i, 0);
	assert_int_equal(st.n_recent, POLICY_BUDGET_MAX);
	assert_int_equal(st.recent_mono_ms[POLICY_BUDGET_MAX - 1], 3 * POLICY_BUDGET_MAX - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_doubles_up_to_max),
		cmocka_unit_test(test_at_once_after_reset_time),
		cmocka_unit_test(test_jitter),
		cmocka_unit_test(test_initial_zero_is_always_at_once),
		cmocka_unit_test(test_budget_then_slow),
		cmocka_unit_test(test_budget_window_forgets),
		cmocka_unit_test(test_budget_then_fail),
		cmocka_unit_test(test_policies),
		cmocka_unit_test(test_success_exit_codes),
		cmocka_unit_test(test_first_rule_decides),
		cmocka_unit_test(test_rule_restart_obeys_backoff_and_budget),
		cmocka_unit_test(test_no_standing_order_with_ending_rules),
		cmocka_unit_test(test_memory_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
