/*
 * test_autoscale: the arithmetic in single decisions, and whole loads that are played. What is
 * asserted of a load holds for each decision of it.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "daemon/controller/autoscale.h"
#include "lib/mem.h"
#include "tests/unit/autoscale_rig.h"

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define NOW (100 * MINUTE)

static struct autoscale_rules rules_of(enum autoscale_kind kind, double target)
{
	return (struct autoscale_rules){.window_ms = MINUTE,
					.panic_window_ms = 6 * SECOND,
					.panic_threshold = 2,
					.max_up_rate = 1000,
					.max_down_rate = 2,
					.tolerance = 0.1,
					.stabilization_ms = 5 * MINUTE,
					.n = 1,
					.goals = {{kind, target, NULL}}};
}

static struct autoscale_in in_of(unsigned current, unsigned ready)
{
	return (struct autoscale_in){.now_mono_ms = NOW,
				     .current = current,
				     .ready = ready,
				     .starting = current > ready ? current - ready : 0,
				     .min = 1,
				     .max = 100,
				     .measures = {{.known = true}}};
}

/* A single decision of a fresh scaler. */
static struct autoscale_verdict once(const struct autoscale_rules *rules,
				     const struct autoscale_in *in)
{
	struct autoscale a;

	autoscale_begin(&a, in->current, 1, NOW - MINUTE);
	return autoscale_decide(&a, rules, in);
}

static void expect(struct autoscale_verdict v, unsigned number, enum autoscale_reason reason)
{
	assert_int_equal(v.number, number);
	assert_string_equal(autoscale_reason_name(v.reason), autoscale_reason_name(reason));
}

/* ---- KPA ---- */

static struct autoscale_verdict kpa(unsigned current, unsigned ready, double stable, double panic)
{
	struct autoscale_rules rules = rules_of(AUTOSCALE_CONCURRENCY, 10);
	struct autoscale_in in = in_of(current, ready);

	in.measures[0].stable = stable;
	in.measures[0].panic = panic;
	rules.scale_down_delay_ms = 0;
	return once(&rules, &in);
}

static void test_kpa(void **state)
{
	(void)state;
	expect(kpa(4, 4, 40, 40), 4, AUTOSCALE_STEADY);
	expect(kpa(4, 4, 41, 41), 5, AUTOSCALE_MORE);
	expect(kpa(4, 4, 30, 30), 3, AUTOSCALE_LESS);
	expect(kpa(4, 4, 40, 79), 8, AUTOSCALE_PANIC);	/* ceil(7.9) / 4 is the threshold */
	expect(kpa(4, 4, 40, 70), 4, AUTOSCALE_STEADY); /* below it the short window says nothing */
	expect(kpa(1, 1, 2, 15), 2, AUTOSCALE_PANIC);
	expect(kpa(1, 0, 0, 0), 1, AUTOSCALE_MIN);	/* zero is not its matter */
	expect(kpa(4, 4, 20, 35), 4, AUTOSCALE_STEADY); /* nothing goes that the short one needs */
}

/* Seven tenths of ten, three times: no more than three. */
static void test_rounding(void **state)
{
	struct autoscale_rules rules = rules_of(AUTOSCALE_CONCURRENCY, 0.7);
	struct autoscale_in in = in_of(3, 3);

	(void)state;
	in.measures[0].stable = in.measures[0].panic = 0.7 + 0.7 + 0.7;
	expect(once(&rules, &in), 3, AUTOSCALE_STEADY);
}

static void test_down_rate(void **state)
{
	(void)state;
	expect(kpa(10, 10, 0, 0), 5, AUTOSCALE_LESS);
	expect(kpa(3, 3, 0, 0), 1, AUTOSCALE_LESS);
}

static void test_up_rate(void **state)
{
	struct autoscale_rules rules = rules_of(AUTOSCALE_CONCURRENCY, 10);
	struct autoscale_in in = in_of(2, 2);

	(void)state;
	rules.max_up_rate = 1.5;
	in.measures[0].stable = in.measures[0].panic = 90;
	assert_int_equal(once(&rules, &in).number, 3);
}

