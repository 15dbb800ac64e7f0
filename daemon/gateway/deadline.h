/*
 * deadline: the time-outs of all connections with one timer. Those of one kind and one duration are a
 * queue, so setting one is two pointers. Each kind has a queue with its usual duration; a route that
 * has durations of its own refers to queues of its own, or shares another route's. Nothing is due
 * when nothing is set.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_GATEWAY_DEADLINE_H
#define AICTL_GATEWAY_DEADLINE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

enum deadline_kind {
	DEADLINE_HEAD,	  /* a request's head has begun to come, and its end not yet */
	DEADLINE_IDLE,	  /* a client between two requests */
	DEADLINE_LEAVING, /* the same while this gateway ends */
	DEADLINE_POOLED,  /* a connection to a backend, unused */
	DEADLINE_CONNECT,
	DEADLINE_ANSWER, /* the request is sent; the answer has not begun */
	DEADLINE_STALL,	 /* a client takes, or sends, nothing */
	DEADLINE_LINGER, /* after the last answer */
	DEADLINE_WAIT,	 /* for a backend */
	DEADLINE_START,	 /* the same while the first replica starts */
	DEADLINE_AGAIN,	 /* until the next try when all refuse */
	DEADLINE_TOTAL,	 /* a request, with its answer */
	DEADLINE_TUNNEL, /* a connection that is passed on as it is, without a byte */
	DEADLINE_OUT,	 /* a backend gets nothing */
	DEADLINE_KIND_MAX_
};

struct deadline {
	void (*fn)(void *user);
	void *user;
	struct deadline *next, *prev;
	uint64_t at; /* uv_now */
	enum deadline_kind kind;
	bool set;
	struct deadline_queue *in; /* while set */
};

struct deadline_queue {
	enum deadline_kind kind;
	uint64_t ms;
	struct deadline *first, *last;
	unsigned refs;
	struct deadline_queue *next; /* of the others */
};

struct deadlines {
	uv_timer_t timer;
	struct deadline_queue kinds[DEADLINE_KIND_MAX_];
	struct deadline_queue *others;
	unsigned count[DEADLINE_KIND_MAX_]; /* that are set */
	uint64_t armed_at;		    /* 0 = not */
};

void deadline_init(struct deadlines *ds, uv_loop_t *uv);
void deadline_close(struct deadlines *ds); /* its handle */
void deadline_done(struct deadlines *ds);  /* nothing is set any more, nobody refers to a queue */
/* With the kind's usual duration. */
void deadline_set(struct deadlines *ds, struct deadline *d, enum deadline_kind kind);
void deadline_set_in(struct deadlines *ds, struct deadline *d, struct deadline_queue *q);
void deadline_clear(struct deadlines *ds, struct deadline *d); /* idempotent */
/* One reference to the queue of that duration; the kind's usual one when out of memory. */
struct deadline_queue *deadline_ref(struct deadlines *ds, enum deadline_kind kind, uint64_t ms);
void deadline_unref(struct deadline_queue *q); /* NULL is a no-op */

#endif
