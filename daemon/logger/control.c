/* control: see control.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/logger/control.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "daemon/logger/witness.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/point.h"
#include "lib/version.h"

#define PACKETS_PER_TURN 64
#define AGAIN_MS 10
#define FAULTS_MS 1000

_Static_assert((int)FAULT_STATES == (int)WIRE_LOG_STATE_MAX_ &&
		       (int)FAULT_DROPPING == (int)WIRE_LOG_DROPPING &&
		       (int)FAULT_WEAK == (int)WIRE_LOG_WEAK,
	       "the wire says what fault.h says");

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

static bool send_fault(struct control *c)
{
	int r;

	if (!c->fault_due)
		return true;
	r = wire_send(c->fd, &c->fault, NULL, 0);
	c->fault_due = r == -EAGAIN;
	return r == 0 || r == -EPIPE;
}

/* Takes f over, sooner or later. */
static bool tell_fault(struct control *c, const struct wire_key *key, const struct fault *f)
{
	const struct wire_log_fault m = {.state = (uint8_t)f->state,
					 .err = f->err,
					 .since_wall_ms = f->since_wall_ms,
					 .dropped_bytes = f->dropped_bytes,
					 .dropped_lines = f->dropped_lines};

	buf_clear(&c->fault);
	wire_logs_encode_fault(&c->fault, key, &m);
	c->fault_due = true;
	return send_fault(c);
}

/* Those that have changed, if none was told a moment ago. */
static bool tell_faults(struct control *c)
{
	int64_t now = clock_mono_ms();
	struct wire_key key;
	struct fault f;

	if (!send_fault(c))
		return false;
	if (c->faults_mono_ms != 0 && now < c->faults_mono_ms + FAULTS_MS) {
		if (!c->again.armed)
			loop_timer_arm(c->loop, &c->again, c->faults_mono_ms + FAULTS_MS);
		return true;
	}
	while (roster_next_fault(c->roster, &key, &f)) {
		c->faults_mono_ms = now;
		if (!tell_fault(c, &key, &f))
			return false;
	}
	return true;
}

/* The last word about it. */
static bool tell_fault_of(struct control *c, const struct wire_key *key)
{
	struct fault f;

	return send_fault(c) && (!roster_take_fault(c->roster, key, &f) || tell_fault(c, key, &f));
}

/* Everything that is due, until the socket is full. */
static void flush(struct control *c)
{
	struct wire_key done;

	if (c->pong_due) {
		wire_encode_empty(&c->out, WIRE_PONG);
		if (!send_out(c))
			goto later;
		c->pong_due = false;
	}
	if (!tell_faults(c))
		goto later;
	while (roster_next_drained(c->roster, &done)) {
		if (!tell_fault_of(c, &done))
			goto later;
		POINT("logger.drain.telling");
		wire_encode_key(&c->out, WIRE_DRAINED, &done);
		if (!send_out(c))
			goto later;
		log_debug("service=%s/%u incarnation=%s state=drained", done.service, done.index,
			  done.incarnation);
		POINT("logger.drain.told");
		forward_over(c->forward, &done);
		roster_release(c->roster, &done);
	}
	while (c->done_due || roster_answer(c->roster, &c->done)) {
		c->done_due = true;
		wire_logs_encode_done(&c->out, &c->done);
		if (!send_out(c))
			goto later;
		c->done_due = false;
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

	if (wire_decode_hello(p->body, p->len, &m) < 0 || p->n_fds < 2)
		return -EBADMSG;
	if (strcmp(m.version, version_text) != 0) {
		log_error("aictld=%s aictl-logger=%s versions differ", m.version, version_text);
		return -EPROTO;
	}
	if (c->greeted) { /* captures hold words of the first table, which is the same */
		roster_faults_again(c->roster);
		return 0;
	}
	c->greeted = true;
	log_set_level((enum log_level)m.log_level);
	r = intent_map(&c->roster->pool.intents, take_fd(c, 0));
	if (r < 0)
		log_error("error=\"%s\" cannot map the intent table; if the logger is killed, the "
			  "stream of the bytes of that moment is a guess",
			  strerror(-r));
	ownlog_source(c->ownlog, 0, take_fd(c, 1));
	c->vault_fd = p->n_fds > 2 ? take_fd(c, 2) : -1;
	if (p->n_fds > 3)
		witness_start(take_fd(c, 3));
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
	forward_stream(c->forward, &m);
	r = roster_add(c->roster, &m, fds);
	if (r < 0) /* aictld's copies keep the pipes open, so the writers wait */
		log_error("service=%s/%u error=\"%s\" cannot store its output", m.key.service,
			  m.key.index, strerror(-r));
	return 0;
}

static int on_work(struct control *c)
{
	struct wire_packet *p = &c->packet;
	struct wire_log_work m;

	if (wire_logs_decode_work(p->body, p->len, &m) < 0)
		return -EBADMSG;
	if (roster_ask(c->roster, &m))
		return 0;
	c->done = (struct wire_log_done){.id = m.id, .err = EBUSY};
	c->done_due = true;
	flush(c);
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
		roster_gone(c->roster, &key);
		return 0;
	case WIRE_LOG_WORK:
		return on_work(c);
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

/* True: not a later one with the same word. */
static bool keeps_word(void *user, const struct capture *c)
{
	const struct wire_stream *m = user;

	return c->stage != CAPTURE_LIVING || c->intent_index != m->intent_index ||
	       strcmp(c->key.incarnation, m->key.incarnation) <= 0;
}

/* aictld has freed it, and given its word to another one: it was told, and is over. */
static bool is_over(struct control *c)
{
	struct roster_at at = {0};
	struct wire_stream m;

	return wire_decode_stream(c->packet.body, c->packet.len, &m) == 0 &&
	       !roster_visit(c->roster, &at, keeps_word, &m);
}

/* aictld is dead: what it was about to tell. Of an incarnation that is known already it is no news. */
static void open_vault(struct control *c)
{
	while (c->vault_fd >= 0 && wire_recv(c->vault_fd, &c->packet) > 0) {
		if (c->packet.type == WIRE_STREAM && !is_over(c))
			on_stream(c);
		wire_packet_done(&c->packet);
	}
	mem_closep(&c->vault_fd);
}

/* True: go on reading. */
static bool read_packet(struct control *c)
{
	int r = wire_recv(c->fd, &c->packet);

	if (r == -EAGAIN)
		return false;
	if (r == 0) {
		open_vault(c);
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

static void on_news(void *user)
{
	flush(user);
}

static void on_again(void *user)
{
	flush(user);
}

int control_init(struct control *c, struct loop *loop, int fd, struct roster *roster,
		 struct ownlog *ownlog, struct forward *forward)
{
	memset(c, 0, sizeof(*c));
	c->loop = loop;
	c->fd = fd;
	c->vault_fd = -1;
	c->roster = roster;
	c->ownlog = ownlog;
	c->forward = forward;
	c->io = (struct loop_io){.fn = on_socket, .user = c};
	c->again = (struct loop_timer){.fn = on_again, .user = c};
	roster->on_news = on_news;
	roster->user = c;
	return loop_add(loop, &c->io, fd, EPOLLIN);
}

void control_done(struct control *c)
{
	if (!c->roster)
		return;
	loop_del(c->loop, &c->io);
	loop_timer_disarm(c->loop, &c->again);
	mem_closep(&c->fd);
	mem_closep(&c->vault_fd);
	c->roster->on_news = NULL;
	c->roster = NULL;
	buf_done(&c->out);
	buf_done(&c->fault);
}
