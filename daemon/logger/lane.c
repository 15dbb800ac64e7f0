/* lane: see lane.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/logger/lane.h"

#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/mem.h"

#define STACK_SIZE (128 << 10)

void lane_lock(struct lane *l)
{
	pthread_mutex_lock(&l->lock);
}

void lane_unlock(struct lane *l, bool wake)
{
	pthread_mutex_unlock(&l->lock);
	if (wake)
		eventfd_write(l->wake_fd, 1);
}

void lane_step(struct lane *l, bool begins)
{
	if (begins) {
		l->step_since_mono_ms = clock_mono_ms();
		pthread_mutex_unlock(&l->lock);
		return;
	}
	pthread_mutex_lock(&l->lock);
	l->step_since_mono_ms = 0;
	if (l->hung) {
		l->hung = false;
		l->on_back(l->user);
	}
}

static void on_wake(void *user, uint32_t events)
{
	struct lane *l = user;
	eventfd_t n;

	(void)events;
	eventfd_read(l->wake_fd, &n);
	if (l->stop)
		loop_stop(&l->loop, 0);
}

static void around_wait(void *user, bool begins)
{
	struct lane *l = user;

	if (begins)
		pthread_mutex_unlock(&l->lock);
	else
		pthread_mutex_lock(&l->lock);
}

static void *run(void *user)
{
	struct lane *l = user;

	pthread_mutex_lock(&l->lock);
	loop_run(&l->loop);
	if (l->on_stop)
		l->on_stop(l->user);
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

static int start_thread(struct lane *l)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int r = pthread_attr_init(&attr);

	if (r != 0)
		return -r;
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&l->thread, &attr, run, l);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return -r;
}

int lane_start(struct lane *l)
{
	int r = loop_init(&l->loop);

	if (r < 0)
		return r;
	l->loop.around_wait = around_wait;
	l->loop.user = l;
	l->wake_io = (struct loop_io){.fn = on_wake, .user = l};
	l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = l->wake_fd < 0 ? -errno : loop_add(&l->loop, &l->wake_io, l->wake_fd, EPOLLIN);
	if (r == 0)
		r = -pthread_mutex_init(&l->lock, NULL);
	if (r == 0) {
		r = start_thread(l);
		if (r < 0)
			pthread_mutex_destroy(&l->lock);
	}
	if (r < 0) {
		mem_closep(&l->wake_fd);
		loop_done(&l->loop);
	}
	return r;
}

void lane_ask_to_end(struct lane *l)
{
	lane_lock(l);
	l->stop = true;
	lane_unlock(l, true);
}

bool lane_join(struct lane *l, int64_t max_ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	if (max_ms > 0) {
		until.tv_nsec += max_ms % 1000 * 1000000;
		until.tv_sec += max_ms / 1000 + until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
	}
	if (pthread_clockjoin_np(l->thread, NULL, CLOCK_MONOTONIC, &until) != 0)
		return false;
	lane_lock(l); /* the thread sanitizer knows this, and not that call */
	lane_unlock(l, false);
	pthread_mutex_destroy(&l->lock);
	return true;
}

void lane_done(struct lane *l)
{
	loop_done(&l->loop);
	mem_closep(&l->wake_fd);
}
