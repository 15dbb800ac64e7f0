/*
 * upstream: a connection to a backend: of one exchange, or kept for the next one. Kept ones are read,
 * too: so their end is seen, and whatever comes unasked ends them. They are closed after 4 s, before
 * most servers do it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_GATEWAY_UPSTREAM_H
#define AICTL_GATEWAY_UPSTREAM_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/gateway/deadline.h"
#include "daemon/gateway/io.h"
#include "lib/buf.h"

struct backend;
struct exchange;
struct gateway;

#define UPSTREAM_IDLE_MAX 256 /* of one backend */

struct upstream {
	struct io io;
	struct gateway *g;
	struct backend *b;  /* while kept or used */
	struct exchange *x; /* while used */
	struct deadline deadline;
	struct buf in; /* a head that is not complete */
	size_t in_seen;
	bool kept;   /* it is among b's idle */
	bool reused; /* it has served a request before */
	struct upstream *next, *prev;
};

/* A kept one, or NULL. sure: its end has certainly not come yet. */
struct upstream *upstream_take(struct backend *b, struct exchange *x, bool sure);
/* A new one; exchange_connected will be called. -errno: it cannot even be tried. */
int upstream_connect(struct gateway *g, struct backend *b, struct exchange *x,
		     struct upstream **ret);
void upstream_keep(struct upstream *u);
void upstream_close(struct upstream *u); /* x and b are none of its business any more */
/* The same after all that was written. */
void upstream_finish(struct upstream *u);
void upstream_close_idle(struct backend *b);

#endif
