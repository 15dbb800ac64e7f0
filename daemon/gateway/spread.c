/* spread: see spread.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/gateway/spread.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "daemon/gateway/channel.h"
#include "daemon/gateway/lane.h"
#include "daemon/gateway/orphan.h"
#include "daemon/gateway/outlet.h"
#include "daemon/gateway/ports.h"
#include "daemon/gateway/share.h"
#include "daemon/wire/wire.h"
#include "daemon/wire/wire_listen.h"
#include "daemon/wire/wire_routes.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/sock.h"
#include "lib/version.h"

#define AGAIN_MS 1000 /* without descriptors */

struct spread;

/* A thread, as the switch sees it. */
struct seat {
	struct spread *s;
	struct lane *lane; /* NULL: it was never started */
	unsigned number;
	struct outlet control, peer; /* to it; it takes us for aictld, and for the controller */
	bool awaited;		     /* its PONG is */
};

struct routes_id {
	uint64_t epoch, generation;
};

struct spread {
	const struct spread_options *o;
	uv_loop_t uv;
	uv_async_t over; /* a thread has ended */
	uv_timer_t again;
	struct channel *aictld; /* NULL = lost */
	struct outlet controller;
	struct orphan orphan;
	struct share share;
	struct ports ports;
	unsigned n;
	struct seat seats[SHARE_THREADS_MAX];
	struct share_routed routed[SHARE_THREADS_MAX];
	struct routes_id sent;			       /* the last ones, to all */
	struct routes_id told_controller, told_aictld; /* that they are in force */
	int next_peer; /* a controller that was not let in yet; -1 */
	bool greeted, quit, ending;
	bool asked; /* by a PING */
	bool pong_due, routed_due;
	int status;
	struct buf out;
};

static void end_all(struct spread *s, int status);

/* ---- sending ---- */

/* What is in s->out. A packet that is lost would never come again. */
static void send_out(struct spread *s, struct outlet *to, int fd)
{
	if (outlet_send(to, &s->out, fd))
		return;
	log_error("out of memory, ending");
	end_all(s, 1);
}

static void send_empty(struct spread *s, struct outlet *to, enum wire_type type, int fd)
{
	buf_clear(&s->out);
	wire_encode_empty(&s->out, type);
	send_out(s, to, fd);
}

static void flush_aictld(struct spread *s)
{
	if (!s->aictld)
		return;
	if (s->pong_due) {
		buf_clear(&s->out);
		wire_encode_empty(&s->out, WIRE_PONG);
		s->pong_due = !channel_send(s->aictld, &s->out, NULL, 0);
	}
	if (s->routed_due && !s->pong_due) {
		buf_clear(&s->out);
		wire_routes_encode_routed(&s->out, s->told_aictld.epoch, s->told_aictld.generation);
		s->routed_due = !channel_send(s->aictld, &s->out, NULL, 0);
	}
}

/* ---- the end ---- */

/* As the threads do with theirs, who hear of nothing else now: whoever has one alone may close it. */
static void quit_all(struct spread *s)
{
	ports_done(&s->ports);
	for (unsigned i = 0; i < s->n; i++)
		send_empty(s, &s->seats[i].control, WIRE_QUIT, -1);
}

/* What is under way is cut, soon. */
static void end_all(struct spread *s, int status)
{
	s->status |= status;
	if (s->ending)
		return;
	s->ending = true;
	quit_all(s);
}

/* To a thread the end of this socket is the word to drain. */
static void drain_all(void *user)
{
	struct spread *s = user;

	s->ending = true;
	ports_done(&s->ports);
	for (unsigned i = 0; i < s->n; i++)
		outlet_close(&s->seats[i].control);
}

/* ---- PING ---- */

static void answer_ping(struct spread *s)
{
	if (!s->asked)
		return;
	for (unsigned i = 0; i < s->n; i++)
		if (s->seats[i].awaited)
			return;
	s->asked = false;
	s->pong_due = true;
	flush_aictld(s);
}

static void ping_all(struct spread *s)
{
	s->asked = true;
	for (unsigned i = 0; i < s->n; i++) {
		struct seat *seat = &s->seats[i];

		if (!seat->control.channel || seat->awaited)
			continue;
		seat->awaited = true;
		send_empty(s, &seat->control, WIRE_PING, -1);
	}
	answer_ping(s);
}

