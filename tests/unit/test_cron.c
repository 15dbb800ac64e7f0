/* cron, tz: parsing, the calendar, the changes of the clock; offsets as the C library has them. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "lib/clock.h"
#include "lib/cron.h"
#include "lib/err.h"
#include "lib/mem.h"
#include "lib/tz.h"

#define LAST_S INT64_C(4102444800) /* 2100-01-01 */

static const char *const zones[] = {
	"Europe/Vienna",    "Europe/London",   "America/New_York",    "America/Sao_Paulo",
	"Australia/Sydney", "Asia/Kolkata",    "Asia/Kathmandu",      "Pacific/Apia",
	"America/St_Johns", "Africa/Cairo",    "Africa/Casablanca",   "Asia/Tehran",
	"Pacific/Chatham",  "America/Caracas", "Australia/Lord_Howe", "Etc/GMT+3",
	"America/Godthab",  "Asia/Gaza",       "Antarctica/Troll",    "UTC",
	"America/Asuncion", "Europe/Dublin"};

static struct tz *load(const char *name)
{
	struct err *e = NULL;
	struct tz *tz = NULL;

	if (tz_load(name, &tz, &e) < 0)
		fail_msg("%s: %s", name, err_msg(e));
	return tz;
}

/* 2026-01-02T03:04 as Unix seconds, as if it were UTC. */
static int64_t at(const char *text)
{
	int y, mo, d, h, mi;

	assert_int_equal(sscanf(text, "%d-%d-%dT%d:%d", &y, &mo, &d, &h, &mi), 5);
	return tz_days(y, mo, d) * TZ_DAY_S + h * 3600 + mi * 60;
}

static void expect(const char *schedule, const char *zone, const char *after, const char *want)
{
	char got[CLOCK_RFC3339_SIZE];
	struct tz *tz = zone ? load(zone) : NULL;
	struct err *e = NULL;
	struct cron c;
	int64_t next;

	if (cron_parse(schedule, &c, &e) < 0)
		fail_msg("%s: %s", schedule, err_msg(e));
	next = cron_next(&c, tz, at(after));
	tz_free(tz);
	if (next != at(want))
		fail_msg("%s after %s: %s, not %s", schedule, after,
			 clock_rfc3339(next * 1000, got), want);
}

static void refused(const char *schedule, const char *want)
{
	_cleanup_err_ struct err *e = NULL;
	struct cron c;

	assert_int_equal(cron_parse(schedule, &c, &e), -ERR_INVALID);
	if (!strstr(e->msg, want))
		fail_msg("%s: \"%s\" does not say \"%s\"", schedule, e->msg, want);
}

static void test_calendar(void **state)
{
	(void)state;
	assert_true(tz_days(1970, 1, 1) == 0);
	assert_true(tz_days(2000, 3, 1) == 11017);
	assert_true(tz_days(1969, 12, 31) == -1);
	for (int64_t days = -800000; days < 800000; days += 7) {
		int64_t year;
		int month, day;

		tz_date(days, &year, &month, &day);
		assert_true(tz_days(year, month, day) == days);
		assert_in_range(month, 1, 12);
		assert_in_range(day, 1, 31);
	}
}

static void test_utc(void **state)
{
	(void)state;
	expect("* * * * *", NULL, "2026-01-02T03:04", "2026-01-02T03:05");
	expect("*/15 * * * *", NULL, "2026-01-02T03:45", "2026-01-02T04:00");
	expect("0 3 * * *", NULL, "2026-01-02T03:00", "2026-01-03T03:00");
	expect("30 4 1,15 * *", NULL, "2026-01-02T00:00", "2026-01-15T04:30");
	expect("0 0 * * mon-fri", NULL, "2026-01-02T12:00", "2026-01-05T00:00");
	expect("0 0 * * 7", NULL, "2026-01-02T12:00", "2026-01-04T00:00");
	expect("0 0 13 * 5", NULL, "2026-01-02T12:00", "2026-01-09T00:00");  /* either day */
	expect("0 0 */2 * 5", NULL, "2026-01-02T12:00", "2026-01-09T00:00"); /* both: "*" */
	expect("0 12 29 feb *", NULL, "2026-01-02T12:00", "2028-02-29T12:00");
	expect("0 12 29 2 *", NULL, "2096-03-01T00:00", "2104-02-29T12:00");
	expect("5 0 * 8 *", NULL, "2026-08-31T00:05", "2027-08-01T00:05");
	expect("0 8-18/5 * * *", NULL, "2026-01-02T13:30", "2026-01-02T18:00");
	expect("@weekly", NULL, "2026-01-02T00:00", "2026-01-04T00:00");
	expect("@Hourly", NULL, "2026-01-02T00:00", "2026-01-02T01:00");
	expect("  0\t3  * * * ", NULL, "2026-01-02T00:00", "2026-01-02T03:00");
}

