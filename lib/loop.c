/* loop: see loop.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/loop.h"

#include <errno.h>
#include <time.h>
#include <limits.h>
#include <unistd.h>

#include "lib/clock.h"

int loop_init(struct loop *l)
{
	*l = (struct loop){.epoll_fd = epoll_create1(EPOLL_CLOEXEC)};
	return l->epoll_fd < 0 ? -errno : 0;
}

void loop_done(struct loop *l)
{
	if (l->epoll_fd >= 0)
		close(l->epoll_fd);
	l->epoll_fd = -1;
	l->root = NULL;
}

int loop_add(struct loop *l, struct loop_io *io, int fd, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = io};

	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0)
		return -errno;
	io->fd = fd;
	io->events = events;
	io->active = true;
	return 0;
}

int loop_mod(struct loop *l, struct loop_io *io, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = io};

	if (!io->active)
		return -ENOENT;
	if (io->events == events)
		return 0;
	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, io->fd, &ev) < 0)
		return -errno;
	io->events = events;
	return 0;
}

void loop_del(struct loop *l, struct loop_io *io)
{
	if (!io->active)
		return;
	epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, io->fd, NULL);
	io->active = false;
	l->changed |= l->waiting;
	for (int i = l->at; i < l->n_events; i++) /* fetched already, not yet dispatched */
		if (l->events[i].data.ptr == io)
			l->events[i].data.ptr = NULL;
}

int loop_round_size(const struct loop *l)
{
	return l->n_events;
}

bool loop_is_added(const struct loop_io *io)
{
	return io->active;
}

/* Pairing heap: a node's children are a doubly linked list; the first child's prev is its parent.
 */
static struct loop_timer *meld(struct loop_timer *a, struct loop_timer *b)
{
	if (!a || !b)
		return a ? a : b;
	if (b->deadline_mono_ms < a->deadline_mono_ms) {
		struct loop_timer *t = a;

		a = b;
		b = t;
	}
	b->next = a->child;
	if (b->next)
		b->next->prev = b;
	b->prev = a;
	a->child = b;
	return a;
}

static struct loop_timer *meld_children(struct loop_timer *t)
{
	struct loop_timer *first = t->child, *pairs = NULL, *heap = NULL;

	t->child = NULL;
	while (first) { /* left to right: in pairs, onto a stack linked by next */
		struct loop_timer *a = first, *b = a->next;

		first = b ? b->next : NULL;
		a->next = a->prev = NULL;
		if (b)
			b->next = b->prev = NULL;
		a = meld(a, b);
		a->next = pairs;
		pairs = a;
	}
	while (pairs) { /* right to left: into one */
		struct loop_timer *a = pairs;

		pairs = a->next;
		a->next = NULL;
		heap = meld(heap, a);
	}
	return heap;
}

void loop_timer_disarm(struct loop *l, struct loop_timer *t)
{
	if (!t->armed)
		return;
	if (t == l->root) {
		l->root = meld_children(t);
	} else {
		if (t->prev->child == t)
			t->prev->child = t->next;
		else
			t->prev->next = t->next;
		if (t->next)
			t->next->prev = t->prev;
		t->next = t->prev = NULL;
		l->root = meld(l->root, meld_children(t));
	}
	t->next = t->prev = NULL;
	t->armed = false;
}

void loop_timer_arm(struct loop *l, struct loop_timer *t, int64_t deadline_mono_ms)
{
	loop_timer_disarm(l, t);
	if (deadline_mono_ms == INT64_MAX)
		return;
	t->deadline_mono_ms = deadline_mono_ms;
	t->child = t->next = t->prev = NULL;
	t->armed = true;
	l->root = meld(l->root, t);
}

static int timeout_ms(const struct loop *l, int max_ms)
{
	int64_t left;

	if (!l->root)
		return max_ms;
	left = l->root->deadline_mono_ms - clock_mono_ms();
	if (left < 0)
		left = 0;
	if (max_ms >= 0 && left > max_ms)
		left = max_ms;
	return left > INT_MAX ? INT_MAX : (int)left;
}

/* Bounded: a timer that arms itself for "now" again and again must not starve the descriptors. */
static void fire_timers(struct loop *l)
{
	int64_t now;
	int left = 1024;

	if (!l->root)
		return;
	now = clock_mono_ms();
	while (l->root && l->root->deadline_mono_ms <= now && left-- > 0 && !l->stopped) {
		struct loop_timer *t = l->root;

		loop_timer_disarm(l, t);
		t->fn(t->user);
	}
}

static void urgent_first(struct loop *l)
{
	int front = 0;

	for (int i = 0; i < l->n_events; i++) {
		const struct loop_io *io = l->events[i].data.ptr;
		struct epoll_event e = l->events[i];

		if (!io || !io->urgent)
			continue;
		l->events[i] = l->events[front];
		l->events[front++] = e;
	}
}

void loop_pause(struct loop *l, unsigned us)
{
	if (us > LOOP_PAUSE_MAX_US)
		us = LOOP_PAUSE_MAX_US;
	if (us > l->pause_us)
		l->pause_us = us;
}

/* timeout: what it was before a pause of this length is too long by a millisecond at most. */
static int wait_once(struct loop *l, int timeout)
{
	if (l->pause_us > 0 && timeout != 0)
		nanosleep(&(struct timespec){.tv_nsec = (long)l->pause_us * 1000}, NULL);
	l->pause_us = 0;
	return epoll_wait(l->epoll_fd, l->events, LOOP_BATCH, timeout);
}

static int wait_for_events(struct loop *l, int max_ms)
{
	int timeout = timeout_ms(l, max_ms), n, err;

	if (!l->around_wait)
		return wait_once(l, timeout);
	l->changed = false;
	l->waiting = true;
	l->around_wait(l->user, true);
	n = wait_once(l, timeout);
	err = errno;
	l->around_wait(l->user, false);
	l->waiting = false;
	errno = err;
	return l->changed && n > 0 ? 0 : n; /* they come again */
}

int loop_once(struct loop *l, int max_ms)
{
	int n = wait_for_events(l, max_ms);

	if (n < 0 && errno != EINTR)
		return -errno;
	l->n_events = n < 0 ? 0 : n;
	urgent_first(l);
	for (l->at = 0; l->at < l->n_events && !l->stopped;) {
		struct loop_io *io = l->events[l->at].data.ptr;
		uint32_t events = l->events[l->at].events;

		l->at++; /* before the call: loop_del looks at the rest only */
		if (io)
			io->fn(io->user, events);
	}
	l->n_events = l->at = 0;
	fire_timers(l);
	return 0;
}

int loop_run(struct loop *l)
{
	int r = 0;

	l->stopped = false;
	while (!l->stopped && r == 0)
		r = loop_once(l, -1);
	return r < 0 ? r : l->result;
}

void loop_stop(struct loop *l, int result)
{
	l->stopped = true;
	l->result = result;
}
