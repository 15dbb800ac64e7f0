/* http_conn: see http_conn.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/http_conn.h"

#include <string.h>
#include <sys/socket.h>

#include "lib/http_reply.h"
#include "lib/http_request.h"
#include "lib/http_server.h"
#include "lib/mem.h"
#include "lib/sock.h"

#define DISCARD_MAX (1024u * 1024u)

struct queued_write {
	uv_write_t req; /* data: the http_conn */
	char data[];
};

static void pump_ahead(struct http_conn *c);
static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b);

static struct http_conn *conn_of(struct http_watch_entry *e)
{
	return (struct http_conn *)((char *)e - offsetof(struct http_conn, wait));
}

struct http_conn *http_conn_oldest(const struct http_watch *w, enum http_watch_kind kind,
				   uint64_t min_ms)
{
	uint64_t last = uv_now(w->timer.loop) + (uint64_t)w->wait_ms[kind] - min_ms;
	struct http_watch_entry *e, *first = TAILQ_FIRST(&w->lists[kind]);

	TAILQ_FOREACH (e, &w->lists[kind], by_time)
		if (e->deadline <= last && !conn_of(e)->trusted)
			return conn_of(e);
	return first && first->deadline <= last ? conn_of(first) : NULL;
}

/* Counts what c holds now. May close it, or others, when all together hold too much. */
static void weigh(struct http_conn *c)
{
	struct http_conn_env *env = c->env;
	size_t held = 0;
	bool grown;

	if (!c->closing)
		held = http_conn_pending(c) + c->in.len +
		       (c->req ? c->req->parse.head.len + c->req->parse.body.len : 0);
	grown = held > c->held;
	env->held += held - c->held;
	c->held = held;
	if (grown && env->opts->held_max && env->held > env->opts->held_max)
		env->over(env->owner);
}

/* All reads go to one buffer of the server: what is left over is copied before the next read. */
static void on_alloc(uv_handle_t *h, size_t want, uv_buf_t *ret)
{
	struct http_conn *c = h->data;

	(void)want;
	*ret = uv_buf_init(c->env->read_buf, HTTP_CONN_READ_SIZE);
}

static void set_reading(struct http_conn *c, bool on)
{
	if (c->reading == on || c->eof || c->closing)
		return;
	c->reading = on;
	if (!on)
		uv_read_stop(&c->uv.stream);
	else if (uv_read_start(&c->uv.stream, on_alloc, on_read) < 0)
		http_conn_close(c);
}

static void on_closed(uv_handle_t *h)
{
	struct http_conn *c = h->data;

	if (c->req)
		http_request_gone(TAKE_PTR(c->req));
	buf_done(&c->in);
	c->env->n_closing--;
	c->env->closed(c, c->env->owner);
	mem_free(c);
}

void http_conn_close(struct http_conn *c)
{
	if (c->closing)
		return;
	c->closing = true;
	c->env->n_closing++;
	weigh(c);
	http_watch_drop(c->env->watch, &c->wait);
	uv_close(&c->uv.handle, on_closed);
}

static void on_shutdown(uv_shutdown_t *req, int status)
{
	struct http_conn *c = req->data;

	if (status < 0)
		http_conn_close(c);
}

/* The last answer is out: see http_conn.h. */
static void linger(struct http_conn *c)
{
	c->lingering = true;
	buf_done(&c->in);
	c->shutdown.data = c;
	if (c->eof || uv_shutdown(&c->shutdown, &c->uv.stream, on_shutdown) < 0) {
		http_conn_close(c);
		return;
	}
	http_watch_set(c->env->watch, &c->wait, HTTP_WATCH_LINGER);
	set_reading(c, true);
}

/* No request under way and everything sent. */
static void settle(struct http_conn *c)
{
	if (c->lingering)
		return;
	if (c->last_answer) {
		linger(c);
		return;
	}
	if (c->in.len > 0)
		http_watch_kick(c->env->watch, &c->wait);
	else if (c->eof)
		http_conn_close(c);
	else
		http_watch_set(c->env->watch, &c->wait, HTTP_WATCH_IDLE);
}

static void drain(struct http_conn *c)
{
	void (*drained)(struct http_request *, void *);

	if (!c->req || !c->req->drained || c->closing || http_conn_pending(c) > 0)
		return;
	drained = TAKE_PTR(c->req->drained);
	drained(c->req, c->req->user);
}

static void on_written(uv_write_t *req, int status)
{
	struct http_conn *c = req->data;

	mem_free(req); /* the first member of its queued_write */
	if (c->closing)
		return;
	if (status < 0) {
		http_conn_close(c);
		return;
	}
	weigh(c);
	if (c->closing || http_conn_pending(c) > 0)
		return;
	if (c->req)
		drain(c);
	else
		settle(c);
}

