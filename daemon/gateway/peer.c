/* peer: see peer.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/gateway/peer.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "daemon/gateway/channel.h"
#include "daemon/gateway/gateway.h"
#include "daemon/wire/wire_routes.h"
#include "daemon/wire/wire_traffic.h"
#include "lib/err.h"
#include "lib/log.h"

#define BUSY_MS 1000 /* DEMAND without any change */

static void on_timer(uv_timer_t *t);

static void fill_load(struct wire_routes_load *m, const struct backend *b)
{
	m->key = b->key;
	memcpy(m->name, b->name, sizeof(m->name));
	m->active = b->active;
	m->requests = b->requests;
	m->failures = b->failures;
}

/* One packet; false: the socket is full, or there was nothing. */
static bool send_load(struct peer *p)
{
	struct wire_routes_load list[64];
	struct backend *backends[64], *b = p->g->routes.backends;
	uint32_t n = 0;

	for (; b && n < 64; b = b->next) {
		if (!b->load_due || b->is_next)
			continue;
		backends[n] = b;
		fill_load(&list[n++], b);
	}
	if (n == 0)
		return false;
	buf_clear(&p->out);
	n = wire_routes_encode_load(&p->out, list, n);
	if (!channel_send(p->channel, &p->out, NULL, 0))
		return false;
	for (uint32_t i = 0; i < n; i++) {
		backends[i]->load_due = false;
		routes_forget(p->g, backends[i]);
	}
	return true;
}

/* ---- DEMAND ---- */

static bool is_busy(const struct demand *d)
{
	return d->waiting + d->active > 0;
}

static void fill_demand(struct peer *p, struct wire_traffic_demand *m, struct route *r)
{
	struct demand *d = r->demand;

	memcpy(m->service, d->service, sizeof(m->service));
	memcpy(m->name, d->name, sizeof(m->name));
	m->waiting = d->waiting;
	m->active = d->active;
	m->arrived = d->arrived;
	m->refused = d->refused;
	m->area_us = measure_area_us(&p->g->measure, d);
	m->longest_wait_ms = measure_longest_wait_ms(&p->g->measure, r);
}

static bool is_demand_due(const struct peer *p, const struct route *r)
{
	const struct demand *d = r->demand;

	return d && (d->due || (is_busy(d) && uv_now(&p->g->uv) >= d->told_at + BUSY_MS));
}

/* One packet; false: the socket is full, or there was nothing. */
static bool send_demand(struct peer *p)
{
	struct wire_traffic_demand list[64];
	struct demand *demands[64];
	struct routes *r = &p->g->routes;
	uint32_t n = 0;

	for (size_t i = 0; i < r->n && n < 64; i++) {
		if (!is_demand_due(p, r->list[i]))
			continue;
		demands[n] = r->list[i]->demand;
		fill_demand(p, &list[n++], r->list[i]);
	}
	if (n == 0)
		return false;
	buf_clear(&p->out);
	n = wire_traffic_encode_demand(&p->out, list, n);
	if (!channel_send(p->channel, &p->out, NULL, 0))
		return false;
	for (uint32_t i = 0; i < n; i++) {
		demands[i]->due = false;
		demands[i]->told_at = uv_now(&p->g->uv);
	}
	return true;
}

/* ---- STATS ---- */

static void fill_stats(struct wire_traffic_stats *m, const struct backend *b, uint64_t now)
{
	*m = b->stats;
	m->ejections = (uint32_t)b->eject.count;
	if (eject_state(&b->eject, now) == EJECT_OUT)
		m->ejected_for_ms = (uint32_t)(b->eject.until - now);
	m->key = b->key;
	memcpy(m->name, b->name, sizeof(m->name));
	m->revision = b->revision;
}

static bool send_stats(struct peer *p)
{
	struct wire_traffic_stats list[32];
	struct backend *backends[32], *b = p->g->routes.backends;
	uint32_t n = 0;

	for (; b && n < 32; b = b->next) {
		if (!b->stats_due || b->is_next)
			continue;
		backends[n] = b;
		fill_stats(&list[n++], b, uv_now(&p->g->uv));
	}
	if (n == 0)
		return false;
	buf_clear(&p->out);
	n = wire_traffic_encode_stats(&p->out, list, n);
	if (!channel_send(p->channel, &p->out, NULL, 0))
		return false;
	for (uint32_t i = 0; i < n; i++) {
		backends[i]->stats_due = false;
		routes_forget(p->g, backends[i]);
	}
	return true;
}

/* ---- when ---- */