/* ---- ports ---- */

static void send_port(struct spread *s, const struct port *p, enum wire_type type)
{
	int fd = type == WIRE_LISTENER ? fcntl(p->fd, F_DUPFD_CLOEXEC, 0) : -1;

	if (type == WIRE_LISTENER && fd < 0) {
		log_error("address=%s port=%u error=\"%s\" cannot be served", p->at.address,
			  p->at.port, strerror(errno));
		return;
	}
	buf_clear(&s->out);
	wire_listen_encode_at(&s->out, type, &p->at);
	send_out(s, &s->seats[p->thread].control, fd);
}

static int add_port(struct spread *s, const struct wire_listen_at *at, int fd)
{
	struct port *p = ports_add(&s->ports, at, fd, share_of(&s->share, at));

	if (!p)
		return -ENOMEM;
	send_port(s, p, WIRE_LISTENER);
	return 0;
}

static void remove_port(struct spread *s, const struct wire_listen_at *at)
{
	struct port *p = ports_find(&s->ports, at);

	if (!p)
		return;
	send_port(s, p, WIRE_LISTENER_OFF);
	ports_remove(&s->ports, p);
}

static void move_port(struct spread *s, const struct wire_listen_at *at, unsigned thread)
{
	struct port *p = ports_find(&s->ports, at);

	if (!p || p->thread == thread)
		return;
	send_port(s, p, WIRE_LISTENER_OFF);
	p->thread = thread;
	send_port(s, p, WIRE_LISTENER);
}

/* For orphan. */
static bool nth_listener(void *user, unsigned i, const struct wire_listen_at **at, int *fd)
{
	const struct spread *s = user;
	const struct port *p = ports_nth(&s->ports, i);

	if (p) {
		*at = &p->at;
		*fd = p->fd;
	}
	return p;
}

/* ---- ROUTES ---- */

static bool is_same(struct routes_id a, struct routes_id b)
{
	return a.epoch == b.epoch && a.generation == b.generation;
}

static unsigned present_thread(struct spread *s, const struct wire_listen_at *at)
{
	const struct port *p = ports_find(&s->ports, at);

	return p ? p->thread : share_of(&s->share, at);
}

static int distribute(struct spread *s, const struct wire_routes *m)
{
	_cleanup_free_ unsigned *threads = mem_array(m->n + 1, sizeof(*threads));
	_cleanup_free_ struct wire_route *list = mem_array(m->n + 1, sizeof(*list));
	struct wire_routes part;
	int r;

	if (!threads || !list)
		return -ERR_NOMEM;
	for (uint32_t i = 0; i < m->n; i++)
		threads[i] = present_thread(s, &m->list[i].at);
	r = share_routes(&s->share, m, threads);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < m->n; i++)
		move_port(s, &m->list[i].at, threads[i]);
	s->sent = (struct routes_id){m->epoch, m->generation};
	for (unsigned i = 0; i < s->n; i++) {
		share_part(m, threads, i, list, &part);
		buf_clear(&s->out);
		wire_routes_encode(&s->out, &part);
		send_out(s, &s->seats[i].peer, -1);
	}
	return 0;
}

static void on_routes(struct spread *s, const struct wire_packet *p)
{
	struct wire_routes routes;
	int r = wire_routes_decode(p->body, p->len, &routes);

	if (r == 0) {
		r = distribute(s, &routes);
		wire_routes_free(&routes);
	}
	if (r < 0)
		log_error("cannot take the routes: %s",
			  r == -ERR_NOMEM ? "out of memory" : "malformed");
}

static void tell_routed(struct spread *s)
{
	struct routes_id now;

	if (!share_routed(s->routed, s->n, &now.epoch, &now.generation))
		return;
	if (!is_same(now, s->told_controller)) {
		s->told_controller = now;
		buf_clear(&s->out);
		wire_routes_encode_routed(&s->out, now.epoch, now.generation);
		send_out(s, &s->controller, -1);
	}
	if (!is_same(now, s->told_aictld)) {
		s->told_aictld = now;
		s->routed_due = true;
		flush_aictld(s);
	}
}

/* ---- who is read ---- */

/* It has routes in force that others have not yet, who will: what it says is about those. */
static bool is_ahead(const struct spread *s, unsigned i)
{
	const struct share_routed *its = &s->routed[i];

	return its->epoch != 0 && its->epoch == s->sent.epoch &&
	       (its->epoch != s->told_controller.epoch ||
		its->generation > s->told_controller.generation);
}