static bool queue_rest(struct http_conn *c, const uv_buf_t *bufs, unsigned n, size_t skip,
		       size_t left)
{
	struct queued_write *w = mem_alloc(sizeof(*w) + left);
	size_t at = 0;
	uv_buf_t b;

	if (!w)
		return false;
	for (unsigned i = 0; i < n; i++) {
		size_t drop = skip < bufs[i].len ? skip : bufs[i].len;

		if (bufs[i].len > drop)
			memcpy(w->data + at, bufs[i].base + drop, bufs[i].len - drop);
		at += bufs[i].len - drop;
		skip -= drop;
	}
	w->req.data = c;
	b = uv_buf_init(w->data, (unsigned)left);
	if (uv_write(&w->req, &c->uv.stream, &b, 1, on_written) == 0)
		return true;
	mem_free(w);
	return false;
}

bool http_conn_write(struct http_conn *c, const uv_buf_t *bufs, unsigned n)
{
	size_t total = 0;
	int sent;

	if (c->closing)
		return false;
	for (unsigned i = 0; i < n; i++)
		total += bufs[i].len;
	sent = uv_try_write(&c->uv.stream, bufs, n);
	if (sent == UV_EAGAIN)
		sent = 0;
	if (sent >= 0 && (size_t)sent < total &&
	    !queue_rest(c, bufs, n, (size_t)sent, total - (size_t)sent))
		sent = -1;
	if (sent < 0)
		http_conn_close(c);
	else if ((size_t)sent < total)
		weigh(c);
	return !c->closing;
}

size_t http_conn_pending(const struct http_conn *c)
{
	return uv_stream_get_write_queue_size(&c->uv.stream);
}

void http_conn_answered(struct http_conn *c)
{
	c->last_answer |= !c->req->parse.keep;
	http_request_free(TAKE_PTR(c->req));
	if (c->closing)
		return;
	c->flush_left = http_conn_pending(c);
	if (c->flush_left > 0)
		http_watch_set(c->env->watch, &c->wait, HTTP_WATCH_FLUSH);
	else
		settle(c);
}

/* A complete request: to the handler, which may answer at once. */
static void ask(struct http_conn *c)
{
	int status;
	const char *why = http_request_resolve(c->req, &status);

	if (why) {
		http_reply_error(c->req, status, why);
		return;
	}
	c->req->state = HTTP_REQUEST_ASKED;
	http_watch_set(c->env->watch, &c->wait, HTTP_WATCH_NONE);
	c->env->opts->on_request(c->req, c->env->opts->user);
}

static void ask_with_rest(struct http_conn *c, const char *rest, size_t n)
{
	c->rest = rest;
	c->rest_len = n;
	ask(c);
	c->rest = NULL;
}

void http_conn_early(const struct http_conn *c, struct buf *out)
{
	if (c->rest)
		buf_append(out, c->rest, c->rest_len);
	else
		buf_append(out, c->in.data, c->in.len);
}

static void send_continue(struct http_conn *c)
{
	uv_buf_t b = uv_buf_init((char *)"HTTP/1.1 100 Continue\r\n\r\n", 25);

	c->req->parse.expects = false;
	if (c->req->parse.body_raw == 0)
		http_conn_write(c, &b, 1);
}

/* Gives bytes to the request being read; returns how many it took. */
static size_t take(struct http_conn *c, const char *data, size_t n)
{
	struct http_parse *p;
	size_t used;

	if (!c->req) {
		c->req = http_request_new(c, c->env->opts->body_max);
		if (!c->req) {
			http_conn_close(c);
			return n;
		}
		http_watch_set(c->env->watch, &c->wait, HTTP_WATCH_READ);
	}
	p = &c->req->parse;
	used = http_parse_feed(p, data, n);
	if (p->state == HTTP_PARSE_FAILED)
		http_reply_error(c->req, p->status, p->why);
	else if (p->state == HTTP_PARSE_DONE)
		ask_with_rest(c, data + used, n - used);
	else if (p->expects)
		send_continue(c);
	return used;
}

/*
 * Parses as far as one request at a time allows; returns the number of bytes used. After a request
 * that was answered at once it is the turn of the other connections.
 */
static size_t pump(struct http_conn *c, const char *data, size_t n)
{
	size_t used = 0;

	while (used < n && !c->closing && !c->last_answer) {
		bool may_read =
			c->req ? c->req->state == HTTP_REQUEST_READING : http_conn_pending(c) == 0;

		if (!may_read)
			break;
		used += take(c, data + used, n - used);
		if (!c->req)
			break;
	}
	return used;
}

