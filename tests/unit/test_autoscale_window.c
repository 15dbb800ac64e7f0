/* test_autoscale_window: which bounds hold when. Times are Unix seconds of 2026 in UTC. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "daemon/controller/autoscale_window.h"
#include "lib/manifest.h"
#include "lib/mem.h"
#include "lib/tz.h"

#define MONDAY INT64_C(1767571200) /* 5 January, 00:00 */
#define MINUTE INT64_C(60)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

static const struct tz *utc(const void *user, const char *name)
{
	(void)user;
	(void)name;
	return NULL;
}

static struct autoscale_bounds at(struct autoscale_window *windows, size_t n, int64_t s)
{
	struct service_spec spec = {
		.replicas_min = 1,
		.replicas_max = 8,
		.autoscale = {.enabled = true, .schedule = {.v = windows, .n = n}}};

	return autoscale_window_bounds(&spec, utc, NULL, s * 1000);
}

static void expect(struct autoscale_bounds b, unsigned min, unsigned max, unsigned open,
		   int64_t until_s)
{
	assert_int_equal(b.min, min);
	assert_int_equal(b.max, max);
	assert_int_equal(b.open, open);
	assert_int_equal(b.until_wall_ms, until_s == INT64_MAX ? INT64_MAX : until_s * 1000);
}

static struct autoscale_window window(char *cron, int64_t for_s, int64_t min, int64_t max)
{
	return (struct autoscale_window){
		.cron = cron, .for_ms = for_s * 1000, .min = min, .max = max};
}

static void test_none(void **state)
{
	(void)state;
	expect(at(NULL, 0, MONDAY), 1, 8, 0, INT64_MAX);
}

static void test_office_hours(void **state)
{
	char cron[] = "30 8 * * 1-5";
	struct autoscale_window w = window(cron, 10 * HOUR, 3, SPEC_UNSET);
	const int64_t begin = MONDAY + 8 * HOUR + 30 * MINUTE, end = begin + 10 * HOUR;

	(void)state;
	expect(at(&w, 1, begin - 1), 1, 8, 0, begin);
	expect(at(&w, 1, begin), 3, 8, 1, end);
	expect(at(&w, 1, end - 1), 3, 8, 1, end);
	expect(at(&w, 1, end), 1, 8, 0, begin + DAY);
	expect(at(&w, 1, begin + 5 * DAY), 1, 8, 0, begin + 7 * DAY); /* Saturday */
}

/* Of several the highest min and the lowest max; max where they contradict each other. */
static void test_several(void **state)
{
	char daily[] = "0 0 * * *", six[] = "0 6 * * *";
	struct autoscale_window w[] = {window(daily, DAY, 2, 6),
				       window(six, 12 * HOUR, 4, SPEC_UNSET),
				       window(six, HOUR, SPEC_UNSET, 3)};

	(void)state;
	expect(at(w, 3, MONDAY + HOUR), 2, 6, 1, MONDAY + 6 * HOUR);
	expect(at(w, 3, MONDAY + 8 * HOUR), 4, 6, 2, MONDAY + 18 * HOUR);
	expect(at(w, 3, MONDAY + 6 * HOUR), 3, 3, 3, MONDAY + 7 * HOUR);
}

/* One that begins again before it has ended is open all the time. */
static void test_overlap(void **state)
{
	char each[] = "*/10 * * * *";
	struct autoscale_window w = window(each, HOUR, 2, SPEC_UNSET);

	(void)state;
	for (int64_t s = MONDAY; s < MONDAY + 2 * HOUR; s += 7) {
		struct autoscale_bounds b = at(&w, 1, s);

		assert_int_equal(b.min, 2);
		assert_true(b.until_wall_ms > s * 1000 &&
			    b.until_wall_ms <= (s + 10 * MINUTE) * 1000);
	}
}

static void test_off_at_night(void **state)
{
	char night[] = "0 22 * * *";
	struct autoscale_window w = window(night, 8 * HOUR, 0, 0);

	(void)state;
	expect(at(&w, 1, MONDAY + 23 * HOUR), 0, 0, 1, MONDAY + 30 * HOUR);
	expect(at(&w, 1, MONDAY + 12 * HOUR), 1, 8, 0, MONDAY + 22 * HOUR);
}

/* 30 February: never. */
static void test_never(void **state)
{
	char never[] = "0 0 30 2 *";
	struct autoscale_window w = window(never, HOUR, 5, SPEC_UNSET);

	(void)state;
	expect(at(&w, 1, MONDAY), 1, 8, 0, INT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none),	     cmocka_unit_test(test_office_hours),
		cmocka_unit_test(test_several),	     cmocka_unit_test(test_overlap),
		cmocka_unit_test(test_off_at_night), cmocka_unit_test(test_never),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
