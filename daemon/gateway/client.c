/* client: see client.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/gateway/client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/gateway/gateway.h"
#include "daemon/gateway/listener.h"
#include "lib/http_parse.h"
#include "lib/mem.h"

#define EVICT_LOOKS 64 /* at clients that are idle perhaps */

static void set_deadline(struct client *c, enum deadline_kind kind)
{
	routes_set_deadline(c->g, c->l ? c->l->route : NULL, &c->deadline, kind);
}

static void clear_deadline(struct client *c)
{
	deadline_clear(&c->g->deadlines, &c->deadline);
}

/* ---- the end ---- */

static void leave_list(struct client *c)
{
	struct gateway *g = c->g;

	if (c->state == CLIENT_GONE)
		return;
	c->state = CLIENT_GONE;
	clear_deadline(c);
	if (c->next)
		c->next->prev = c->prev;
	if (c->prev)
		c->prev->next = c->next;
	else
		g->clients = c->next;
	g->n_clients--;
	listener_drop_client(c->l);
	c->l = NULL;
	gateway_left(g);
}

static void on_stuck(void *user)
{
	struct client *c = user;

	io_abort(&c->io);
}

void client_close(struct client *c)
{
	leave_list(c);
	io_close(&c->io);
}

void client_finish(struct client *c)
{
	const struct route *r = c->l ? c->l->route : NULL;

	leave_list(c);
	c->deadline.fn = on_stuck;
	routes_set_deadline(c->g, r, &c->deadline, DEADLINE_STALL);
	io_finish(&c->io);
}

void client_abort(struct client *c)
{
	leave_list(c);
	io_abort(&c->io);
}

void client_cut(struct client *c)
{
	exchange_cancel(&c->x);
	if (c->state != CLIENT_GONE)
		client_abort(c);
}

static void linger(struct client *c)
{
	c->state = CLIENT_LINGER;
	buf_done(&c->in);
	io_shutdown(&c->io);
	io_read(&c->io, true);
	set_deadline(c, io_is_full(&c->io) ? DEADLINE_STALL : DEADLINE_LINGER);
}

/* ---- requests ---- */

static void be_idle(struct client *c)
{
	c->state = CLIENT_HEAD;
	c->in_seen = 0;
	set_deadline(c, io_is_full(&c->io) ? DEADLINE_STALL
			: c->leaving	   ? DEADLINE_LEAVING
					   : DEADLINE_IDLE);
	if (c->g->n_clients >= c->g->clients_max)
		listener_route_all(c->g); /* somebody may come in its place */
}

/* A whole head. */
static void on_head(struct client *c, const char *data, size_t n)
{
	struct head *h = &c->g->head;

	clear_deadline(c);
	c->state = CLIENT_BODY;
	if (!head_parse_request(h, data, n)) {
		exchange_refuse(&c->x, h->refusal, h->why);
		return;
	}
	exchange_begin(&c->x, h);
	if (c->state == CLIENT_BODY && c->x.request.done)
		c->state = CLIENT_ANSWER;
	else if (c->state == CLIENT_BODY)
		set_deadline(c, DEADLINE_STALL);
}

static void refuse_head(struct client *c, unsigned status, const char *why)
{
	c->state = CLIENT_BODY;
	buf_done(&c->in);
	exchange_refuse(&c->x, status, why);
}

/* It came in pieces. */
static size_t gather_head(struct client *c, const char *data, size_t n)
{
	size_t before = c->in.len, room = HEAD_MAX + 1 - before;
	struct buf in;
	long end;

	n = n < room ? n : room;
	buf_append(&c->in, data, n);
	end = c->in.failed ? -1 : http_parse_head_end(c->in.data, c->in.len, &c->in_seen);
	if (end < 0) {
		refuse_head(c, c->in.failed ? 503 : 400, "NUL, bare CR or bare LF in the head");
		return n;
	}
	if (end == 0) {
		if (!c->deadline.set || c->deadline.kind != DEADLINE_HEAD)
			set_deadline(c, DEADLINE_HEAD);
		if (c->in.len > HEAD_MAX)
			refuse_head(c, 431, "the head is larger than 64 KiB");
		return n;
	}
	in = c->in;
	c->in = (struct buf){0};
	on_head(c, in.data, (size_t)end);
	buf_done(&in);
	return (size_t)end - before;
}

