/* outbox: see outbox.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/runtime/outbox.h"

#include <string.h>

#include "lib/buf.h"
#include "lib/log.h"
#include "lib/mem.h"

void outbox_put_take(struct outbox *o, struct buf *b)
{
	if (b->failed || mem_grow(&o->packets, &o->cap, o->n + 1, sizeof(*o->packets)) < 0) {
		log_error("error=\"out of memory\" an answer to aictld is lost");
		buf_done(b);
		return;
	}
	o->packets[o->n++] = *b;
	*b = (struct buf){0};
}

const struct buf *outbox_first(const struct outbox *o)
{
	return o->first < o->n ? &o->packets[o->first] : NULL;
}

void outbox_sent(struct outbox *o)
{
	buf_done(&o->packets[o->first++]);
	if (o->first == o->n)
		o->first = o->n = 0;
}

void outbox_done(struct outbox *o)
{
	while (o->first < o->n)
		outbox_sent(o);
	mem_free(o->packets);
	*o = (struct outbox){0};
}