static void regulate(struct spread *s)
{
	bool full = false;

	for (unsigned i = 0; i < s->n; i++) {
		struct seat *seat = &s->seats[i];

		full |= outlet_is_full(&seat->control) || outlet_is_full(&seat->peer);
		if (seat->peer.channel)
			channel_pause(seat->peer.channel,
				      outlet_is_full(&s->controller) || is_ahead(s, i));
	}
	if (s->aictld)
		channel_pause(s->aictld, full);
	if (s->controller.channel)
		channel_pause(s->controller.channel, full);
}

/* ---- a thread speaks ---- */

static void on_seat_control(void *user, struct wire_packet *p)
{
	struct seat *seat = user;

	if (p->type != WIRE_PONG)
		return;
	seat->awaited = false;
	answer_ping(seat->s);
}

static void on_seat_control_end(void *user, int err)
{
	struct seat *seat = user;

	(void)err;
	outlet_close(&seat->control);
	seat->awaited = false;
	answer_ping(seat->s);
	regulate(seat->s);
}

static void on_seat_control_room(void *user)
{
	struct seat *seat = user;

	outlet_flush(&seat->control);
	regulate(seat->s);
}

static const struct channel_ops control_ops = {.on_packet = on_seat_control,
					       .on_end = on_seat_control_end,
					       .on_writable = on_seat_control_room};

static void on_seat_routed(struct seat *seat, const struct wire_packet *p)
{
	struct share_routed *r = &seat->s->routed[seat->number];

	if (wire_routes_decode_routed(p->body, p->len, &r->epoch, &r->generation) == 0)
		tell_routed(seat->s);
}

static void on_seat_peer(void *user, struct wire_packet *p)
{
	struct seat *seat = user;
	struct spread *s = seat->s;

	if (p->type == WIRE_ROUTED) {
		on_seat_routed(seat, p);
	} else {
		buf_clear(&s->out);
		wire_encode_again(&s->out, p);
		send_out(s, &s->controller, -1);
	}
	regulate(s);
}

static void on_seat_peer_end(void *user, int err)
{
	struct seat *seat = user;

	(void)err;
	outlet_close(&seat->peer);
	regulate(seat->s);
}

static void on_seat_peer_room(void *user)
{
	struct seat *seat = user;

	outlet_flush(&seat->peer);
	regulate(seat->s);
}

static const struct channel_ops peer_ops = {
	.on_packet = on_seat_peer, .on_end = on_seat_peer_end, .on_writable = on_seat_peer_room};

static void on_over(uv_async_t *async)
{
	struct spread *s = async->data;
	bool expected = s->quit || s->ending, left = false;

	for (unsigned i = 0; i < s->n; i++) {
		struct seat *seat = &s->seats[i];

		left |= !lane_is_over(seat->lane);
		if (s->routed[i].ended || !lane_is_over(seat->lane))
			continue;
		s->routed[i].ended = true;
		outlet_close(&seat->control);
		outlet_close(&seat->peer);
		seat->awaited = false;
		s->status |= seat->lane->status;
	}
	if (!expected)
		end_all(s, 1);
	answer_ping(s);
	tell_routed(s);
	regulate(s);
	if (!left)
		uv_stop(&s->uv);
}

/* ---- the controller ---- */

static void leave_controller(struct spread *s)
{
	/* Those that all have, all will say again to the next one. */
	if (s->controller.channel && !is_same(s->sent, s->told_controller))
		s->sent = (struct routes_id){0};
	s->told_controller = (struct routes_id){0};
	outlet_close(&s->controller);
	for (unsigned i = 0; i < s->n; i++) {
		outlet_close(&s->seats[i].peer);
		s->routed[i].epoch = s->routed[i].generation = 0;
	}
}

static void on_controller_packet(void *user, struct wire_packet *p)
{
	if (p->type == WIRE_ROUTES)
		on_routes(user, p);
	regulate(user);
}

static void on_controller_end(void *user, int err)
{
	if (err < 0)
		log_error("error=\"%s\" from the controller", strerror(-err));
	leave_controller(user);
	regulate(user);
}

static void on_controller_room(void *user)
{
	struct spread *s = user;

	outlet_flush(&s->controller);
	regulate(s);
}

