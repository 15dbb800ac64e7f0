/*
 * test_zero: going to zero and coming back, by what is seen; and a long random life in which no
 * request may find it asleep, no start is given up, and it sleeps exactly when it may.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "daemon/controller/zero.h"
#include "lib/mem.h"

#define IDLE 10000
#define NOW 1000000

static const struct zero_seen up = {
	.can = true, .idle_ms = IDLE, .ready = 1, .replicas = 1, .ready_mono_ms = NOW - 90000};

static enum zero_verdict step(struct zero *z, const struct zero_seen *seen, int64_t now,
			      int64_t *wake)
{
	int64_t unused = INT64_MAX;

	if (wake)
		*wake = INT64_MAX;
	return zero_step(z, seen, now, wake ? wake : &unused);
}

/* Up, and used at NOW. */
static struct zero used(void)
{
	struct zero z = {0};
	struct zero_seen seen = up;

	seen.in_use = true;
	assert_int_equal(step(&z, &seen, NOW, NULL), ZERO_STAYS);
	assert_false(z.asleep || z.waking);
	return z;
}

static void test_begins(void **state)
{
	struct zero_seen none = {.can = true, .idle_ms = IDLE}, seen;
	struct zero z = {0};

	(void)state;
	assert_int_equal(zero_bound(&z, 3), 3); /* not looked at yet */
	assert_int_equal(step(&z, &none, NOW, NULL), ZERO_STAYS);
	assert_true(z.asleep);
	assert_int_equal(zero_bound(&z, 3), 0);
	/* what is there after a controller's death goes on */
	z = (struct zero){0};
	step(&z, &up, NOW, NULL);
	assert_int_equal(zero_bound(&z, 3), 3);
	/* and a start goes on as one */
	z = (struct zero){0};
	seen = up;
	seen.ready = 0;
	seen.ready_mono_ms = 0;
	seen.busy = true;
	step(&z, &seen, NOW, NULL);
	assert_int_equal(zero_bound(&z, 3), 1);
	/* the user's number is one */
	z = (struct zero){0};
	none.pinned = true;
	step(&z, &none, NOW, NULL);
	assert_false(z.asleep);
}

static void test_sleeps_when_idle(void **state)
{
	struct zero z = used();
	int64_t wake;

	(void)state;
	assert_int_equal(step(&z, &up, NOW + 1, &wake), ZERO_STAYS);
	assert_int_equal(wake, NOW + IDLE);
	assert_int_equal(step(&z, &up, NOW + IDLE - 1, &wake), ZERO_STAYS);
	assert_int_equal(wake, NOW + IDLE);
	assert_int_equal(zero_bound(&z, 1), 1);
	assert_int_equal(step(&z, &up, NOW + IDLE, &wake), ZERO_SLEEPS);
	assert_int_equal(wake, INT64_MAX);
	assert_int_equal(zero_bound(&z, 1), 0);
	assert_int_equal(step(&z, &up, NOW + 9 * IDLE, &wake), ZERO_STAYS);
}

static void test_does_not_sleep(void **state)
{
	struct zero_seen seen;
	int64_t wake;

	(void)state;
	for (int i = 0; i < 6; i++) {
		struct zero z = used();

		seen = up;
		seen.in_use = i == 0;
		seen.pinned = i == 1;
		seen.busy = i == 2;
		if (i == 3) /* no gateway: nobody knows */
			seen.sighted_mono_ms = -1;
		if (i == 4) /* known again for a while only */
			seen.sighted_mono_ms = NOW + IDLE;
		if (i == 5) /* ready for a while only: whoever asked has left */
			seen.ready_mono_ms = NOW + IDLE;
		assert_int_equal(step(&z, &seen, NOW + 2 * IDLE - 1, &wake), ZERO_STAYS);
		assert_int_equal(wake, i == 0  ? NOW + 3 * IDLE - 1
				       : i < 4 ? INT64_MAX
					       : NOW + 2 * IDLE);
		assert_false(z.asleep);
	}
}

static void test_wakes_with_one(void **state)
{
	struct zero z = {0};
	struct zero_seen seen = {.can = true, .idle_ms = IDLE};
	int64_t wake;

	(void)state;
	step(&z, &seen, NOW, NULL);
	seen.called = seen.in_use = true;
	assert_int_equal(step(&z, &seen, NOW + 5, NULL), ZERO_WAKES);
	assert_int_equal(zero_bound(&z, 9), 1); /* fifty that wait need not nine */
	seen.busy = true;
	seen.replicas = 1;
	assert_int_equal(step(&z, &seen, NOW + 6, NULL), ZERO_STAYS);
	assert_int_equal(zero_bound(&z, 9), 1);
	/* nobody waits any more: it goes on, and idle counts from when it is ready */
	seen.called = seen.in_use = false;
	assert_int_equal(step(&z, &seen, NOW + 5 * IDLE, NULL), ZERO_STAYS);
	seen.busy = false;
	seen.ready = 1;
	seen.ready_mono_ms = NOW + 5 * IDLE;
	assert_int_equal(step(&z, &seen, NOW + 5 * IDLE, &wake), ZERO_STAYS);
	assert_int_equal(wake, NOW + 6 * IDLE);
	assert_int_equal(zero_bound(&z, 9), 9);
	assert_int_equal(zero_bound(&z, 0), 1); /* the scaler's 0 is ours to decide */
	assert_int_equal(step(&z, &seen, NOW + 6 * IDLE, &wake), ZERO_SLEEPS);
}