/* What starts will take its share: no second one is ordered in its place. */
static void test_starting_is_there(void **state)
{
	(void)state;
	assert_false(kpa(8, 1, 20, 79).wants[0].panicking);
	expect(kpa(8, 1, 20, 79), 8, AUTOSCALE_STEADY);
	expect(kpa(1, 1, 20, 79), 8, AUTOSCALE_PANIC);
}

static void test_panic_ends_with_a_window(void **state)
{
	struct autoscale_rules rules = rules_of(AUTOSCALE_CONCURRENCY, 10);
	struct autoscale_in in = in_of(1, 1);
	struct autoscale a;

	(void)state;
	autoscale_begin(&a, 1, 1, NOW);
	in.measures[0].panic = 80;
	expect(autoscale_decide(&a, &rules, &in), 8, AUTOSCALE_PANIC);
	in = in_of(8, 8);
	in.now_mono_ms = NOW + MINUTE;
	expect(autoscale_decide(&a, &rules, &in), 8, AUTOSCALE_PANIC);
	in.now_mono_ms = NOW + MINUTE + 1;
	expect(autoscale_decide(&a, &rules, &in), 4, AUTOSCALE_LESS);
}

/* Our own restart takes nothing away on windows that are empty. */
static void test_begins_in_panic(void **state)
{
	struct autoscale_rules rules = rules_of(AUTOSCALE_CONCURRENCY, 10);
	struct autoscale_in in = in_of(6, 6);
	struct autoscale a;

	(void)state;
	autoscale_begin(&a, 6, 6, NOW);
	expect(autoscale_decide(&a, &rules, &in), 6, AUTOSCALE_PANIC);
	in.now_mono_ms = NOW + MINUTE + 1;
	expect(autoscale_decide(&a, &rules, &in), 3, AUTOSCALE_LESS);
}

static void test_delay(void **state)
{
	struct autoscale_rules rules = rules_of(AUTOSCALE_CONCURRENCY, 10);
	struct autoscale_in in = in_of(4, 4);
	struct autoscale a;

	(void)state;
	rules.scale_down_delay_ms = 30 * SECOND;
	autoscale_begin(&a, 4, 1, NOW);
	in.measures[0].stable = 40;
	expect(autoscale_decide(&a, &rules, &in), 4, AUTOSCALE_STEADY);
	in.measures[0].stable = 20;
	in.now_mono_ms = NOW + 30 * SECOND;
	expect(autoscale_decide(&a, &rules, &in), 4, AUTOSCALE_DELAYED);
	in.now_mono_ms = NOW + 33 * SECOND;
	expect(autoscale_decide(&a, &rules, &in), 2, AUTOSCALE_LESS);
}

static void test_limits(void **state)
{
	struct autoscale_rules rules = rules_of(AUTOSCALE_RPS, 10);
	struct autoscale_in in = in_of(4, 4);

	(void)state;
	in.max = 6;
	in.measures[0].stable = in.measures[0].panic = 75;
	expect(once(&rules, &in), 6, AUTOSCALE_MAX);
	in.measures[0].stable = in.measures[0].panic = 10;
	in.min = 3;
	expect(once(&rules, &in), 3, AUTOSCALE_MIN);
	in.max = 2; /* a window of the schedule: at once, whatever the load */
	in.min = 1;
	in.measures[0].stable = in.measures[0].panic = 40;
	expect(once(&rules, &in), 2, AUTOSCALE_MAX);
	in.measures[0].known = false;
	expect(once(&rules, &in), 2, AUTOSCALE_MAX);
}

/* ---- HPA ---- */

static struct autoscale_verdict hpa(unsigned current, unsigned ready, double sum, unsigned n)
{
	struct autoscale_rules rules = rules_of(AUTOSCALE_CPU, 50);
	struct autoscale_in in = in_of(current, ready);

