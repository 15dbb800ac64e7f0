/* clock: saturating sums, the two formats, clocks that go forward. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "lib/clock.h"
#include "lib/mem.h"

static void test_add(void **state)
{
	(void)state;
	assert_true(clock_add(1, 2) == 3);
	assert_true(clock_add(5, -7) == -2);
	assert_true(clock_add(INT64_MAX - 1, 5) == INT64_MAX);
	assert_true(clock_add(INT64_MIN + 1, -5) == INT64_MIN);
	assert_true(clock_add(INT64_MAX, -5) == INT64_MAX); /* never stays never */
	assert_true(clock_add(-5, INT64_MAX) == INT64_MAX);
}

static void test_rfc3339(void **state)
{
	static const struct {
		int64_t ms;
		const char *want;
	} cases[] = {
		{0, "1970-01-01T00:00:00Z"},
		{1767323045000, "2026-01-02T03:04:05Z"},
		{1767323045999, "2026-01-02T03:04:05Z"},
		{1709164800000, "2024-02-29T00:00:00Z"},
		{-1000, "1969-12-31T23:59:59Z"},
	};
	char text[CLOCK_RFC3339_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(clock_rfc3339(cases[i].ms, text), cases[i].want);
	clock_rfc3339(INT64_MAX, text);
	assert_true(strlen(text) < sizeof(text));
	clock_rfc3339(INT64_MIN, text);
	assert_true(strlen(text) < sizeof(text));
}

static void test_human(void **state)
{
	static const struct {
		int64_t ms;
		const char *want;
	} cases[] = {
		{0, "0ms"},	  {-5, "0ms"},	       {340, "340ms"},
		{999, "999ms"},	  {1000, "1s"},	       {12345, "12s"},
		{119999, "119s"}, {120000, "2m"},      {250000, "4m10s"},
		{3600000, "1h"},  {10920000, "3h2m"},  {86399000, "23h59m"},
		{86400000, "1d"}, {446400000, "5d4h"}, {446400000 + 60000, "5d4h"},
	};
	char text[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(clock_human(cases[i].ms, text, sizeof(text)), cases[i].want);
	clock_human(INT64_MAX, text, sizeof(text));
	clock_human(250000, text, 3);
	assert_string_equal(text, "4m");
}

static void test_clocks(void **state)
{
	int64_t us = clock_mono_us(), ms = clock_mono_ms();

	(void)state;
	assert_true(us > 0 && ms >= us / 1000 && ms <= us / 1000 + 10000);
	assert_true(clock_mono_us() >= us);
	assert_true(clock_wall_ms() > INT64_C(1600000000000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_add),
		cmocka_unit_test(test_rfc3339),
		cmocka_unit_test(test_human),
		cmocka_unit_test(test_clocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
