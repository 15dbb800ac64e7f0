/* pieces: see pieces.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/gateway/pieces.h"

#include "lib/mem.h"

void pieces_take(struct pieces *p, struct buf *b)
{
	if (p->n == 0) {
		buf_reserve(b, PIECES_SIZE - 1);
		return;
	}
	b->data = p->kept[--p->n];
	b->data[0] = '\0';
	b->len = 0;
	b->cap = PIECES_SIZE;
}

void pieces_give(struct pieces *p, struct buf *b)
{
	if (b->cap == PIECES_SIZE && p->n < PIECES_KEPT) {
		p->kept[p->n++] = b->data;
		b->data = NULL;
		b->cap = 0;
	}
	buf_done(b);
}

void pieces_done(struct pieces *p)
{
	while (p->n > 0)
		mem_free(p->kept[--p->n]);
}
