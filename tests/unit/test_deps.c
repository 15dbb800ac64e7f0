/* deps: each condition against each fact, what is not required, time-outs. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "daemon/controller/deps.h"
#include "lib/manifest.h"

static const struct deps_fact none, known = {.known = true},
				    started = {.known = true, .started = true},
				    ready = {.known = true, .started = true, .ready = true},
				    completed = {.known = true, .completed = true};

static enum deps_kind one(int64_t condition, bool required, int64_t timeout_ms,
			  const struct deps_fact *fact, int64_t waited_ms)
{
	const struct depend_spec spec = {NULL, condition, required, timeout_ms};

	return deps_judge(&spec, fact, 1, 1000, 1000 + waited_ms).kind;
}

static void test_conditions(void **state)
{
	(void)state;
	assert_int_equal(one(DEPEND_STARTED, true, 0, &known, 0), DEPS_HELD);
	assert_int_equal(one(DEPEND_STARTED, true, 0, &started, 0), DEPS_OPEN);
	assert_int_equal(one(DEPEND_STARTED, true, 0, &ready, 0), DEPS_OPEN);
	assert_int_equal(one(DEPEND_STARTED, true, 0, &completed, 0), DEPS_OPEN);
	assert_int_equal(one(DEPEND_READY, true, 0, &started, 0), DEPS_HELD);
	assert_int_equal(one(DEPEND_READY, true, 0, &ready, 0), DEPS_OPEN);
	assert_int_equal(one(DEPEND_READY, true, 0, &completed, 0), DEPS_HELD);
	assert_int_equal(one(DEPEND_COMPLETED, true, 0, &ready, 0), DEPS_HELD);
	assert_int_equal(one(DEPEND_COMPLETED, true, 0, &completed, 0), DEPS_OPEN);
}

static void test_required(void **state)
{
	(void)state;
	assert_int_equal(one(DEPEND_READY, true, 0, &none, 1000000), DEPS_HELD);
	assert_int_equal(one(DEPEND_READY, false, 0, &none, 0),
			 DEPS_OPEN); /* nothing to wait for */
	assert_int_equal(one(DEPEND_READY, false, 0, &known, 1000000), DEPS_HELD);
}

static void test_timeout(void **state)
{
	(void)state;
	assert_int_equal(one(DEPEND_READY, true, 500, &started, 499), DEPS_HELD);
	assert_int_equal(one(DEPEND_READY, true, 500, &started, 500), DEPS_FAILED);
	assert_int_equal(one(DEPEND_READY, true, 500, &ready, 5000), DEPS_OPEN); /* a level */
	assert_int_equal(one(DEPEND_READY, false, 500, &started, 499), DEPS_HELD);
	assert_int_equal(one(DEPEND_READY, false, 500, &started, 500), DEPS_OPEN);
	assert_int_equal(one(DEPEND_READY, true, 500, &none, 500), DEPS_FAILED);
}

/* The worst counts, and who stands first of that kind is named; the earliest time-out wakes. */
static void test_several(void **state)
{
	static const struct depend_spec specs[] = {{NULL, DEPEND_STARTED, true, 0},
						   {NULL, DEPEND_READY, true, 900},
						   {NULL, DEPEND_READY, true, 700},
						   {NULL, DEPEND_READY, false, 300}};
	const struct deps_fact facts[] = {ready, started, started, started};
	struct deps_verdict v = deps_judge(specs, facts, 4, 0, 0);

	(void)state;
	assert_int_equal(v.kind, DEPS_HELD);
	assert_int_equal(v.which, 1);
	assert_true(v.wake_mono_ms == 300);
	v = deps_judge(specs, facts, 4, 0, 300);
	assert_int_equal(v.kind, DEPS_HELD);
	assert_true(v.wake_mono_ms == 700);
	v = deps_judge(specs, facts, 4, 0, 700);
	assert_int_equal(v.kind, DEPS_FAILED);
	assert_int_equal(v.which, 2);
	v = deps_judge(specs, facts, 0, 0, 0);
	assert_int_equal(v.kind, DEPS_OPEN);
	assert_true(v.wake_mono_ms == INT64_MAX);
}

/* A crash is one life more, once a successor is there; what grows, shrinks or only tried is none. */
static void test_lives(void **state)
{
	uint64_t life = 8, before;

	(void)state;
	assert_false(deps_life_settled(&life));
	deps_life_ended(&life, 1, 2, false); /* one of two crashed */
	assert_int_equal(life, 9);
	assert_int_equal(deps_life_mark("a", 9), deps_life_mark("a", 10)); /* what began then */
	deps_life_ended(&life, 0, 2, false); /* and the other, later */
	assert_int_not_equal(deps_life_mark("a", life), deps_life_mark("a", 10));
	assert_true(deps_life_settled(&life));
	assert_int_equal(life, 12);
	life = 10;
	assert_false(deps_life_settled(&life));
	deps_life_ended(&life, 2, 2, false); /* the new one of an update failed */
	assert_int_equal(life, 10);
	deps_life_ended(&life, 2, 2, true); /* the old one of an update that started first */
	assert_int_equal(life, 11);
	before = life;
	deps_life_ended(&life, 1, 2, false);
	assert_true(life >= before); /* never less: the largest of all notes is the newest */
	assert_true(deps_life_settled(&life));
	deps_life_ended(&life, 0, 0, false); /* stopped by the user */
	assert_true(deps_life_settled(&life));
}

static void test_marks(void **state)
{
	const struct depend_spec ab[] = {{.name = (char *)"a"}, {.name = (char *)"b"}};
	const struct depend_spec ba[] = {{.name = (char *)"b"}, {.name = (char *)"a"}};
	const struct depend_spec joined[] = {{.name = (char *)"ab"}, {.name = (char *)""}};

	(void)state;
	assert_int_not_equal(deps_life_mark("a", 8), deps_life_mark("a", 10));
	assert_int_not_equal(deps_life_mark("a", 8), deps_life_mark("b", 8));
	assert_int_not_equal(deps_names_mark(ab, 2), deps_names_mark(ba, 2));
	assert_int_not_equal(deps_names_mark(ab, 2), deps_names_mark(ab, 1));
	assert_int_not_equal(deps_names_mark(ab, 2), deps_names_mark(joined, 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conditions), cmocka_unit_test(test_required),
		cmocka_unit_test(test_timeout),	   cmocka_unit_test(test_several),
		cmocka_unit_test(test_lives),	   cmocka_unit_test(test_marks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