	rules.stabilization_ms = 0;
	in.measures[0].sum = sum;
	in.measures[0].n = n;
	return once(&rules, &in);
}

static void test_hpa(void **state)
{
	(void)state;
	expect(hpa(4, 4, 4 * 50, 4), 4, AUTOSCALE_STEADY);
	expect(hpa(4, 4, 4 * 55, 4), 4, AUTOSCALE_STEADY); /* the tolerance, exactly */
	expect(hpa(4, 4, 4 * 45, 4), 4, AUTOSCALE_STEADY);
	expect(hpa(4, 4, 4 * 56, 4), 5, AUTOSCALE_MORE);
	expect(hpa(4, 4, 4 * 100, 4), 8, AUTOSCALE_MORE);
	expect(hpa(4, 4, 4 * 30, 4), 3, AUTOSCALE_LESS);
	expect(hpa(4, 4, 0, 4), 2, AUTOSCALE_LESS); /* no faster than max_down_rate */
	expect(hpa(4, 4, 0, 0), 4, AUTOSCALE_UNKNOWN);
}

/* Those of which nothing is known, and those that start, count against a change. */
static void test_hpa_gaps(void **state)
{
	(void)state;
	expect(hpa(4, 4, 2 * 10, 2), 3, AUTOSCALE_LESS); /* (20 + 100) / 4 / 50 = 0.6 */
	expect(hpa(4, 4, 3 * 45, 3), 4, AUTOSCALE_STEADY);
	expect(hpa(4, 4, 2 * 100, 2), 4, AUTOSCALE_STEADY); /* 200 / 4 / 50 = 1 */
	expect(hpa(4, 4, 2 * 150, 2), 6, AUTOSCALE_MORE);
	expect(hpa(8, 4, 4 * 100, 4), 8, AUTOSCALE_STEADY); /* four start */
	expect(hpa(8, 4, 4 * 20, 4), 4, AUTOSCALE_LESS);    /* ceil(4 * 0.4) = 2, max_down_rate */
}

static void test_hpa_up_period(void **state)
{
	struct autoscale_rules rules = rules_of(AUTOSCALE_PROMETHEUS, 1);
	struct autoscale_in in = in_of(1, 1);
	struct autoscale a;

	(void)state;
	autoscale_begin(&a, 1, 1, NOW);
	in.measures[0] = (struct autoscale_measure){.known = true, .sum = 50, .n = 1};
	expect(autoscale_decide(&a, &rules, &in), 5, AUTOSCALE_STEP); /* four more */
	in = in_of(5, 5);
	in.now_mono_ms = NOW + 10 * SECOND;
	in.measures[0] = (struct autoscale_measure){.known = true, .sum = 50, .n = 5};
	expect(autoscale_decide(&a, &rules, &in), 5, AUTOSCALE_STEP);
	in.now_mono_ms = NOW + 16 * SECOND;
	expect(autoscale_decide(&a, &rules, &in), 10, AUTOSCALE_STEP); /* the double */
}

static void test_stabilization(void **state)
{
	struct autoscale_rules rules = rules_of(AUTOSCALE_MEMORY, 100);
	struct autoscale_in in = in_of(6, 6);
	struct autoscale a;

	(void)state;
	autoscale_begin(&a, 6, 1, NOW);
	for (int64_t t = 0; t < 5 * MINUTE; t += AUTOSCALE_TICK_MS) {
		in.now_mono_ms = NOW + t;
		in.measures[0] = (struct autoscale_measure){.known = true, .sum = 100, .n = 6};
		expect(autoscale_decide(&a, &rules, &in), 6, AUTOSCALE_DELAYED);
	}
	in.now_mono_ms = NOW + 5 * MINUTE + 11 * SECOND;
	expect(autoscale_decide(&a, &rules, &in), 3, AUTOSCALE_LESS);
}

/* ---- several ---- */

