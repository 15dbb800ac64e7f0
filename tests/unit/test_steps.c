/*
 * test_steps: who is in a step, as another process sees it. Two tables over the same words stand for
 * two processes; where the life of a thread matters there are two.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/wire/steps.h"
#include "lib/clock.h"
#include "lib/mem.h"

#define DEADLINE_MS 20000

struct two {
	uint64_t *words;
	struct steps former, present;
};

static int setup(void **state)
{
	struct two *t = mem_alloc(sizeof(*t));

	t->words = mmap(NULL, STEPS_WORDS * 8, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);
	steps_init(&t->former);
	steps_init(&t->present);
	steps_map(&t->former, t->words);
	steps_map(&t->present, t->words);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct two *t = *state;

	steps_done(&t->former);
	steps_done(&t->present);
	munmap(t->words, STEPS_WORDS * 8);
	mem_free(t);
	return 0;
}

static void a_step_is_seen_where_it_is(void **state)
{
	struct two *t = *state;
	struct steps_thread us = {0};

	assert_false(steps_is_other(&t->present, 7, 3));
	steps_begin(&t->former, &us, 7, 3);
	assert_true(steps_is_other(&t->present, 7, STEPS_NOBODY));
	assert_true(steps_is_other(&t->present, 7, 4));
	assert_true(steps_is_other(&t->present, 8, 3));
	assert_true(steps_is_other(&t->present, STEPS_NO_MOUNT, 3));
	assert_false(steps_is_other(&t->present, 8, 4));
	assert_false(steps_is_other(&t->present, 8, STEPS_NOBODY));
	assert_false(steps_is_other(&t->former, 7, 3)); /* its own */
	steps_end(&t->former, &us);
	assert_false(steps_is_other(&t->present, 7, 3));
	steps_begin(&t->former, &us, 0, STEPS_NOBODY);
	assert_true(steps_is_other(&t->present, 0, 3));
	assert_false(steps_is_other(&t->present, 7, 3));
	assert_false(steps_is_other(&t->present, 7, STEPS_NOBODY));
	steps_end(&t->former, &us);
}

static void another_thread_with_the_same_id_is_not_meant(void **state)
{
	struct two *t = *state;
	struct steps_thread us = {0};

	steps_begin(&t->former, &us, 7, 3);
	t->words[0] += UINT64_C(1) << 22; /* one that started later */
	assert_false(steps_is_other(&t->present, 7, 3));
	t->words[0] -= UINT64_C(1) << 22; /* it is not looked for again */
	assert_false(steps_is_other(&t->present, 7, 3));
}

static void nobody_is_told_without_words(void **state)
{
	struct two *t = *state;
	struct steps_thread us = {0};

	steps_map(&t->former, NULL);
	steps_begin(&t->former, &us, 7, 3);
	steps_end(&t->former, &us);
	assert_int_equal(us.at, 0);
	steps_map(&t->present, NULL);
	assert_false(steps_is_other(&t->present, 7, 3));
}

static void no_more_places_than_there_are(void **state)
{
	struct two *t = *state;
	struct steps_thread threads[STEPS_PLACES + 1] = {0};

	for (int i = 0; i < STEPS_PLACES; i++) {
		steps_begin(&t->former, &threads[i], (uint64_t)i, STEPS_NOBODY);
		assert_int_equal(threads[i].at, i + 1);
	}
	steps_begin(&t->former, &threads[STEPS_PLACES], 1000, STEPS_NOBODY);
	assert_int_equal(threads[STEPS_PLACES].at, 0);
	steps_end(&t->former, &threads[STEPS_PLACES]);
	for (int i = 0; i < STEPS_PLACES; i++)
		assert_true(steps_is_other(&t->present, (uint64_t)i, STEPS_NOBODY));
}