static size_t take_head(struct client *c, const char *data, size_t n)
{
	size_t used = 0, end;

	if (c->in.len == 1 && c->in.data[0] == '\r' && data[0] == '\n') {
		buf_clear(&c->in);
		c->in_seen = 0;
		return 1;
	}
	if (c->in.len > 0)
		return gather_head(c, data, n);
	/* Empty lines before a request are ignored (RFC 9112 2.2). */
	while (used + 1 < n && data[used] == '\r' && data[used + 1] == '\n')
		used += 2;
	if (used == n)
		return n;
	end = head_find_end(data + used, n - used);
	if (end == 0 || end > HEAD_MAX) {
		c->in_seen = 0;
		return used + gather_head(c, data + used, n - used);
	}
	on_head(c, data + used, end);
	used += end;
	if (used == n && c->state == CLIENT_BODY)
		io_acknowledge(&c->io);
	return used;
}

/* Answers that the client does not take: its next request waits for that. */
static bool is_behind(const struct client *c)
{
	return c->state == CLIENT_HEAD && io_is_full(&c->io);
}

static void stash(struct client *c, const char *data, size_t n)
{
	buf_append(&c->in, data, n);
	if (c->in.failed)
		client_cut(c);
}

static void feed(struct client *c, const char *data, size_t n)
{
	c->feeding = true;
	while (n > 0) {
		size_t used = n;

		if (is_behind(c))
			stash(c, data, n);
		else if (c->state == CLIENT_HEAD)
			used = take_head(c, data, n);
		else if (c->state == CLIENT_BODY)
			used = exchange_body(&c->x, data, n);
		else if (c->state == CLIENT_ANSWER)
			stash(c, data, n);
		else if (c->state == CLIENT_SPLICED)
			exchange_splice(&c->x, data, n);
		data += used;
		n -= used;
	}
	c->feeding = false;
	if (c->state != CLIENT_GONE)
		client_update_reading(c);
}

/* What has come already. */
static void feed_stash(struct client *c)
{
	struct buf in = c->in;

	c->in = (struct buf){0};
	c->in_seen = 0;
	feed(c, in.data, in.len);
	buf_done(&in);
}

void client_next(struct client *c, bool close)
{
	if (close) {
		linger(c);
		return;
	}
	be_idle(c);
	if (c->feeding)
		return;
	if (c->in.len > 0 && !is_behind(c))
		feed_stash(c);
	else
		client_update_reading(c);
}

void client_splice(struct client *c)
{
	struct buf in = c->in;

	clear_deadline(c);
	c->state = CLIENT_SPLICED;
	c->in = (struct buf){0};
	if (in.len > 0)
		exchange_splice(&c->x, in.data, in.len);
	buf_done(&in);
}

void client_update_reading(struct client *c)
{
	bool stashed = c->state == CLIENT_ANSWER && c->in.len >= CLIENT_STASH_MAX;

	io_read(&c->io,
		c->state == CLIENT_LINGER || (!stashed && !is_behind(c) && exchange_takes(&c->x)));
}

/* ---- the connection ---- */

static void on_data(struct io *io, const char *data, size_t n)
{
	struct client *c = (struct client *)io;

	if (c->state == CLIENT_LINGER)
		return;
	if (c->state == CLIENT_BODY)
		set_deadline(c, DEADLINE_STALL);
	feed(c, data, n);
}

static void on_end(struct io *io, int err)
{
	struct client *c = (struct client *)io;

	if (c->state == CLIENT_SPLICED && err == 0) {
		exchange_splice_end(&c->x);
		return;
	}
	exchange_cancel(&c->x);
	if (c->state == CLIENT_GONE)
		return;
	if (err == 0)
		client_finish(c);
	else
		client_close(c);
}

static void on_room(struct io *io, bool full)
{
	struct client *c = (struct client *)io;

	if (c->state == CLIENT_LINGER && !full) {
		set_deadline(c, DEADLINE_LINGER);
		return;
	}
	if (c->state == CLIENT_ANSWER || c->state == CLIENT_LINGER) {
		if (full)
			set_deadline(c, DEADLINE_STALL);
		else
			clear_deadline(c);
	}
	exchange_client_room(&c->x, full);
	if (c->state != CLIENT_HEAD)
		return;
	be_idle(c);
	if (!full && c->in.len > 0)
		feed_stash(c);
	else
		client_update_reading(c);
}