static void test_several(void **state)
{
	struct autoscale_rules rules = rules_of(AUTOSCALE_CONCURRENCY, 10);
	struct autoscale_in in = in_of(4, 4);
	struct autoscale_verdict v;

	(void)state;
	rules.n = 2;
	rules.goals[1] = (struct autoscale_goal){AUTOSCALE_CPU, 50, NULL};
	rules.stabilization_ms = 0;
	in.measures[0].stable = in.measures[0].panic = 20;				/* 2 */
	in.measures[1] = (struct autoscale_measure){.known = true, .sum = 300, .n = 4}; /* 6 */
	v = once(&rules, &in);
	expect(v, 6, AUTOSCALE_MORE);
	assert_int_equal(v.decisive, 1);
	in.measures[1].sum = 150;
	v = once(&rules, &in);
	expect(v, 3, AUTOSCALE_LESS);
	/* one is lost: nothing goes, more may come */
	in.measures[1].known = false;
	expect(once(&rules, &in), 4, AUTOSCALE_UNKNOWN);
	in.measures[0].stable = in.measures[0].panic = 50;
	expect(once(&rules, &in), 5, AUTOSCALE_MORE);
	in.measures[0].known = false;
	expect(once(&rules, &in), 4, AUTOSCALE_UNKNOWN);
}

static void test_urgent(void **state)
{
	struct autoscale_rules rules = rules_of(AUTOSCALE_CONCURRENCY, 10);
	struct autoscale_in in = in_of(2, 2);
	struct autoscale a;

	(void)state;
	autoscale_begin(&a, 2, 1, NOW);
	in.measures[0].panic = 30;
	assert_false(autoscale_is_urgent(&a, &rules, &in));
	in.measures[0].panic = 31;
	assert_true(autoscale_is_urgent(&a, &rules, &in));
	autoscale_decide(&a, &rules, &in);
	assert_false(autoscale_is_urgent(&a, &rules, &in)); /* once in panic, its turn comes */
}

/* ---- loads ---- */

struct seen {
	const struct autoscale_trace *trace;
	unsigned ups, downs, turns; /* turns: an up after a down or the other way round */
	unsigned highest, last;
	int64_t first_up_ms, first_down_ms, last_down_ms, last_over_ms;
	int direction;
};

static void look(const struct autoscale_point *p, void *user)
{
	struct seen *s = user;
	int direction = p->number > p->before ? 1 : p->number < p->before ? -1 : 0;

	/* never more than the formula gave, of either window */
	assert_true(p->number <= p->bound);
	assert_true(p->number >= s->trace->min && p->number <= s->trace->max);
	/* never less than the stable window wants */
	if (autoscale_is_kpa(s->trace->kind) && direction < 0)
		assert_true(p->number + 1e-6 >= p->stable / s->trace->target);
	if (direction < 0)
		assert_false(p->panicking);
	if (p->panicking && p->panic / s->trace->target > 2.0 * p->ready)
		s->last_over_ms = p->at_ms;
	s->ups += direction > 0;
	s->downs += direction < 0;
	s->turns += direction && s->direction && direction != s->direction;
	s->direction = direction ? direction : s->direction;
	if (direction > 0 && !s->first_up_ms)
		s->first_up_ms = p->at_ms;
	if (direction < 0 && !s->first_down_ms)
		s->first_down_ms = p->at_ms;
	if (direction < 0)
		s->last_down_ms = p->at_ms;
	s->highest = p->number > s->highest ? p->number : s->highest;
	s->last = p->number;
}

static struct seen play(const char *name)
{
	struct seen s = {.trace = autoscale_rig_find(name)};

	assert_non_null(s.trace);
	autoscale_rig_play(s.trace, look, &s);
	return s;
}

/* 40 under way at 5.6 each are eight. */
static void test_step(void **state)
{
	struct seen s = play("step");

	(void)state;
	assert_in_range(s.first_up_ms, 60 * SECOND, 62 * SECOND);
	assert_int_equal(s.highest, 8);
	assert_int_equal(s.turns, 1);
	assert_true(s.first_down_ms >= 240 * SECOND);
	assert_int_equal(s.last, 1);
	assert_in_range(s.last_down_ms, 290 * SECOND, 305 * SECOND); /* the stable window */
}