static void arm(struct peer *p, uint64_t at)
{
	uint64_t now = uv_now(&p->g->uv);

	p->next_at = at > now ? at : now;
	uv_timer_start(&p->timer, on_timer, p->next_at - now, 0);
}

/* What is due when nothing else happens. */
static void plan(struct peer *p)
{
	const struct routes *r = &p->g->routes;
	uint64_t at = 0;

	for (size_t i = 0; i < r->n && at == 0; i++)
		if (r->list[i]->demand && is_busy(r->list[i]->demand))
			at = p->demand_at + BUSY_MS;
	for (const struct backend *b = r->backends; b; b = b->next) {
		if (!b->stats_due || b->is_next)
			continue;
		if (at == 0 || p->stats_at + WIRE_TRAFFIC_STATS_MS < at)
			at = p->stats_at + WIRE_TRAFFIC_STATS_MS;
		break;
	}
	if (at != 0 && !p->g->closing)
		arm(p, at);
}

static void flush(struct peer *p)
{
	const struct routes *r = &p->g->routes;

	if (!p->channel)
		return;
	if (p->routed_due) {
		buf_clear(&p->out);
		wire_routes_encode_routed(&p->out, r->epoch, r->generation);
		if (!channel_send(p->channel, &p->out, NULL, 0))
			return;
		p->routed_due = false;
	}
	p->load_at = p->demand_at = uv_now(&p->g->uv);
	while (send_load(p))
		;
	while (send_demand(p))
		;
	if (p->load_at >= p->stats_at + WIRE_TRAFFIC_STATS_MS) {
		p->stats_at = p->load_at;
		while (send_stats(p))
			;
	}
	plan(p);
}

static void on_timer(uv_timer_t *t)
{
	struct peer *p = t->data;

	p->next_at = 0;
	flush(p);
}

void peer_load(struct peer *p, bool at_once)
{
	uint64_t at = at_once ? uv_now(&p->g->uv) : p->load_at + WIRE_ROUTES_LOAD_MS;

	if (!p->channel || p->g->closing || (p->next_at && p->next_at <= at))
		return;
	arm(p, at);
}

static void on_routes(struct peer *p, const struct wire_packet *m)
{
	struct wire_routes routes;
	int r = wire_routes_decode(m->body, m->len, &routes);

	if (r == 0) {
		r = routes_apply(p->g, &routes);
		wire_routes_free(&routes);
	}
	if (r < 0) {
		log_error("cannot take the routes: %s",
			  r == -ERR_NOMEM ? "out of memory" : "malformed");
		return;
	}
	p->routed_due = true;
	flush(p);
	if (p->g->on_routed)
		p->g->on_routed(p->g->user);
}

static void on_packet(void *user, struct wire_packet *m)
{
	if (m->type == WIRE_ROUTES)
		on_routes(user, m);
}

static void on_end(void *user, int err)
{
	struct peer *p = user;

	if (err < 0)
		log_error("error=\"%s\" from the controller", strerror(-err));
	else
		log_info("the controller is gone: the routes stay");
	peer_close(p);
}

static void on_writable(void *user)
{
	flush(user);
}

static const struct channel_ops ops = {
	.on_packet = on_packet, .on_end = on_end, .on_writable = on_writable};

void peer_init(struct peer *p, struct gateway *g)
{
	*p = (struct peer){.g = g};
	uv_timer_init(&g->uv, &p->timer);
	p->timer.data = p;
}

void peer_tell_all(struct peer *p)
{
	for (struct backend *b = p->g->routes.backends; b; b = b->next)
		b->load_due = b->stats_due = true;
	for (struct demand *d = p->g->measure.demands; d; d = d->next)
		d->due = true;
	p->stats_at = 0;
}

void peer_set(struct peer *p, int fd)
{
	int r;

	peer_close(p);
	r = channel_new(&p->g->uv, fd, &ops, p, &p->channel);
	if (r < 0) {
		log_error("error=\"%s\" cannot talk to the controller", strerror(-r));
		close(fd);
		return;
	}
	peer_tell_all(p);
	p->routed_due = p->g->routes.epoch != 0;
	flush(p);
}

void peer_close(struct peer *p)
{
	struct backend *next;

	if (p->channel)
		channel_close(p->channel);
	p->channel = NULL;
	p->next_at = 0;
	uv_timer_stop(&p->timer);
	buf_done(&p->out);
	for (struct backend *b = p->g->routes.backends; b; b = next) {
		next = b->next;
		routes_forget(p->g, b);
	}
}

bool peer_is_there(const struct peer *p)
{
	return p->channel != NULL;
}