static void test_never(void **state)
{
	struct cron c;

	(void)state;
	assert_int_equal(cron_parse("0 0 30 2 *", &c, NULL), 0);
	assert_true(cron_next(&c, NULL, 0) == INT64_MAX);
}

/* Vienna: 2026-03-29 02:00 -> 03:00 (01:00 UTC), 2026-10-25 03:00 -> 02:00 (01:00 UTC). */
static void test_clock_change(void **state)
{
	(void)state;
	expect("30 3 * * *", "Europe/Vienna", "2026-01-02T02:30", "2026-01-03T02:30");
	expect("30 3 * * *", "Europe/Vienna", "2026-07-02T01:30", "2026-07-03T01:30");
	/* the gap: at its end, and the next day as always */
	expect("30 2 * * *", "Europe/Vienna", "2026-03-28T01:30", "2026-03-29T01:00");
	expect("30 2 * * *", "Europe/Vienna", "2026-03-29T01:00", "2026-03-30T00:30");
	expect("*/20 2 * * *", "Europe/Vienna", "2026-03-28T01:40", "2026-03-29T01:00");
	/* the hour that comes twice: once */
	expect("30 2 * * *", "Europe/Vienna", "2026-10-24T00:30", "2026-10-25T00:30");
	expect("30 2 * * *", "Europe/Vienna", "2026-10-25T00:30", "2026-10-26T01:30");
	expect("30 2 * * *", "Europe/Vienna", "2026-10-25T01:10", "2026-10-26T01:30");
	expect("*/30 2 * * *", "Europe/Vienna", "2026-10-25T00:30", "2026-10-26T01:00");
	expect("0 3 * * *", "Europe/Vienna", "2026-10-25T00:30", "2026-10-25T02:00");
	/* every hour: as time passes */
	expect("*/30 * * * *", "Europe/Vienna", "2026-03-29T00:30", "2026-03-29T01:00");
	expect("*/30 * * * *", "Europe/Vienna", "2026-10-25T00:30", "2026-10-25T01:00");
	expect("*/30 * * * *", "Europe/Vienna", "2026-10-25T01:00", "2026-10-25T01:30");
	/* half an hour, and behind the table's end */
	expect("15 2 * * *", "Australia/Lord_Howe", "2026-10-02T16:00", "2026-10-03T15:30");
	expect("30 2 * * *", "Europe/Vienna", "2090-03-25T02:00", "2090-03-26T01:00");
}

static void test_refused(void **state)
{
	(void)state;
	refused("", "five fields");
	refused("* * * *", "five fields");
	refused("* * * * * *", "five fields");
	refused("60 * * * *", "\"60\" is no minute: 0-59");
	refused("* 24 * * *", "no hour");
	refused("* * 0 * *", "no day of month: 1-31");
	refused("* * * 13 *", "no month");
	refused("* * * * 8", "no day of week");
	refused("* * * * fre", "no day of week: 0-7 or a name");
	refused("5-1 * * * *", "no minute");
	refused("*/0 * * * *", "no minute");
	refused("5/10 * * * *", "no minute");
	refused("1,,2 * * * *", "no minute");
	refused("1, * * * *", "no minute");
	refused("-1 * * * *", "no minute");
	refused("99999 * * * *", "no minute");
	refused("@reboot", "@hourly");
}

/* Steps through a span: nothing lies between since and until, and it ends where another begins. */
static void check_span(const struct tz *tz, const char *zone, int64_t t)
{
	struct tz_span s, next;
	struct tm tm;
	time_t when = (time_t)t;

	assert_non_null(localtime_r(&when, &tm));
	tz_at(tz, t, &s);
	if (s.offset_s != tm.tm_gmtoff)
		fail_msg("%s at %lld: %d, the C library says %ld", zone, (long long)t, s.offset_s,
			 tm.tm_gmtoff);
	assert_true(s.since_s <= t && t < s.until_s);
	if (s.until_s == INT64_MAX)
		return;
	tz_at(tz, s.until_s, &next);
	assert_true(next.since_s == s.until_s);
	assert_int_equal(next.before_s, s.offset_s);
}

