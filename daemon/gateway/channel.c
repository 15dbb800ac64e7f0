/* channel: see channel.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/gateway/channel.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "daemon/wire/wire.h"
#include "lib/buf.h"
#include "lib/log.h"
#include "lib/mem.h"

#define PACKETS_PER_TURN 64
#define AGAIN_MS 10 /* descriptors on their way: nothing wakes us then */

struct channel {
	uv_poll_t poll;
	uv_timer_t again;
	int fd;
	const struct channel_ops *ops;
	void *user;
	bool ended, closing, paused, full;
	unsigned handles;
	struct wire_packet packet;
};

static void on_poll(uv_poll_t *poll, int status, int events);

static void watch(struct channel *c)
{
	int events = (c->paused ? 0 : UV_READABLE) | (c->full ? UV_WRITABLE : 0);

	if (events)
		uv_poll_start(&c->poll, events, on_poll);
	else
		uv_poll_stop(&c->poll);
}

static void end(struct channel *c, int err)
{
	if (c->ended)
		return;
	c->ended = true;
	uv_poll_stop(&c->poll);
	uv_timer_stop(&c->again);
	c->ops->on_end(c->user, err);
}

static void on_again(uv_timer_t *t)
{
	struct channel *c = t->data;

	c->ops->on_writable(c->user);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct channel *c = poll->data;

	if (events & UV_WRITABLE && status == 0) {
		c->full = false;
		watch(c);
		uv_timer_stop(&c->again);
		c->ops->on_writable(c->user);
	}
	for (int i = 0; i < PACKETS_PER_TURN && !c->ended && !c->closing && !c->paused; i++) {
		int r = wire_recv(c->fd, &c->packet);

		if (r == -EAGAIN && status == 0)
			return;
		if (r <= 0) {
			end(c, r);
			return;
		}
		c->ops->on_packet(c->user, &c->packet);
		wire_packet_done(&c->packet);
	}
}

int channel_new(uv_loop_t *uv, int fd, const struct channel_ops *ops, void *user,
		struct channel **ret)
{
	struct channel *c = mem_alloc(sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	r = uv_poll_init(uv, &c->poll, fd);
	if (r < 0) {
		mem_free(c);
		return r;
	}
	uv_timer_init(uv, &c->again);
	c->poll.data = c->again.data = c;
	c->fd = fd;
	c->ops = ops;
	c->user = user;
	c->handles = 2;
	watch(c);
	*ret = c;
	return 0;
}

static void on_closed(uv_handle_t *h)
{
	struct channel *c = h->data;

	if (--c->handles == 0)
		mem_free(c);
}

void channel_close(struct channel *c)
{
	c->closing = c->ended = true;
	uv_close((uv_handle_t *)&c->poll, on_closed);
	uv_close((uv_handle_t *)&c->again, on_closed);
	mem_closep(&c->fd);
}

bool channel_send(struct channel *c, const struct buf *b, const int *fds, unsigned n_fds)
{
	int r;

	if (c->ended)
		return true;
	r = b->failed ? -ENOMEM : wire_send(c->fd, b, fds, n_fds);
	if (r == -EAGAIN) {
		c->full = true;
		watch(c);
		uv_timer_start(&c->again, on_again, AGAIN_MS, 0);
		return false;
	}
	if (r < 0 && r != -EPIPE) /* its end comes as end of file */
		log_error("error=\"%s\" cannot send a packet", strerror(-r));
	return true;
}

void channel_pause(struct channel *c, bool on)
{
	if (c->paused == on || c->ended)
		return;
	c->paused = on;
	watch(c);
}
