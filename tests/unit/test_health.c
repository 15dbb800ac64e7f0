/* test_health: Kubernetes' probe semantics under a fake clock. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "daemon/controller/health.h"

static void spec(struct probe_spec *p, int64_t period_ms)
{
	*p = (struct probe_spec){.enabled = true,
				 .period_ms = period_ms,
				 .timeout_ms = 1000,
				 .success_threshold = 1,
				 .failure_threshold = 3,
				 .stall_ms = 10000};
}

/* Runs what is due at t with the given result; -1 verdict when nothing is due. */
static int run(struct health *h, const struct probe_spec *s, int64_t t, enum probe_kind expect,
	       bool ok)
{
	int kind = health_due(h, t);

	if (kind < 0)
		return -1;
	assert_int_equal(kind, expect);
	return (int)health_result(h, s, (enum probe_kind)kind, ok, t);
}

static void test_no_probes_is_ready_at_once(void **state)
{
	struct probe_spec s[PROBE_KIND_MAX_] = {{0}};
	struct health h;

	(void)state;
	assert_int_equal(health_begin(&h, s, 5), HEALTH_READY);
	assert_int_equal(health_next_ms(&h), INT64_MAX); /* no wake-up when nothing is due */
}

static void test_startup_silences_the_others(void **state)
{
	struct probe_spec s[PROBE_KIND_MAX_];
	struct health h;

	(void)state;
	for (int k = 0; k < PROBE_KIND_MAX_; k++)
		spec(&s[k], 1000);
	assert_int_equal(health_begin(&h, s, 0), HEALTH_NONE);
	assert_int_equal(run(&h, s, 0, PROBE_STARTUP, false), HEALTH_NONE);
	assert_int_equal(health_due(&h, 999), -1);
	assert_int_equal(run(&h, s, 1000, PROBE_STARTUP, false), HEALTH_NONE);
	assert_int_equal(run(&h, s, 2000, PROBE_STARTUP, true), HEALTH_NONE);
	assert_int_equal(run(&h, s, 2000, PROBE_READINESS, true), HEALTH_READY);
	assert_int_equal(run(&h, s, 2000, PROBE_LIVENESS, true), HEALTH_NONE);
	assert_int_equal(health_next_ms(&h), 3000);
	for (int64_t t = 3000; t < 60000; t += 1000) { /* the startup probe never runs again */
		assert_int_equal(run(&h, s, t, PROBE_READINESS, true), HEALTH_NONE);
		assert_int_equal(run(&h, s, t, PROBE_LIVENESS, true), HEALTH_NONE);
	}
}

static void test_stall(void **state)
{
	struct probe_spec s[PROBE_KIND_MAX_] = {{0}};
	struct health h;
	int64_t t;

	(void)state;
	spec(&s[PROBE_STARTUP], 1000);
	health_begin(&h, s, 100);
	for (t = 100; t < 10100; t += 1000)
		assert_int_equal(run(&h, s, t, PROBE_STARTUP, false), HEALTH_NONE);
	assert_int_equal(run(&h, s, t, PROBE_STARTUP, false), HEALTH_STALLED);
}

static void test_readiness_thresholds(void **state)
{
	struct probe_spec s[PROBE_KIND_MAX_] = {{0}};
	struct health h;
	int64_t t = 0;

	(void)state;
	spec(&s[PROBE_READINESS], 1000);
	s[PROBE_READINESS].success_threshold = 2;
	health_begin(&h, s, 0);
	assert_int_equal(run(&h, s, t, PROBE_READINESS, true), HEALTH_NONE);
	assert_int_equal(run(&h, s, t += 1000, PROBE_READINESS, false), HEALTH_NONE);
	assert_int_equal(run(&h, s, t += 1000, PROBE_READINESS, true), HEALTH_NONE);
	assert_int_equal(run(&h, s, t += 1000, PROBE_READINESS, true), HEALTH_READY);
	assert_int_equal(run(&h, s, t += 1000, PROBE_READINESS, false), HEALTH_NONE);
	assert_int_equal(run(&h, s, t += 1000, PROBE_READINESS, false), HEALTH_NONE);
	assert_int_equal(run(&h, s, t += 1000, PROBE_READINESS, true),
			 HEALTH_NONE); /* in a row only */
	for (int i = 0; i < 2; i++)
		assert_int_equal(run(&h, s, t += 1000, PROBE_READINESS, false), HEALTH_NONE);
	assert_int_equal(run(&h, s, t += 1000, PROBE_READINESS, false), HEALTH_UNREADY);
	for (int i = 0; i < 50; i++) /* never more than unready */
		assert_int_equal(run(&h, s, t += 1000, PROBE_READINESS, false), HEALTH_NONE);
}

