/* orphan: see orphan.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/gateway/orphan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/gateway/channel.h"
#include "daemon/wire/wire.h"
#include "daemon/wire/wire_listen.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/point.h"
#include "lib/sock.h"
#include "lib/version.h"

#define SOCKET_NAME "sup.sock"
#define FIRST_DELAY_MS 4 /* between tries, doubling up to */
#define LAST_DELAY_MS 500
#define TRY_MS 5000    /* after a sign of life */
#define POLL_MS 1000   /* where inotify cannot be had */
#define REFUSALS_MAX 5 /* by one and the same aictld */

static void on_next_try(uv_timer_t *t);

static void try_later(struct orphan *o)
{
	if (uv_now(o->of.uv) >= o->try_until) {
		if (o->watch_fd < 0)
			uv_timer_start(&o->next_try, on_next_try, POLL_MS, 0);
		return; /* else the directory says when to look again */
	}
	uv_timer_start(&o->next_try, on_next_try, o->delay_ms, 0);
	o->delay_ms = o->delay_ms * 2 < LAST_DELAY_MS ? o->delay_ms * 2 : LAST_DELAY_MS;
}

static void try_soon(struct orphan *o)
{
	o->delay_ms = FIRST_DELAY_MS;
	o->try_until = uv_now(o->of.uv) + TRY_MS;
	if (o->state == ORPHAN_WAITING)
		uv_timer_start(&o->next_try, on_next_try, 0, 0);
}

static void end_all(struct orphan *o)
{
	o->ending = true;
	o->of.drain(o->of.user);
}

static void give_up(struct orphan *o, const char *why)
{
	log_info("%s, ending", why);
	end_all(o);
}

/* ---- the next aictld ---- */

static bool send_out(struct orphan *o, const int *fds, unsigned n)
{
	bool sent = channel_send(o->channel, &o->out, fds, n);

	buf_clear(&o->out);
	return sent;
}

/* In their order, from the one after those that went out. */
static bool give_all(struct orphan *o)
{
	const struct wire_listen_at *at;
	int fd;

	while (o->of.listener(o->of.user, o->n_given, &at, &fd)) {
		wire_giveback_encode_listener(&o->out, at);
		if (!send_out(o, &fd, 1))
			return false;
		o->n_given++;
		POINT("gateway.giveback.given");
	}
	return true;
}

/* Everything that is due, until the socket is full. */
static void flush(struct orphan *o)
{
	if (o->pong_due) {
		wire_encode_empty(&o->out, WIRE_PONG);
		if (!send_out(o, NULL, 0))
			return;
		o->pong_due = false;
	}
	if (o->state != ORPHAN_GIVING || !give_all(o))
		return;
	wire_encode_empty(&o->out, WIRE_GIVE_BACK_END);
	if (!send_out(o, NULL, 0))
		return;
	POINT("gateway.giveback.ended");
	o->state = ORPHAN_GIVEN;
	log_info("aictld=%d listeners=%u given back", (int)o->peer, o->n_given);
}

static void on_packet(void *user, struct wire_packet *p)
{
	struct orphan *o = user;

	if (p->type == WIRE_QUIT) {
		POINT("gateway.giveback.quit");
		end_all(o);
	} else if (p->type == WIRE_PING) {
		o->pong_due = true;
		flush(o);
	}
}

/* That aictld is gone; before QUIT it is another one's turn. */
static void on_end(void *user, int err)
{
	struct orphan *o = user;

	(void)err;
	channel_close(o->channel);
	o->channel = NULL;
	o->state = ORPHAN_WAITING;
	if (o->ending)
		return;
	if (++o->tries_of_peer >= REFUSALS_MAX) {
		log_error("aictld=%d does not take over what we hold", (int)o->peer);
		give_up(o, "aictld does not want us");
		return;
	}
	log_warn("aictld=%d is gone before it had taken over: serving on", (int)o->peer);
	o->try_until = uv_now(o->of.uv) + TRY_MS;
	try_later(o);
}

static void on_writable(void *user)
{
	flush(user);
}

static const struct channel_ops ops = {
	.on_packet = on_packet, .on_end = on_end, .on_writable = on_writable};

