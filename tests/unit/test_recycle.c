/* test_recycle: when a replica is too old, and how fast those above their ceiling may follow. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "daemon/controller/recycle_pace.h"
#include "lib/mem.h"

#define WALL INT64_C(1767322745000)
#define SECOND 1000
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)

/* Another end, after so long a life. */
static void end(struct exits *e, const char *cause, int64_t life_ms)
{
	int64_t begun = e->n ? e->list[e->n - 1].exit.at_wall_ms : WALL;

	e->list[e->n++].exit = (struct replica_exit){
		.cause = cause, .started_wall_ms = begun, .at_wall_ms = begun + life_ms};
}

static void test_gap(void **state)
{
	static const int64_t minutes[] = {0, 1, 2, 4, 8, 16, 32, 60, 60};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(minutes); i++)
		assert_int_equal(recycle_pace_gap_ms(i), minutes[i] * MINUTE);
	assert_int_equal(recycle_pace_gap_ms(UINT32_MAX), HOUR);
}

/* A ceiling that is too low: each goes as soon as it may, and the gaps grow to the longest. */
static void test_ceiling_too_low(void **state)
{
	struct exits e = {.n = 0};

	(void)state;
	assert_int_equal(recycle_pace_streak(&e, 0), 0);
	for (unsigned i = 0; i < EXITS_KEPT; i++) {
		end(&e, "memory", recycle_pace_gap_ms(i) + 10 * SECOND);
		assert_int_equal(recycle_pace_streak(&e, 0), i + 1);
	}
	assert_int_equal(recycle_pace_gap_ms(recycle_pace_streak(&e, 0)), HOUR);
}

/* What leaks for hours is recycled when it is found, time after time. */
static void test_slow_leak(void **state)
{
	struct exits e = {.n = 0};

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		end(&e, "memory", 3 * HOUR);
		assert_int_equal(recycle_pace_streak(&e, 0), 0);
	}
	end(&e, "memory", RECYCLE_PACE_CALM_MS); /* exactly: too soon */
	assert_int_equal(recycle_pace_streak(&e, 0), 1);
	end(&e, "memory", RECYCLE_PACE_CALM_MS + MINUTE + 1); /* longer than it had to */
	assert_int_equal(recycle_pace_streak(&e, 0), 0);
}

static void test_new_beginnings(void **state)
{
	static const char *const anew[] = {"user", "update", "rollback", "delete", "max_age"};
	static const char *const other[] = {"exit", "oom", "probe", "scale", NULL};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(anew); i++) {
		struct exits e = {.n = 0};

		end(&e, "memory", SECOND);
		end(&e, anew[i], SECOND);
		assert_int_equal(recycle_pace_streak(&e, 0), 0);
		end(&e, "memory", SECOND);
		assert_int_equal(recycle_pace_streak(&e, 0), 1);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(other); i++) {
		struct exits e = {.n = 0};

		end(&e, "memory", SECOND);
		end(&e, other[i], HOUR);
		assert_int_equal(recycle_pace_streak(&e, 0), 1);
	}
}

static void test_reset(void **state)
{
	struct exits e = {.n = 0};

	(void)state;
	end(&e, "memory", 10 * SECOND);
	end(&e, "memory", 10 * SECOND);
	assert_int_equal(recycle_pace_streak(&e, WALL + 20 * SECOND), 1);
	assert_int_equal(recycle_pace_streak(&e, WALL + 20 * SECOND + 1), 0);
}

/* A step of the wall clock does not lift the brake. */
static void test_clock_set_back(void **state)
{
	struct exits e = {.n = 0};

	(void)state;
	end(&e, "memory", 10 * SECOND);
	end(&e, "memory", -5 * HOUR);
	assert_int_equal(recycle_pace_streak(&e, 0), 2);
}

static void test_age(void **state)
{
	int64_t due, other;

	(void)state;
	assert_int_equal(recycle_pace_age_due(0, HOUR, 0.1, "a"), INT64_MAX);
	assert_int_equal(recycle_pace_age_due(SECOND, 0, 0.1, "a"), INT64_MAX);
	assert_int_equal(recycle_pace_age_due(SECOND, HOUR, 0, "a"), SECOND + HOUR);
	due = recycle_pace_age_due(SECOND, HOUR, 0.1, "5f1c000000000001");
	other = recycle_pace_age_due(SECOND, HOUR, 0.1, "5f1c000000000002");
	assert_in_range(due, SECOND + HOUR - HOUR / 10, SECOND + HOUR + HOUR / 10);
	assert_in_range(other, SECOND + HOUR - HOUR / 10, SECOND + HOUR + HOUR / 10);
	assert_int_not_equal(due, other); /* spread, */
	assert_int_equal(due,		  /* and the same for the next controller */
			 recycle_pace_age_due(SECOND, HOUR, 0.1, "5f1c000000000001"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gap),	  cmocka_unit_test(test_ceiling_too_low),
		cmocka_unit_test(test_slow_leak), cmocka_unit_test(test_new_beginnings),
		cmocka_unit_test(test_reset),	  cmocka_unit_test(test_clock_set_back),
		cmocka_unit_test(test_age),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
