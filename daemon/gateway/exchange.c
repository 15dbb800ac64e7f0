/* exchange: see exchange.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/gateway/exchange.h"

#include <errno.h>
#include <string.h>

#include "daemon/gateway/access.h"
#include "daemon/gateway/balance.h"
#include "daemon/gateway/client.h"
#include "daemon/gateway/gateway.h"
#include "daemon/gateway/listener.h"
#include "daemon/gateway/refusal.h"
#include "daemon/gateway/upstream.h"
#include "daemon/gateway/waiting.h"
#include "lib/clock.h"
#include "lib/http_parse.h"
#include "lib/log.h"
#include "lib/manifest.h"

#define INFORMATIONAL_MAX 100

static void dispatch(struct exchange *x);

static struct gateway *gateway_of(const struct exchange *x)
{
	return x->c->g;
}

/* ---- the way to a backend ---- */

static void leave(struct exchange *x, const struct backend *b, bool failed)
{
	access_leave(x, b, failed);
	measure_ended(x, failed);
}

static void count_in(struct exchange *x, size_t n)
{
	x->b->stats.bytes_in += n;
	x->m.bytes_in += n;
}

/* The upstream is kept, or closed; the backend has one request less under way. */
static void release(struct exchange *x, bool keep, bool failed)
{
	struct upstream *u = x->u;
	struct backend *b = x->b;

	if (b)
		leave(x, b, failed);
	x->u = NULL;
	x->b = NULL;
	x->connected = false;
	if (u && keep)
		upstream_keep(u);
	else if (u)
		upstream_close(u);
	if (b)
		routes_end(gateway_of(x), b, failed);
}

static void finish(struct exchange *x)
{
	access_end(x);
	waiting_end(x);
	deadline_clear(&gateway_of(x)->deadlines, &x->total);
	body_done(&x->request);
	body_done(&x->answer);
	pieces_give(&gateway_of(x)->io.pieces, &x->held);
	x->open = false;
}

static void put_request(void *user, const char *data, size_t n)
{
	struct exchange *x = user;

	if (x->connected) {
		io_write(&x->u->io, data, n);
		count_in(x, n);
	}
	if (x->connected && (!x->may_repeat || x->held.len + n > EXCHANGE_HELD_MAX)) {
		x->may_repeat = false;
		buf_done(&x->held);
		return;
	}
	buf_append(&x->held, data, n);
}

static void await_answer(struct exchange *x)
{
	if (!x->spliced && x->request.done && x->connected && !x->began)
		routes_set_deadline(gateway_of(x), x->b->route, &x->u->deadline, DEADLINE_ANSWER);
}

static void connected(struct exchange *x)
{
	x->connected = true;
	waiting_end(x);
	io_write(&x->u->io, x->held.data, x->held.len);
	count_in(x, x->held.len);
	if (!x->may_repeat)
		buf_done(&x->held);
	if (x->is_tcp && x->client_end)
		io_shutdown(&x->u->io);
	await_answer(x);
	client_update_reading(x->c);
}

static struct route *route_of(const struct exchange *x)
{
	const struct listener *l = x->c->l;

	return l->route ? l->route : routes_find(&gateway_of(x)->routes, &l->at);
}

static void on_tunnel(void *user)
{
	struct exchange *x = user;
	struct client *c = x->c;

	exchange_cancel(x);
	client_finish(c);
}

/* A byte has passed, or may from now on. */
static void tunnel_goes_on(struct exchange *x)
{
	const struct route *r = route_of(x);

	if (!r || !r->times[DEADLINE_TUNNEL])
		return;
	x->deadline.fn = on_tunnel;
	x->deadline.user = x;
	routes_set_deadline(gateway_of(x), r, &x->deadline, DEADLINE_TUNNEL);
}

/* Ours, not the backend's; or more come to its socket at a time than it has accepted. */
static bool is_shortage(int err)
{
	return err == -EMFILE || err == -ENFILE || err == -ENOMEM || err == -ENOBUFS ||
	       err == -EADDRNOTAVAIL || err == -EAGAIN;
}

