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
				 .http = true,
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
	struct health h = {0};

	(void)state;
	assert_int_equal(health_begin(&h, s, 5), HEALTH_READY);
	assert_int_equal(health_next_ms(&h), INT64_MAX); /* no wake-up when nothing is due */
}

/* The first readiness probe at once, all else each replica at its own time. */
static void test_spread(void **state)
{
	struct probe_spec s[PROBE_KIND_MAX_] = {{0}};
	struct health h = {.spread = 0.25};

	(void)state;
	spec(&s[PROBE_READINESS], 1000);
	spec(&s[PROBE_LIVENESS], 10000);
	assert_int_equal(health_begin(&h, s, 0), HEALTH_NONE);
	assert_int_equal(run(&h, s, 0, PROBE_READINESS, true), HEALTH_READY);
	assert_int_equal(health_next_ms(&h), 250);
	assert_int_equal(run(&h, s, 250, PROBE_READINESS, true), HEALTH_NONE);
	assert_int_equal(run(&h, s, 1250, PROBE_READINESS, true), HEALTH_NONE);
	assert_int_equal(health_next_ms(&h), 2250);
	assert_int_equal(run(&h, s, 2250, PROBE_READINESS, true), HEALTH_NONE);
	assert_int_equal(run(&h, s, 2500, PROBE_LIVENESS, true), HEALTH_NONE);
	assert_int_equal(run(&h, s, 3250, PROBE_READINESS, true), HEALTH_NONE);
	for (int64_t t = 4250; t < 12500; t += 1000)
		assert_int_equal(run(&h, s, t, PROBE_READINESS, true), HEALTH_NONE);
	assert_int_equal(run(&h, s, 12500, PROBE_LIVENESS, true), HEALTH_NONE);
}

/* After the startup probe, before readiness; until it has passed the start is not over. */
static void test_warmup(void **state)
{
	struct probe_spec s[PROBE_KIND_MAX_] = {{0}};
	struct health h = {0};

	(void)state;
	for (int k = 0; k < PROBE_KIND_MAX_; k++)
		spec(&s[k], 1000);
	assert_int_equal(health_begin(&h, s, 0), HEALTH_NONE);
	assert_int_equal(run(&h, s, 0, PROBE_STARTUP, true), HEALTH_NONE);
	assert_int_equal(run(&h, s, 0, PROBE_WARMUP, false), HEALTH_NONE);
	assert_false(h.started);
	assert_int_equal(health_due(&h, 999), -1);
	assert_int_equal(run(&h, s, 1000, PROBE_WARMUP, false), HEALTH_NONE);
	assert_true(health_look_due(&h, s, 10000));
	assert_int_equal(health_looked(&h, s, false, 10000), HEALTH_STALLED);
	assert_int_equal(run(&h, s, 11000, PROBE_WARMUP, true), HEALTH_NONE);
	assert_true(h.started);
	assert_int_equal(run(&h, s, 11000, PROBE_READINESS, true), HEALTH_READY);
	assert_int_equal(run(&h, s, 11000, PROBE_LIVENESS, true), HEALTH_NONE);
	for (int64_t t = 12000; t < 30000; t += 1000) { /* it never runs again */
		assert_int_equal(run(&h, s, t, PROBE_READINESS, true), HEALTH_NONE);
		assert_int_equal(run(&h, s, t, PROBE_LIVENESS, true), HEALTH_NONE);
		assert_int_equal(health_due(&h, t), -1);
	}
	health_resume(&h, s, 40000, 0); /* nor after the controller's death */
	assert_int_equal(run(&h, s, 40000, PROBE_READINESS, true), HEALTH_NONE);
	assert_int_equal(run(&h, s, 40000, PROBE_LIVENESS, true), HEALTH_NONE);
	assert_int_equal(health_due(&h, 40000), -1);
}

/* Nothing else is asked of the start; taken away while it goes on, the start is over. */
static void test_warmup_alone(void **state)
{
	struct probe_spec s[PROBE_KIND_MAX_] = {{0}};
	struct health h = {0};

	(void)state;
	spec(&s[PROBE_WARMUP], 1000);
	s[PROBE_STARTUP].stall_ms = 10000;
	assert_int_equal(health_begin(&h, s, 0), HEALTH_NONE);
	assert_int_equal(run(&h, s, 0, PROBE_WARMUP, false), HEALTH_NONE);
	assert_int_equal(health_respec(&h, s, 500), HEALTH_NONE);
	assert_int_equal(run(&h, s, 1000, PROBE_WARMUP, true), HEALTH_READY);
	health_end(&h);
	assert_int_equal(health_begin(&h, s, 2000), HEALTH_NONE);
	s[PROBE_WARMUP].enabled = false;
	assert_int_equal(health_respec(&h, s, 2500), HEALTH_READY);
	assert_int_equal(health_due(&h, 100000), -1);
}