/* Nothing has been sent on this socket yet, so there is room. */
static void send_join(struct orphan *o)
{
	struct wire_join m = {.pid = (int32_t)getpid(), .role = WIRE_ROLE_GATEWAY};

	snprintf(m.version, sizeof(m.version), "%s", version_text);
	wire_giveback_encode_join(&o->out, &m);
	send_out(o, NULL, 0);
}

static int connect_to_next(struct orphan *o)
{
	_cleanup_free_ char *path = mem_printf("%s/" SOCKET_NAME, o->sup_dir);
	_cleanup_err_ struct err *err = NULL;
	_cleanup_close_ int fd = -1;
	struct sock_peer peer;

	if (!path || sock_connect_packets(path, &fd, &err) < 0)
		return -1;
	if (sock_peer(fd, &peer) < 0 || peer.uid != o->uid)
		return -1;
	if (channel_new(o->of.uv, fd, &ops, o, &o->channel) < 0)
		return -1;
	fd = -1;
	if (peer.pid != o->peer)
		o->tries_of_peer = 0;
	o->peer = peer.pid;
	return 0;
}

static void on_next_try(uv_timer_t *t)
{
	struct orphan *o = t->data;
	struct stat st;

	if (o->state != ORPHAN_WAITING || o->ending)
		return;
	if (connect_to_next(o) < 0) {
		if (stat(o->sup_dir, &st) < 0 && errno == ENOENT)
			give_up(o, "the runtime directory is gone");
		else
			try_later(o);
		return;
	}
	log_info("aictld=%d is there, giving back", (int)o->peer);
	o->state = ORPHAN_GIVING;
	o->n_given = 0;
	send_join(o);
	POINT("gateway.giveback.joined");
	flush(o);
}

/* ---- the directory ---- */

static bool concerns_us(const struct inotify_event *e)
{
	return e->mask & (IN_Q_OVERFLOW | IN_IGNORED | IN_UNMOUNT | IN_MOVE_SELF) ||
	       (e->len > 0 && strcmp(e->name, SOCKET_NAME) == 0);
}

static void on_watch(uv_poll_t *poll, int status, int events)
{
	struct orphan *o = poll->data;
	union {
		struct inotify_event align;
		char bytes[4096];
	} b;
	ssize_t n;
	bool news = false;

	(void)events;
	if (status < 0)
		return;
	while ((n = read(o->watch_fd, b.bytes, sizeof(b.bytes))) > 0) {
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *e = (const void *)(b.bytes + at);

			news |= concerns_us(e);
			at += (ssize_t)(sizeof(*e) + e->len);
		}
	}
	if (news)
		try_soon(o);
}

/* Attributes too: a socket gets its mode after it listens. */
static void watch(struct orphan *o)
{
	int r = 0;

	o->watch_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (o->watch_fd < 0 ||
	    inotify_add_watch(o->watch_fd, o->sup_dir,
			      IN_CREATE | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF |
				      IN_ONLYDIR) < 0)
		r = -errno;
	if (r == 0)
		r = uv_poll_init(o->of.uv, &o->watch, o->watch_fd);
	if (r == 0) {
		o->watch.data = o;
		uv_poll_start(&o->watch, UV_READABLE, on_watch);
		return;
	}
	mem_closep(&o->watch_fd);
	if (r != -ENOENT)
		log_warn("path=%s error=\"%s\" cannot watch; looking once a second", o->sup_dir,
			 strerror(-r));
}

void orphan_begin(struct orphan *o, const struct orphan_of *of, const char *sup_dir, uid_t uid)
{
	*o = (struct orphan){
		.of = *of, .sup_dir = sup_dir, .uid = uid, .state = ORPHAN_WAITING, .watch_fd = -1};
	uv_timer_init(o->of.uv, &o->next_try);
	o->next_try.data = o;
	log_warn("aictld is gone: serving on alone, and waiting for the next one");
	watch(o);
	try_soon(o);
}

void orphan_close(struct orphan *o)
{
	if (o->state == ORPHAN_OFF)
		return;
	o->state = ORPHAN_OFF;
	uv_close((uv_handle_t *)&o->next_try, NULL);
	if (o->watch_fd >= 0)
		uv_close((uv_handle_t *)&o->watch, NULL);
	mem_closep(&o->watch_fd);
	if (o->channel)
		channel_close(o->channel);
	o->channel = NULL;
	buf_done(&o->out);
}
