/* Tests of logview with lines that belong together: merged, and followed. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/logview.h"
#include "lib/mem.h"
#include "tests/unit/log_rig.h"

#define HEAD "Traceback (most recent call last):\n"
#define DEADLINE_MS 20000

static const struct log_rig_at zero = {0, INC_A, 1}, one = {1, INC_A, 1};

static void merged(void **state)
{
	struct log_rig *p = *state;

	log_rig_put(p, zero, 2, 1000, HEAD);
	log_rig_put(p, one, 1, 1001, "other\n");
	log_rig_put(p, zero, 2, 1002, "  File\n");
	log_rig_put(p, one, 1, 1003, "other\n");
	log_rig_put(p, zero, 2, 1004, "Error\n");
	log_rig_put(p, one, 1, 1005, "a\n");
	log_rig_put(p, zero, 2, 1006, "after\n");
	log_rig_put(p, one, 1, 1007, " b\n");
	log_rig_expect(p, (struct logview_opts){.index = -1, .tail = -1},
		       "0:2:1000:Traceback (most recent call last):|0:2:1002:  File|0:2:1004:Error|"
		       "1:1:1001:other|1:1:1003:other|1:1:1005:a|1:1:1007: b|0:2:1006:after|");
	log_rig_expect(p, (struct logview_opts){.index = -1, .tail = 3},
		       "1:1:1005:a|1:1:1007: b|0:2:1006:after|");
	log_rig_expect(
		p, (struct logview_opts){.index = -1, .tail = -1, .raw = true},
		"0:2:1000:" HEAD "|0:2:1002:  File\n|0:2:1004:Error\n|"
		"1:1:1001:other\n|1:1:1003:other\n|1:1:1005:a\n|1:1:1007: b\n|0:2:1006:after\n|");
}

/* The next line, however long it is held back. */
static void expect_one(struct logview *v, const char *text)
{
	struct logview_line l;
	int64_t until = clock_mono_ms() + DEADLINE_MS;
	int r;

	while ((r = logview_next(v, &l, NULL)) == 0 && clock_mono_ms() < until)
		;
	assert_int_equal(r, 1);
	assert_int_equal(l.len, strlen(text));
	assert_memory_equal(l.text, text, l.len);
}

static void following_waits_for_the_rest(void **state)
{
	struct log_rig *p = *state;
	_cleanup_buf_ struct buf b = {0};
	struct logview_line l;
	struct logview *v;
	int64_t now;

	log_rig_put(p, zero, 2, 1000, "zero\n");
	log_rig_put(p, one, 1, 1000, "one\n");
	v = log_rig_open(p, (struct logview_opts){.index = -1, .tail = 0, .follow = true});
	log_rig_drain(v, &b);
	assert_int_equal(logview_holds_ms(v), 0);
	now = clock_wall_ms();
	log_rig_put(p, zero, 2, now, HEAD);
	log_rig_put(p, one, 1, now, "other\n");
	expect_one(v, "Traceback (most recent call last):");
	if (logview_next(v, &l, NULL) == 1 || logview_holds_ms(v) == 0)
		skip(); /* a slow machine: the time is over */
	log_rig_put(p, zero, 2, now + 1, "  File\n");
	log_rig_put(p, zero, 2, now + 2, "Error\n");
	expect_one(v, "  File");
	expect_one(v, "Error");
	expect_one(v, "other");
	logview_free(v);
}

static void following_does_not_wait_for_ever(void **state)
{
	struct log_rig *p = *state;
	_cleanup_buf_ struct buf b = {0};
	struct logview *v;
	int64_t now;

	log_rig_put(p, zero, 2, 1000, "zero\n");
	log_rig_put(p, one, 1, 1000, "one\n");
	v = log_rig_open(p, (struct logview_opts){.index = -1, .tail = 0, .follow = true});
	log_rig_drain(v, &b);
	now = clock_wall_ms();
	log_rig_put(p, zero, 2, now, HEAD);
	log_rig_put(p, one, 1, now, "other\n");
	expect_one(v, "Traceback (most recent call last):");
	expect_one(v, "other");
	assert_int_equal(logview_holds_ms(v), 0);
	logview_free(v);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, log_rig_setup, log_rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(merged),
		TEST(following_waits_for_the_rest),
		TEST(following_does_not_wait_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
