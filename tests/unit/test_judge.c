/* test_judge: when a canary is bad, when it is in doubt, and when nothing is known yet. */
/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "daemon/controller/judge.h"
#include "lib/manifest.h"
#include "lib/mem.h"

/* Four buckets to a doubling, 1 ms to 1024 ms. */
#define N 41

static const struct judge_spec usual = {.error_rate = 0.01, .p95 = 1.5, .min_requests = 50};

static const struct judge_scale *scale(void)
{
	static double bounds[N];
	static const struct judge_scale s = {bounds, N};

	for (int i = 0; i < N; i++)
		bounds[i] = pow(2, i / 4.0);
	return &s;
}

static void add_times(struct judge_side *s, double ms, uint64_t n)
{
	unsigned i = 0;

	while (i < N && scale()->bound_ms[i] < ms)
		i++;
	s->times[i] += n;
}

/* n requests, so many of them failed, all of one latency. */
static struct judge_side side(uint64_t n, uint64_t errors, double ms)
{
	struct judge_side s = {.requests = n, .errors = errors};

	add_times(&s, ms, n);
	return s;
}

static struct judge_result between(struct judge_side canary, struct judge_side stable)
{
	return judge(&usual, scale(), &canary, &stable);
}

static const char *said(const struct judge_result *r)
{
	static char text[200];

	judge_say(r, &usual, text, sizeof(text));
	return text;
}

static bool near(double a, double b)
{
	return fabs(a - b) < 0.0005;
}

/* The values of Newcombe's paper on single proportions (1998, table I), 95 %. */
static void test_wilson(void **state)
{
	static const struct {
		uint64_t k, n;
		double low, high;
	} rows[] = {{81, 263, 0.2553, 0.3662},
		    {15, 148, 0.0624, 0.1605},
		    {0, 20, 0, 0.1611},
		    {1, 29, 0.0061, 0.1718}};
	double low, high;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		judge_wilson(rows[i].k, rows[i].n, 1.959964, &low, &high);
		assert_true(near(low, rows[i].low) && near(high, rows[i].high));
	}
	judge_wilson(0, 0, 3, &low, &high);
	assert_true(near(low, 0) && near(high, 1));
	judge_wilson(5, 5, 3, &low, &high);
	assert_true(low < 0.5 && near(high, 1));
}

static void test_quantile(void **state)
{
	struct judge_side s = {0};

	(void)state;
	assert_true(judge_quantile(scale(), s.times, 0.95) < 0);
	add_times(&s, 8, 95);
	add_times(&s, 500, 5);
	assert_true(near(judge_quantile(scale(), s.times, 0.95), 8));
	add_times(&s, 500, 1); /* and now it is among the slow ones */
	assert_true(judge_quantile(scale(), s.times, 0.95) > 430);
	s = (struct judge_side){0};
	add_times(&s, 1e9, 3); /* beyond the last: at least that */
	assert_true(near(judge_quantile(scale(), s.times, 0.95), 1024));
	s = (struct judge_side){0};
	add_times(&s, 0.1, 4);
	assert_true(near(judge_quantile(scale(), s.times, 0.5), 0.5));
}

static void test_few_requests_decide_nothing(void **state)
{
	struct judge_result r = between(side(49, 49, 100), side(10000, 0, 1));

	(void)state;
	assert_int_equal(r.verdict, JUDGE_WAITS);
	assert_string_equal(said(&r), "waits for 1 more request of the canary");
	r = between(side(50, 50, 100), side(20, 0, 1));
	assert_int_equal(r.verdict, JUDGE_WAITS);
	assert_string_equal(said(&r), "waits for 30 more requests of the stable revision");
	r = between(side(0, 0, 1), side(0, 0, 1));
	assert_int_equal(r.verdict, JUDGE_WAITS);
}

static void test_errors(void **state)
{
	struct judge_result r = between(side(50, 5, 8), side(950, 0, 8)); /* 10 % */

	(void)state;
	assert_int_equal(r.verdict, JUDGE_BAD);
	assert_string_equal(said(&r), "errors 10.0 % (5 of 50) against 0.0 % (0 of 950), more than "
				      "1 point above");
	r = between(side(50, 1, 8), side(950, 0, 8)); /* 2 %, but it may be chance */
	assert_int_equal(r.verdict, JUDGE_DOUBT);
	r = between(side(5000, 100, 8), side(95000, 0, 8)); /* the same, and no chance */
	assert_int_equal(r.verdict, JUDGE_BAD);
	r = between(side(5000, 40, 8), side(95000, 0, 8)); /* allowed */
	assert_int_equal(r.verdict, JUDGE_GOOD);
	r = between(side(1000, 110, 8), side(9000, 900, 8)); /* both are bad: not its fault */
	assert_int_equal(r.verdict, JUDGE_GOOD);
	assert_string_equal(said(&r), "no worse than the stable revision");
	r = between(side(500, 0, 8), side(500, 250, 8));
	assert_int_equal(r.verdict, JUDGE_GOOD);
}

