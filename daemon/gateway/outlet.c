/* outlet: see outlet.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/gateway/outlet.h"

#include "daemon/gateway/channel.h"
#include "lib/buf.h"
#include "lib/mem.h"

struct outlet_packet {
	struct buf b;
	int fd;
	struct outlet_packet *next;
};

static bool try(struct outlet *o, const struct buf *b, int fd)
{
	return !o->channel || channel_send(o->channel, b, &fd, fd >= 0);
}

bool outlet_send(struct outlet *o, struct buf *b, int fd)
{
	struct outlet_packet *p;

	if (b->failed || (!o->first && try(o, b, fd))) {
		bool sent = !b->failed;

		mem_closep(&fd);
		buf_clear(b);
		return sent;
	}
	p = mem_alloc(sizeof(*p));
	if (!p) {
		mem_closep(&fd);
		return false;
	}
	p->b = *b;
	*b = (struct buf){0};
	p->fd = fd;
	if (o->last)
		o->last->next = p;
	else
		o->first = p;
	o->last = p;
	return true;
}

bool outlet_is_full(const struct outlet *o)
{
	return o->first;
}

static void drop_first(struct outlet *o)
{
	struct outlet_packet *p = o->first;

	o->first = p->next;
	if (!o->first)
		o->last = NULL;
	mem_closep(&p->fd);
	buf_done(&p->b);
	mem_free(p);
}

void outlet_flush(struct outlet *o)
{
	while (o->first && try(o, &o->first->b, o->first->fd))
		drop_first(o);
}

void outlet_close(struct outlet *o)
{
	while (o->first)
		drop_first(o);
	if (o->channel)
		channel_close(o->channel);
	o->channel = NULL;
}
