/*
 * outlet: a channel, and what its socket had no room for yet, in order. It has no limit of its own:
 * who fills it stops reading where that comes from while it is full.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_GATEWAY_OUTLET_H
#define AICTL_GATEWAY_OUTLET_H

#include <stdbool.h>

struct buf;
struct channel;
struct outlet_packet;

struct outlet {
	struct channel *channel; /* NULL = closed: what is sent is gone */
	struct outlet_packet *first, *last;
};

/* Takes what is in b, and fd (-1 = none). False: no memory, and the packet is lost. */
bool outlet_send(struct outlet *o, struct buf *b, int fd);
bool outlet_is_full(const struct outlet *o);
void outlet_flush(struct outlet *o); /* the channel has room */
void outlet_close(struct outlet *o); /* idempotent */

#endif