/* It did not take it, or did not answer: the next try is not the canary's. */
static void note_failure(struct exchange *x, enum eject_event event)
{
	routes_note(gateway_of(x), x->b, event);
	x->canary = false;
}

/* False: it could not even be tried; the next one, then. */
static bool try_backend(struct exchange *x, struct backend *b)
{
	struct gateway *g = gateway_of(x);
	int err;

	x->tried[x->n_tried++] = b;
	x->b = b;
	routes_begin(g, b);
	x->u = x->is_tcp ? NULL : upstream_take(b, x, !x->may_repeat);
	if (x->u) {
		connected(x);
		return true;
	}
	err = upstream_connect(g, b, x, &x->u);
	if (err == 0)
		return true;
	if (!is_shortage(err))
		note_failure(x, EJECT_REFUSED);
	release(x, false, true);
	return false;
}

static struct backend *pick(struct exchange *x, struct route *r, bool *ret_full)
{
	const struct balance_ask ask = {.tried = x->tried,
					.n_tried = x->n_tried,
					.key = x->key,
					.now = uv_now(&gateway_of(x)->uv),
					.again = x->placed,
					.canary = x->canary};
	struct backend *b;

	*ret_full = false;
	b = x->n_tried < EXCHANGE_TRIED_MAX ? balance_pick(r, &ask, ret_full) : NULL;
	if (b) {
		x->canary = b->canary;
		x->placed = true;
	}
	return b;
}

void exchange_go(struct exchange *x, struct route *r)
{
	struct backend *b;
	bool full;

	while ((b = pick(x, r, &full)))
		if (try_backend(x, b))
			return;
	/* One that was tried may be free. */
	waiting_add(x, r, full && x->n_tried == 0);
}

bool exchange_go_from_queue(struct exchange *x, struct route *r)
{
	struct backend *b;
	bool full;

	x->n_tried = 0;
	b = pick(x, r, &full);
	if (!b)
		return false;
	waiting_remove(x);
	if (!try_backend(x, b))
		exchange_go(x, r);
	return true;
}

static void dispatch(struct exchange *x)
{
	struct route *r = route_of(x);

	if (!r)
		exchange_fail(x, 503, "the service is not served any more");
	else if (routes_is_held(r, uv_now(&gateway_of(x)->uv)))
		waiting_add(x, r, true);
	else
		exchange_go(x, r);
}

/* Who waits is before it. */
static void dispatch_new(struct exchange *x)
{
	struct route *r = route_of(x);

	measure_arrived(gateway_of(x), x, r);
	if (r && r->first)
		waiting_add_behind(x, r);
	else
		dispatch(x);
}

void exchange_connected(struct exchange *x, int err)
{
	if (err == 0) {
		routes_note(gateway_of(x), x->b, x->is_tcp ? EJECT_GOOD : EJECT_CONNECTED);
		connected(x);
		if (x->is_tcp)
			tunnel_goes_on(x);
		return;
	}
	note_failure(x, EJECT_REFUSED);
	release(x, false, true);
	dispatch(x);
}

static void begin(struct exchange *x)
{
	struct client *c = x->c;

	*x = (struct exchange){.c = c, .open = true, .turn = ++c->g->turns};
}

static void on_total(void *user)
{
	exchange_fail(user, 504, "the request took longer than timeouts.total");
}

static void begin_total(struct exchange *x, const struct route *r)
{
	if (!r || !r->times[DEADLINE_TOTAL])
		return;
	x->total.fn = on_total;
	x->total.user = x;
	routes_set_deadline(gateway_of(x), r, &x->total, DEADLINE_TOTAL);
}

static bool may_repeat(const struct route *r, const struct head *h)
{
	if (!r || r->rules.retry == RETRY_IDEMPOTENT)
		return h->is_safe_to_repeat;
	return r->rules.retry == RETRY_UNSAFE;
}

