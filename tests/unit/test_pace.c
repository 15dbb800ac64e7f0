/* Tests of daemon/logger/pace: when a stream is read, decided from numbers alone. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/logger/pace.h"

#define START 1000000

/*
 * A writer of so many bytes a millisecond, its reader following the pace. Returns how many steps a
 * second of it takes; the longest rest in *longest, the most that was found in *most.
 */
static unsigned run(struct pace *p, uint32_t rate, int64_t *longest, size_t *most)
{
	int64_t now = START, read = START;
	unsigned steps = 0;

	*longest = 0;
	*most = 0;
	for (; now < START + 1000; steps++) {
		size_t n = (size_t)(now - read) * rate;
		int64_t next;
		int tick;

		n = n > p->pipe_size ? p->pipe_size : n;
		tick = pace_taken(p, n, now);
		next = tick < 0 ? now + 1 : pace_tick(tick, now);
		*longest = next - now > *longest ? next - now : *longest;
		*most = n > *most ? n : *most;
		read = now;
		now = next;
	}
	return steps;
}

static struct pace pipe_of(uint32_t size)
{
	return (struct pace){.pipe_size = size, .last_mono_ms = INT64_MIN / 2};
}

static void a_single_line_does_not_rest(void **state)
{
	struct pace p = pipe_of(64 << 10);

	(void)state;
	for (int i = 0; i < 50; i++)
		assert_int_equal(pace_taken(&p, 100, START + 25 * i), -1);
}

static void a_quick_trickle_rests_long(void **state)
{
	struct pace p = pipe_of(64 << 10);
	int64_t longest;
	size_t most;

	(void)state;
	assert_true(run(&p, 100, &longest, &most) < 50);
	assert_int_equal(longest, 32);
}

/* However fast: a writer never finds its pipe full because of a rest. */
static void half_of_the_pipe_stays_free(void **state)
{
	static const uint32_t sizes[] = {8 << 10, 64 << 10, 1 << 20};
	int64_t longest;
	size_t most;

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (uint32_t rate = 1; rate < sizes[i] / 4; rate += 1 + rate / 8) {
			struct pace p = pipe_of(sizes[i]);

			run(&p, rate, &longest, &most);
			assert_true(most < sizes[i] / 2);
		}
}

static void steps_become_fewer(void **state)
{
	struct pace p = pipe_of(64 << 10);
	int64_t longest;
	size_t most;

	(void)state;
	assert_true(run(&p, 1000, &longest, &most) < 80); /* 1 MB/s */
	p = pipe_of(1 << 20);
	assert_true(run(&p, 1000, &longest, &most) < 50);
}

static void who_writes_much_gets_a_larger_pipe(void **state)
{
	struct pace_budget none = {0}, some = {.max = 1 << 20};
	struct pace p = pipe_of(64 << 10);
	int fds[2];
	int64_t longest;
	size_t most;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	run(&p, 100, &longest, &most);
	assert_false(pace_is_full(&p, most));
	p = pipe_of(64 << 10);
	run(&p, 1000, &longest, &most);
	assert_true(pace_is_full(&p, most));
	pace_grow(&p, &none, fds[0]);
	assert_int_equal(p.pipe_size, 64 << 10);
	assert_int_equal(none.used, 0);
	assert_false(pace_is_full(&p, most)); /* not asked for with each step */
	assert_true(pace_is_full(&p, 60 << 10));
	p.refused = false;
	assert_true(pace_is_full(&p, most));
	pace_grow(&p, &some, fds[0]);
	if (p.pipe_size > 64 << 10) { /* it may not be allowed */
		assert_int_equal(some.used, p.pipe_size - (64 << 10));
		run(&p, 1000, &longest, &most);
		assert_int_equal(longest, 32);
		assert_false(pace_is_full(&p, most));
	}
	close(fds[0]);
	close(fds[1]);
}

/* What is worth a step of its own is taken, in whatever time a rest would fill the pipe. */
static void large_pieces_do_not_rest(void **state)
{
	struct pace p = pipe_of(1 << 20);

	(void)state;
	for (int i = 0; i < 50; i++)
		assert_int_equal(pace_taken(&p, 64 << 10, START), -1);
}

static void a_pipe_half_full_is_read_at_once(void **state)
{
	struct pace p = pipe_of(64 << 10);

	(void)state;
	assert_true(pace_taken(&p, 100, START) == -1);
	assert_true(pace_taken(&p, 100, START + 1) >= 0);
	assert_int_equal(pace_taken(&p, 32 << 10, START + 3), -1);
}

/* A writer of so many bytes a microsecond into a pipe of a megabyte: the steps of 100 ms, the most found. */
static unsigned look(struct pace *p, unsigned rate, size_t *most)
{
	int64_t now = 0, read = 0;
	unsigned steps = 0;

	*most = 0;
	for (; now < 100000; steps++) {
		size_t n = (size_t)(now - read) * rate;

		n = n > p->pipe_size ? p->pipe_size : n;
		*most = n > *most ? n : *most;
		read = now;
		now += (64 << 10) / rate + 1; /* its next write */
		now += pace_blink(p, n, read);
	}
	return steps;
}

/* Hundreds of megabytes a second: met with large pieces, but the writer never finds its pipe full. */
static void the_fastest_are_met_with_large_pieces(void **state)
{
	(void)state;
	for (unsigned rate = 600; rate <= 4000; rate += 50) {
		struct pace p = pipe_of(1 << 20);
		size_t most;

		assert_true(look(&p, rate, &most) < 100000 * rate / (64 << 10) * 3 / 4);
		assert_true(most < p.pipe_size);
	}
}

static void nobody_else_blinks(void **state)
{
	struct pace small = pipe_of(64 << 10), slow = pipe_of(1 << 20);

	(void)state;
	for (int64_t t = START; t < START + 20000; t += 20)
		assert_int_equal(pace_blink(&small, 32 << 10, t), 0);
	for (int64_t t = START; t < START + 200000; t += 1000) /* 64 MB/s */
		assert_int_equal(pace_blink(&slow, 64 << 10, t), 0);
}

static void who_finds_nothing_begins_again(void **state)
{
	struct pace p = pipe_of(64 << 10);
	int64_t longest;
	size_t most;

	(void)state;
	run(&p, 100, &longest, &most);
	pace_empty(&p);
	assert_true(pace_taken(&p, 100, START + 2000) == -1);
	assert_true(pace_taken(&p, 100, START + 2001) <= 1); /* 2 ms */
}

/* Whoever rests equally long wakes up at the same time. */
static void ticks_are_shared(void **state)
{
	(void)state;
	for (int tick = 0; tick < PACE_END; tick++)
		for (int64_t now = START; now < START + 100; now++) {
			int64_t next = pace_tick(tick, now);

			assert_true(next > now && next <= now + (1 << tick));
			assert_int_equal(next % (1 << tick), 0);
		}
	assert_true(pace_tick(PACE_END, START) >= START + 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_single_line_does_not_rest),
		cmocka_unit_test(a_quick_trickle_rests_long),
		cmocka_unit_test(half_of_the_pipe_stays_free),
		cmocka_unit_test(steps_become_fewer),
		cmocka_unit_test(who_writes_much_gets_a_larger_pipe),
		cmocka_unit_test(large_pieces_do_not_rest),
		cmocka_unit_test(a_pipe_half_full_is_read_at_once),
		cmocka_unit_test(the_fastest_are_met_with_large_pieces),
		cmocka_unit_test(nobody_else_blinks),
		cmocka_unit_test(who_finds_nothing_begins_again),
		cmocka_unit_test(ticks_are_shared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
