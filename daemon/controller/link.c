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

/* Before each packet in the queue. */
struct queued {
	size_t len;
	int fds[WIRE_FDS_MAX]; /* our own copies */
	unsigned n_fds;
};

struct link {
	uv_poll_t poll;
	int fd;
	struct link_handlers h;
	/* What is to be sent, from `sent` on. One block, given back when it is empty: a burst of
	 * small packets would leave holes all over the heap. */
	struct buf queue;
	size_t sent;
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
		uv_poll_start(&l->poll, UV_READABLE | (l->queue.len ? UV_WRITABLE : 0), on_poll);
}

static void close_fds(const struct queued *q)
{
	for (unsigned i = 0; i < q->n_fds; i++)
		close(q->fds[i]);
}

static bool enqueue(struct link *l, const struct buf *b, const int *fds, unsigned n_fds)
{
	struct queued q = {.len = b->len};
	size_t before = l->queue.len;
	bool failed = false;

	while (!failed && q.n_fds < n_fds) {
		int fd = fcntl(fds[q.n_fds], F_DUPFD_CLOEXEC, 0);

		failed = fd < 0;
		if (!failed)
			q.fds[q.n_fds++] = fd;
	}
	if (!failed) {
		buf_append(&l->queue, &q, sizeof(q));
		buf_append(&l->queue, b->data, b->len);
	}
	if (!failed && !l->queue.failed)
		return true;
	close_fds(&q);
	l->queue.failed = false;
	l->queue.len = before;
	return false;
}

/* The first of the queue; its bytes stay where they are. */
static bool first(const struct link *l, struct queued *q, struct buf *packet)
{
	if (l->queue.len == 0)
		return false;
	memcpy(q, l->queue.data + l->sent, sizeof(*q));
	*packet = (struct buf){.data = l->queue.data + l->sent + sizeof(*q), .len = q->len};
	return true;
}

static void drop_first(struct link *l, const struct queued *q)
{
	close_fds(q);
	l->sent += sizeof(*q) + q->len;
	if (l->sent == l->queue.len)
		buf_done(&l->queue);
	else if (l->sent > l->queue.len / 2)
		buf_consume(&l->queue, l->sent);
	else
		return;
	l->sent = 0;
}

static void flush(struct link *l)
{
	struct queued q;
	struct buf packet;

	while (first(l, &q, &packet)) {
		int r = wire_send(l->fd, &packet, q.fds, q.n_fds);

		if (r == -EAGAIN)
			return;
		if (r < 0) {
			log_error("link: cannot send to %s: %s", l->h.peer, strerror(-r));
			end(l);
			return;
		}
		drop_first(l, &q);
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
				log_error("link: bad packet from %s: %s", l->h.peer, strerror(-r));
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
	int r;

	if (l->ended)
		return;
	if (b->failed) {
		log_error("link: out of memory");
		end(l);
		return;
	}
	r = l->queue.len ? -EAGAIN : wire_send(l->fd, b, fds, n_fds);
	if (r == 0)
		return;
	if (r != -EAGAIN || l->queue.len - l->sent >= LINK_QUEUE_MAX ||
	    !enqueue(l, b, fds, n_fds)) {
		log_error("link: cannot send to %s: %s", l->h.peer,
			  r == -EAGAIN ? "the queue is full" : strerror(-r));
		end(l);
		return;
	}
	watch(l);
}

static void on_closed(uv_handle_t *h)
{
	struct link *l = h->data;
	struct queued q;
	struct buf packet;

	close(l->fd);
	while (first(l, &q, &packet))
		drop_first(l, &q);
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
	r = uv_poll_init(loop, &l->poll, fd);
	if (r < 0) {
		mem_free(l);
		return err_set(reterr, ERR_SYS, "cannot watch the socket to %s: %s", h->peer,
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
