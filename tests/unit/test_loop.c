/* test_loop: order of timers, removal during dispatch, no wake-up without a cause. */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/loop.h"
#include "lib/mem.h"

#define N 500

struct probe {
	struct loop *loop;
	struct loop_timer timer;
	struct probe *victim;
	int64_t deadline;
	int fired;
	int64_t *last;
};

static void on_timer(void *user)
{
	struct probe *p = user;

	p->fired++;
	assert_true(clock_mono_ms() >= p->deadline);
	if (p->last) {
		assert_true(p->deadline >= *p->last);
		*p->last = p->deadline;
	}
	if (p->victim)
		loop_timer_disarm(p->loop, &p->victim->timer);
}

static void timers_fire_in_order(void **state)
{
	struct loop l;
	struct probe *v = mem_array(N, sizeof(*v));
	int64_t last = 0, now = clock_mono_ms();
	unsigned seed = 7;
	int fired = 0;

	(void)state;
	assert_int_equal(loop_init(&l), 0);
	for (int i = 0; i < N; i++) {
		v[i] = (struct probe){.loop = &l, .last = &last};
		v[i].timer = (struct loop_timer){.fn = on_timer, .user = &v[i]};
	}
	for (int round = 0; round < 20; round++) /* arms, re-arms, disarms at random */
		for (int i = 0; i < N; i++) {
			seed = seed * 1103515245u + 12345u;
			v[i].deadline = now - 100 + (seed >> 16) % 150;
			if (seed >> 30 == 0)
				loop_timer_disarm(&l, &v[i].timer);
			else
				loop_timer_arm(&l, &v[i].timer, v[i].deadline);
		}
	for (int i = 0; i < N; i++)
		loop_timer_arm(&l, &v[i].timer, v[i].deadline);
	while (l.root && clock_mono_ms() < now + 5000)
		assert_int_equal(loop_once(&l, 1000), 0);
	for (int i = 0; i < N; i++)
		fired += v[i].fired;
	assert_int_equal(fired, N);
	loop_done(&l);
	mem_free(v);
}

static void a_timer_disarms_another_due_one(void **state)
{
	struct loop l;
	struct probe a = {.deadline = 1}, b = {.deadline = 2};

	(void)state;
	assert_int_equal(loop_init(&l), 0);
	a.loop = b.loop = &l;
	a.victim = &b;
	a.timer = (struct loop_timer){.fn = on_timer, .user = &a};
	b.timer = (struct loop_timer){.fn = on_timer, .user = &b};
	loop_timer_arm(&l, &b.timer, 2);
	loop_timer_arm(&l, &a.timer, 1);
	assert_int_equal(loop_once(&l, 0), 0);
	assert_int_equal(a.fired, 1);
	assert_int_equal(b.fired, 0);
	assert_null(l.root);
	loop_timer_arm(&l, &a.timer, INT64_MAX);
	assert_null(l.root);
	loop_done(&l);
}

struct source {
	struct loop *loop;
	struct loop_io io;
	struct source *other;
	int fds[2], fired;
};

static void on_io(void *user, uint32_t events)
{
	struct source *s = user;

	assert_true(events & EPOLLIN);
	s->fired++;
	loop_del(s->loop, &s->io);
	loop_del(s->loop, &s->other->io);
	s->other->io.fn = NULL; /* as if freed: a late event would crash */
}

static void a_removed_source_gets_no_fetched_event(void **state)
{
	struct loop l;
	struct source s[2] = {0};

	(void)state;
	assert_int_equal(loop_init(&l), 0);
	for (int i = 0; i < 2; i++) {
		s[i].loop = &l;
		s[i].other = &s[1 - i];
		s[i].io = (struct loop_io){.fn = on_io, .user = &s[i]};
		assert_int_equal(pipe2(s[i].fds, O_CLOEXEC), 0);
		assert_int_equal(write(s[i].fds[1], "x", 1), 1);
		assert_int_equal(loop_add(&l, &s[i].io, s[i].fds[0], EPOLLIN), 0);
	}
	assert_int_equal(loop_once(&l, 1000), 0);
	assert_int_equal(s[0].fired + s[1].fired, 1);
	assert_false(loop_is_added(&s[0].io));
	assert_int_equal(loop_mod(&l, &s[0].io, EPOLLOUT), -ENOENT);
	for (int i = 0; i < 4; i++)
		close(s[i / 2].fds[i % 2]);
	loop_done(&l);
}

static void stop_it(void *user)
{
	loop_stop(user, 42);
}

static void run_returns_what_stop_was_given(void **state)
{
	struct loop l;
	struct loop_timer t;
	int64_t start = clock_mono_ms();

	(void)state;
	assert_int_equal(loop_init(&l), 0);
	t = (struct loop_timer){.fn = stop_it, .user = &l};
	loop_timer_arm(&l, &t, start + 30);
	assert_int_equal(loop_run(&l), 42);
	assert_true(clock_mono_ms() >= start + 30);
	loop_done(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timers_fire_in_order),
		cmocka_unit_test(a_timer_disarms_another_due_one),
		cmocka_unit_test(a_removed_source_gets_no_fetched_event),
		cmocka_unit_test(run_returns_what_stop_was_given),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