/* A thread of another process, in a step until it is killed. */
static int in_step(struct two *t)
{
	int pid = fork();
	struct steps_thread us = {0};

	if (pid == 0) {
		steps_begin(&t->former, &us, 7, 3);
		for (;;)
			pause();
	}
	for (int64_t until = clock_mono_ms() + DEADLINE_MS; !steps_is_other(&t->present, 7, 3);)
		assert_true(clock_mono_ms() < until);
	return pid;
}

static void what_is_killed_ends_its_step(void **state)
{
	struct two *t = *state;
	struct steps_thread us = {0};
	int pid = in_step(t);

	kill(pid, SIGKILL); /* a zombie, until it is reaped */
	for (int64_t until = clock_mono_ms() + DEADLINE_MS; steps_is_other(&t->present, 7, 3);)
		assert_true(clock_mono_ms() < until);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	steps_begin(&t->present, &us, 9, 2);
	assert_int_equal(us.at, 1); /* its place is free */
	assert_false(steps_is_other(&t->present, 7, 3));
	steps_end(&t->present, &us);
}

static void *one_step(void *user)
{
	struct two *t = user;
	struct steps_thread us = {0};

	steps_begin(&t->former, &us, 7, 3);
	steps_end(&t->former, &us);
	return NULL;
}

/* Threads come and go: their places are taken again. */
static void a_thread_that_ended_leaves_its_place(void **state)
{
	struct two *t = *state;
	struct steps_thread us = {0};
	pthread_t thread;

	for (int i = 0; i < 3 * STEPS_PLACES; i++) {
		assert_int_equal(pthread_create(&thread, NULL, one_step, t), 0);
		pthread_join(thread, NULL);
	}
	steps_begin(&t->former, &us, 7, 3);
	assert_int_not_equal(us.at, 0);
	assert_true(steps_is_other(&t->present, 7, 3));
}

#define RACERS 8

struct racer {
	struct steps *steps;
	struct steps_thread us;
	pthread_barrier_t *ready, *over;
};

static void *take_a_place(void *user)
{
	struct racer *r = user;

	pthread_barrier_wait(r->ready);
	steps_begin(r->steps, &r->us, 7, 3);
	pthread_barrier_wait(r->over); /* it lives until all have one */
	return NULL;
}

/* Threads of two loggers, each with a place of its own: the step of one that has it not alone is seen by
 * nobody. */
static void two_loggers_share_no_place(void **state)
{
	struct two *t = *state;

	for (int round = 0; round < 100; round++) {
		struct racer racers[RACERS] = {0};
		pthread_t threads[RACERS];
		pthread_barrier_t ready, over;
		uint64_t seen = 0;

		for (int i = 0; i < STEPS_PLACES; i++) /* of threads that are gone */
			t->words[i * 3] = UINT64_C(1) << 22 | 0x3fffff;
		pthread_barrier_init(&ready, NULL, RACERS);
		pthread_barrier_init(&over, NULL, RACERS);
		for (int i = 0; i < RACERS; i++) {
			racers[i] = (struct racer){.steps = i % 2 ? &t->former : &t->present,
						   .ready = &ready,
						   .over = &over};
			assert_int_equal(
				pthread_create(&threads[i], NULL, take_a_place, &racers[i]), 0);
		}
		for (int i = 0; i < RACERS; i++)
			pthread_join(threads[i], NULL);
		for (int i = 0; i < RACERS; i++) {
			uint64_t place = UINT64_C(1) << (racers[i].us.at - 1);

			assert_true(racers[i].us.at > 0 && !(seen & place));
			seen |= place;
		}
		pthread_barrier_destroy(&ready);
		pthread_barrier_destroy(&over);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_step_is_seen_where_it_is),
		TEST(another_thread_with_the_same_id_is_not_meant),
		TEST(nobody_is_told_without_words),
		TEST(no_more_places_than_there_are),
		TEST(what_is_killed_ends_its_step),
		TEST(a_thread_that_ended_leaves_its_place),
		TEST(two_loggers_share_no_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
