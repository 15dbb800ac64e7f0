/* control: see control.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/logger/control.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/point.h"
#include "lib/version.h"

#define PACKETS_PER_TURN 64
#define AGAIN_MS 10

/* True when it is on its way; false: later. */
static bool send_out(struct control *c)
{
	int r = wire_send(c->fd, &c->out, NULL, 0);

	buf_clear(&c->out);
	if (r == 0 || r == -EPIPE) /* its end comes as end of file */
		return true;
	if (r != -EAGAIN)
		log_error("error=\"%s\" cannot send to aictld", strerror(-r));
	return false;
}

/* Everything that is due, until the socket is full. */
static void flush(struct control *c)
{
	struct capture *done;

	if (c->pong_due) {
		wire_encode_empty(&c->out, WIRE_PONG);
		if (!send_out(c))
			goto later;
		c->pong_due = false;
	}
	while ((done = capture_first_drained(c->set))) {
		POINT("logger.drain.telling");
		wire_encode_key(&c->out, WIRE_DRAINED, &done->key);
		if (!send_out(c))
			goto later;
		log_debug("service=%s/%u incarnation=%s state=drained", done->key.service,
			  done->key.index, done->key.incarnation);
		POINT("logger.drain.told");
		capture_release(done);
	}
	loop_mod(c->loop, &c->io, EPOLLIN);
	return;
later:
	/* Room in aictld's queue makes the socket writable; being out of memory does not. */
	loop_mod(c->loop, &c->io, EPOLLIN | EPOLLOUT);
	loop_timer_arm(c->loop, &c->again, clock_mono_ms() + AGAIN_MS);
}

static int take_fd(struct control *c, unsigned i)
{
	int fd = c->packet.fds[i];

	c->packet.fds[i] = -1;
	return fd;
}

static int on_hello(struct control *c)
{
	struct wire_packet *p = &c->packet;
	struct wire_hello m;
	int r;

	if (wire_decode_hello(p->body, p->len, &m) < 0 || p->n_fds != 2)
		return -EBADMSG;
	if (strcmp(m.version, version_text) != 0) {
		log_error("aictld=%s aictl-logger=%s versions differ", m.version, version_text);
		return -EPROTO;
	}
	if (c->greeted) /* captures hold words of the first table, which is the same */
		return 0;
	c->greeted = true;
	log_set_level((enum log_level)m.log_level);
	r = intent_map(&c->set->intents, p->fds[0]);
	if (r < 0)
		log_error("error=\"%s\" cannot map the intent table; if the logger is killed, the "
			  "stream of the bytes of that moment is a guess",
			  strerror(-r));
	ownlog_source(c->ownlog, 0, take_fd(c, 1));
	return 0;
}

static int on_stream(struct control *c)
{
	struct wire_packet *p = &c->packet;
	struct wire_stream m;
	int fds[CAPTURE_FDS], r;

	if (wire_decode_stream(p->body, p->len, &m) < 0 || p->n_fds < 2 || p->n_fds > CAPTURE_FDS)
		return -EBADMSG;
	for (unsigned i = 0; i < CAPTURE_FDS; i++)
		fds[i] = i < p->n_fds ? take_fd(c, i) : -1;
	POINT("logger.spawn.stream");
	r = capture_add(c->set, &m, fds);
	if (r < 0) /* aictld's copies keep the pipes open, so the writers wait */
		log_error("service=%s/%u error=\"%s\" cannot store its output", m.key.service,
			  m.key.index, strerror(-r));
	return 0;
}

static int dispatch(struct control *c)
{
	struct wire_packet *p = &c->packet;
	struct wire_key key;
	uint32_t level;

	log_debug("packet=%s bytes=%zu", wire_type_name(p->type), p->len);
	switch ((int)p->type) {
	case WIRE_HELLO:
		return on_hello(c);
	case WIRE_STREAM:
		return on_stream(c);
	case WIRE_GONE:
		if (wire_decode_key(p->body, p->len, &key) < 0)
			return -EBADMSG;
		POINT("logger.exit.gone");
		capture_gone(c->set, &key);
		return 0;
	case WIRE_LOG_LEVEL:
		if (wire_decode_u32(p->body, p->len, &level) < 0 || level > LOG_LVL_DEBUG)
			return -EBADMSG;
		log_set_level((enum log_level)level);
		return 0;
	case WIRE_QUIT:
		loop_stop(c->loop, CONTROL_END);
		return 0;
	case WIRE_PING:
		c->pong_due = true;
		flush(c);
		return 0;
	default:
		return 0; /* nothing that concerns us */
	}
}

/* True: go on reading. */
static bool read_packet(struct control *c)
{
	int r = wire_recv(c->fd, &c->packet);

	if (r == -EAGAIN)
		return false;
	if (r == 0) {
		loop_stop(c->loop, CONTROL_LOST);
		return false;
	}
	if (r > 0) {
		r = dispatch(c);
		wire_packet_done(&c->packet);
	}
	if (r >= 0)
		return !c->loop->stopped;
	log_error("error=\"%s\" no understanding with aictld, ending", strerror(-r));
	loop_stop(c->loop, 1);
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

static void on_drained(void *user)
{
	struct control *c = user;

	/* Not at once: the caller is still in the middle of that capture. */
	loop_timer_arm(c->loop, &c->again, clock_mono_ms());
}

static void on_again(void *user)
{
	flush(user);
}

int control_init(struct control *c, struct loop *loop, int fd, struct capture_set *set,
		 struct ownlog *ownlog)
{
	memset(c, 0, sizeof(*c));
	c->loop = loop;
	c->fd = fd;
	c->set = set;
	c->ownlog = ownlog;
	c->io = (struct loop_io){.fn = on_socket, .user = c};
	c->again = (struct loop_timer){.fn = on_again, .user = c};
	set->on_drained = on_drained;
	set->user = c;
	return loop_add(loop, &c->io, fd, EPOLLIN);
}

void control_done(struct control *c)
{
	if (!c->set)
		return;
	loop_del(c->loop, &c->io);
	loop_timer_disarm(c->loop, &c->again);
	mem_closep(&c->fd);
	c->set->on_drained = NULL;
	c->set = NULL;
	buf_done(&c->out);
}