static uint64_t key_of(const struct route *r, const struct head *h)
{
	if (!r || !r->rules.affinity[0])
		return 0;
	for (size_t i = 0; i < h->n; i++)
		if (head_is(h->fields[i].name, r->rules.affinity))
			return balance_key(h->fields[i].value.at, h->fields[i].value.n);
	return 0;
}

void exchange_begin(struct exchange *x, const struct head *h)
{
	struct client *c = x->c;
	struct rewrite_from from = {.address = c->address,
				    .is_ipv6 = c->is_ipv6,
				    .is_trusted = c->is_loopback,
				    .host = c->l->host};
	const struct route *r;

	begin(x);
	r = route_of(x);
	x->may_repeat = may_repeat(r, h);
	x->key = key_of(r, h);
	x->is_head = h->is_head;
	x->http10 = h->minor == 0;
	x->close = h->close;
	x->upgrade = rewrite_may_upgrade(h);
	gateway_new_id(c->g, from.id, sizeof(from.id));
	pieces_take(&c->g->io.pieces, &x->held);
	rewrite_request(&x->held, h, &from);
	memcpy(x->id, from.id, sizeof(x->id));
	access_begin(x, route_of(x), h);
	body_init(&x->request, h->body, h->length, h->body == HEAD_BODY_CHUNKED);
	if (x->held.failed)
		exchange_fail(x, 503, "out of memory");
	else
		dispatch_new(x);
	if (x->open)
		begin_total(x, r);
}

void exchange_begin_tcp(struct exchange *x)
{
	begin(x);
	x->is_tcp = x->spliced = true;
	access_begin(x, route_of(x), NULL);
	dispatch_new(x);
	if (x->open)
		begin_total(x, route_of(x));
}

bool exchange_takes(const struct exchange *x)
{
	if (!x->open)
		return true;
	if (x->connected)
		return !io_is_full(&x->u->io);
	return x->held.len < EXCHANGE_HELD_MAX;
}

size_t exchange_body(struct exchange *x, const char *data, size_t n)
{
	size_t used = body_pass(&x->request, data, n, put_request, x);

	if (x->request.bad || x->held.failed) {
		x->close = true;
		exchange_fail(x, x->held.failed ? 503 : 400, "a malformed body");
		return n;
	}
	if (x->request.done) {
		deadline_clear(&gateway_of(x)->deadlines, &x->c->deadline);
		x->c->state = CLIENT_ANSWER;
		await_answer(x);
	}
	return used;
}

void exchange_cancel(struct exchange *x)
{
	if (!x->open)
		return;
	release(x, false, false);
	finish(x);
}

/* ---- answers of ours ---- */

static void reply(struct exchange *x, unsigned status, const char *why)
{
	struct buf *b = &gateway_of(x)->scratch;
	const struct refusal r = {.status = status,
				  .why = why,
				  .route = route_of(x),
				  .id = x->id,
				  .close = x->close,
				  .is_head = x->is_head};

	buf_clear(b);
	refusal_write(&r, clock_mono_ms(), b);
	io_write(&x->c->io, b->data, b->len);
}

void exchange_refuse(struct exchange *x, unsigned status, const char *why)
{
	begin(x);
	x->close = true;
	log_debug("client=%s status=%u refused: %s", x->c->address, status, why);
	reply(x, status, why);
	finish(x);
	client_next(x->c, true);
}

void exchange_fail(struct exchange *x, unsigned status, const char *why)
{
	struct client *c = x->c;

	if (status == 503 && !x->began)
		measure_refused(route_of(x));
	if (x->began || x->spliced) {
		exchange_cancel(x);
		client_abort(c);
		return;
	}
	release(x, false, false);
	x->close = x->close || !x->request.done || c->leaving;
	access_answer(x, status);
	reply(x, status, why);
	finish(x);
	client_next(c, x->close);
}

void exchange_too_late(struct exchange *x)
{
	if (!x->connected) {
		exchange_connected(x, -1);
		return;
	}
	if (x->b)
		note_failure(x, EJECT_ERROR);
	release(x, false, true);
	exchange_fail(x, 504, "the replica did not answer in time");
}

