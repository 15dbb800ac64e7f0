/* test_canary: the steps of a canary, and what is counted while one is in force. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "daemon/controller/canary.h"
#include "lib/manifest.h"

static void test_steps(void **state)
{
	char first[] = "20%/3s", all[] = "100%", *own[] = {first, all, NULL};
	struct update_spec u = {0};
	struct canary_step step;

	(void)state;
	assert_int_equal(canary_steps(&u), 3);
	assert_true(canary_step(&u, 1, &step));
	assert_int_equal(step.percent, 25);
	assert_int_equal(step.ms, 300000);
	assert_true(canary_step(&u, 2, &step));
	assert_int_equal(step.percent, 100);
	assert_false(canary_step(&u, 3, &step));
	u.steps = own;
	assert_int_equal(canary_steps(&u), 2);
	assert_true(canary_step(&u, 0, &step));
	assert_int_equal(step.percent, 20);
	assert_int_equal(step.ms, 3000);
	assert_false(canary_step(&u, 2, &step));
}

static void test_replicas_of_a_step(void **state)
{
	(void)state;
	assert_int_equal(canary_replicas(5, 1), 1);
	assert_int_equal(canary_replicas(5, 20), 1);
	assert_int_equal(canary_replicas(5, 21), 2);
	assert_int_equal(canary_replicas(25, 8), 2);
	assert_int_equal(canary_replicas(99, 3), 3);
	assert_int_equal(canary_replicas(5, 0), 0);
}

static struct judge_side counted(uint64_t requests, uint64_t errors)
{
	return (struct judge_side){.requests = requests, .errors = errors, .times = {requests}};
}

static void see(struct canary_count *c, const char *id, bool canary, bool old, uint64_t requests,
		uint64_t errors)
{
	const struct judge_side now = counted(requests, errors);

	canary_see(c, id, canary, old, &now);
}

static void test_counts_what_came_since_the_step_began(void **state)
{
	struct canary_count c = {0};

	(void)state;
	see(&c, "stable-a", false, false, 1000, 7);
	see(&c, "canary-a", true, false, 3, 0);
	canary_seen_all(&c);
	canary_begin(&c);
	see(&c, "stable-a", false, false, 1100, 8);
	see(&c, "canary-a", true, false, 10, 1);
	see(&c, "canary-b", true, false, 5, 2); /* began meanwhile */
	canary_seen_all(&c);
	assert_int_equal(c.stable.requests, 100);
	assert_int_equal(c.stable.errors, 1);
	assert_int_equal(c.stable.times[0], 100);
	assert_int_equal(c.canary.requests, 12);
	assert_int_equal(c.canary.errors, 3);
	see(&c, "stable-a", false, false, 1101, 8); /* the others have ended: what they did stays */
	canary_seen_all(&c);
	assert_int_equal(c.n, 1);
	assert_int_equal(c.stable.requests, 101);
	assert_int_equal(c.canary.requests, 12);
	canary_begin(&c);
	assert_int_equal(c.canary.requests, 0);
	canary_done(&c);
}

static void test_another_gateway_counts_from_zero(void **state)
{
	struct canary_count c = {0};

	(void)state;
	see(&c, "a", true, false, 100, 10);
	canary_seen_all(&c);
	see(&c, "a", true, false, 4, 1);
	canary_seen_all(&c);
	see(&c, "a", true, false, 6, 1);
	assert_int_equal(c.canary.requests, 106);
	assert_int_equal(c.canary.errors, 11);
	canary_done(&c);
}

/* After our own restart: what was before is of an unknown time. */
/* In any order, with some gone and some new in each: one more request of each that is there. */
static void test_rounds_of_many(void **state)
{
	enum { N = 4000, ROUNDS = 20 };
	uint64_t requests[N] = {0}, all = 0;
	struct canary_count c = {0};
	char id[32];

	(void)state;
	for (unsigned round = 1; round <= ROUNDS; round++) {
		for (unsigned i = 0; i < N; i++) {
			unsigned which = round % 4 == 3 ? N - 1 - i : i;

			requests[which]++;
			if (which % 100 == round) { /* it has ended; another run follows */
				requests[which] = 0;
				continue;
			}
			snprintf(id, sizeof(id), "%u", which);
			see(&c, id, which % 2, false, requests[which], 0);
			all++;
		}
		canary_seen_all(&c);
		assert_int_equal(c.n, N - N / 100);
		assert_int_equal(c.canary.requests + c.stable.requests, all);
	}
	canary_done(&c);
}

static void test_an_old_one_counts_from_its_first_sight(void **state)
{
	struct canary_count c = {0};

	(void)state;
	see(&c, "a", false, true, 5000, 10);
	canary_seen_all(&c);
	see(&c, "a", false, true, 5010, 11);
	assert_int_equal(c.stable.requests, 10);
	assert_int_equal(c.stable.errors, 1);
	canary_done(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steps),
		cmocka_unit_test(test_replicas_of_a_step),
		cmocka_unit_test(test_counts_what_came_since_the_step_began),
		cmocka_unit_test(test_another_gateway_counts_from_zero),
		cmocka_unit_test(test_an_old_one_counts_from_its_first_sight),
		cmocka_unit_test(test_rounds_of_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
