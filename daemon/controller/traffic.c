/* traffic: see traffic.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/traffic.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "daemon/controller/change.h"
#include "daemon/controller/callers.h"
#include "daemon/controller/controller.h"
#include "daemon/controller/demand.h"
#include "daemon/controller/link.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/replica_own.h"
#include "daemon/controller/replica_ports.h"
#include "daemon/controller/routes.h"
#include "daemon/controller/service.h"
#include "daemon/controller/service_canary.h"
#include "daemon/controller/service_scale.h"
#include "daemon/controller/service_zero.h"
#include "daemon/controller/stats.h"
#include "daemon/controller/strangers.h"
#include "daemon/wire/wire.h"
#include "daemon/wire/wire_listen.h"
#include "daemon/wire/wire_routes.h"
#include "daemon/wire/wire_traffic.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/jsonw.h"
#include "lib/log.h"
#include "lib/manifest.h"
#include "lib/mem.h"
#include "lib/point.h"

#define FIRST_GATEWAY_MS 3000 /* after our start one may be about to come */
/* Behind ROUTED: what was under way at a backend before has been told by then, if there was any. */
#define SILENCE_MS (4 * WIRE_ROUTES_LOAD_MS)
#define ALIVE_MS 500
#define AGAIN_MS 100 /* without memory */

struct traffic {
	struct controller *c;
	uv_timer_t timer;
	struct stats *stats;
	struct link *gateway; /* NULL = none */
	struct buf listen;    /* the last one that was sent */
	struct buf routes;    /* too, but as if of generation 1: to compare with */
	struct wire_listen state;
	uint64_t epoch, generation; /* the last one that was sent */
	uint64_t routed;	    /* that one is in force; 0 = none of this gateway */
	int64_t routed_mono_ms;	    /* since when */
	int64_t sighted_mono_ms;    /* since when any of this gateway is */
	int64_t begun_mono_ms;	    /* controller_begin; 0 = not yet */
	bool touched, draining, full;
	bool met;   /* there was one since we began */
	bool first; /* it may have served another controller */
};

static void on_timer(uv_timer_t *timer)
{
	(void)timer; /* the loop settles */
}

/* That run is a replica's present one. */
static bool runs(const struct stats_entry *e, void *user)
{
	const struct service *s = controller_find(user, e->key.service);
	const struct replica *r = s ? service_replica(s, e->key.index) : NULL;

	return r && strcmp(r->incarnation, e->key.incarnation) == 0;
}

struct traffic *traffic_new(struct controller *c)
{
	struct traffic *t = mem_alloc(sizeof(*t));

	if (!t)
		return NULL;
	t->c = c;
	t->stats = stats_new(runs, c);
	if (!t->stats) {
		mem_free(t);
		return NULL;
	}
	t->epoch = (uint64_t)c->started_wall_ms;
	t->touched = true;
	uv_timer_init(c->loop, &t->timer);
	t->timer.data = t;
	return t;
}

static void on_closed(uv_handle_t *h)
{
	struct traffic *t = h->data;

	stats_free(t->stats);
	mem_free(t);
}

void traffic_close(struct traffic *t)
{
	if (!t)
		return;
	if (t->gateway)
		link_close(TAKE_PTR(t->gateway));
	buf_done(&t->listen);
	buf_done(&t->routes);
	wire_listen_free(&t->state);
	uv_close((uv_handle_t *)&t->timer, on_closed);
}

void traffic_touch(struct service *s)
{
	struct traffic *t = s->controller->traffic;

	if (!t)
		return;
	if ((s->spec && s->spec->ports.n) || s->routed)
		t->touched = true;
}

static void wake_in(struct traffic *t, int64_t ms)
{
	uv_update_time(t->c->loop);
	uv_timer_start(&t->timer, on_timer, ms > 0 ? (uint64_t)ms : 0, 0);
}

/* ---- what the gateway says ---- */

static struct replica_traffic *known(struct replica *r)
{
	unsigned n = r->n_ports ? r->n_ports : 1;

