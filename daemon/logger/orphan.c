/* orphan: see orphan.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/logger/orphan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/clock.h"
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
#define AGAIN_MS 10    /* no room for descriptors on their way: nothing wakes us then */
#define QUIET_MS 300   /* aictld waits two seconds */
#define REFUSALS_MAX 5 /* by one and the same aictld */
#define PACKETS_PER_TURN 16

static void try_join(struct orphan *o);

static bool is_owner(const struct orphan *o)
{
	return intent_is_owner(&o->roster->pool.intents, o->pid);
}

static void end_if_useless(struct orphan *o)
{
	if (o->state != ORPHAN_WAITING || !(o->lost || o->refused))
		return;
	if (roster_any_reading(o->roster))
		return;
	log_info("%s, ending",
		 o->lost ? "the runtime directory is gone" : "aictld does not want us");
	loop_stop(o->loop, 0);
}

/* ---- the next aictld ---- */

static void try_later(struct orphan *o)
{
	int64_t now = clock_mono_ms();

	if (now >= o->try_until_mono_ms) {
		if (o->watch_fd < 0)
			loop_timer_arm(o->loop, &o->next_try, now + POLL_MS);
		return; /* else the directory says when to look again */
	}
	loop_timer_arm(o->loop, &o->next_try, now + o->delay_ms);
	o->delay_ms = o->delay_ms * 2 < LAST_DELAY_MS ? o->delay_ms * 2 : LAST_DELAY_MS;
}

static void try_soon(struct orphan *o)
{
	o->delay_ms = FIRST_DELAY_MS;
	o->try_until_mono_ms = clock_mono_ms() + TRY_MS;
	if (o->state == ORPHAN_WAITING)
		loop_timer_arm(o->loop, &o->next_try, 0);
}

/* That aictld is gone before it said QUIT. */
static void disconnected(struct orphan *o, const char *why)
{
	bool owner = is_owner(o);

	loop_del(o->loop, &o->io);
	loop_timer_disarm(o->loop, &o->again);
	mem_closep(&o->fd);
	o->state = ORPHAN_WAITING;
	if (owner)
		roster_resume(o->roster);
	o->refused = ++o->tries_of_peer >= REFUSALS_MAX;
	if (o->refused)
		log_error("aictld=%d does not take over what we hold", (int)o->peer);
	else
		log_warn("aictld=%d %s before it had taken over: %s", (int)o->peer, why,
			 owner ? "reading on" : "holding what another logger reads");
	end_if_useless(o);
	if (!o->refused)
		o->try_until_mono_ms = clock_mono_ms() + TRY_MS;
	try_later(o);
}

/* True when it is on its way; else after_send, outside of all locks. */
static bool send_packet(struct orphan *o, const int *fds, unsigned n)
{
	o->send_error = wire_send(o->fd, &o->out, fds, n);
	buf_clear(&o->out);
	return o->send_error == 0;
}

static void after_send(struct orphan *o, int r)
{
	if (r == -EAGAIN) {
		loop_mod(o->loop, &o->io, EPOLLIN | EPOLLOUT);
		loop_timer_arm(o->loop, &o->again, clock_mono_ms() + AGAIN_MS);
	} else if (r != -EPIPE) { /* its end comes as end of file */
		errno = -r;
		log_error("cannot send to aictld: %m");
		disconnected(o, "could not be told");
	}
}

static bool send_out(struct orphan *o)
{
	if (send_packet(o, NULL, 0))
		return true;
	after_send(o, o->send_error);
	return false;
}

static bool give(void *user, const struct capture *c)
{
	struct orphan *o = user;
	struct wire_give_back m = {.stream = {.key = c->key,
					      .intent_index = c->intent_index,
					      .logs = c->logs,
					      .gone = c->gone}};
	const int all[CAPTURE_FDS] = {c->streams[0].fd, c->streams[1].fd, c->pidfd};
	int fds[CAPTURE_FDS];
	unsigned n = 0;

	for (unsigned i = 0; i < CAPTURE_FDS; i++) {
		if (all[i] < 0)
			continue;
		m.fds |= 1u << i;
		fds[n++] = all[i];
	}
	wire_giveback_encode(&o->out, &m);
	if (!send_packet(o, fds, n))
		return false;
	POINT("logger.giveback.given");
	o->n_given++;
	return true;
}

/* What is in a step at the moment may be read by its next logger when that has ended. */
static bool is_quiet(struct orphan *o)
{
	int64_t now = clock_mono_ms();

	if (roster_is_quiet(o->roster))
		return true;
	if (now < o->quiet_until_mono_ms) {
		loop_timer_arm(o->loop, &o->again, now + AGAIN_MS);
		return false;
	}
	if (o->n_given == 0)
		log_warn("a file system does not answer: giving back what waits for it, too");
	return true;
}

/* Everything that is due, until the socket is full. */
static void flush(struct orphan *o)
{
	if (o->pong_due) {
		wire_encode_empty(&o->out, WIRE_PONG);
		if (!send_out(o))
			return;
		o->pong_due = false;
	}
	if (o->state == ORPHAN_GIVING) {
		if (!is_quiet(o))
			return;
		o->send_error = 0;
		if (!roster_visit(o->roster, &o->given, give, o)) {
			after_send(o, o->send_error);
			return;
		}
		wire_encode_empty(&o->out, WIRE_GIVE_BACK_END);
		if (!send_out(o))
			return;
		POINT("logger.giveback.ended");
		o->state = ORPHAN_GIVEN;
		log_info("aictld=%d incarnations=%u given back", (int)o->peer, o->n_given);
	}
	loop_mod(o->loop, &o->io, EPOLLIN);
}

static void on_again(void *user)
{
	flush(user);
}

