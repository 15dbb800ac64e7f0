/* upstream: see upstream.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/gateway/upstream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "daemon/gateway/exchange.h"
#include "daemon/gateway/gateway.h"
#include "daemon/gateway/listener.h"
#include "daemon/gateway/share.h"
#include "lib/mem.h"

static void unkeep(struct upstream *u)
{
	struct backend *b = u->b;

	if (!u->kept)
		return;
	u->kept = false;
	if (u->next)
		u->next->prev = u->prev;
	if (u->prev)
		u->prev->next = u->next;
	else
		b->idle = u->next;
	u->next = u->prev = NULL;
	b->n_idle--;
}

static void let_go(struct upstream *u)
{
	unkeep(u);
	deadline_clear(&u->g->deadlines, &u->deadline);
	u->x = NULL;
	u->b = NULL;
}

void upstream_close(struct upstream *u)
{
	let_go(u);
	io_close(&u->io);
}

static void on_stuck(void *user)
{
	struct upstream *u = user;

	io_abort(&u->io);
}

void upstream_finish(struct upstream *u)
{
	let_go(u);
	u->deadline.fn = on_stuck;
	deadline_set(&u->g->deadlines, &u->deadline, DEADLINE_STALL);
	io_finish(&u->io);
}

void upstream_close_idle(struct backend *b)
{
	while (b->idle)
		upstream_close(b->idle);
}

static void on_data(struct io *io, const char *data, size_t n)
{
	struct upstream *u = (struct upstream *)io;

	if (u->x)
		exchange_answer(u->x, data, n);
	else if (u->kept)
		upstream_close(u);
}

static void on_end(struct io *io, int err)
{
	struct upstream *u = (struct upstream *)io;
	struct backend *b = u->b;
	struct gateway *g = u->g;
	bool kept = u->kept;

	if (u->x) {
		exchange_answer_end(u->x, err);
		return;
	}
	upstream_close(u);
	if (kept)
		routes_forget(g, b);
}

static void on_room(struct io *io, bool full)
{
	struct upstream *u = (struct upstream *)io;

	if (u->x)
		exchange_upstream_room(u->x, full);
}

/* Where nobody listens, the kernel may have chosen the very port for this end: both ends are ours. */
static bool is_to_itself(const struct upstream *u)
{
	struct sockaddr_in at;
	socklen_t size = sizeof(at);

	return !u->b->socket && u->b->port >= u->g->own_ports[0] &&
	       u->b->port <= u->g->own_ports[1] &&
	       getsockname(u->io.fd, (struct sockaddr *)&at, &size) == 0 &&
	       ntohs(at.sin_port) == u->b->port;
}

static void on_connected(struct io *io, int err)
{
	struct upstream *u = (struct upstream *)io;

	deadline_clear(&u->g->deadlines, &u->deadline);
	if (u->x)
		exchange_connected(u->x, err == 0 && is_to_itself(u) ? -ELOOP : err);
	else
		upstream_close(u);
}

static void on_closed(struct io *io)
{
	struct upstream *u = (struct upstream *)io;

	deadline_clear(&u->g->deadlines, &u->deadline);
	buf_done(&u->in);
	mem_free(u);
}

static const struct io_ops ops = {
	.data = on_data,
	.end = on_end,
	.room = on_room,
	.connected = on_connected,
	.closed = on_closed,
};

/* Too long connecting, answering, or unused. */
static void on_deadline(void *user)
{
	struct upstream *u = user;
	struct backend *b = u->b;
	struct gateway *g = u->g;

	if (u->x) {
		exchange_too_late(u->x);
		return;
	}
	upstream_close(u);
	routes_forget(g, b);
}

/* A request would come round for ever. */
static bool is_ours(const struct gateway *g, const struct backend *b)
{
	return listener_is_at(g, b->port) ||
	       (g->taken && !b->is_next && share_is_taken(g->taken, b->port));
}

int upstream_connect(struct gateway *g, struct backend *b, struct exchange *x,
		     struct upstream **ret)
{
	struct upstream *u;
	int r;

	if (!b->socket && is_ours(g, b))
		return -ELOOP;
	u = mem_alloc(sizeof(*u));
	if (!u)
		return -ENOMEM;
	r = b->socket ? io_connect_path(&u->io, &g->io, b->socket, &ops)
		      : io_connect(&u->io, &g->io, b->port, &ops);
	if (r < 0) {
		mem_free(u);
		return r;
	}
	u->g = g;
	u->b = b;
	u->x = x;
	u->deadline = (struct deadline){.fn = on_deadline, .user = u};
	io_read(&u->io, true);
	routes_set_deadline(g, b->route, &u->deadline, DEADLINE_CONNECT);
	*ret = u;
	return 0;
}

static bool is_open(const struct upstream *u)
{
	char c;

	return recv(u->io.fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
	       (errno == EAGAIN || errno == EWOULDBLOCK);
}

struct upstream *upstream_take(struct backend *b, struct exchange *x, bool sure)
{
	struct upstream *u;

	while ((u = b->idle) && (u->io.err != 0 || (sure && !is_open(u))))
		upstream_close(u);
	if (!u)
		return NULL;
	unkeep(u);
	deadline_clear(&u->g->deadlines, &u->deadline);
	u->x = x;
	u->reused = true;
	return u;
}

void upstream_keep(struct upstream *u)
{
	struct backend *b = u->b;

	if (b->draining || !b->routed || b->n_idle >= UPSTREAM_IDLE_MAX || u->g->closing ||
	    u->io.err != 0 || u->io.ended || io_pending(&u->io) > 0) {
		upstream_close(u);
		return;
	}
	u->x = NULL;
	u->kept = true;
	u->prev = NULL;
	u->next = b->idle;
	if (u->next)
		u->next->prev = u;
	b->idle = u;
	b->n_idle++;
	io_read(&u->io, true);
	deadline_set(&u->g->deadlines, &u->deadline, DEADLINE_POOLED);
}