	if (!r->traffic)
		r->traffic = mem_alloc(sizeof(*r->traffic) + n * sizeof(r->traffic->loads[0]));
	if (r->traffic)
		r->traffic->n = n;
	return r->traffic;
}

static void take_load(void *user, const struct wire_routes_load *m)
{
	struct traffic *t = user;
	struct service *s = controller_find(t->c, m->key.service);
	struct replica *r = s ? service_replica(s, m->key.index) : NULL;
	unsigned port = r ? replica_ports_number(r, m->name) : 0;
	struct replica_traffic *x;

	if (!port || strcmp(r->incarnation, m->key.incarnation) != 0 || !(x = known(r)))
		return;
	for (unsigned i = 0; i < x->n; i++) {
		struct traffic_load *l = &x->loads[i];

		if (l->port != 0 && l->port != port)
			continue;
		*l = (struct traffic_load){.port = (uint16_t)port,
					   .active = m->active,
					   .requests = m->requests,
					   .failures = m->failures,
					   .as_of = t->routed};
		return;
	}
}

static void on_routed(struct traffic *t, const struct wire_packet *p)
{
	uint64_t epoch, generation;

	if (wire_routes_decode_routed(p->body, p->len, &epoch, &generation) < 0 ||
	    epoch != t->epoch || generation > t->generation)
		return;
	t->routed_mono_ms = clock_mono_ms();
	if (t->routed == 0) {
		t->sighted_mono_ms = t->routed_mono_ms;
		service_zero_touch_all(t->c);
	}
	t->routed = generation;
	change_review(t->c, NULL);
}

/* Another controller may have been told of it before. */
static bool is_older(const struct service *s, const struct wire_key *key)
{
	const struct replica *r = service_replica(s, key->index);

	return !r || strcmp(r->incarnation, key->incarnation) != 0 ||
	       r->started_wall_ms < s->controller->started_wall_ms;
}

/* Of a service that is no more nobody asks; but ours may not be loaded yet, and of what does not change
 * we are told only once. */
static void take_stats(void *user, const struct wire_traffic_stats *m)
{
	struct traffic *t = user;
	struct service *s = controller_find(t->c, m->key.service);

	if (!s && t->c->begun)
		return;
	stats_take(t->stats, m, t->first && (!s || is_older(s, &m->key)), clock_mono_ms());
	if (s)
		service_canary_counted(s);
}

static void take_demand(void *user, const struct wire_traffic_demand *m)
{
	struct traffic *t = user;
	struct service *s = controller_find(t->c, m->service);

	if (!s || !routes_has(s->spec, m->name)) /* it has gone meanwhile */
		return;
	stats_take_demand(t->stats, m);
	service_zero_demand(
		s, &(struct service_zero_demand){m->name, m->waiting, m->active, m->arrived});
	service_scale_demand(s, &(struct demand_reading){.port = m->name,
							 .waiting = m->waiting,
							 .active = m->active,
							 .arrived = m->arrived,
							 .refused = m->refused,
							 .area_us = m->area_us,
							 .longest_wait_ms = m->longest_wait_ms});
}

static void on_packet(struct wire_packet *p, void *user)
{
	struct traffic *t = user;

	switch (p->type) {
	case WIRE_ROUTED:
		on_routed(t, p);
		break;
	case WIRE_DEMAND:
		if (wire_traffic_decode_demand(p->body, p->len, take_demand, t) < 0)
			log_error("bad DEMAND from the gateway, ignoring");
		break;
	case WIRE_LOAD:
		if (wire_routes_decode_load(p->body, p->len, take_load, t) < 0)
			log_error("bad LOAD from the gateway, ignoring");
		break;
	case WIRE_STATS:
		if (wire_traffic_decode_stats(p->body, p->len, take_stats, t) < 0)
			log_error("bad STATS from the gateway, ignoring");
		else if (t->c->callers)
			callers_look(t->c->callers, t->c, CALLERS_EVERY_MS);
		strangers_chance(t->c->strangers);
		break;
	default:
		log_warn("unexpected %s from the gateway, ignoring", wire_type_name(p->type));
	}
}

