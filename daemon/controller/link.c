/* link: see link.h. uv_poll and recvmsg, because uv_pipe_open silently truncates packets. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "daemon/wire/wire.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/mem.h"

#define PACKETS_PER_TURN 256 /* then other events get their turn */

struct queued {
	struct queued *next;
	struct buf packet;
	int fds[WIRE_FDS_MAX]; /* our own copies */
	unsigned n_fds;
};

struct link {
	uv_poll_t poll;
	int fd;
	struct link_handlers h;
	struct queued *first, **last;
	size_t queued_bytes;
	bool ended;
	struct wire_packet packet; /* receive buffer */
};

static void on_poll(uv_poll_t *poll, int status, int events);

static void end(struct link *l)
{
	if (l->ended)
		return;
	l->ended = true;
	uv_poll_stop(&l->poll);
	l->h.on_end(l->h.user);
}

static void watch(struct link *l)
{
	if (!l->ended)
		uv_poll_start(&l->poll, UV_READABLE | (l->first ? UV_WRITABLE : 0), on_poll);
}

static void queued_free(struct queued *q)
{
	for (unsigned i = 0; i < q->n_fds; i++)
		close(q->fds[i]);
	buf_done(&q->packet);
	mem_free(q);
}

static struct queued *queued_new(const struct buf *b, const int *fds, unsigned n_fds)
{
	struct queued *q = mem_alloc(sizeof(*q));

	if (!q)
		return NULL;
	buf_append(&q->packet, b->data, b->len);
	while (!q->packet.failed && q->n_fds < n_fds) {
		int fd = fcntl(fds[q->n_fds], F_DUPFD_CLOEXEC, 0);

		if (fd < 0)
			q->packet.failed = true;
		else
			q->fds[q->n_fds++] = fd;
	}
	if (!q->packet.failed)
		return q;
	queued_free(q);
	return NULL;
}

static void flush(struct link *l)
{
	while (l->first) {
		struct queued *q = l->first;
		int r = wire_send(l->fd, &q->packet, q->fds, q->n_fds);

		if (r == -EAGAIN)
			return;
		if (r < 0) {
			log_error("link: cannot send to aictld: %s", strerror(-r));
			end(l);
			return;
		}
		l->first = q->next;
		if (!l->first)
			l->last = &l->first;
		l->queued_bytes -= q->packet.len;
		queued_free(q);
	}
	watch(l);
}

static void receive(struct link *l)
{
	for (int i = 0; i < PACKETS_PER_TURN && !l->ended; i++) {
		int r = wire_recv(l->fd, &l->packet);

		if (r == -EAGAIN)
			return;
		if (r <= 0) {
			if (r < 0)
				log_error("link: bad packet from aictld: %s", strerror(-r));
			end(l);
			return;
		}
		l->h.on_packet(&l->packet, l->h.user);
		wire_packet_done(&l->packet);
	}
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct link *l = poll->data;

	if (status < 0) {
		end(l);
		return;
	}
	if (events & UV_WRITABLE)
		flush(l);
	if (events & UV_READABLE)
		receive(l);
}

void link_send(struct link *l, const struct buf *b)
{
	link_send_fds(l, b, NULL, 0);
}

void link_send_fds(struct link *l, const struct buf *b, const int *fds, unsigned n_fds)
{
	struct queued *q;
	int r;

	if (l->ended)
		return;
	if (b->failed) {
		log_error("link: out of memory");
		end(l);
		return;
	}
	r = l->first ? -EAGAIN : wire_send(l->fd, b, fds, n_fds);
	if (r == 0)
		return;
	q = r == -EAGAIN && l->queued_bytes < LINK_QUEUE_MAX ? queued_new(b, fds, n_fds) : NULL;
	if (!q) {
		log_error("link: cannot send to aictld: %s",
			  r == -EAGAIN ? "the queue is full" : strerror(-r));
		end(l);
		return;
	}
	*l->last = q;
	l->last = &q->next;
	l->queued_bytes += b->len;
	watch(l);
}

static void on_closed(uv_handle_t *h)
{
	struct link *l = h->data;

	close(l->fd);
	while (l->first) {
		struct queued *q = l->first;

		l->first = q->next;
		queued_free(q);
	}
	mem_free(l);
}

int link_new(uv_loop_t *loop, int fd, const struct link_handlers *h, struct link **ret,
	     struct err **reterr)
{
	struct link *l = mem_alloc(sizeof(*l));
	int r;

	if (!l)
		return err_nomem(reterr);
	l->fd = fd;
	l->h = *h;
	l->last = &l->first;
	r = uv_poll_init(loop, &l->poll, fd);
	if (r < 0) {
		mem_free(l);
		return err_set(reterr, ERR_SYS, "cannot watch the socket to aictld: %s",
			       uv_strerror(r));
	}
	l->poll.data = l;
	watch(l);
	*ret = l;
	return 0;
}

void link_close(struct link *l)
{
	l->ended = true;
	uv_close((uv_handle_t *)&l->poll, on_closed);
}