/* True: go on reading. */
static bool read_packet(struct orphan *o)
{
	int r = wire_recv(o->fd, &o->packet);

	if (r == -EAGAIN)
		return false;
	if (r <= 0) {
		disconnected(o, r == 0 ? "is gone" : "sent nonsense");
		return false;
	}
	if (o->packet.type == WIRE_QUIT) {
		POINT("logger.giveback.quit");
		loop_stop(o->loop, 0);
	} else if (o->packet.type == WIRE_PING) {
		o->pong_due = true;
	}
	wire_packet_done(&o->packet);
	if (o->pong_due)
		flush(o);
	return o->fd >= 0 && !o->loop->stopped;
}

static void on_socket(void *user, uint32_t events)
{
	struct orphan *o = user;

	if (events & EPOLLOUT)
		flush(o);
	for (int i = 0; i < PACKETS_PER_TURN && o->fd >= 0; i++)
		if (!read_packet(o))
			return;
}

/* Nothing has been sent on this socket yet, so there is room. */
static bool send_join(struct orphan *o)
{
	struct wire_join m = {.pid = o->pid, .role = WIRE_ROLE_LOGGER};
	int r;

	snprintf(m.version, sizeof(m.version), "%s", version_text);
	wire_giveback_encode_join(&o->out, &m);
	r = wire_send(o->fd, &o->out, NULL, 0);
	buf_clear(&o->out);
	return r == 0 && loop_add(o->loop, &o->io, o->fd, EPOLLIN) == 0;
}

static int connect_to_next(struct orphan *o)
{
	_cleanup_free_ char *path = mem_printf("%s/" SOCKET_NAME, o->sup_dir);
	_cleanup_err_ struct err *err = NULL;
	struct sock_peer peer;

	if (!path || sock_connect_packets(path, &o->fd, &err) < 0)
		return -1;
	if (sock_peer(o->fd, &peer) < 0 || peer.uid != o->uid) {
		mem_closep(&o->fd);
		return -1;
	}
	if (peer.pid != o->peer)
		o->tries_of_peer = 0;
	o->peer = peer.pid;
	if (send_join(o))
		return 0;
	loop_del(o->loop, &o->io);
	mem_closep(&o->fd);
	return -1;
}

static void try_join(struct orphan *o)
{
	struct stat st;

	if (o->state != ORPHAN_WAITING)
		return;
	if (connect_to_next(o) < 0) {
		o->lost |= stat(o->sup_dir, &st) < 0 && errno == ENOENT;
		try_later(o);
		end_if_useless(o);
		return;
	}
	log_info("aictld=%d is there, giving back", (int)o->peer);
	loop_timer_disarm(o->loop, &o->next_try);
	POINT("logger.giveback.joined");
	roster_pause(o->roster);
	o->state = ORPHAN_GIVING;
	o->given = (struct roster_at){0};
	o->quiet_until_mono_ms = clock_mono_ms() + QUIET_MS;
	o->n_given = 0;
	flush(o);
}

static void on_next_try(void *user)
{
	try_join(user);
}

/* ---- the directory ---- */

static bool concerns_us(const struct inotify_event *e)
{
	return e->mask & (IN_Q_OVERFLOW | IN_IGNORED | IN_UNMOUNT) ||
	       (e->len > 0 && strcmp(e->name, SOCKET_NAME) == 0);
}

static void on_watch(void *user, uint32_t events)
{
	struct orphan *o = user;
	union {
		struct inotify_event align;
		char bytes[4096];
	} b;
	ssize_t n;
	bool news = false;

	(void)events;
	while ((n = read(o->watch_fd, b.bytes, sizeof(b.bytes))) > 0) {
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *e = (const void *)(b.bytes + at);

			news |= concerns_us(e);
			if (e->mask & (IN_IGNORED | IN_UNMOUNT | IN_MOVE_SELF))
				o->lost = true;
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
		r = loop_add(o->loop, &o->watch_io, o->watch_fd, EPOLLIN);
	if (r == 0)
		return;
	mem_closep(&o->watch_fd);
	errno = -r;
	if (r != -ENOENT)
		log_warn("path=%s cannot watch: %m; looking once a second", o->sup_dir);
}

/* ---- life ---- */

static void on_news(void *user)
{
	struct orphan *o = user;

	if (o->state == ORPHAN_GIVING)
		flush(o);
	end_if_useless(o);
}

int orphan_run(struct orphan *o, struct loop *loop, struct roster *roster, const char *sup_dir,
	       uid_t uid)
{
	int r;

	*o = (struct orphan){.loop = loop,
			     .roster = roster,
			     .sup_dir = sup_dir,
			     .uid = uid,
			     .pid = (int32_t)getpid(),
			     .watch_fd = -1,
			     .fd = -1};
	o->watch_io = (struct loop_io){.fn = on_watch, .user = o};
	o->io = (struct loop_io){.fn = on_socket, .user = o};
	o->next_try = (struct loop_timer){.fn = on_next_try, .user = o};
	o->again = (struct loop_timer){.fn = on_again, .user = o};
	roster->on_news = on_news;
	roster->user = o;
	__atomic_store_n(&roster->reader, o->pid, __ATOMIC_RELAXED);
	roster_orphaned(roster);
	log_warn("aictld is gone: going on alone, and waiting for the next one");
	watch(o);
	try_soon(o);
	r = loop_run(loop);
	roster->on_news = NULL;
	loop_del(loop, &o->watch_io);
	loop_del(loop, &o->io);
	loop_timer_disarm(loop, &o->next_try);
	loop_timer_disarm(loop, &o->again);
	mem_closep(&o->watch_fd);
	mem_closep(&o->fd);
	buf_done(&o->out);
	return r;
}