/* ---- the backend's answer ---- */

static void put_answer(void *user, const char *data, size_t n)
{
	struct exchange *x = user;

	io_write(&x->c->io, data, n);
}

static void fail_backend(struct exchange *x, unsigned status, const char *why)
{
	log_debug("service=%s/%u port=%u failed: %s", x->b->key.service, x->b->key.index,
		  x->b->port, why);
	if (!x->began && !x->spliced && !x->u->reused)
		note_failure(x, EJECT_ERROR);
	release(x, false, true);
	exchange_fail(x, status, why);
}

static void answered(struct exchange *x, bool rest)
{
	struct client *c = x->c;
	bool close = x->close;

	release(x, x->keep && x->request.done && !rest, false);
	finish(x);
	client_next(c, close);
}

static void begin_splice(struct exchange *x, const char *rest, size_t n)
{
	x->spliced = x->began = true;
	routes_note(gateway_of(x), x->b, EJECT_GOOD);
	measure_began(x, x->is_tcp ? 200 : 101);
	buf_done(&x->held);
	deadline_clear(&gateway_of(x)->deadlines, &x->u->deadline);
	put_answer(x, rest, n);
	tunnel_goes_on(x);
	client_splice(x->c);
}

static void begin_answer(struct exchange *x, const struct head *h)
{
	struct buf *b = &gateway_of(x)->scratch;
	struct rewrite_to to = {.id = x->id, .http10 = x->http10};

	x->close = x->close || x->http10 || !x->request.done || x->c->leaving;
	to.close = x->close;
	to.chunks = !x->http10 && (h->body == HEAD_BODY_CHUNKED || h->body == HEAD_BODY_TO_END);
	buf_clear(b);
	rewrite_answer(b, h, &to);
	io_write(&x->c->io, b->data, b->len);
	if (h->status < 200)
		return;
	x->began = true;
	routes_note(gateway_of(x), x->b, h->status < 500 ? EJECT_GOOD : EJECT_ERROR);
	measure_began(x, h->status);
	x->may_repeat = false;
	x->keep = !h->close;
	pieces_give(&gateway_of(x)->io.pieces, &x->held);
	body_init(&x->answer, h->body, h->length, to.chunks);
	deadline_clear(&gateway_of(x)->deadlines, &x->u->deadline);
}

/* What a head says, one of 1xx or the answer's. False: it is over. */
static bool on_head(struct exchange *x, const char *data, size_t n)
{
	struct head *h = &gateway_of(x)->head;

	if (!head_parse_answer(h, data, n, x->is_head)) {
		fail_backend(x, 502, "the replica's answer is malformed");
		return false;
	}
	if (h->status == 101 && (!x->upgrade || h->upgrade.n == 0)) {
		fail_backend(x, 502, "the replica changes the protocol unasked");
		return false;
	}
	if (h->status < 200 && h->status != 101) {
		if (++x->informational > INFORMATIONAL_MAX) {
			fail_backend(x, 502, "the replica does not come to an answer");
			return false;
		}
		if (x->http10)
			return true;
		x->may_repeat = false;
	}
	begin_answer(x, h);
	x->spliced = h->status == 101;
	return true;
}

/* Returns how much of it was used; 0 with x->u gone: it is over. */
static size_t take_head(struct exchange *x, const char *data, size_t n)
{
	struct upstream *u = x->u;
	size_t before = u->in.len;
	long end;

	if (before == 0) {
		size_t whole = head_find_end(data, n);

		if (whole > 0 && whole <= HEAD_MAX)
			return on_head(x, data, whole) ? whole : 0;
		u->in_seen = 0;
	}
	if (n > HEAD_MAX + 1 - before)
		n = HEAD_MAX + 1 - before;
	buf_append(&u->in, data, n);
	end = u->in.failed ? -1 : http_parse_head_end(u->in.data, u->in.len, &u->in_seen);
	if (end < 0 || u->in.len > HEAD_MAX) {
		fail_backend(x, 502, "the replica's answer is malformed");
		return 0;
	}
	if (end > 0) {
		struct buf in = u->in;
		bool go_on;

		u->in = (struct buf){0};
		go_on = on_head(x, in.data, (size_t)end);
		buf_done(&in);
		return go_on ? (size_t)end - before : 0;
	}
	return n;
}

