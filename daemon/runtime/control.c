/* control: see control.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/runtime/control.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "daemon/runtime/runtime.h"
#include "daemon/wire/wire_unit.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/version.h"

#define PACKETS_PER_TURN 64
#define AGAIN_MS 10

/* False: later. */
static bool send_packet(struct control *c, const struct buf *b)
{
	int r = wire_send(c->fd, b, NULL, 0);

	if (r < 0 && r != -EPIPE && r != -EAGAIN)
		log_error("error=\"%s\" cannot send to aictld", strerror(-r));
	return r == 0 || r == -EPIPE; /* its end comes as end of file */
}

static bool send_all(struct control *c)
{
	struct runtime *r = c->runtime;
	const struct buf *b;
	struct unit *u;

	if (c->pong_due) {
		buf_clear(&c->out);
		wire_encode_empty(&c->out, WIRE_PONG);
		if (!send_packet(c, &c->out))
			return false;
		c->pong_due = false;
	}
	if (c->runtime_due && c->greeted) {
		buf_clear(&c->out);
		wire_unit_encode_runtime(&c->out, &r->said);
		if (!send_packet(c, &c->out))
			return false;
		c->runtime_due = false;
	}
	while ((b = outbox_first(&c->outbox))) {
		if (!send_packet(c, b))
			return false;
		outbox_sent(&c->outbox);
	}
	while ((u = units_next_due(&r->units))) {
		buf_clear(&c->out);
		wire_unit_encode_state(&c->out, units_state(u));
		if (!send_packet(c, &c->out))
			return false;
		units_told(&r->units, u);
	}
	return true;
}

static void flush(struct control *c)
{
	bool all = send_all(c);

	if (loop_is_added(&c->io))
		loop_mod(&c->runtime->loop, &c->io, EPOLLIN | (all ? 0 : EPOLLOUT));
	if (!all) /* room makes the socket writable; being out of memory does not */
		loop_timer_arm(&c->runtime->loop, &c->again, clock_mono_ms() + AGAIN_MS);
}

static void on_again(void *user)
{
	flush(user);
}

/* Later, so that what comes together is sent once. */
static void flush_soon(struct control *c)
{
	if (!c->again.armed)
		loop_timer_arm(&c->runtime->loop, &c->again, 0);
}

void control_say_runtime(struct control *c)
{
	c->runtime_due = true;
	flush_soon(c);
}

void control_say_unit(struct control *c)
{
	flush_soon(c);
}

void control_put_take(struct control *c, struct buf *b)
{
	outbox_put_take(&c->outbox, b);
	flush_soon(c);
}

/* ---- from aictld ---- */

static int take_fd(struct wire_packet *p, unsigned i)
{
	int fd = p->fds[i];

	p->fds[i] = -1;
	return fd;
}

static int on_hello(struct control *c)
{
	struct wire_hello m;

	if (wire_decode_hello(c->packet.body, c->packet.len, &m) < 0)
		return -EBADMSG;
	if (strcmp(m.version, version_text) != 0) {
		log_error("aictld=%s aictl-runtime=%s versions differ", m.version, version_text);
		return -EPROTO;
	}
	c->greeted = true;
	log_set_level((enum log_level)m.log_level);
	control_say_runtime(c);
	return 0;
}

static int on_start(struct control *c)
{
	struct wire_packet *p = &c->packet;
	struct wire_unit_start m;

	if (wire_unit_decode_start(p->body, p->len, &m) < 0 || p->n_fds != UNITS_FDS)
		return -EBADMSG;
	units_start(&c->runtime->units, &m, (int[]){take_fd(p, 0), take_fd(p, 1), take_fd(p, 2)});
	return 0;
}

static int on_key(struct control *c)
{
	struct wire_packet *p = &c->packet;
	struct units *units = &c->runtime->units;
	struct wire_key key;

	if (wire_decode_key(p->body, p->len, &key) < 0)
		return -EBADMSG;
	if (p->type == WIRE_UNIT_KEEP && p->n_fds == 0) {
		units_keep(units, &key, (int[]){-1, -1, -1});
	} else if (p->type == WIRE_UNIT_KEEP) {
		if (p->n_fds != UNITS_FDS)
			return -EBADMSG;
		units_keep(units, &key, (int[]){take_fd(p, 0), take_fd(p, 1), take_fd(p, 2)});
	} else if (p->type == WIRE_UNIT_REMOVE) {
		units_remove(units, &key);
	} else {
		units_look(units, &key);
	}
	return 0;
}

