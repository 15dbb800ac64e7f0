/* http_server: see http_server.h. This file accepts and closes; http_conn does the rest. */
/* SPDX-License-Identifier: MIT */
#include "lib/http_server.h"

#include <errno.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/err.h"
#include "lib/http_conn.h"
#include "lib/http_reply.h"
#include "lib/http_watch.h"
#include "lib/mem.h"
#include "lib/sock.h"

#define ACCEPT_BATCH 64
#define LINGER_MS 1000
#define FRESH_MS 20 /* has just come: its request is on the way */
#define SLOW_MS 200 /* reads its request for longer than any honest local client */

struct http_server {
	struct http_server_opts opts;
	struct http_conn_env env;
	struct http_watch watch;
	struct http_watch_entry pause; /* no descriptor left: accepting goes on after LINGER_MS */
	uv_poll_t poll;		       /* the listener; data: the server */
	int listen_fd;
	TAILQ_HEAD(http_conn_list, http_conn) conns;
	unsigned n_conns;
	unsigned n_handles; /* poll and timer still open */
	bool closing;
	void (*closed)(void *user);
	void *closed_user;
	char read_buf[HTTP_CONN_READ_SIZE];
};

static void on_acceptable(uv_poll_t *poll, int status, int events);

static void maybe_free(struct http_server *s)
{
	if (!s->closing || s->n_conns > 0 || s->n_handles > 0)
		return;
	if (s->closed)
		s->closed(s->closed_user);
	mem_free(s);
}

static void on_conn_closed(struct http_conn *c, void *owner)
{
	struct http_server *s = owner;

	TAILQ_REMOVE(&s->conns, c, all);
	s->n_conns--;
	maybe_free(s);
}

static void refuse(int fd, const char *why)
{
	_cleanup_buf_ struct buf b = {0};

	http_reply_error_bytes(&b, 503, why);
	if (!b.failed)
		(void)!send(fd, b.data, b.len, MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
}

/* All together hold too much: cuts those that hold most, of others than root and owner first. */
static void on_over(void *owner)
{
	struct http_server *s = owner;

	while (s->env.held > s->opts.held_max) {
		struct http_conn *c, *most = NULL;

		TAILQ_FOREACH (c, &s->conns, all) {
			if (c->held == 0)
				continue;
			if (!most || (most->trusted && !c->trusted) ||
			    (most->trusted == c->trusted && c->held > most->held))
				most = c;
		}
		if (!most)
			return;
		http_conn_close(most);
	}
}

/* Is there a place for one more? The longest idle one gives way, or one that dribbles. */
static bool make_room(struct http_server *s)
{
	struct http_conn *c;

	if (s->n_conns - s->env.n_closing < s->opts.connections_max)
		return true;
	c = http_conn_oldest(&s->watch, HTTP_WATCH_IDLE, FRESH_MS);
	if (!c)
		c = http_conn_oldest(&s->watch, HTTP_WATCH_READ, SLOW_MS);
	if (!c)
		return false;
	http_conn_close(c);
	return true;
}

static bool user_has_too_many(const struct http_server *s, int fd)
{
	const struct http_conn *c;
	struct sock_peer peer;
	unsigned n = 0;

	if (s->opts.per_user_max == 0 || sock_peer(fd, &peer) < 0 || peer.uid == 0 ||
	    peer.uid == s->opts.owner)
		return false;
	TAILQ_FOREACH (c, &s->conns, all)
		n += c->uid == peer.uid && !c->closing;
	return n >= s->opts.per_user_max;
}

static void admit(struct http_server *s, int fd)
{
	struct http_conn *c;

	if (user_has_too_many(s, fd)) {
		refuse(fd, "too many connections of this user");
		return;
	}
	if (!make_room(s)) {
		refuse(fd, "too many connections");
		return;
	}
	if (http_conn_new(&s->env, fd, &c) < 0) {
		close(fd);
		return;
	}
	TAILQ_INSERT_TAIL(&s->conns, c, all);
	s->n_conns++;
}

static void on_acceptable(uv_poll_t *poll, int status, int events)
{
	struct http_server *s = poll->data;

	(void)events;
	for (int i = 0; status == 0 && i < ACCEPT_BATCH && !s->closing; i++) {
		int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			admit(s, fd);
			continue;
		}
		if (errno == EINTR || errno == ECONNABORTED)
			continue;
		if (errno != EAGAIN) /* EMFILE and the like: the listener stays readable */
			status = -errno;
		break;
	}
	if (status < 0 && !s->closing) {
		uv_poll_stop(poll);
		http_watch_set(&s->watch, &s->pause, HTTP_WATCH_LINGER);
	}
}

