/*
 * loop: one epoll and one timer heap, for the processes that link libc only (aictld, aictl-logger).
 *
 * Both kinds of source are embedded in their owner and allocate nothing: a struct loop_io is one
 * watched descriptor, a struct loop_timer one deadline in clock_mono_ms milliseconds (a pairing
 * heap, so arming cannot fail). There is no tick: when nothing is due the process sleeps for ever.
 *
 * Everything may be added, changed, removed and freed from within any callback, the callback's own
 * source included: events already fetched for a removed io are dropped. loop_del comes before
 * close(fd), always: a spawned child may hold a copy of the descriptor for a moment, and epoll goes
 * on watching what it refers to. After loop_del the struct may be freed at once.
 *
 * One thread runs a loop. With around_wait others may add, change and remove under a lock, and have
 * to wake it then, as by an eventfd that it watches.
 *
 * Fill `fn` and `user` once; the rest belongs to the loop. A zeroed struct is an idle one.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_LOOP_H
#define AICTL_LIB_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

struct loop_io {
	void (*fn)(void *user, uint32_t events); /* EPOLLIN | EPOLLOUT | EPOLLHUP | EPOLLERR ... */
	void *user;
	bool urgent;	 /* called before others that are ready at the same time */
	int fd;		 /* private, valid while active */
	uint32_t events; /* private: what is waited for */
	bool active;	 /* private: is it in the epoll set? read it with loop_is_added */
};

struct loop_timer {
	void (*fn)(void *user); /* called once per arming; the timer is disarmed before */
	void *user;
	int64_t deadline_mono_ms;		/* private */
	struct loop_timer *child, *next, *prev; /* private: pairing heap */
	bool armed;				/* private */
};

#define LOOP_BATCH 64
#define LOOP_PAUSE_MAX_US 1000

struct loop {
	int epoll_fd;
	bool stopped;
	int result;			       /* what loop_stop was given */
	struct loop_timer *root;	       /* earliest deadline, or NULL */
	struct epoll_event events[LOOP_BATCH]; /* being dispatched */
	int n_events, at;
	unsigned pause_us; /* see loop_pause */
	bool waiting;	   /* in epoll_wait */
	bool changed;	   /* something was removed meanwhile: what was fetched may be about it */
	/* A lock that others use the loop under is given up around the wait. NULL = there is none. */
	void (*around_wait)(void *user, bool begins);
	void *user;
};

int loop_init(struct loop *l); /* 0 or -errno */
void loop_done(struct loop *l);

/* Watches fd (which stays the owner's). 0 or -errno. io must not be active. */
int loop_add(struct loop *l, struct loop_io *io, int fd, uint32_t events);
/* Changes what is waited for; nothing happens when it is the same already. 0 or -errno. */
int loop_mod(struct loop *l, struct loop_io *io, uint32_t events);
/* Idempotent. */
void loop_del(struct loop *l, struct loop_io *io);
/* Inside a callback: how many descriptors were ready in this round. */
int loop_round_size(const struct loop *l);
bool loop_is_added(const struct loop_io *io);

/* Arms or re-arms; a deadline in the past fires in the next round. INT64_MAX = never = disarm. */
void loop_timer_arm(struct loop *l, struct loop_timer *t, int64_t deadline_mono_ms);
void loop_timer_disarm(struct loop *l, struct loop_timer *t); /* idempotent */

/* The next wait begins with a sleep of us, at most LOOP_PAUSE_MAX_US: what comes quickly is met together. */
void loop_pause(struct loop *l, unsigned us);

/* Runs until loop_stop; returns its argument, or -errno when epoll itself fails. */
int loop_run(struct loop *l);
/* One round: waits at most max_ms (-1 = until something is due), dispatches. 0 or -errno. */
int loop_once(struct loop *l, int max_ms);
void loop_stop(struct loop *l, int result);

#endif
