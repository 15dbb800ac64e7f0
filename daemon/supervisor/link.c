/* link: see link.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/link.h"

#include <errno.h>
#include <unistd.h>

#include "daemon/supervisor/supervisor.h"
#include "daemon/wire/wire.h"
#include "lib/clock.h"
#include "lib/mem.h"

#define RETRY_MS 10
#define READ_MAX 64 /* packets in one round: other sources get their turn */

static void fail(struct link *l, const char *why)
{
	if (l->broken)
		return;
	l->broken = true;
	loop_del(&l->sup->loop, &l->io);
	loop_timer_disarm(&l->sup->loop, &l->retry);
	loop_timer_disarm(&l->sup->loop, &l->silence);
	l->on_broken(l->user, why);
}

/* Returns wire_recv's answer: 1 while there may be more. */
static int read_one(struct link *l)
{
	struct wire_packet *p = l->sup->packet;
	int r = wire_recv(l->fd, p);

	if (r <= 0)
		return r;
	l->waiting_since_mono_ms = 0;
	if (p->type != WIRE_PONG)
		l->on_packet(l->user, p);
	wire_packet_done(p);
	return 1;
}

static void on_io(void *user, uint32_t events)
{
	struct link *l = user;
	int r = -EAGAIN;

	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		for (int i = 0; i < READ_MAX && !l->broken; i++) {
			r = read_one(l);
			if (r <= 0)
				break;
		}
		if (r == 0)
			fail(l, NULL);
		else if (r < 0 && r != -EAGAIN)
			fail(l, r == -EBADMSG ? "sent a malformed packet" : "socket error");
	}
	if (events & EPOLLOUT && !l->broken) {
		loop_mod(&l->sup->loop, &l->io, EPOLLIN);
		l->blocked = false;
		l->stalled = true; /* until a packet goes out */
	}
	link_flush(l);
}

static void on_retry(void *user)
{
	struct link *l = user;

	l->blocked = false;
	link_flush(l);
}

static void on_silence(void *user)
{
	struct link *l = user;
	int64_t now = clock_mono_ms();

	if (l->waiting_since_mono_ms == 0)
		return;
	if (now - l->waiting_since_mono_ms >= LINK_SILENCE_MS) {
		fail(l, "has said nothing for 15 s");
		return;
	}
	if (now - l->waiting_since_mono_ms < LINK_PING_MS) {
		loop_timer_arm(&l->sup->loop, &l->silence, l->waiting_since_mono_ms + LINK_PING_MS);
		return;
	}
	l->ping_due = true;
	loop_timer_arm(&l->sup->loop, &l->silence, l->waiting_since_mono_ms + LINK_SILENCE_MS);
	link_flush(l);
}

void link_init(struct link *l)
{
	l->fd = -1;
	l->io = (struct loop_io){.fn = on_io, .user = l};
	l->retry = (struct loop_timer){.fn = on_retry, .user = l};
	l->silence = (struct loop_timer){.fn = on_silence, .user = l};
}

int link_open(struct link *l, int fd)
{
	int r = loop_add(&l->sup->loop, &l->io, fd, EPOLLIN);

	if (r < 0) {
		close(fd);
		return r;
	}
	l->fd = fd;
	l->waiting_since_mono_ms = 0;
	l->blocked = l->ping_due = l->broken = l->stalled = false;
	return 0;
}

void link_close(struct link *l)
{
	loop_del(&l->sup->loop, &l->io);
	loop_timer_disarm(&l->sup->loop, &l->retry);
	loop_timer_disarm(&l->sup->loop, &l->silence);
	mem_closep(&l->fd);
	buf_done(&l->out);
}

static void note_waiting(struct link *l)
{
	if (l->waiting_since_mono_ms != 0)
		return;
	l->waiting_since_mono_ms = clock_mono_ms();
	if (!l->silence.armed)
		loop_timer_arm(&l->sup->loop, &l->silence, l->waiting_since_mono_ms + LINK_PING_MS);
}

/* EPOLLOUT tells when the queue has room; a writable socket that refuses (too many descriptors in
 * flight, no memory) is asked again by a timer instead. */
static void wait_for_room(struct link *l, bool by_timer)
{
	l->blocked = true;
	if (by_timer || l->stalled || loop_mod(&l->sup->loop, &l->io, EPOLLIN | EPOLLOUT) < 0)
		loop_timer_arm(&l->sup->loop, &l->retry, clock_mono_ms() + RETRY_MS);
}

bool link_send(struct link *l, const int *fds, unsigned n_fds)
{
	int r;

	if (l->fd < 0 || l->broken || l->blocked)
		return false;
	r = wire_send(l->fd, &l->out, fds, n_fds);
	if (r == -EPIPE || r == -ECONNRESET || r == -ENOTCONN) {
		l->blocked = true; /* what it has sent is still to be read: EOF breaks the link */
		return false;
	}
	note_waiting(l);
	if (r < 0) {
		wait_for_room(l, r != -EAGAIN);
		return false;
	}
	l->stalled = false;
	return true;
}

void link_flush(struct link *l)
{
	if (l->fd < 0 || l->broken || l->blocked)
		return;
	l->on_flush(l->user);
	if (l->ping_due && !l->blocked) {
		buf_clear(&l->out);
		wire_encode_empty(&l->out, WIRE_PING);
		if (link_send(l, NULL, 0))
			l->ping_due = false;
	}
}

void link_drain(struct link *l)
{
	if (l->fd < 0)
		return;
	loop_del(&l->sup->loop, &l->io);
	l->blocked = true; /* nothing more is sent to it */
	for (;;) {
		int r = read_one(l);

		if (r <= 0)
			break;
	}
}