static void test_slow_start(void **state)
{
	struct seen s = play("slow start");

	(void)state;
	assert_in_range(s.first_up_ms, 60 * SECOND, 62 * SECOND);
	assert_int_equal(s.highest, 8);
	assert_int_equal(s.turns, 1);
	assert_int_equal(s.last, 1);
}

static void test_ramp(void **state)
{
	struct seen s = play("ramp");

	(void)state;
	assert_in_range(s.highest, 13, 15); /* 80 are 15; the average of a minute is behind */
	assert_int_equal(s.turns, 1);
	assert_int_equal(s.last, 1);
}

/* What the short window saw of it at most is ordered once, and kept for a window. */
static void test_spike(void **state)
{
	struct seen s = play("spike");

	(void)state;
	assert_in_range(s.first_up_ms, 120 * SECOND, 122 * SECOND);
	assert_in_range(s.highest, 11, 14);
	assert_int_equal(s.turns, 1);
	assert_true(s.first_down_ms >= s.first_up_ms + 60 * SECOND);
	assert_int_equal(s.last, 2);
}

static void test_sine(void **state)
{
	struct seen s = play("sine");

	(void)state;
	assert_in_range(s.highest, 12, 13); /* 72 are 13 */
	assert_true(s.turns <= 6);	    /* three waves */
}

static void test_flapping(void **state)
{
	struct seen s = play("flapping");

	(void)state;
	assert_true(s.turns <= 1);
	assert_true(s.downs <= 2);
	assert_in_range(s.last, 5, 8);
}

static void test_down_delay(void **state)
{
	struct seen s = play("delay");

	(void)state;
	assert_int_equal(s.highest, 8);
	assert_true(s.first_down_ms >= (240 + 90) * SECOND);
	assert_int_equal(s.turns, 1);
	assert_int_equal(s.last, 1);
}

/* The load falls while nothing is heard of it: nothing is taken away. */
static void test_no_signal(void **state)
{
	struct seen s = play("no signal");

	(void)state;
	assert_int_equal(s.highest, 8);
	assert_true(s.first_down_ms >= 6 * MINUTE);
	assert_int_equal(s.last, 1);
}

static void test_cpu_step(void **state)
{
	struct seen s = play("cpu step");

	(void)state;
	assert_in_range(s.first_up_ms, 2 * MINUTE, 2 * MINUTE + 6 * SECOND);
	assert_int_equal(s.highest, 9); /* 600 / 70 */
	assert_int_equal(s.turns, 1);
	assert_true(s.first_down_ms >= 15 * MINUTE);
	assert_int_equal(s.last, 1);
}

static void test_cpu_noise(void **state)
{
	struct seen s = play("cpu noise");

	(void)state;
	assert_int_equal(s.ups + s.downs, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kpa),
		cmocka_unit_test(test_rounding),
		cmocka_unit_test(test_down_rate),
		cmocka_unit_test(test_up_rate),
		cmocka_unit_test(test_starting_is_there),
		cmocka_unit_test(test_panic_ends_with_a_window),
		cmocka_unit_test(test_begins_in_panic),
		cmocka_unit_test(test_delay),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_hpa),
		cmocka_unit_test(test_hpa_gaps),
		cmocka_unit_test(test_hpa_up_period),
		cmocka_unit_test(test_stabilization),
		cmocka_unit_test(test_several),
		cmocka_unit_test(test_urgent),
		cmocka_unit_test(test_step),
		cmocka_unit_test(test_slow_start),
		cmocka_unit_test(test_ramp),
		cmocka_unit_test(test_spike),
		cmocka_unit_test(test_sine),
		cmocka_unit_test(test_flapping),
		cmocka_unit_test(test_down_delay),
		cmocka_unit_test(test_no_signal),
		cmocka_unit_test(test_cpu_step),
		cmocka_unit_test(test_cpu_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
