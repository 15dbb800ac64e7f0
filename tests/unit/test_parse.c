/* parse: whole strings, ranges, units; what other parsers let through is refused. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <signal.h>
#include <string.h>
#include <cmocka.h>

#include "lib/err.h"
#include "lib/mem.h"
#include "lib/parse.h"

typedef int parse_fn(const char *s, int64_t min, int64_t max, int64_t *ret, struct err **reterr);

static void good(parse_fn *parse, const char *s, int64_t min, int64_t max, int64_t want)
{
	struct err *e = NULL;
	int64_t got = 0;

	if (parse(s, min, max, &got, &e) < 0)
		fail_msg("\"%s\": %s", s, err_msg(e));
	assert_true(got == want);
}

static void bad(parse_fn *parse, const char *s, int64_t min, int64_t max, const char *want)
{
	_cleanup_err_ struct err *e = NULL;
	int64_t got = 4711;

	assert_int_equal(parse(s, min, max, &got, &e), -ERR_INVALID);
	if (want)
		assert_string_equal(e->msg, want);
	assert_true(got == 4711);
	assert_int_equal(parse(s, min, max, &got, NULL), -ERR_INVALID);
}

static void test_i64(void **state)
{
	static const char *const wrong[] = {"",	   " 1",  "1 ",	 "+1",	"-", "--1", "0x10", "1e3",
					    "1.0", "1_0", "abc", "1\n", "٣", "-+1", "1a",   "a1"};

	(void)state;
	good(parse_i64, "0", 0, 0, 0);
	good(parse_i64, "-5", -5, 5, -5);
	good(parse_i64, "65535", 1, 65535, 65535);
	good(parse_i64, "9223372036854775807", INT64_MIN, INT64_MAX, INT64_MAX);
	good(parse_i64, "-9223372036854775808", INT64_MIN, INT64_MAX, INT64_MIN);
	bad(parse_i64, "65536", 1, 65535, "65536 is not in 1..65535");
	bad(parse_i64, "0", 1, 65535, "0 is not in 1..65535");
	bad(parse_i64, "9223372036854775808", INT64_MIN, INT64_MAX, NULL);
	bad(parse_i64, "99999999999999999999999999", 0, 5,
	    "99999999999999999999999999 is not in 0..5");
	bad(parse_i64, "080", 0, 99,
	    "\"080\": leading zeros are not allowed (octal is not read here)");
	bad(parse_i64, "-01", -9, 9, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		bad(parse_i64, wrong[i], INT64_MIN, INT64_MAX, NULL);
}

static void test_duration(void **state)
{
	static const char *const wrong[] = {"",	   "5",	   "-1s",  "1 s", "s",	  "1x",
					    "1S",  "1e3s", "0x1s", "1s ", "1..s", "1.s",
					    ".5s", "1m30", "1ss",  "inf", "nans"};

	(void)state;
	good(parse_duration_ms, "250ms", 0, 1000, 250);
	good(parse_duration_ms, "10s", 0, INT64_MAX, 10000);
	good(parse_duration_ms, "1.5m", 0, INT64_MAX, 90000);
	good(parse_duration_ms, "2h", 0, INT64_MAX, 7200000);
	good(parse_duration_ms, "1d", 0, INT64_MAX, 86400000);
	good(parse_duration_ms, "1m30s", 0, INT64_MAX, 90000);
	good(parse_duration_ms, "0", 0, 1, 0);
	good(parse_duration_ms, "0s", 0, 1, 0);
	good(parse_duration_ms, "0.4ms", 0, 1, 0);
	bad(parse_duration_ms, "2d", 0, 86400000, "2d is not in 0..1d");
	bad(parse_duration_ms, "50ms", 100, 86400000, "50ms is not in 100ms..1d");
	bad(parse_duration_ms, "99999999999999999999d", 0, INT64_MAX, NULL);
	bad(parse_duration_ms, "5", 0, 9,
	    "\"5\" is not a duration (write 500ms, 10s, 5m, 2h or 1d)");
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		bad(parse_duration_ms, wrong[i], 0, INT64_MAX, NULL);
}

static void test_size(void **state)
{
	static const char *const wrong[] = {"",	  "-1",	 "1 KiB", "KiB",   "1kib",
					    "1K", "1e3", "0x10",  "1KiB2", "1..0B"};

	(void)state;
	good(parse_size, "512", 0, INT64_MAX, 512);
	good(parse_size, "512B", 0, INT64_MAX, 512);
	good(parse_size, "4KiB", 0, INT64_MAX, 4096);
	good(parse_size, "1.5MiB", 0, INT64_MAX, 3 << 19);
	good(parse_size, "2GiB", 0, INT64_MAX, INT64_C(2) << 30);
	good(parse_size, "1TiB", 0, INT64_MAX, INT64_C(1) << 40);
	good(parse_size, "1kB", 0, INT64_MAX, 1000);
	good(parse_size, "1KB", 0, INT64_MAX, 1000);
	good(parse_size, "3MB", 0, INT64_MAX, 3000000);
	good(parse_size, "3GB", 0, INT64_MAX, INT64_C(3000000000));
	good(parse_size, "3TB", 0, INT64_MAX, INT64_C(3000000000000));
	bad(parse_size, "1KiB", 65536, INT64_C(1) << 40, "1KiB is not in 64KiB..1TiB");
	bad(parse_size, "9", 0, 5, "9 is not in 0..5");
	bad(parse_size, "99999999999TiB", 0, INT64_MAX, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		bad(parse_size, wrong[i], 0, INT64_MAX, NULL);
}

static void test_double(void **state)
{
	static const char *const wrong[] = {"",	   "x",	   "1x",    " 1", "0x1", "nan",
					    "inf", "-inf", "1e999", "-",  ".",	 "1,5"};
	double v = 0;

	(void)state;
	assert_int_equal(parse_double("1.5", 0, 2, &v, NULL), 0);
	assert_true(v == 1.5);
	assert_int_equal(parse_double("-0.5", -1, 2, &v, NULL), 0);
	assert_true(v == -0.5);
	assert_int_equal(parse_double(".5", 0, 2, &v, NULL), 0);
	assert_int_equal(parse_double("1e-1", 0, 2, &v, NULL), 0);
	assert_true(v == 0.1);
	assert_int_equal(parse_double("2.1", 0, 2, &v, NULL), -ERR_INVALID);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_int_equal(parse_double(wrong[i], -1e300, 1e300, &v, NULL), -ERR_INVALID);
	assert_true(v == 0.1);
}

static void test_signals(void **state)
{
	static const char *const wrong[] = {"",	  "SIG", "SIGFOO",     "0",    "65",
					    "-9", "015", "SIGSIGTERM", "TERM "};
	int sig = 0;

	(void)state;
	for (int i = 1; i <= 31; i++) {
		const char *name = parse_signal_name(i);

		assert_non_null(name);
		assert_int_equal(parse_signal(name, &sig, NULL), 0);
		assert_int_equal(sig, i);
		assert_int_equal(parse_signal(name + 3, &sig, NULL), 0);
		assert_int_equal(sig, i);
	}
	assert_int_equal(parse_signal("term", &sig, NULL), 0);
	assert_int_equal(sig, SIGTERM);
	assert_int_equal(parse_signal("sigusr1", &sig, NULL), 0);
	assert_int_equal(sig, SIGUSR1);
	assert_int_equal(parse_signal("64", &sig, NULL), 0);
	assert_int_equal(sig, 64);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_int_equal(parse_signal(wrong[i], &sig, NULL), -ERR_INVALID);
	assert_null(parse_signal_name(0));
	assert_null(parse_signal_name(-1));
	assert_null(parse_signal_name(64));
}

static void test_replica_ids(void **state)
{
	static const char *const wrong[] = {"", "/0", "a/", "a/x", "a/-1", "a/01", "a/100001"};
	char name[64], longest[66];
	int index = 0;

	(void)state;
	assert_int_equal(parse_replica_id("web", name, &index, NULL), 0);
	assert_string_equal(name, "web");
	assert_int_equal(index, -1);
	assert_int_equal(parse_replica_id("web/12", name, &index, NULL), 0);
	assert_string_equal(name, "web");
	assert_int_equal(index, 12);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_int_equal(parse_replica_id(wrong[i], name, &index, NULL), -ERR_INVALID);
	memset(longest, 'a', 65);
	longest[63] = '\0';
	assert_int_equal(parse_replica_id(longest, name, &index, NULL), 0);
	assert_int_equal(strlen(name), 63);
	longest[63] = 'a';
	longest[64] = '\0';
	assert_int_equal(parse_replica_id(longest, name, &index, NULL), -ERR_INVALID);
}

static void test_cpusets(void **state)
{
	static const struct {
		const char *text;
		int64_t last; /* -1: refused */
	} cases[] = {{"0", 0},	  {"3", 3},	    {"0-3", 3},		{"8,0-3", 8},
		     {"5-5", 5},  {"0-3,8-11", 11}, {"999999", 999999}, {"08", 8},
		     {"", -1},	  {",", -1},	    {"0,", -1},		{",0", -1},
		     {"3-0", -1}, {"0-", -1},	    {"-3", -1},		{"0-1-2", -1},
		     {"a", -1},	  {"0 1", -1},	    {"0, 1", -1},	{"1000000", -1},
		     {"0x1", -1}, {"0-3 ", -1},	    {"0:2", -1},	{"1.5", -1}};
	int64_t last;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int r = parse_cpuset(cases[i].text, &last, NULL);

		assert_int_equal(r, cases[i].last < 0 ? -ERR_INVALID : 0);
		if (r == 0)
			assert_int_equal(last, cases[i].last);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_i64),	cmocka_unit_test(test_duration),
		cmocka_unit_test(test_size),	cmocka_unit_test(test_double),
		cmocka_unit_test(test_signals), cmocka_unit_test(test_replica_ids),
		cmocka_unit_test(test_cpusets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