void exchange_answer(struct exchange *x, const char *data, size_t n)
{
	struct upstream *u = x->u;

	x->b->stats.bytes_out += n;
	x->m.bytes_out += n;
	while (!x->began && !x->spliced && n > 0) {
		size_t used = take_head(x, data, n);

		if (used == 0)
			return;
		data += used;
		n -= used;
	}
	if (x->spliced && !x->began) {
		begin_splice(x, data, n);
	} else if (x->spliced) {
		put_answer(x, data, n);
		tunnel_goes_on(x);
	} else if (x->began) {
		size_t used = body_pass(&x->answer, data, n, put_answer, x);

		if (x->answer.bad) {
			fail_backend(x, 502, "the replica's answer is malformed");
			return;
		}
		if (x->answer.done) {
			answered(x, used < n);
			return;
		}
		if (n == 0) /* the head alone */
			io_acknowledge(&u->io);
	}
	if (x->u == u && io_is_full(&x->c->io))
		io_read(&u->io, false);
}

/* ---- both ways, after an Upgrade and in tcp mode ---- */

static void end_splice(struct exchange *x)
{
	struct upstream *u = x->u;
	struct backend *b = x->b;

	if (!u || !u->io.ended || !x->client_end)
		return;
	leave(x, b, false);
	x->u = NULL;
	x->b = NULL;
	upstream_finish(u);
	routes_end(gateway_of(x), b, false);
	finish(x);
	client_finish(x->c);
}

void exchange_splice(struct exchange *x, const char *data, size_t n)
{
	if (x->connected) {
		io_write(&x->u->io, data, n);
		count_in(x, n);
		tunnel_goes_on(x);
	} else {
		buf_append(&x->held, data, n);
	}
	if (x->held.failed)
		exchange_fail(x, 503, "out of memory");
}

void exchange_splice_end(struct exchange *x)
{
	struct client *c = x->c;

	if (x->waiting_in &&
	    x->held.len == 0) { /* it has asked for nothing, and has left the line */
		exchange_cancel(x);
		client_finish(c);
		return;
	}
	x->client_end = true;
	if (x->connected)
		io_shutdown(&x->u->io);
	end_splice(x);
}

/* ---- ends and room ---- */

/* Nothing of an answer came: once more, if that does no harm. */
static bool repeat(struct exchange *x)
{
	if (x->began || x->spliced || !x->may_repeat || x->u->in.len > 0 ||
	    x->tries >= EXCHANGE_TRIES_MAX)
		return false;
	if (!x->u->reused) {
		x->tries++;
		note_failure(x, EJECT_ERROR);
	} else if (x->n_tried > 0) { /* an old connection says nothing about its backend */
		x->n_tried--;
	}
	x->m.repeats = true;
	release(x, false, true);
	dispatch(x);
	return true;
}

void exchange_answer_end(struct exchange *x, int err)
{
	if (x->spliced && err == 0) {
		io_shutdown(&x->c->io);
		end_splice(x);
	} else if (x->began && !x->spliced && err == 0 && body_end(&x->answer, put_answer, x)) {
		answered(x, true);
	} else if (!repeat(x)) {
		fail_backend(x, 502, "the replica closed the connection");
	}
}

void exchange_upstream_room(struct exchange *x, bool full)
{
	(void)full;
	client_update_reading(x->c);
	if (!full && x->c->state == CLIENT_BODY)
		routes_set_deadline(gateway_of(x), x->c->l->route, &x->c->deadline, DEADLINE_STALL);
}

void exchange_client_room(struct exchange *x, bool full)
{
	if (x->u && x->connected)
		io_read(&x->u->io, !full);
}