/* Another request may wait already: it is read when all others had their turn. */
static void queue_up(struct http_conn *c)
{
	if (!c->closing && !c->req && !c->last_answer && c->in.len > 0 && http_conn_pending(c) == 0)
		http_watch_kick(c->env->watch, &c->wait);
}

/* The client sends no more, and nothing of it waits. */
static void at_end(struct http_conn *c)
{
	if (c->req || c->lingering || http_conn_pending(c) == 0)
		http_conn_close(c);
}

/* What had to wait behind an answer. */
static void pump_ahead(struct http_conn *c)
{
	size_t used = pump(c, c->in.data, c->in.len);

	if (c->closing)
		return;
	buf_consume(&c->in, c->last_answer ? c->in.len : used);
	if (c->in.len == 0)
		buf_done(&c->in); /* an idle connection keeps no memory */
	if (c->in.len <= HTTP_CONN_AHEAD_MAX / 2)
		set_reading(c, true);
	if (c->eof && c->in.len == 0 && !c->closing)
		at_end(c);
	else
		queue_up(c);
}

static void keep_ahead(struct http_conn *c, const char *data, size_t n)
{
	buf_append(&c->in, data, n);
	if (c->in.failed)
		http_conn_close(c);
	else if (c->in.len > HTTP_CONN_AHEAD_MAX)
		set_reading(c, false);
}

static void on_bytes(struct http_conn *c, const char *data, size_t n)
{
	size_t used = 0;

	if (!c->last_answer && c->in.len == 0)
		used = pump(c, data, n);
	if (c->closing)
		return;
	if (c->last_answer) {
		c->discarded += n - used;
		if (c->discarded > DISCARD_MAX)
			http_conn_close(c);
	} else if (used < n) {
		keep_ahead(c, data + used, n - used);
		queue_up(c);
	}
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
	struct http_conn *c = s->data;

	if (n > 0) {
		on_bytes(c, b->base, (size_t)n);
		if (!c->closing)
			weigh(c);
	} else if (n == UV_EOF) {
		c->eof = true;
		c->reading = false;
		if (c->in.len == 0)
			at_end(c);
	} else if (n < 0) {
		http_conn_close(c);
	}
}

void http_conn_expired(struct http_watch_entry *e, enum http_watch_kind kind)
{
	struct http_conn *c = conn_of(e);
	size_t left = http_conn_pending(c);

	if (kind == HTTP_WATCH_READ && c->req) {
		http_reply_error(c->req, 408, "the request took too long to arrive");
	} else if (kind == HTTP_WATCH_FLUSH && left < c->flush_left) {
		c->flush_left = left; /* slow, but it moves */
		http_watch_set(c->env->watch, &c->wait, HTTP_WATCH_FLUSH);
	} else {
		http_conn_close(c);
	}
}

void http_conn_kicked(struct http_watch_entry *e)
{
	struct http_conn *c = conn_of(e);

	drain(c);
	if (!c->closing)
		pump_ahead(c);
}

int http_conn_fd(const struct http_conn *c)
{
	uv_os_fd_t fd;

	return uv_fileno(&c->uv.handle, &fd) < 0 ? -1 : fd;
}

static void on_stillborn_closed(uv_handle_t *h)
{
	mem_free(h->data);
}

static int open_handle(struct http_conn *c, int fd)
{
	int domain = 0, r;
	socklen_t len = sizeof(domain);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0)
		domain = AF_UNIX;
	if (domain == AF_UNIX)
		r = uv_pipe_init(c->env->loop, &c->uv.pipe, 0);
	else
		r = uv_tcp_init(c->env->loop, &c->uv.tcp);
	c->uv.handle.data = c;
	if (r < 0) {
		mem_free(c);
		return r;
	}
	r = domain == AF_UNIX ? uv_pipe_open(&c->uv.pipe, fd) : uv_tcp_open(&c->uv.tcp, fd);
	if (r < 0)
		uv_close(&c->uv.handle, on_stillborn_closed);
	else if (domain != AF_UNIX)
		uv_tcp_nodelay(&c->uv.tcp, 1);
	return r;
}

int http_conn_new(struct http_conn_env *env, int fd, struct http_conn **ret)
{
	struct http_conn *c = mem_alloc(sizeof(*c));
	struct sock_peer peer;
	int r;

	if (!c)
		return UV_ENOMEM;
	c->env = env;
	c->uid = sock_peer(fd, &peer) == 0 ? peer.uid : (uid_t)-1;
	c->trusted = c->uid == 0 || c->uid == env->opts->owner;
	http_watch_entry_init(&c->wait);
	r = open_handle(c, fd);
	if (r < 0)
		return r;
	http_watch_set(env->watch, &c->wait, HTTP_WATCH_IDLE);
	*ret = c;
	set_reading(c, true);
	return 0;
}