static const struct channel_ops controller_ops = {.on_packet = on_controller_packet,
						  .on_end = on_controller_end,
						  .on_writable = on_controller_room};

/* Each thread gets a socket of its own for it. */
static int pair(struct seat *seat)
{
	int fds[2], r;

	if (!seat->control.channel)
		return 0;
	r = sock_pair(fds);
	if (r < 0)
		return r;
	r = channel_new(&seat->s->uv, fds[0], &peer_ops, seat, &seat->peer.channel);
	if (r < 0) {
		close(fds[0]);
		close(fds[1]);
		return r;
	}
	send_empty(seat->s, &seat->control, WIRE_PEER, fds[1]);
	return 0;
}

static void on_again(uv_timer_t *timer);

static void let_in(struct spread *s)
{
	int r = 0;

	for (unsigned i = 0; i < s->n && r == 0; i++)
		r = pair(&s->seats[i]);
	if (r == 0)
		r = channel_new(&s->uv, s->next_peer, &controller_ops, s, &s->controller.channel);
	if (r == 0) {
		s->next_peer = -1;
		return;
	}
	log_error("error=\"%s\" cannot talk to the controller, trying again", strerror(-r));
	leave_controller(s);
	uv_timer_start(&s->again, on_again, AGAIN_MS, 0);
}

static void on_again(uv_timer_t *timer)
{
	struct spread *s = timer->data;

	if (s->next_peer >= 0 && !s->ending)
		let_in(s);
	regulate(s);
}

static void set_controller(struct spread *s, int fd)
{
	leave_controller(s);
	mem_closep(&s->next_peer);
	s->next_peer = fd;
	let_in(s);
}

/* ---- aictld ---- */

static int on_hello(struct spread *s, struct wire_packet *p)
{
	struct wire_hello m;

	if (wire_decode_hello(p->body, p->len, &m) < 0)
		return -EBADMSG;
	if (strcmp(m.version, version_text) != 0) {
		log_error("aictld=%s aictl-gateway=%s versions differ", m.version, version_text);
		return -EPROTO;
	}
	s->greeted = true;
	for (unsigned i = 0; i < s->n; i++) {
		int fd = p->n_fds == 1 ? fcntl(p->fds[0], F_DUPFD_CLOEXEC, 0) : -1;

		buf_clear(&s->out);
		wire_encode_again(&s->out, p);
		send_out(s, &s->seats[i].control, fd);
	}
	return 0;
}

static int on_port(struct spread *s, struct wire_packet *p)
{
	struct wire_listen_at at;

	if (wire_listen_decode_at(p->body, p->len, &at) < 0)
		return -EBADMSG;
	if (p->type == WIRE_LISTENER_OFF) {
		remove_port(s, &at);
		return 0;
	}
	if (p->n_fds != 1)
		return -EBADMSG;
	if (add_port(s, &at, TAKE_FD(p->fds[0])) < 0)
		log_error("address=%s port=%u error=\"out of memory\" cannot be served", at.address,
			  at.port);
	return 0;
}

static int dispatch(struct spread *s, struct wire_packet *p)
{
	uint32_t level;

	switch ((int)p->type) {
	case WIRE_HELLO:
		return on_hello(s, p);
	case WIRE_LISTENER:
	case WIRE_LISTENER_OFF:
		return on_port(s, p);
	case WIRE_PEER:
		if (p->n_fds != 1)
			return -EBADMSG;
		set_controller(s, TAKE_FD(p->fds[0]));
		return 0;
	case WIRE_LOG_LEVEL: /* all threads have the same */
		if (wire_decode_u32(p->body, p->len, &level) < 0 || level > LOG_LVL_DEBUG)
			return -EBADMSG;
		log_set_level((enum log_level)level);
		return 0;
	case WIRE_QUIT:
		s->quit = true;
		quit_all(s);
		return 0;
	case WIRE_PING:
		ping_all(s);
		return 0;
	default:
		return 0; /* nothing that concerns us */
	}
}

static void lost(struct spread *s, int err)
{
	const struct orphan_of of = {
		.uv = &s->uv, .listener = nth_listener, .drain = drain_all, .user = s};

	channel_close(TAKE_PTR(s->aictld));
	if (s->quit || s->ending)
		return;
	if (err == 0 && s->o->sup_dir && s->greeted)
		orphan_begin(&s->orphan, &of, s->o->sup_dir, s->o->aictld);
	else
		end_all(s, err < 0);
}