static void on_expired(struct http_watch_entry *e, enum http_watch_kind kind, void *owner)
{
	struct http_server *s = owner;

	if (e == &s->pause)
		uv_poll_start(&s->poll, UV_READABLE, on_acceptable);
	else
		http_conn_expired(e, kind);
}

static void on_timer_closed(uv_handle_t *h)
{
	struct http_watch *w = h->data;
	struct http_server *s = w->owner;

	s->n_handles--;
	maybe_free(s);
}

static void on_poll_closed(uv_handle_t *h)
{
	struct http_server *s = h->data;

	if (s->listen_fd >= 0)
		close(s->listen_fd);
	s->n_handles--;
	maybe_free(s);
}

static void set_up(struct http_server *s, uv_loop_t *loop, const struct http_server_opts *opts)
{
	s->opts = *opts;
	s->env = (struct http_conn_env){
		.loop = loop,
		.opts = &s->opts,
		.watch = &s->watch,
		.read_buf = s->read_buf,
		.owner = s,
		.closed = on_conn_closed,
		.over = on_over,
	};
	s->watch.wait_ms[HTTP_WATCH_IDLE] = opts->idle_ms;
	s->watch.wait_ms[HTTP_WATCH_READ] = opts->head_ms;
	s->watch.wait_ms[HTTP_WATCH_FLUSH] = opts->idle_ms;
	s->watch.wait_ms[HTTP_WATCH_LINGER] = LINGER_MS;
	s->watch.owner = s;
	s->watch.expired = on_expired;
	s->watch.kicked = http_conn_kicked;
	http_watch_entry_init(&s->pause);
	TAILQ_INIT(&s->conns);
}

int http_server_new(uv_loop_t *loop, int listen_fd, const struct http_server_opts *opts,
		    struct http_server **ret, struct err **reterr)
{
	struct http_server *s = mem_alloc(sizeof(*s));
	int r;

	if (!s)
		return err_nomem(reterr);
	set_up(s, loop, opts);
	r = uv_poll_init(loop, &s->poll, listen_fd);
	if (r < 0) {
		mem_free(s);
		return err_sys(reterr, -r, "cannot watch the listening socket");
	}
	s->poll.data = s;
	s->n_handles = 2;
	http_watch_init(&s->watch, loop); /* uv_timer_init cannot fail */
	s->listen_fd = -1;
	r = uv_poll_start(&s->poll, UV_READABLE, on_acceptable);
	if (r < 0) {
		http_server_close(s, NULL, NULL);
		return err_sys(reterr, -r, "cannot watch the listening socket");
	}
	s->listen_fd = listen_fd;
	*ret = s;
	return 0;
}

void http_server_close(struct http_server *s, void (*closed)(void *user), void *user)
{
	struct http_conn *c;

	s->closing = true;
	s->closed = closed;
	s->closed_user = user;
	http_watch_drop(&s->watch, &s->pause);
	uv_close((uv_handle_t *)&s->poll, on_poll_closed);
	for (c = TAILQ_FIRST(&s->conns); c; c = TAILQ_NEXT(c, all))
		http_conn_close(c);
	http_watch_close(&s->watch, on_timer_closed);
}

unsigned http_server_connections(const struct http_server *s)
{
	return s->n_conns;
}