/* What another one counted is not known to the next. */
static void forget_loads(const struct controller *c)
{
	for (size_t i = 0; i < c->n_services; i++) {
		for (size_t k = 0; k < c->services[i]->n_replicas; k++) {
			struct replica_traffic *x = c->services[i]->replicas[k]->traffic;

			if (!x)
				continue;
			memset(x->loads, 0, x->n * sizeof(x->loads[0]));
			x->told = 0;
		}
	}
}

static void leave(struct traffic *t)
{
	if (t->gateway)
		link_close(TAKE_PTR(t->gateway));
	t->routed = 0;
	buf_done(&t->routes); /* to be sent anew */
	forget_loads(t->c);
	stats_new_gateway(t->stats);
	service_zero_forget(t->c);
	t->touched = true;
	service_scale_connect(t->c, false);
}

static void on_end(void *user)
{
	log_warn("the gateway closed the connection");
	leave(user);
}

static void on_peer(struct traffic *t, struct wire_packet *p)
{
	const struct link_handlers h = {
		.on_packet = on_packet, .on_end = on_end, .user = t, .peer = "the gateway"};
	_cleanup_err_ struct err *err = NULL;

	if (p->n_fds != 1) {
		log_error("bad PEER from aictld, ignoring");
		return;
	}
	leave(t);
	t->first = !t->met;
	t->met = true;
	if (link_new(t->c->loop, p->fds[0], &h, &t->gateway, &err) < 0)
		log_error("the gateway: %s", err_msg(err));
	else
		p->fds[0] = -1;
	if (t->gateway)
		service_scale_connect(t->c, true);
}

static void on_listening(struct traffic *t, const struct wire_packet *p)
{
	struct wire_listen m;

	if (wire_listen_decode(p->body, p->len, &m) < 0) {
		log_error("bad LISTENING from aictld, ignoring");
		return;
	}
	wire_listen_free(&t->state);
	t->state = m;
}

void traffic_on_packet(struct traffic *t, struct wire_packet *p)
{
	if (t && p->type == WIRE_PEER)
		on_peer(t, p);
	else if (t)
		on_listening(t, p);
}

/* ---- what is sent ---- */

/* Its routes are not known. */
static bool any_left_alone(const struct controller *c)
{
	for (size_t i = 0; i < c->n_services; i++)
		if (c->services[i]->left_alone)
			return true;
	return false;
}