static int on_signal(struct control *c)
{
	struct wire_key key;
	int32_t number;

	if (wire_decode_signal(c->packet.body, c->packet.len, &key, &number) < 0)
		return -EBADMSG;
	units_signal(&c->runtime->units, &key, number);
	return 0;
}

static int on_run(struct control *c)
{
	struct wire_packet *p = &c->packet;
	struct wire_run m;
	int r;

	r = wire_run_decode(p->body, p->len, &m);
	if (r < 0)
		return -EBADMSG;
	if (p->n_fds == RUNS_FDS)
		runs_start(&c->runtime->runs, &m,
			   (int[]){take_fd(p, 0), take_fd(p, 1), take_fd(p, 2)});
	else
		r = -EBADMSG;
	wire_run_free(&m);
	return r;
}

static int on_run_kill(struct control *c)
{
	uint64_t id;
	int32_t number;

	if (wire_run_decode_kill(c->packet.body, c->packet.len, &id, &number) < 0)
		return -EBADMSG;
	runs_kill(&c->runtime->runs, id, number);
	return 0;
}

static int dispatch(struct control *c)
{
	struct wire_packet *p = &c->packet;
	uint32_t level;

	log_debug("packet=%s bytes=%zu", wire_type_name(p->type), p->len);
	switch ((int)p->type) {
	case WIRE_HELLO:
		return on_hello(c);
	case WIRE_UNIT_START:
		return on_start(c);
	case WIRE_UNIT_KEEP:
	case WIRE_UNIT_REMOVE:
	case WIRE_LOOK:
		return on_key(c);
	case WIRE_SYNCED:
		units_synced(&c->runtime->units);
		return 0;
	case WIRE_SIGNAL:
		return on_signal(c);
	case WIRE_RUN:
		return on_run(c);
	case WIRE_RUN_KILL:
		return on_run_kill(c);
	case WIRE_LOG_LEVEL:
		if (wire_decode_u32(p->body, p->len, &level) < 0 || level > LOG_LVL_DEBUG)
			return -EBADMSG;
		log_set_level((enum log_level)level);
		return 0;
	case WIRE_PING:
		c->pong_due = true;
		flush(c);
		return 0;
	case WIRE_QUIT:
		runtime_quit(c->runtime);
		return 0;
	default:
		return 0; /* nothing that concerns us */
	}
}

/* True: go on reading. */
static bool read_packet(struct control *c)
{
	struct loop *loop = &c->runtime->loop;
	int r = wire_recv(c->fd, &c->packet);

	if (r == -EAGAIN)
		return false;
	if (r == 0) { /* aictld is dead; the engine keeps what is written, and who runs */
		loop_del(loop, &c->io);
		runtime_quit(c->runtime);
		return false;
	}
	if (r > 0) {
		r = dispatch(c);
		wire_packet_done(&c->packet);
	}
	if (r >= 0)
		return !loop->stopped;
	log_error("error=\"%s\" no understanding with aictld, ending", strerror(-r));
	loop_stop(loop, 1);
	return false;
}

static void on_socket(void *user, uint32_t events)
{
	struct control *c = user;

	if (events & EPOLLOUT)
		flush(c);
	for (int i = 0; i < PACKETS_PER_TURN; i++)
		if (!read_packet(c))
			return;
}

int control_init(struct control *c, struct runtime *r, int fd)
{
	c->runtime = r;
	c->fd = fd;
	c->io = (struct loop_io){.fn = on_socket, .user = c};
	c->again = (struct loop_timer){.fn = on_again, .user = c};
	return loop_add(&r->loop, &c->io, fd, EPOLLIN);
}

void control_done(struct control *c)
{
	loop_del(&c->runtime->loop, &c->io);
	loop_timer_disarm(&c->runtime->loop, &c->again);
	close(c->fd);
	outbox_done(&c->outbox);
	buf_done(&c->out);
}
