/*
 * outbox: packets for aictld that are said once (the end of a RUN, its pid, statistics), until they
 * fit into the socket. There are never more of them than requests.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_RUNTIME_OUTBOX_H
#define AICTL_RUNTIME_OUTBOX_H

#include <stddef.h>

struct buf;

struct outbox {
	struct buf *packets; /* from first on */
	size_t first, n, cap;
};

/* Takes the packet over, b is empty then. Out of memory: it is lost, and that is logged. */
void outbox_put_take(struct outbox *o, struct buf *b);
const struct buf *outbox_first(const struct outbox *o); /* NULL: nothing is due */
void outbox_sent(struct outbox *o);
void outbox_done(struct outbox *o);

#endif