static bool same(const struct buf *a, const struct buf *b)
{
	return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

static void keep(struct buf *last, struct buf *b)
{
	buf_done(last);
	*last = *b;
	*b = (struct buf){0};
}

/* false: without memory. */
static bool send_listen(struct traffic *t)
{
	struct controller *c = t->c;
	_cleanup_buf_ struct buf b = {0};
	struct wire_listen m;

	if (routes_listen(c->services, c->n_services, &m) == 0)
		wire_listen_encode(&b, WIRE_LISTEN, &m);
	else
		b.failed = true;
	wire_listen_free(&m);
	if (b.failed)
		return false;
	if (same(&b, &t->listen))
		return true;
	link_send(c->link, &b);
	keep(&t->listen, &b);
	return true;
}

/* Which services are in it: they count when they are no more, too. */
static void mark(const struct controller *c)
{
	for (size_t i = 0; i < c->n_services; i++)
		c->services[i]->routed =
			!c->services[i]->deleted && routes_port(c->services[i]->spec, 0, NULL);
}

static void send_routes(struct traffic *t, struct wire_routes *m)
{
	_cleanup_buf_ struct buf b = {0};

	m->generation = ++t->generation;
	wire_routes_encode(&b, m);
	POINT("controller.routes.sending");
	link_send(t->gateway, &b);
	POINT("controller.routes.sent");
}

static bool build(struct traffic *t)
{
	struct controller *c = t->c;
	_cleanup_buf_ struct buf b = {0};
	struct wire_routes m;
	bool full, good;

	good = routes_build(c->services, c->n_services, &m, &full) == 0;
	if (good) {
		m.epoch = t->epoch;
		m.generation = 1;
		wire_routes_encode(&b, &m);
		good = !b.failed;
	}
	if (good && full && !t->full)
		log_error("more ports or replicas than the gateway takes: some are not served");
	if (good) {
		t->full = full;
		mark(c);
	}
	if (good && !same(&b, &t->routes)) {
		send_routes(t, &m);
		keep(&t->routes, &b);
	}
	wire_routes_free(&m);
	return good;
}

/* One ROUTES at a time: a gateway that does not read gets the newest, not all. */
static bool is_answered(const struct traffic *t)
{
	return t->routes.len == 0 || t->routed == t->generation;
}

bool traffic_is_told(const struct traffic *t)
{
	return !t || !t->gateway || (!t->touched && is_answered(t));
}

static void send_changes(struct traffic *t)
{
	if (!t->touched || any_left_alone(t->c))
		return;
	strangers_routed(t->c->strangers);
	if (!send_listen(t)) {
		wake_in(t, AGAIN_MS);
		return;
	}
	if (!t->gateway) {
		mark(t->c);
		t->touched = false;
	} else if (is_answered(t)) {
		t->touched = !build(t);
		if (t->touched)
			wake_in(t, AGAIN_MS);
	}
}

/* ---- draining ---- */

/* There is one of which we do not know. */
static bool may_come(const struct traffic *t)
{
	if (t->c->status.gateways_leaving)
		return true;
	return !t->met &&
	       (t->begun_mono_ms == 0 || clock_mono_ms() < t->begun_mono_ms + FIRST_GATEWAY_MS);
}

/* One of its own ports is behind a stable one. */
static bool has_route(const struct replica *r)
{
	const struct port_spec *p;

	for (size_t i = 0; (p = routes_proxied(r->spec, i)); i++)
		if (replica_ports_number(r, p->name))
			return true;
	return false;
}

/* A frozen one ends no request. */
bool traffic_drains(const struct replica *r)
{
	const struct traffic *t = r->service->controller->traffic;

	return t && r->pid && r->spec && r->spec->drain_ms > 0 && !r->frozen && has_route(r) &&
	       (t->gateway || may_come(t)) && !any_left_alone(t->c);
}

void traffic_drain(struct replica *r)
{
	struct replica_traffic *x = known(r);
	int64_t since = clock_wall_ms() - r->since_wall_ms;
	int64_t all = r->spec ? r->spec->drain_ms : 0;

	if (since < 0)
		since = 0;
	if (x) {
		x->told = 0;
		x->cut_mono_ms = clock_add(clock_mono_ms(), all > since ? all - since : 0);
	}
	if (r->service->controller->traffic)
		r->service->controller->traffic->draining = true;
}

void traffic_forget(struct replica *r)
{
	mem_free(r->traffic);
	r->traffic = NULL;
}

void traffic_forget_service(const struct service *s)
{
	if (s->controller->traffic)
		stats_forget(s->controller->traffic->stats, s->name);
}

static bool has_port(const void *user, const char *port)
{
	return routes_has(user, port);
}

void traffic_respec(const struct service *s)
{
	if (s->controller->traffic)
		stats_keep_ports(s->controller->traffic->stats, s->name, has_port, s->spec);
}

static const struct traffic_load *load_of(const struct replica *r, const char *name)
{
	unsigned port = replica_ports_number(r, name);

	for (unsigned i = 0; port && r->traffic && i < r->traffic->n; i++)
		if (r->traffic->loads[i].port == port)
			return &r->traffic->loads[i];
	return NULL;
}

/* The routes in force say that it gets nothing new, and nothing is under way; else when to ask again. */
static bool is_drained(const struct traffic *t, const struct replica *r, int64_t now,
		       int64_t *wake_mono_ms)
{
	const struct replica_traffic *x = r->traffic;
	int64_t silence = t->routed_mono_ms + SILENCE_MS;
	const struct port_spec *p;
	bool heard = true;

	if (!x->told || t->routed < x->told)
		return false;
	if (t->c->status.gateways_leaving) /* nobody knows what they have under way */
		return false;
	for (size_t i = 0; (p = routes_proxied(r->spec, i)); i++) {
		const struct traffic_load *l = load_of(r, p->name);

		if (l && l->active)
			return false;
		heard = heard && l && l->as_of >= x->told;
	}
	if (heard || now >= silence)
		return true;
	if (silence < *wake_mono_ms)
		*wake_mono_ms = silence;
	return false;
}

static void drained(struct replica *r)
{
	POINT("controller.routes.drained");
	replica_post(r, REPLICA_EV_DRAINED);
}

/* Looks at one that is DRAINING. */
static void look(struct traffic *t, struct replica *r, int64_t now, int64_t *wake_mono_ms)
{
	bool mute = any_left_alone(t->c);
	struct replica_traffic *x = r->traffic;

	if (!x || mute || (!t->gateway && !may_come(t))) {
		drained(r);
		return;
	}
	if (now >= x->cut_mono_ms) {
		if (traffic_active(r))
			log_warn("replica=%s/%u stop.drain is over: %" PRIu64
				 " requests under way are cut",
				 r->service->name, r->index, traffic_active(r));
		drained(r);
		return;
	}
	if (!x->told && t->gateway && t->routes.len && !t->touched)
		x->told = t->generation;
	if (is_drained(t, r, now, wake_mono_ms)) {
		drained(r);
		return;
	}
	if (x->cut_mono_ms < *wake_mono_ms)
		*wake_mono_ms = x->cut_mono_ms;
	if (!t->gateway && !t->c->status.gateways_leaving &&
	    t->begun_mono_ms + FIRST_GATEWAY_MS < *wake_mono_ms)
		*wake_mono_ms = t->begun_mono_ms + FIRST_GATEWAY_MS;
}

bool traffic_is_connected(const struct traffic *t)
{
	return t && t->gateway;
}

bool traffic_is_wanted(const struct controller *c)
{
	for (size_t i = 0; c->traffic && i < c->n_services; i++) {
		const struct service *s = c->services[i];

		if (s->spec && s->spec->drain_ms > 0 && routes_proxied(s->spec, 0))
			return true;
	}
	return false;
}

/* At a shutdown: aictld would not wait else. */
static void say_alive(struct traffic *t)
{
	_cleanup_buf_ struct buf b = {0};

	wire_encode_u32(&b, WIRE_CONTROL, WIRE_CONTROL_ORDERED);
	link_send(t->c->link, &b);
}

static void look_at_all(struct traffic *t)
{
	const struct controller *c = t->c;
	int64_t now = clock_mono_ms(), wake = INT64_MAX;

	t->draining = false;
	for (size_t i = 0; i < c->n_services; i++) {
		const struct service *s = c->services[i];

		for (size_t k = 0; k < s->n_replicas; k++) {
			if (s->replicas[k]->state == REPLICA_DRAINING)
				look(t, s->replicas[k], now, &wake);
			t->draining |= s->replicas[k]->state == REPLICA_DRAINING;
		}
	}
	if (t->draining && t->c->shutting_down) {
		say_alive(t);
		wake = wake < now + ALIVE_MS ? wake : now + ALIVE_MS;
	}
	if (wake != INT64_MAX)
		wake_in(t, wake - now);
}

void traffic_settle(struct traffic *t)
{
	if (!t || !t->c->begun)
		return;
	if (!t->begun_mono_ms)
		t->begun_mono_ms = clock_mono_ms();
	send_changes(t);
	if (t->draining)
		look_at_all(t);
}

/* ---- what is shown ---- */

int64_t traffic_sighted_mono_ms(const struct controller *c)
{
	const struct traffic *t = c->traffic;

	return t && t->gateway && t->routed && !c->status.gateways_leaving ? t->sighted_mono_ms
									   : -1;
}

uint64_t traffic_active(const struct replica *r)
{
	uint64_t sum = 0;

	for (unsigned i = 0; r->traffic && i < r->traffic->n; i++)
		sum += r->traffic->loads[i].active;
	return sum;
}

uint64_t traffic_active_of(const struct replica *r, const char *port)
{
	const struct traffic_load *l = load_of(r, port);

	return l ? l->active : 0;
}

uint64_t traffic_active_at(const struct service *s, const char *port)
{
	uint64_t sum = 0;

	for (size_t k = 0; k < s->n_replicas; k++)
		sum += traffic_active_of(s->replicas[k], port);
	return sum;
}

bool traffic_has_gateway(const struct traffic *t)
{
	return t && t->gateway;
}

const struct stats *traffic_stats(const struct traffic *t)
{
	return t->stats;
}

int traffic_error(const struct traffic *t, const struct wire_listen_at *at)
{
	for (uint32_t i = 0; i < t->state.n; i++)
		if (t->state.list[i].at.port == at->port &&
		    strcmp(t->state.list[i].at.address, at->address) == 0)
			return t->state.list[i].err;
	return -1;
}

const struct port_spec *traffic_bad_port(const struct service *s, struct wire_listen_at *at,
					 int *ret_err)
{
	const struct traffic *t = s->controller->traffic;
	const struct port_spec *p;

	for (size_t i = 0; t && !s->deleted && (p = routes_port(s->spec, i, at)); i++) {
		*ret_err = traffic_error(t, at);
		if (*ret_err > 0)
			return p;
	}
	return NULL;
}

char *traffic_complaint(const struct service *s)
{
	_cleanup_buf_ struct buf b = {0};
	struct wire_listen_at at;
	int err;

	if (!traffic_bad_port(s, &at, &err))
		return NULL;
	routes_say(&at, &b);
	buf_printf(&b, ": %s", strerror(err));
	return b.failed ? NULL : mem_strdup(buf_cstr(&b));
}

static void write_endpoint(const struct service *s, const struct port_spec *p,
			   const struct wire_listen_at *at, struct jsonw *w)
{
	const int err = traffic_error(s->controller->traffic, at);
	_cleanup_buf_ struct buf b = {0};

	routes_say(at, &b);
	w->out->failed |= b.failed;
	jsonw_object_begin(w, NULL);
	jsonw_string(w, "name", p->name);
	jsonw_string(w, "protocol", p->protocol == PORT_TCP ? "tcp" : "http");
	jsonw_string(w, "mode", p->mode == PORT_SOCKET ? "socket" : "proxy");
	jsonw_string(w, "address", buf_cstr(&b));
	jsonw_bool(w, "open", err == 0);
	jsonw_string(w, "error", err > 0 ? strerror(err) : NULL);
	jsonw_int(w, "active", (int64_t)traffic_active_at(s, p->name));
	jsonw_object_end(w);
}

void traffic_write_endpoints(const struct service *s, struct jsonw *w)
{
	const struct port_spec *p;
	struct wire_listen_at at;

	jsonw_array_begin(w, "endpoints");
	for (size_t i = 0;
	     s->controller->traffic && !s->deleted && (p = routes_port(s->spec, i, &at)); i++)
		write_endpoint(s, p, &at, w);
	jsonw_array_end(w);
}

void traffic_say(const struct replica *r, struct buf *out)
{
	int64_t left = r->traffic ? r->traffic->cut_mono_ms - clock_mono_ms() : 0;
	uint64_t n = traffic_active(r);
	char human[24];

	buf_printf(out, "%" PRIu64 " request%s under way, cut in %s", n, n == 1 ? "" : "s",
		   clock_human(left > 0 ? left : 0, human, sizeof(human)));
}