static void on_aictld_packet(void *user, struct wire_packet *p)
{
	struct spread *s = user;
	int r;

	log_debug("packet=%s bytes=%zu", wire_type_name(p->type), p->len);
	r = dispatch(s, p);
	if (r < 0) {
		log_error("error=\"%s\" no understanding with aictld, ending", strerror(-r));
		lost(s, r);
	}
	regulate(s);
}

static void on_aictld_end(void *user, int err)
{
	lost(user, err);
	regulate(user);
}

static void on_aictld_room(void *user)
{
	flush_aictld(user);
}

static const struct channel_ops aictld_ops = {
	.on_packet = on_aictld_packet, .on_end = on_aictld_end, .on_writable = on_aictld_room};

/* ---- start and end ---- */

static int start_seat(struct spread *s, unsigned i)
{
	struct seat *seat = &s->seats[i];
	int fds[2], r = sock_pair(fds);

	*seat = (struct seat){.s = s, .number = i};
	if (r < 0)
		return r;
	r = channel_new(&s->uv, fds[0], &control_ops, seat, &seat->control.channel);
	if (r < 0) {
		close(fds[0]);
		close(fds[1]);
		return r;
	}
	s->n = i + 1;
	seat->lane = mem_alloc(sizeof(*seat->lane));
	if (!seat->lane) {
		close(fds[1]);
		return -ENOMEM;
	}
	r = lane_start(seat->lane,
		       &(struct lane_place){i, s->o->threads, &s->ports.taken, &s->over}, fds[1]);
	if (r < 0)
		mem_free(TAKE_PTR(seat->lane));
	return r;
}

static int start(struct spread *s)
{
	int r = 0;

	for (unsigned i = 0; i < s->o->threads && r == 0; i++)
		r = start_seat(s, i);
	if (r == 0)
		r = channel_new(&s->uv, s->o->fd, &aictld_ops, s, &s->aictld);
	return r;
}

static bool join_all(struct spread *s)
{
	bool hung = false;

	for (unsigned i = 0; i < s->n; i++) {
		struct lane *l = s->seats[i].lane;

		if (!l)
			continue;
		lane_join(l);
		s->status |= l->status;
		hung |= l->hung;
	}
	return !hung;
}

static void close_all(struct spread *s)
{
	drain_all(s);
	leave_controller(s);
	mem_closep(&s->next_peer);
	if (s->aictld)
		channel_close(TAKE_PTR(s->aictld));
	orphan_close(&s->orphan);
	uv_close((uv_handle_t *)&s->over, NULL);
	uv_close((uv_handle_t *)&s->again, NULL);
	uv_run(&s->uv, UV_RUN_DEFAULT);
	if (uv_loop_close(&s->uv) < 0)
		log_error("something is still open at the end");
	for (unsigned i = 0; i < s->n; i++)
		mem_free(s->seats[i].lane);
	share_done(&s->share);
	buf_done(&s->out);
}

static int init(struct spread *s, const struct spread_options *o)
{
	int r = uv_loop_init(&s->uv);

	s->o = o;
	s->share.n = o->threads;
	s->next_peer = -1;
	if (r < 0)
		return r;
	s->over.data = s->again.data = s;
	uv_timer_init(&s->uv, &s->again);
	return uv_async_init(&s->uv, &s->over, on_over);
}

bool spread_run(const struct spread_options *o, int *ret_status)
{
	struct spread *s = mem_alloc(sizeof(*s));
	int r = s ? init(s, o) : -ENOMEM;
	bool whole;

	*ret_status = 1;
	if (r < 0) {
		fprintf(stderr, "aictl-gateway: cannot start: %s\n", strerror(-r));
		mem_free(s);
		return true;
	}
	r = start(s);
	if (r == 0) {
		uv_run(&s->uv, UV_RUN_DEFAULT);
	} else {
		fprintf(stderr, "aictl-gateway: cannot start: %s\n", strerror(-r));
		s->status = 1;
		drain_all(s); /* those that have begun */
	}
	whole = join_all(s);
	*ret_status = s->status;
	if (whole) {
		close_all(s);
		mem_free(s);
	}
	return whole;
}