static void test_liveness_and_slow_probes(void **state)
{
	struct probe_spec s[PROBE_KIND_MAX_] = {{0}};
	struct health h;

	(void)state;
	spec(&s[PROBE_LIVENESS], 1000);
	s[PROBE_LIVENESS].initial_delay_ms = 500;
	assert_int_equal(health_begin(&h, s, 0), HEALTH_READY);
	assert_int_equal(health_due(&h, 499), -1);
	assert_int_equal(health_due(&h, 500), PROBE_LIVENESS);
	assert_int_equal(health_due(&h, 9999), -1); /* never two at once */
	assert_int_equal(health_result(&h, s, PROBE_LIVENESS, false, 3000), HEALTH_NONE);
	assert_int_equal(health_next_ms(&h),
			 3000); /* late already: at once, and no burst after it */
	assert_int_equal(run(&h, s, 3000, PROBE_LIVENESS, false), HEALTH_NONE);
	assert_int_equal(health_next_ms(&h), 4000);
	assert_int_equal(run(&h, s, 4000, PROBE_LIVENESS, false), HEALTH_DEAD);
}

static void test_late_result_after_the_end(void **state)
{
	struct probe_spec s[PROBE_KIND_MAX_] = {{0}};
	struct health h;

	(void)state;
	spec(&s[PROBE_LIVENESS], 1000);
	health_begin(&h, s, 0);
	health_due(&h, 0);
	health_end(&h);
	assert_int_equal(health_result(&h, s, PROBE_LIVENESS, false, 10), HEALTH_NONE);
	assert_int_equal(health_next_ms(&h), INT64_MAX);
}

static void test_respec(void **state)
{
	struct probe_spec s[PROBE_KIND_MAX_] = {{0}};
	struct health h;

	(void)state;
	spec(&s[PROBE_READINESS], 1000);
	health_begin(&h, s, 0);
	assert_int_equal(run(&h, s, 0, PROBE_READINESS, false), HEALTH_NONE);
	s[PROBE_READINESS].enabled = false; /* taken out of the manifest: ready now */
	assert_int_equal(health_respec(&h, s, 10), HEALTH_READY);
	assert_int_equal(health_next_ms(&h), INT64_MAX);
	spec(&s[PROBE_LIVENESS], 1000); /* a new one begins at once */
	assert_int_equal(health_respec(&h, s, 20), HEALTH_NONE);
	assert_int_equal(health_due(&h, 20), PROBE_LIVENESS);
}

/* Nothing is due, no late result and no new manifest counts; then it goes on as it was. */
static void test_pause(void **state)
{
	struct probe_spec s[PROBE_KIND_MAX_] = {{0}};
	struct health h;

	(void)state;
	spec(&s[PROBE_READINESS], 1000);
	spec(&s[PROBE_LIVENESS], 1000);
	health_begin(&h, s, 0);
	assert_int_equal(run(&h, s, 0, PROBE_READINESS, true), HEALTH_READY);
	assert_int_equal(health_due(&h, 0), PROBE_LIVENESS);
	health_pause(&h);
	assert_int_equal(health_next_ms(&h), INT64_MAX);
	assert_int_equal(health_due(&h, 100000), -1);
	assert_int_equal(health_result(&h, s, PROBE_LIVENESS, false, 100000), HEALTH_NONE);
	assert_int_equal(health_respec(&h, s, 100000), HEALTH_NONE);
	assert_true(h.ready && h.started);
	health_resume(&h, s, 200000, 0);
	assert_true(h.ready);
	assert_int_equal(h.probes[PROBE_LIVENESS].failures, 0);
	assert_int_equal(run(&h, s, 200000, PROBE_READINESS, true), HEALTH_NONE);
	assert_int_equal(run(&h, s, 200000, PROBE_LIVENESS, true), HEALTH_NONE);
}

static void test_resume(void **state)
{
	struct probe_spec s[PROBE_KIND_MAX_];
	struct health h;

	(void)state;
	for (int k = 0; k < PROBE_KIND_MAX_; k++)
		spec(&s[k], 1000);
	h = (struct health){.started = true, .ready = true, .begun_mono_ms = 5};
	health_resume(&h, s, 100000, 0.5);
	assert_true(h.ready && h.started); /* no new start-up, no flapping */
	assert_int_equal(health_next_ms(&h), 100500);
	h = (struct health){.begun_mono_ms = 95000};
	health_resume(&h, s, 100000, 0);
	assert_int_equal(run(&h, s, 100000, PROBE_STARTUP, false), HEALTH_NONE);
	/* the stall counts from the process' start, not from ours */
	assert_int_equal(run(&h, s, 105000, PROBE_STARTUP, false), HEALTH_STALLED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_probes_is_ready_at_once),
		cmocka_unit_test(test_startup_silences_the_others),
		cmocka_unit_test(test_stall),
		cmocka_unit_test(test_readiness_thresholds),
		cmocka_unit_test(test_liveness_and_slow_probes),
		cmocka_unit_test(test_late_result_after_the_end),
		cmocka_unit_test(test_respec),
		cmocka_unit_test(test_pause),
		cmocka_unit_test(test_resume),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
