/* test_when: points in time as people write them. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <time.h>

#include "lib/err.h"
#include "lib/mem.h"
#include "lib/when.h"

#define NOW INT64_C(1767323045123) /* 2026-01-02T03:04:05.123Z */

static void expect(const char *text, int64_t want)
{
	int64_t at = 0;

	for (int local = 0; local < 2; local++) {
		assert_int_equal(when_parse(text, NOW, local, &at, NULL), 0);
		assert_int_equal(at, want);
	}
}

static void with_a_zone(void **state)
{
	(void)state;
	expect("2026-01-02T03:04:05Z", NOW - 123);
	expect("2026-01-02t03:04:05.123z", NOW);
	expect("2026-01-02 03:04:05.123Z", NOW);
	expect("2026-01-02T03:04Z", NOW - 5123);
	expect("2026-01-02T04:34:05.123+01:30", NOW);
	expect("2026-01-01T23:04:05.123456789-04:00", NOW);
	expect("2024-02-29T00:00:00Z", INT64_C(1709164800000));
	expect("now", NOW);
	expect("10m", NOW - 600000);
	expect("1h30m", NOW - 5400000);
	expect("250ms", NOW - 250);
}

static void without_one_it_is_local(void **state)
{
	static const char *const texts[] = {"2026-01-02T03:04:05", "2026-01-02 03:04",
					    "2026-01-02"};
	static const int64_t wants[] = {NOW - 123 + 7200000, NOW - 5123 + 7200000,
					INT64_C(1767312000000) + 7200000};
	int64_t at;

	(void)state;
	setenv("TZ", "XYZ2", 1); /* two hours west */
	tzset();
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_err_ struct err *e = NULL;

		assert_int_equal(when_parse(texts[i], NOW, true, &at, NULL), 0);
		assert_int_equal(at, wants[i]);
		assert_int_equal(when_parse(texts[i], NOW, false, &at, &e), -ERR_INVALID);
	}
}

static void none_at_all(void **state)
{
	static const char *const bad[] = {"",
					  "soon",
					  "10",
					  "-10m",
					  "2026",
					  "2026-13-01",
					  "2026-00-01",
					  "2026-01-32",
					  "2026-1-2",
					  "26-01-02",
					  "2026-01-02T",
					  "2026-01-02T25:00:00Z",
					  "2026-01-02T03:60:00Z",
					  "2026-01-02T03:04:05ZZ",
					  "2026-01-02T03:04:05+1",
					  "2026-01-02T03:04:05+25:00",
					  "2026-01-02T03:04:05.Zx",
					  "0000-01-01T00:00:00Z",
					  "1969-12-31T23:59:59Z"};
	int64_t at;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_err_ struct err *e = NULL;

		if (when_parse(bad[i], NOW, true, &at, &e) != -ERR_INVALID)
			fail_msg("\"%s\" is taken for a time", bad[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(with_a_zone),
		cmocka_unit_test(without_one_it_is_local),
		cmocka_unit_test(none_at_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