static void test_user(void **state)
{
	struct zero z = {0};
	struct zero_seen seen = {.can = true, .idle_ms = IDLE};
	int64_t wake;

	(void)state;
	step(&z, &seen, NOW, NULL);
	assert_true(zero_rouse(&z, NOW));
	assert_int_equal(zero_bound(&z, 4), 1);
	assert_false(zero_rouse(&z, NOW + 1));
	z = used();
	zero_lull(&z);
	assert_int_equal(zero_bound(&z, 4), 0);
	seen.pinned = true;
	assert_int_equal(step(&z, &seen, NOW, &wake), ZERO_WAKES);
	/* stopped, and no more than that remembered */
	seen.can = false;
	assert_int_equal(step(&z, &seen, NOW, &wake), ZERO_STAYS);
	assert_false(z.known || z.asleep);
}

static void test_learns(void **state)
{
	(void)state;
	assert_int_equal(zero_learn(0, 0), 0);
	assert_int_equal(zero_learn(0, 8000), 8000);
	assert_int_equal(zero_learn(8000, 0), 8000);
	assert_int_equal(zero_learn(8000, 4000), 5000);
}

/* ---- a random life ---- */

struct life {
	uint32_t random;
	struct zero z;
	struct zero_seen seen;
	int64_t now, last_use, start_due;
	bool starting;
	unsigned slept, woken;
};

static uint32_t rnd(struct life *l, uint32_t n)
{
	l->random = l->random * 1664525 + 1013904223;
	return (l->random >> 8) % n;
}

/* Requests come and go, a gateway too; starts take their time. */
static void befall(struct life *l)
{
	struct zero_seen *s = &l->seen;

	l->now += 1 + rnd(l, 3000);
	if (rnd(l, 4) == 0)
		s->in_use = rnd(l, 3) == 0;
	s->called = s->in_use && (s->called || l->z.asleep);
	if (rnd(l, 20) == 0)
		s->sighted_mono_ms = s->sighted_mono_ms < 0 ? l->now : -1;
	if (rnd(l, 40) == 0)
		s->pinned = !s->pinned;
	if (s->in_use)
		l->last_use = l->now;
	if (l->starting && l->now >= l->start_due) {
		l->starting = false;
		s->ready = 1;
		s->ready_mono_ms = l->now;
	}
	s->busy = l->starting;
}

/* What the plan makes of it. */
static void follow(struct life *l)
{
	struct zero_seen *s = &l->seen;
	unsigned want = zero_bound(&l->z, 5);

	if (want == 0) {
		assert_false(l->starting); /* a start is not given up */
		s->ready = s->replicas = 0;
		s->ready_mono_ms = 0;
		return;
	}
	if (s->replicas == 0) {
		assert_int_equal(want, 1);
		l->starting = true;
		l->start_due = l->now + rnd(l, 60000);
		s->replicas = 1;
	}
	assert_int_equal(want, l->z.waking ? 1 : 5);
}

static void live(struct life *l)
{
	enum zero_verdict v;
	bool slept = l->z.asleep;
	int64_t wake, quiet;

	befall(l);
	v = step(&l->z, &l->seen, l->now, &wake);
	l->slept += v == ZERO_SLEEPS;
	l->woken += v == ZERO_WAKES;
	assert_true(v == ZERO_STAYS || slept == (v == ZERO_WAKES));
	if (l->seen.called || l->seen.pinned)
		assert_false(l->z.asleep);
	quiet = l->last_use > l->seen.ready_mono_ms ? l->last_use : l->seen.ready_mono_ms;
	if (v == ZERO_SLEEPS)
		assert_true(l->now - quiet >= IDLE && l->seen.sighted_mono_ms >= 0);
	if (!l->z.asleep && !l->seen.pinned && !l->seen.busy &&
	    l->seen.sighted_mono_ms >= 0) /* it will be looked at when it may */
		assert_in_range(wake, l->now + 1, l->now + IDLE);
	follow(l);
}

static void test_random_life(void **state)
{
	struct life l = {.random = 7, .now = NOW, .seen = {.can = true, .idle_ms = IDLE}};

	(void)state;
	for (int i = 0; i < 200000; i++)
		live(&l);
	assert_true(l.slept > 1000 && l.woken > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_begins),	       cmocka_unit_test(test_sleeps_when_idle),
		cmocka_unit_test(test_does_not_sleep), cmocka_unit_test(test_wakes_with_one),
		cmocka_unit_test(test_user),	       cmocka_unit_test(test_learns),
		cmocka_unit_test(test_random_life),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
