/* host_watch: see host_watch.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/runtime/host_watch.h"

#include <errno.h>
#include <string.h>

#include "daemon/runtime/host.h"
#include "lib/clock.h"
#include "lib/mem.h"

struct host_watch {
	struct host *host;
	struct loop_io io;
	int fd;
	uint32_t events; /* AICTL_READ | AICTL_WRITE */
	void (*fn)(void *user, int fd, uint32_t events);
	void *user;
};

struct aictl_timer {
	struct host *host;
	struct loop_timer timer;
	void (*fn)(void *user);
	void *user;
	struct aictl_timer *next, *prev;
};

static struct host *host_of(const struct aictl_host *table)
{
	return (struct host *)(void *)table; /* NOLINT: it is ours, and only lent as const */
}

static int64_t now_ms(const struct aictl_host *table)
{
	(void)table;
	return clock_mono_ms();
}

static void on_io(void *user, uint32_t events)
{
	struct host_watch *w = user; /* may be freed by what follows */
	struct host *h = w->host;
	uint32_t out = 0;
	int64_t entered;

	if (events & EPOLLIN)
		out |= AICTL_READ;
	if (events & EPOLLOUT)
		out |= AICTL_WRITE;
	if (events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP))
		out |= AICTL_HANGUP;
	entered = host_enter(h);
	w->fn(w->user, w->fd, out);
	host_leave(h, entered, "the function of a watch");
}

static void drop(struct host *h, int fd)
{
	struct host_watch *w = h->watches[fd];

	h->watches[fd] = NULL;
	loop_del(h->loop, &w->io);
	mem_free(w);
}

static int add(struct host *h, int fd, uint32_t events, struct host_watch **ret)
{
	struct host_watch *w;
	size_t before = h->cap_watches;
	int r;

	if ((size_t)fd >= before) {
		if (mem_grow(&h->watches, &h->cap_watches, (size_t)fd + 1, sizeof(*h->watches)) < 0)
			return -ENOMEM;
		memset(h->watches + before, 0, (h->cap_watches - before) * sizeof(*h->watches));
	}
	w = mem_alloc(sizeof(*w));
	if (!w)
		return -ENOMEM;
	*w = (struct host_watch){.host = h, .io = {.fn = on_io, .user = w}, .fd = fd};
	r = loop_add(h->loop, &w->io, fd, events);
	if (r < 0) {
		mem_free(w);
		return r;
	}
	h->watches[fd] = *ret = w;
	return 0;
}

static int watch(const struct aictl_host *table, int fd, uint32_t events,
		 void (*fn)(void *user, int fd, uint32_t events), void *user)
{
	struct host *h = host_of(table);
	uint32_t wanted =
		(events & AICTL_READ ? EPOLLIN : 0) | (events & AICTL_WRITE ? EPOLLOUT : 0);
	struct host_watch *w;
	int r;

	if (!host_may_call(h, "watch"))
		return -EINVAL;
	w = fd >= 0 && (size_t)fd < h->cap_watches ? h->watches[fd] : NULL;
	if (events == 0) {
		if (w)
			drop(h, fd);
		return 0;
	}
	if (fd < 0 || !fn || (events & ~(AICTL_READ | AICTL_WRITE))) {
		host_fault(h, "watch was called with fd %d, events %u%s", fd, events,
			   fn ? "" : " and no function");
		return -EINVAL;
	}
	if (w) {
		r = loop_mod(h->loop, &w->io, wanted);
		if (r == -ENOENT || r == -EBADF) {
			host_fault(h, "fd %d was closed while it was watched", fd);
			drop(h, fd);
			w = NULL;
		} else if (r < 0) {
			return r;
		}
	}
	if (!w) {
		r = add(h, fd, wanted, &w);
		if (r < 0)
			return r;
	}
	w->events = events;
	w->fn = fn;
	w->user = user;
	return 0;
}

static void on_timer(void *user)
{
	struct aictl_timer *t = user; /* may be freed by what follows */
	struct host *h = t->host;
	int64_t entered = host_enter(h);

	t->fn(t->user);
	host_leave(h, entered, "the function of a timer");
}

static struct aictl_timer *timer_new(const struct aictl_host *table, void (*fn)(void *user),
				     void *user)
{
	struct host *h = host_of(table);
	struct aictl_timer *t;

	if (!host_may_call(h, "timer_new"))
		return NULL;
	if (!fn) {
		host_fault(h, "timer_new was called with no function");
		return NULL;
	}
	t = mem_alloc(sizeof(*t));
	if (!t)
		return NULL;
	*t = (struct aictl_timer){.host = h,
				  .timer = {.fn = on_timer, .user = t},
				  .fn = fn,
				  .user = user,
				  .next = h->timers};
	if (h->timers)
		h->timers->prev = t;
	h->timers = t;
	return t;
}

static void timer_set(const struct aictl_host *table, struct aictl_timer *t, int64_t delay_ms)
{
	struct host *h = host_of(table);

	if (!host_may_call(h, "timer_set") || !t)
		return;
	loop_timer_arm(h->loop, &t->timer,
		       delay_ms < 0 || delay_ms > INT64_MAX / 2 ? INT64_MAX
								: clock_mono_ms() + delay_ms);
}

static void free_timer(struct host *h, struct aictl_timer *t)
{
	loop_timer_disarm(h->loop, &t->timer);
	if (t->prev)
		t->prev->next = t->next;
	else
		h->timers = t->next;
	if (t->next)
		t->next->prev = t->prev;
	mem_free(t);
}

static void timer_free(const struct aictl_host *table, struct aictl_timer *t)
{
	struct host *h = host_of(table);

	if (t && host_may_call(h, "timer_free"))
		free_timer(h, t);
}

void host_watch_init(struct host *h)
{
	h->table.now_ms = now_ms;
	h->table.watch = watch;
	h->table.timer_new = timer_new;
	h->table.timer_set = timer_set;
	h->table.timer_free = timer_free;
}

void host_watch_done(struct host *h, int closed)
{
	unsigned n_fds = 0, n_timers = 0;

	for (size_t fd = 0; fd < h->cap_watches; fd++) {
		if (h->watches[fd]) {
			drop(h, (int)fd);
			n_fds++;
		}
	}
	mem_free(h->watches);
	h->watches = NULL;
	h->cap_watches = 0;
	while (h->timers) {
		free_timer(h, h->timers);
		n_timers++;
	}
	if (closed && n_fds + n_timers > 0)
		host_fault(h, "closed with %u watches and %u timers left", n_fds, n_timers);
}