static void test_startup_silences_the_others(void **state)
{
	struct probe_spec s[PROBE_KIND_MAX_] = {{0}};
	struct health h = {0};

	(void)state;
	for (int k = 0; k < PROBE_KEYS; k++)
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

/* Looks at t for evidence; -1: it is not time to. */
static int look(struct health *h, const struct probe_spec *s, int64_t t, bool progress)
{
	return health_look_due(h, s, t) ? (int)health_looked(h, s, progress, t) : -1;
}

static void test_stall(void **state)
{
	struct probe_spec s[PROBE_KIND_MAX_] = {{0}};
	struct health h = {0};
	int64_t t;

	(void)state;
	spec(&s[PROBE_STARTUP], 1000);
	health_begin(&h, s, 100);
	for (t = 100; t < 60100; t += 1000) /* that it fails is not what counts */
		assert_int_equal(run(&h, s, t, PROBE_STARTUP, false), HEALTH_NONE);
	assert_int_equal(health_looked(&h, s, true, 60100), HEALTH_NONE);
	for (t = 60100; t < 70100; t += 1250)
		assert_int_equal(look(&h, s, t, false), HEALTH_NONE);
	assert_int_equal(look(&h, s, t, false), HEALTH_STALLED);
	assert_int_equal(look(&h, s, t + 1, false), -1);
}

static void test_a_start_with_progress_is_left_alone(void **state)
{
	struct probe_spec s[PROBE_KIND_MAX_] = {{0}};
	struct health h = {0};

	(void)state;
	spec(&s[PROBE_STARTUP], 1000);
	health_begin(&h, s, 0);
	for (int64_t t = 0; t < 600000; t += 1250) { /* at each last moment */
		int v = look(&h, s, t, t % 10000 == 8750);

		assert_true(v == HEALTH_NONE || v == -1);
	}
	s[PROBE_STARTUP].deadline_ms = 700000;
	assert_int_equal(health_respec(&h, s, 600000), HEALTH_NONE);
	assert_int_equal(health_looked(&h, s, true, 699999), HEALTH_NONE);
	assert_int_equal(health_next_ms(&h) > 699999, false);
	assert_int_equal(health_looked(&h, s, true, 700000), HEALTH_LATE);
}

static void test_a_start_may_ask_for_time(void **state)
{
	struct probe_spec s[PROBE_KIND_MAX_] = {{0}};
	struct health h = {0};

	(void)state;
	spec(&s[PROBE_STARTUP], 1000);
	health_begin(&h, s, 0);
	assert_int_equal(health_push(&h, s, false, 50000, 1000), HEALTH_NONE);
	assert_int_equal(health_looked(&h, s, false, 49999), HEALTH_NONE);
	assert_int_equal(health_looked(&h, s, false, 50000), HEALTH_STALLED);
	s[PROBE_STARTUP].deadline_ms = 20000; /* not beyond that */
	assert_int_equal(health_looked(&h, s, false, 20000), HEALTH_LATE);
}

static void test_no_look_after_the_start(void **state)
{
	struct probe_spec s[PROBE_KIND_MAX_] = {{0}};
	struct health h = {0};

	(void)state;
	spec(&s[PROBE_STARTUP], 1000);
	health_begin(&h, s, 0);
	assert_int_equal(run(&h, s, 0, PROBE_STARTUP, true), HEALTH_READY);
	assert_int_equal(look(&h, s, 100000, false), -1);
	assert_int_equal(health_looked(&h, s, false, 100000), HEALTH_NONE); /* a late answer */
	assert_int_equal(health_next_ms(&h), INT64_MAX);
}

static void test_a_word_is_awaited(void **state)
{
	struct probe_spec s[PROBE_KIND_MAX_] = {{0}};
	struct health h = {0};

	(void)state;
	spec(&s[PROBE_LIVENESS], 1000);
	s[PROBE_READINESS] = (struct probe_spec){.enabled = true, .notify = 1};
	s[PROBE_STARTUP].stall_ms = 10000; /* the default's place */
	assert_int_equal(health_begin(&h, s, 0), HEALTH_NONE);
	assert_int_equal(health_due(&h, 5000), -1); /* the start is not over */
	assert_int_equal(look(&h, s, 10000, false), HEALTH_STALLED);
	assert_int_equal(health_push(&h, s, true, 0, 10000), HEALTH_READY);
	assert_int_equal(run(&h, s, 10000, PROBE_LIVENESS, true), HEALTH_NONE);
	assert_int_equal(health_push(&h, s, true, 0, 10001), HEALTH_NONE);
	assert_int_equal(health_push(&h, s, false, 0, 10002), HEALTH_UNREADY); /* STOPPING=1 */
	assert_int_equal(health_push(&h, s, true, 0, 10003), HEALTH_READY);
	health_end(&h);
	assert_int_equal(health_begin(&h, s, 20000), HEALTH_NONE); /* another process */
}

static void test_a_word_that_came_early_counts(void **state)
{
	struct probe_spec s[PROBE_KIND_MAX_] = {{0}};
	struct health h = {0};

	(void)state;
	s[PROBE_READINESS] = (struct probe_spec){.enabled = true, .notify_fd = 3};
	assert_int_equal(health_push(&h, s, true, 0, 0), HEALTH_NONE);
	assert_int_equal(health_begin(&h, s, 1), HEALTH_READY);
}

static void test_a_word_and_a_probe_must_both_hold(void **state)
{
	struct probe_spec s[PROBE_KIND_MAX_] = {{0}};
	struct health h = {0};
	int64_t t = 0;

	(void)state;
	spec(&s[PROBE_STARTUP], 1000);
	spec(&s[PROBE_READINESS], 1000);
	s[PROBE_READINESS].notify = 1;
	assert_int_equal(health_begin(&h, s, 0), HEALTH_NONE);
	assert_int_equal(health_push(&h, s, true, 0, 0),
			 HEALTH_NONE); /* there is a startup probe */
	assert_int_equal(run(&h, s, t, PROBE_STARTUP, true), HEALTH_NONE);
	assert_int_equal(run(&h, s, t, PROBE_READINESS, true), HEALTH_READY);
	assert_int_equal(health_push(&h, s, false, 0, t), HEALTH_UNREADY);
	assert_int_equal(run(&h, s, t += 1000, PROBE_READINESS, true), HEALTH_NONE);
	assert_int_equal(health_push(&h, s, true, 0, t), HEALTH_READY);
	for (int i = 0; i < 2; i++)
		assert_int_equal(run(&h, s, t += 1000, PROBE_READINESS, false), HEALTH_NONE);
	assert_int_equal(run(&h, s, t += 1000, PROBE_READINESS, false), HEALTH_UNREADY);
	assert_int_equal(health_push(&h, s, true, 0, t), HEALTH_NONE);
}

static void test_readiness_thresholds(void **state)
{
	struct probe_spec s[PROBE_KIND_MAX_] = {{0}};
	struct health h = {0};
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
	struct health h = {0};

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
	struct health h = {0};

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
	struct health h = {0};

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
	struct health h = {0};

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
	struct probe_spec s[PROBE_KIND_MAX_] = {{0}};
	struct health h = {0};

	(void)state;
	for (int k = 0; k < PROBE_KEYS; k++)
		spec(&s[k], 1000);
	h = (struct health){.started = true, .ready = true, .begun_mono_ms = 5};
	health_resume(&h, s, 100000, 0.5);
	assert_true(h.ready && h.started); /* no new start-up, no flapping */
	assert_int_equal(health_next_ms(&h), 100500);
	h = (struct health){.begun_mono_ms = 95000};
	health_resume(&h, s, 100000, 0);
	assert_int_equal(run(&h, s, 100000, PROBE_STARTUP, false), HEALTH_NONE);
	/* Of progress before we have no evidence; the deadline counts from the process' start. */
	assert_int_equal(health_looked(&h, s, false, 109999), HEALTH_NONE);
	assert_int_equal(health_looked(&h, s, false, 110000), HEALTH_STALLED);
	s[PROBE_STARTUP].deadline_ms = 6000;
	assert_int_equal(health_looked(&h, s, false, 101000), HEALTH_LATE);
	/* What is known of it counts, but for a time when it was frozen: that moved the beginning. */
	s[PROBE_STARTUP].deadline_ms = 0;
	h = (struct health){.begun_mono_ms = 90000, .progress_mono_ms = 95000};
	health_resume(&h, s, 100000, 0);
	assert_int_equal(health_looked(&h, s, false, 104999), HEALTH_NONE);
	assert_int_equal(health_looked(&h, s, false, 105000), HEALTH_STALLED);
	h = (struct health){.begun_mono_ms = 99000, .progress_mono_ms = 95000};
	health_resume(&h, s, 100000, 0);
	assert_int_equal(health_looked(&h, s, false, 108999), HEALTH_NONE);
	assert_int_equal(health_looked(&h, s, false, 109000), HEALTH_STALLED);
	h = (struct health){.begun_mono_ms = 90000, .progress_mono_ms = 200000}; /* nonsense */
	health_resume(&h, s, 100000, 0);
	assert_int_equal(health_looked(&h, s, false, 109999), HEALTH_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_probes_is_ready_at_once),
		cmocka_unit_test(test_spread),
		cmocka_unit_test(test_warmup),
		cmocka_unit_test(test_warmup_alone),
		cmocka_unit_test(test_startup_silences_the_others),
		cmocka_unit_test(test_stall),
		cmocka_unit_test(test_a_start_with_progress_is_left_alone),
		cmocka_unit_test(test_a_start_may_ask_for_time),
		cmocka_unit_test(test_no_look_after_the_start),
		cmocka_unit_test(test_a_word_is_awaited),
		cmocka_unit_test(test_a_word_that_came_early_counts),
		cmocka_unit_test(test_a_word_and_a_probe_must_both_hold),
		cmocka_unit_test(test_readiness_thresholds),
		cmocka_unit_test(test_liveness_and_slow_probes),
		cmocka_unit_test(test_late_result_after_the_end),
		cmocka_unit_test(test_respec),
		cmocka_unit_test(test_pause),
		cmocka_unit_test(test_resume),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
