/*
 * waiting: the requests of a route that no backend takes now, in the order in which they came.
 *
 * They wait for an active backend, for a free slot, for the end of a hold, or, where all were tried
 * in vain, a moment. At most queue_max do, and queue.timeout each (longer while a first replica
 * starts; a hold does not count), then 503 with Retry-After. Who comes waits behind them.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_GATEWAY_WAITING_H
#define AICTL_GATEWAY_WAITING_H

#include <stdbool.h>

struct exchange;
struct gateway;
struct route;

/* full: it waits for a slot. Answers it instead when too many wait, or it has waited long enough. */
void waiting_add(struct exchange *x, struct route *r, bool full);
/* A new one, where others wait. */
void waiting_add_behind(struct exchange *x, struct route *r);
void waiting_remove(struct exchange *x); /* idempotent; its time goes on */
void waiting_end(struct exchange *x);	 /* idempotent; it need not wait again */
/* There may be a free slot, or none any more. */
void waiting_wake(struct gateway *g, struct route *r);
/* The route is to go: all are answered. */
void waiting_give_up(struct gateway *g, struct route *r);

#endif
