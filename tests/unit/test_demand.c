/* test_demand: averages over windows from counters that go up, and what silence means. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "daemon/controller/demand.h"

#define SECOND INT64_C(1000)
#define NOW (1000 * SECOND)

struct world {
	struct demand d;
	struct demand_reading word;
	int64_t now;
};

static struct world begin(void)
{
	struct world w = {.word = {.port = "http"}, .now = NOW};

	demand_windows(&w.d, 60 * SECOND, 6 * SECOND, NOW);
	demand_connect(&w.d, true, NOW);
	demand_take(&w.d, &w.word, NOW);
	return w;
}

/* So many under way for so long, told of each quarter of a second; each lasts 100 ms. */
static void run(struct world *w, uint32_t active, int64_t ms)
{
	for (int64_t t = 250; t <= ms; t += 250) {
		w->now += 250;
		w->word.active = active;
		w->word.area_us += active * UINT64_C(250000);
		w->word.arrived += active * UINT64_C(25) / 10;
		demand_take(&w->d, &w->word, w->now);
	}
}

static void near(double got, double want, double by)
{
	if (got < want - by || got > want + by)
		fail_msg("%g is not %g", got, want);
}

static double stable(const struct world *w)
{
	return demand_concurrency(&w->d, DEMAND_STABLE, w->now);
}

static double panic(const struct world *w)
{
	return demand_concurrency(&w->d, DEMAND_PANIC, w->now);
}

static void test_windows(void **state)
{
	struct world w = begin();

	(void)state;
	run(&w, 10, 3 * SECOND);
	near(stable(&w), 10, 0.01); /* three seconds are all there is */
	near(panic(&w), 10, 0.01);
	run(&w, 10, 117 * SECOND);
	near(stable(&w), 10, 0.01);
	run(&w, 40, 3 * SECOND);
	near(panic(&w), 25, 0.01);
	near(stable(&w), 11.5, 0.05);
	near(demand_rps(&w.d, DEMAND_PANIC, w.now), 250, 0.5);
	run(&w, 0, 6 * SECOND);
	near(panic(&w), 0, 0.01);
	near(stable(&w), (10 * 51 + 40 * 3) / 60.0, 0.3);
	run(&w, 0, 70 * SECOND);
	near(stable(&w), 0, 0.0001);
	assert_true(demand_is_quiet(&w.d, w.now));
}

/* A word a second is enough while nothing changes; none is needed when nothing is under way. */
static void test_silence(void **state)
{
	struct world w = begin();

	(void)state;
	run(&w, 0, SECOND);
	w.now += 600 * SECOND;
	assert_true(demand_is_known(&w.d, w.now));
	assert_true(demand_is_quiet(&w.d, w.now));
	run(&w, 4, SECOND);
	assert_false(demand_is_quiet(&w.d, w.now));
	w.now += SECOND;
	assert_true(demand_is_known(&w.d, w.now));
	near(panic(&w), 4 * 2 / 6.0, 0.1); /* it goes on, most likely */
	w.now += DEMAND_SILENCE_MS;
	assert_false(demand_is_known(&w.d, w.now));
	demand_connect(&w.d, false, w.now);
	assert_false(demand_is_known(&w.d, w.now));
	assert_int_equal(demand_now(&w.d), 0);
}

/* Another gateway counts from the beginning; one that was there before us does not. */
static void test_counters_of_others(void **state)
{
	struct world w = begin();

	(void)state;
	run(&w, 4, 10 * SECOND);
	w.word = (struct demand_reading){.port = "http"};
	demand_connect(&w.d, true, w.now);
	run(&w, 2, 3 * SECOND);
	near(stable(&w), 2, 0.2);
	w.word.area_us = UINT64_C(1) << 60;
	w.word.arrived = UINT64_C(1) << 60;
	demand_connect(&w.d, true, w.now);
	run(&w, 2, 3 * SECOND);
	near(stable(&w), 2, 0.2);
	w.word.area_us = 0; /* without a word of it */
	run(&w, 2, 3 * SECOND);
	near(stable(&w), 2, 0.2);
}

static void test_ports(void **state)
{
	struct world w = begin();
	struct demand_reading other = {.port = "grpc"};

	(void)state;
	for (int i = 0; i < 40; i++) {
		run(&w, 3, 250);
		other.active = 5;
		other.area_us += UINT64_C(5) * 250000;
		demand_take(&w.d, &other, w.now);
	}
	near(panic(&w), 8, 0.01);
	assert_int_equal(demand_now(&w.d), 8);
	for (int i = 0; i < 2 * DEMAND_PORTS_MAX; i++) {
		char name[] = {'a' + (char)i, '\0'};

		other.port = name;
		demand_take(&w.d, &other, w.now);
	}
}

/* Fifty that have waited for the first replica are no load; those that stay are, as time passes. */
static void test_forget(void **state)
{
	struct world w = begin();

	(void)state;
	run(&w, 50, 20 * SECOND);
	demand_forget(&w.d, w.now);
	near(panic(&w), 0, 0.01);
	run(&w, 50, 500);
	run(&w, 0, 500);
	near(panic(&w), 50 * 0.5 / 6, 0.01);
	run(&w, 50, 6 * SECOND);
	near(panic(&w), 50, 0.01);
	near(stable(&w), 50 * 6.5 / 60, 0.5);
	/* the last word may be a second old */
	w.now += SECOND;
	demand_forget(&w.d, w.now);
	w.word.area_us += UINT64_C(50) * 1000000;
	run(&w, 50, 250);
	near(panic(&w), 50 * 0.25 / 6, 0.3);
}

static void test_other_windows(void **state)
{
	struct world w = begin();

	(void)state;
	run(&w, 10, 30 * SECOND);
	demand_windows(&w.d, 60 * SECOND, 12 * SECOND, w.now);
	near(stable(&w), 10, 0.01);
	demand_windows(&w.d, INT64_C(3600) * SECOND, 6 * SECOND, w.now);
	run(&w, 10, 30 * SECOND);
	near(panic(&w), 10, 0.01);
}

static bool is_not(const void *user, const char *port)
{
	return strcmp(port, user) != 0;
}

/* The gateway says no more of one, whatever was under way there. */
static void test_ports_that_go(void **state)
{
	struct world w = begin();
	struct demand_reading side = {.port = "side", .active = 7};

	(void)state;
	demand_take(&w.d, &side, NOW);
	run(&w, 2, 5 * SECOND);
	assert_false(demand_is_known(&w.d, w.now));
	demand_keep(&w.d, is_not, "side");
	assert_true(demand_is_known(&w.d, w.now));
	assert_int_equal(demand_now(&w.d), 2);
	demand_keep(&w.d, is_not, "http");
	assert_int_equal(demand_now(&w.d), 0);
	demand_take(&w.d, &side, w.now);
	assert_int_equal(demand_now(&w.d), 7);
	for (int i = 0; i < 3 * DEMAND_PORTS_MAX; i++) { /* renamed again and again */
		char name[32];

		snprintf(name, sizeof(name), "port-%d", i);
		side.port = name;
		demand_take(&w.d, &side, w.now);
		assert_int_equal(demand_now(&w.d), 14);
		demand_keep(&w.d, is_not, name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_windows),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_counters_of_others),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_ports_that_go),
		cmocka_unit_test(test_forget),
		cmocka_unit_test(test_other_windows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