static void test_latency(void **state)
{
	struct judge_side c = side(95, 0, 10);
	struct judge_result r = between(side(50, 0, 30), side(950, 0, 10));

	(void)state;
	assert_int_equal(r.verdict, JUDGE_BAD);
	assert_string_equal(said(&r), "p95 32 ms against 11 ms (50 and 950 requests), more than "
				      "1.5 times as long");
	r = between(side(5000, 0, 11.4), side(9500, 0, 11.2)); /* other buckets, though */
	assert_int_equal(r.verdict, JUDGE_GOOD);
	r = between(side(5000, 0, 10), side(9500, 0, 30)); /* faster */
	assert_int_equal(r.verdict, JUDGE_GOOD);
	c.requests = 100;
	add_times(&c, 100, 5); /* exactly 5 % */
	r = between(c, side(900, 0, 10));
	assert_int_equal(r.verdict, JUDGE_GOOD);
	c.requests += 2;
	add_times(&c, 100, 2);
	r = between(c, side(900, 0, 10));
	assert_int_equal(r.verdict, JUDGE_DOUBT);
	c.requests += 30;
	add_times(&c, 100, 30);
	r = between(c, side(900, 0, 10));
	assert_int_equal(r.verdict, JUDGE_BAD);
	/* three times as long, and yet less than the machine's own noise */
	r = between(side(500, 0, 1.1), side(900, 0, 0.3));
	assert_int_equal(r.verdict, JUDGE_GOOD);
	/* three times as long is found wherever it lies in its bucket */
	for (double ms = 3; ms < 300; ms *= 1.01)
		assert_int_equal(between(side(50, 0, 3 * ms), side(950, 0, ms)).verdict, JUDGE_BAD);
	/* 1.4 times never is */
	for (double ms = 3; ms < 300; ms *= 1.01)
		assert_int_equal(between(side(5000, 0, 1.4 * ms), side(9500, 0, ms)).verdict,
				 JUDGE_GOOD);
}

static void test_latency_is_not_known(void **state)
{
	struct judge_spec eager = usual;
	struct judge_side c = side(10, 0, 100), s = side(1000, 0, 1);

	(void)state;
	eager.min_requests = 5; /* the user's, for errors; no percentile comes of that few */
	assert_int_equal(judge(&eager, scale(), &c, &s).verdict, JUDGE_GOOD);
	c = side(100, 0, 100);
	s = side(1000, 0, 1e9); /* beyond the last bucket */
	assert_int_equal(judge(&eager, scale(), &c, &s).verdict, JUDGE_GOOD);
	memset(c.times, 0, sizeof(c.times)); /* no answer at all */
	c.errors = c.requests;
	s = side(1000, 0, 1);
	assert_int_equal(judge(&eager, scale(), &c, &s).verdict, JUDGE_BAD);
}

static uint32_t next(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* Asked each second for 300 s: how often is one that is as good as the other called bad? */
static void test_chance(void **state)
{
	uint32_t seed = 1;
	int wrong = 0;

	(void)state;
	for (int run = 0; run < 300; run++) {
		struct judge_side c = {0}, s = {0};
		enum judge_verdict worst = JUDGE_WAITS;

		for (int t = 0; t < 300; t++) {
			for (int i = 0; i < 20; i++) {
				struct judge_side *to = i ? &s : &c;

				to->requests++;
				to->errors += next(&seed) % 100 < 2;
				add_times(to, 10 + next(&seed) % 100, 1);
			}
			if (between(c, s).verdict > worst)
				worst = between(c, s).verdict;
		}
		wrong += worst == JUDGE_BAD;
	}
	assert_true(wrong <= 3); /* 1 % */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wilson),
		cmocka_unit_test(test_quantile),
		cmocka_unit_test(test_few_requests_decide_nothing),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_latency),
		cmocka_unit_test(test_latency_is_not_known),
		cmocka_unit_test(test_chance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
