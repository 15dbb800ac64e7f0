/*
 * pieces: memory for a message that is short and soon gone, kept for the next one. A buffer that has
 * outgrown its piece goes back to the allocator.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_GATEWAY_PIECES_H
#define AICTL_GATEWAY_PIECES_H

#include "lib/buf.h"

#define PIECES_SIZE 2048u /* most heads have room in it, ours and theirs */
#define PIECES_KEPT 256

struct pieces {
	char *kept[PIECES_KEPT];
	unsigned n;
};

/* b has no memory yet. Out of memory: it has none then, either, or it failed. */
void pieces_take(struct pieces *p, struct buf *b);
void pieces_give(struct pieces *p, struct buf *b); /* buf_done */
void pieces_done(struct pieces *p);

#endif