static void test_as_the_c_library(void **state)
{
	uint64_t random = 88172645463325252;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(zones); i++) {
		struct tz *tz = load(zones[i]);

		setenv("TZ", zones[i], 1);
		tzset();
		for (int k = 0; k < 2000; k++) {
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			check_span(tz, zones[i], (int64_t)(random % (uint64_t)LAST_S));
		}
		tz_free(tz);
	}
	unsetenv("TZ");
	tzset();
}

/* next is after `after`, matches the local time where that is unambiguous, and never goes back. */
static void test_forward(void **state)
{
	static const char *const schedules[] = {"30 2 * * *", "*/7 * * * *", "0 1-3 * * sun"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(zones); i++) {
		struct tz *tz = load(zones[i]);

		for (size_t k = 0; k < ARRAY_SIZE(schedules); k++) {
			int64_t t = at("2026-01-01T00:00"), next;
			struct cron c;

			assert_int_equal(cron_parse(schedules[k], &c, NULL), 0);
			for (int n = 0; n < 1500; n++, t = next) {
				next = cron_next(&c, tz, t);
				assert_true(next > t && next != INT64_MAX);
				/* what is between has none either */
				assert_true(cron_next(&c, tz, t + (next - t) / 2) == next);
			}
		}
		tz_free(tz);
	}
}

static void test_zone_names(void **state)
{
	_cleanup_err_ struct err *e = NULL;
	struct tz *tz = NULL;

	(void)state;
	assert_true(tz_is_name("America/Argentina/Buenos_Aires"));
	assert_true(tz_is_name("Etc/GMT+3"));
	assert_false(tz_is_name("../../etc/passwd"));
	assert_false(tz_is_name("/etc/localtime"));
	assert_false(tz_is_name(""));
	assert_int_equal(tz_load("Europe/Viena", &tz, &e), -ERR_NOTFOUND);
	assert_string_equal(e->msg, "no such time zone: Europe/Viena");
	assert_int_equal(tz_load("Europe", &tz, NULL), -ERR_INVALID);
	assert_null(tz);
}

/* A file cut anywhere, or with a byte changed, is refused or read; it does no harm. */
static void test_damaged(void **state)
{
	static const uint8_t whole[] =
		"TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\4"
		"\0\0\0\0\0\0UTC\0"
		"TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\2\0\0\0\4"
		"\0\0\0\0\x60\0\0\0\1\0\0\0\0\0\0\0\0\x0e\x10\1\0UTC\0"
		"\nCET-1CEST,M3.5.0,M10.5.0/3\n";
	const size_t len = sizeof(whole) - 1;
	uint8_t copy[sizeof(whole)];
	struct tz_span s;
	struct tz *tz = NULL;

	(void)state;
	assert_int_equal(tz_parse(whole, len, &tz, NULL), 0);
	tz_at(tz, 0, &s);
	assert_int_equal(s.offset_s, 0);
	assert_true(s.until_s == 0x60000000);
	tz_at(tz, at("2026-07-01T00:00"), &s);
	assert_int_equal(s.offset_s, 7200);
	tz_free(tz);
	for (size_t n = 0; n < len; n++)
		assert_int_equal(tz_parse(whole, n, &tz, NULL), -ERR_INVALID);
	for (size_t n = 0; n < len * 255; n++) {
		struct tz *got = NULL;

		memcpy(copy, whole, sizeof(whole));
		copy[n / 255] = (uint8_t)(copy[n / 255] + 1 + n % 255);
		if (tz_parse(copy, len, &got, NULL) < 0)
			continue;
		for (int64_t t = -4000000000; t < 8000000000; t += 500000000)
			tz_at(got, t, &s);
		tz_free(got);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calendar), cmocka_unit_test(test_utc),
		cmocka_unit_test(test_never),	 cmocka_unit_test(test_clock_change),
		cmocka_unit_test(test_refused),	 cmocka_unit_test(test_as_the_c_library),
		cmocka_unit_test(test_forward),	 cmocka_unit_test(test_zone_names),
		cmocka_unit_test(test_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
