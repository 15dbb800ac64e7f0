/* test_probe_progress: sums of a page that comes in any pieces, and when a standstill is one. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "daemon/controller/probe_progress.h"

static const char text[] = "# HELP tokens_total Tokens.\n"
			   "# TYPE tokens_total counter\n"
			   "tokens_total{model=\"a\",path=\"x}y\\\"{\"} 10\n"
			   "tokens_total{model=\"b\"} 2.5e2 1700000000000\r\n"
			   "tokens_total_other 1000\n"
			   "tokens_total\t 1\n"
			   "tokens_total{broken=\" 7\n"
			   "tokens_total NaN\n"
			   "tokens_total +Inf\n"
			   "tokens_total\n"
			   "waiting{model=\"a\"} 3\n"
			   "waiting{model=\"b\"} 0\n"
			   "waiting 1";

static void test_sums(void **state)
{
	(void)state;
	for (size_t piece = 1; piece < sizeof(text); piece++) {
		struct probe_page p = {.metric = "tokens_total", .pending = "waiting"};

		for (size_t at = 0; at < sizeof(text) - 1; at += piece) {
			size_t left = sizeof(text) - 1 - at;

			probe_progress_add(&p, text + at, left < piece ? left : piece);
		}
		probe_progress_end(&p);
		assert_true(p.has_metric && p.has_pending);
		assert_true(p.metric_sum > 260.9 && p.metric_sum < 261.1);
		assert_true(p.pending_sum > 3.9 && p.pending_sum < 4.1);
	}
}

/* Bytes that are no page at all do no harm; a line that is too long counts for nothing. */
static void test_junk(void **state)
{
	static const char junk[] = "\nw \0 1\n\n{} 1\nm{ 1\nm} 1\n";
	struct probe_page p = {.metric = "m", .pending = "w"};

	(void)state;
	probe_progress_add(&p, "m ", 2);
	for (int i = 0; i < 3000; i++)
		probe_progress_add(&p, "1", 1);
	probe_progress_add(&p, junk, sizeof(junk) - 1);
	probe_progress_end(&p);
	assert_false(p.has_metric);
	assert_false(p.has_pending);
}

static bool judge(struct probe_progress *s, double metric, double pending, int64_t now,
		  const char *want)
{
	struct probe_page p = {.metric = "m",
			       .pending = "w",
			       .metric_sum = metric,
			       .pending_sum = pending,
			       .has_metric = true,
			       .has_pending = true};
	char said[160];
	bool ok = probe_progress_judge(s, &p, 60000, now, said, sizeof(said));

	if (want)
		assert_string_equal(said, want);
	return ok;
}

static void test_standstill(void **state)
{
	struct probe_progress s = {0};

	(void)state;
	assert_true(judge(&s, 100, 2, 1000, "2 waiting, counter at 100"));
	assert_true(judge(&s, 100, 2, 60999, NULL));
	assert_false(judge(&s, 100, 2, 61000, "2 waiting, counter stands at 100 for 60s"));
	assert_true(judge(&s, 101, 2, 70000, "2 waiting, counter at 101"));
	/* nothing to do: the clock begins with the next work */
	assert_true(judge(&s, 101, 0, 500000, "nothing waits, counter at 101"));
	assert_true(judge(&s, 101, 1, 559999, NULL));
	assert_false(judge(&s, 101, 1, 560000, NULL));
	/* a counter that begins anew has moved */
	assert_true(judge(&s, 3, 1, 560001, "1 waiting, counter at 3"));
}

static void test_missing(void **state)
{
	struct probe_progress s = {0};
	struct probe_page p = {.metric = "m", .pending = "w"};
	char said[160];

	(void)state;
	assert_false(probe_progress_judge(&s, &p, 1000, 5, said, sizeof(said)));
	assert_string_equal(said, "the page has no metric w");
	p.has_pending = true;
	p.pending_sum = 1;
	assert_true(probe_progress_judge(&s, &p, 1000, 5, said, sizeof(said)));
	assert_false(probe_progress_judge(&s, &p, 1000, 1005, said, sizeof(said)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sums),
		cmocka_unit_test(test_junk),
		cmocka_unit_test(test_standstill),
		cmocka_unit_test(test_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