static void on_closed(struct io *io)
{
	struct client *c = (struct client *)io;

	deadline_clear(&c->g->deadlines, &c->deadline);
	buf_done(&c->in);
	mem_free(c);
}

static const struct io_ops ops = {
	.data = on_data, .end = on_end, .room = on_room, .closed = on_closed};

static void on_deadline(void *user)
{
	struct client *c = user;

	if (c->state == CLIENT_HEAD && c->deadline.kind == DEADLINE_STALL)
		client_cut(c);
	else if (c->state == CLIENT_HEAD && c->in.len > 0)
		refuse_head(c, 408, "the head did not come in time");
	else if (c->state == CLIENT_HEAD)
		client_finish(c);
	else if (c->state == CLIENT_BODY && !c->x.connected)
		set_deadline(c, DEADLINE_STALL); /* nobody takes it yet; it may wait for a 100 */
	else if (c->state == CLIENT_BODY && exchange_takes(&c->x) && c->io.reading)
		exchange_fail(&c->x, 408, "the body did not come in time");
	else if (c->state == CLIENT_BODY && c->deadline.kind == DEADLINE_STALL)
		set_deadline(c, DEADLINE_ANSWER); /* it is the backend that does not take it */
	else
		client_cut(c);
}

static void set_address(struct client *c, const struct sockaddr_storage *from)
{
	const struct sockaddr_in6 *v6 = (const void *)from;
	const struct sockaddr_in *v4 = (const void *)from;

	c->is_ipv6 = from->ss_family == AF_INET6;
	if (c->is_ipv6) {
		inet_ntop(AF_INET6, &v6->sin6_addr, c->address, sizeof(c->address));
		c->is_loopback = IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
	} else {
		inet_ntop(AF_INET, &v4->sin_addr, c->address, sizeof(c->address));
		c->is_loopback = ntohl(v4->sin_addr.s_addr) >> 24 == 127;
	}
}

void client_new(struct listener *l, int fd, const struct sockaddr_storage *from)
{
	struct gateway *g = l->g;
	struct client *c = mem_alloc(sizeof(*c));

	if (!c || io_open(&c->io, &g->io, fd, &ops) < 0) {
		mem_free(c);
		close(fd);
		return;
	}
	c->g = g;
	c->l = l;
	c->deadline = (struct deadline){.fn = on_deadline, .user = c};
	c->x.c = c;
	set_address(c, from);
	l->clients++;
	g->n_clients++;
	c->next = g->clients;
	if (c->next)
		c->next->prev = c;
	g->clients = c;
	be_idle(c);
	io_read(&c->io, true);
	if (l->route && l->route->is_tcp) {
		clear_deadline(c);
		c->state = CLIENT_SPLICED;
		exchange_begin_tcp(&c->x);
	}
}

/* ---- leaving ---- */

void client_leave(struct client *c, bool handed_over)
{
	c->leaving = true;
	if (c->state != CLIENT_HEAD || c->in.len > 0)
		return;
	if (handed_over)
		set_deadline(c, DEADLINE_LEAVING);
	else
		client_finish(c);
}

void client_leave_all(struct gateway *g, const struct listener *l)
{
	struct client *next;

	for (struct client *c = g->clients; c; c = next) {
		next = c->next;
		if (c->l == l)
			client_leave(c, false);
	}
}

bool client_any_idle(const struct gateway *g)
{
	return g->deadlines.count[DEADLINE_IDLE] > 0;
}

/* A request that lies unread is not idle, nor is who has not got the answer yet. */
static bool is_busy(const struct client *c)
{
	char byte;

	return io_pending(&c->io) > 0 || recv(c->io.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

static bool evict_of(const struct deadline_queue *q)
{
	struct deadline *d = q->first;

	for (int i = 0; d && i < EVICT_LOOKS && is_busy(d->user); i++)
		d = d->next;
	if (!d || is_busy(d->user))
		return false;
	client_close(d->user);
	return true;
}

bool client_evict(struct gateway *g)
{
	const struct deadline_queue *q = g->deadlines.others;

	if (evict_of(&g->deadlines.kinds[DEADLINE_IDLE]))
		return true;
	while (q && (q->kind != DEADLINE_IDLE || !evict_of(q)))
		q = q->next;
	return q != NULL;
}
