/* routes: see routes.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/gateway/routes.h"

#include <stdio.h>
#include <string.h>

#include "daemon/gateway/balance.h"
#include "daemon/gateway/exchange.h"
#include "daemon/gateway/gateway.h"
#include "daemon/gateway/listener.h"
#include "daemon/gateway/peer.h"
#include "daemon/gateway/upstream.h"
#include "daemon/gateway/waiting.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/mem.h"

static bool same_at(const struct wire_listen_at *a, const struct wire_listen_at *b)
{
	return a->port == b->port && strcmp(a->address, b->address) == 0;
}

struct route *routes_find(const struct routes *r, const struct wire_listen_at *at)
{
	for (size_t i = 0; i < r->n; i++)
		if (same_at(&r->list[i]->at, at))
			return r->list[i];
	return NULL;
}

static bool is_it(const struct backend *b, const struct wire_route *m,
		  const struct wire_routes_backend *mb)
{
	return b->key.index == mb->index && b->port == mb->port &&
	       strcmp(b->key.incarnation, mb->incarnation) == 0 &&
	       strcmp(b->key.service, m->service) == 0 && strcmp(b->name, m->name) == 0;
}

/* All backends, while a ROUTES is looked at: there may be thousands on both sides. */
struct lookup {
	struct backend **places; /* NULL: free */
	size_t mask;
};

static size_t hash_of(const char *incarnation, uint32_t index, uint16_t port)
{
	uint64_t h = index * UINT64_C(65536) + port + 1;

	for (; *incarnation; incarnation++)
		h = (h ^ (uint8_t)*incarnation) * UINT64_C(0x100000001b3);
	return (size_t)(h ^ h >> 32);
}

static void lookup_add(struct lookup *l, struct backend *b)
{
	size_t i = hash_of(b->key.incarnation, b->key.index, b->port) & l->mask;

	while (l->places[i])
		i = (i + 1) & l->mask;
	l->places[i] = b;
}

static int lookup_init(struct lookup *l, const struct routes *r, const struct wire_routes *m)
{
	size_t n = 0, size = 16;

	for (struct backend *b = r->backends; b; b = b->next)
		n++;
	for (uint32_t i = 0; i < m->n; i++)
		n += m->list[i].n;
	while (size < 2 * n)
		size *= 2;
	l->mask = size - 1;
	l->places = mem_array(size, sizeof(struct backend *));
	if (!l->places)
		return -ERR_NOMEM;
	for (struct backend *b = r->backends; b; b = b->next)
		lookup_add(l, b);
	return 0;
}

static struct backend *find_backend(const struct lookup *l, const struct wire_route *m,
				    const struct wire_routes_backend *mb)
{
	size_t i = hash_of(mb->incarnation, mb->index, mb->port) & l->mask;

	while (l->places[i] && !is_it(l->places[i], m, mb))
		i = (i + 1) & l->mask;
	return l->places[i];
}

/* Its time is over. */
static void on_out_end(void *user)
{
	struct backend *b = user;

	if (b->route)
		waiting_wake(b->g, b->route);
}

static struct backend *add_backend(struct gateway *g, const struct wire_route *m,
				   const struct wire_routes_backend *mb)
{
	struct backend *b = mem_alloc(sizeof(*b));
	struct routes *r = &g->routes;

	if (b && mb->socket[0] && !(b->socket = mem_strdup(mb->socket))) {
		mem_free(b);
		b = NULL;
	}
	if (!b)
		return NULL;
	memcpy(b->key.service, m->service, sizeof(b->key.service));
	memcpy(b->key.incarnation, mb->incarnation, sizeof(b->key.incarnation));
	memcpy(b->name, m->name, sizeof(b->name));
	b->key.index = mb->index;
	b->port = mb->port;
	b->demand = measure_demand(&g->measure, m->service, m->name);
	b->load_due = b->stats_due = true;
	b->g = g;
	b->out = (struct deadline){.fn = on_out_end, .user = b};
	b->next = r->backends;
	if (b->next)
		b->next->prev = b;
	r->backends = b;
	return b;
}

static void unlink_backend(struct gateway *g, struct backend *b)
{
	struct routes *r = &g->routes;

	measure_demand_drop(&g->measure, b->demand);
	deadline_clear(&b->g->deadlines, &b->out);
	if (b->next)
		b->next->prev = b->prev;
	if (b->prev)
		b->prev->next = b->next;
	else
		r->backends = b->next;
	mem_free(b->socket);
	mem_free(b);
}

void routes_forget(struct gateway *g, struct backend *b)
{
	bool told = (!b->load_due && !b->stats_due) || b->is_next || !peer_is_there(&g->peer);

	if (!b->routed && b->active == 0 && !b->idle && told)
		unlink_backend(g, b);
}

/* ---- what holds for a route ---- */

static void set_time(struct gateway *g, struct route *r, enum deadline_kind kind, uint32_t ms)
{
	struct deadline_queue *old = r->times[kind];

	r->times[kind] = ms ? deadline_ref(&g->deadlines, kind, ms) : NULL;
	deadline_unref(old);
}

static void set_rules(struct gateway *g, struct route *r, const struct wire_route *m)
{
	r->is_tcp = m->protocol == WIRE_ROUTES_TCP;
	memcpy(r->service, m->service, sizeof(r->service));
	memcpy(r->name, m->name, sizeof(r->name));
	r->rules = m->rules;
	for (char *c = r->rules.affinity; *c; c++)
		*c = (char)(*c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c);
	set_time(g, r, DEADLINE_HEAD, m->rules.head_ms);
	set_time(g, r, DEADLINE_IDLE, m->rules.idle_ms);
	set_time(g, r, DEADLINE_CONNECT, m->rules.connect_ms);
	set_time(g, r, DEADLINE_ANSWER, m->rules.response_ms);
	set_time(g, r, DEADLINE_STALL, m->rules.stall_ms);
	set_time(g, r, DEADLINE_WAIT, m->rules.queue_timeout_ms);
	set_time(g, r, DEADLINE_START, m->rules.hold_ms);
	set_time(g, r, DEADLINE_TOTAL, m->rules.total_ms);
	set_time(g, r, DEADLINE_TUNNEL, m->rules.tunnel_ms);
	r->news = m->news;
}

void routes_set_deadline(struct gateway *g, const struct route *r, struct deadline *d,
			 enum deadline_kind kind)
{
	if (r && r->times[kind])
		deadline_set_in(&g->deadlines, d, r->times[kind]);
	else
		deadline_set(&g->deadlines, d, kind);
}

bool routes_is_held(const struct route *r, uint64_t now)
{
	return now < r->rules.held_until;
}

static struct route *add_route(struct routes *r, const struct wire_listen_at *at)
{
	struct route *route;

	if (mem_grow(&r->list, &r->cap, r->n + 1, sizeof(struct route *)) < 0)
		return NULL;
	route = mem_alloc(sizeof(*route));
	if (!route)
		return NULL;
	route->at = *at;
	r->list[r->n++] = route;
	return route;
}

static int prepare_route(struct gateway *g, struct lookup *l, const struct wire_route *m,
			 struct backend **list)
{
	for (uint32_t k = 0; k < m->n; k++) {
		struct backend *b = find_backend(l, m, &m->backends[k]);

		if (!b && (b = add_backend(g, m, &m->backends[k])))
			lookup_add(l, b);
		if (!b)
			return -ERR_NOMEM;
		list[k] = b;
	}
	return 0;
}

/* Everything that needs memory, before anything changes. */
static int prepare(struct gateway *g, const struct wire_routes *m, struct backend ****ret)
{
	struct backend ***lists = mem_array(m->n + 1, sizeof(*lists));
	struct routes *r = &g->routes;
	struct lookup l = {0};
	int e;

	if (!lists)
		return -ERR_NOMEM;
	*ret = lists;
	e = lookup_init(&l, r, m);
	for (uint32_t i = 0; i < m->n && e == 0; i++) {
		const struct wire_route *mr = &m->list[i];

		lists[i] = mem_array(mr->n + 1, sizeof(struct backend *));
		if (!lists[i] || (!routes_find(r, &mr->at) && !add_route(r, &mr->at)))
			e = -ERR_NOMEM;
		else
			e = prepare_route(g, &l, mr, lists[i]);
	}
	mem_free(l.places);
	return e;
}

static void set_backends(struct route *route, const struct wire_route *m, struct backend **list)
{
	mem_free(route->backends);
	route->backends = list;
	route->n = m->n;
	route->turn[0] = route->turn[1] = 0;
	for (uint32_t k = 0; k < m->n; k++) {
		struct backend *b = list[k];

		b->seen = true;
		b->route = route;
		b->draining = m->backends[k].draining;
		b->canary = m->backends[k].canary;
		measure_revision(b, m->backends[k].revision);
	}
}

static void take_over(struct gateway *g, const struct wire_routes *m, struct backend ***lists)
{
	struct routes *r = &g->routes;

	if (m->epoch != r->epoch)
		peer_tell_all(&g->peer); /* it may not have known its services when it came */
	for (struct backend *b = r->backends; b; b = b->next) {
		b->seen = false;
		b->route = NULL;
	}
	for (size_t i = 0; i < r->n; i++)
		r->list[i]->seen = false;
	for (uint32_t i = 0; i < m->n; i++) {
		const struct wire_route *mr = &m->list[i];
		struct route *route = routes_find(r, &mr->at);

		if (!route) /* prepare has made it */
			continue;
		route->seen = true;
		route->gone = false;
		set_rules(g, route, mr);
		measure_route(&g->measure, route);
		set_backends(route, mr, TAKE_PTR(lists[i]));
	}
	for (struct backend *b = r->backends; b; b = b->next)
		b->routed = b->seen;
	r->epoch = m->epoch;
	r->generation = m->generation;
}

static void free_route(struct gateway *g, struct route *route)
{
	measure_demand_drop(&g->measure, route->demand);
	deadline_clear(&g->deadlines, &route->held);
	for (int i = 0; i < DEADLINE_KIND_MAX_; i++)
		deadline_unref(route->times[i]);
	mem_free(route->backends);
	mem_free(route);
}

/* What it had is no more in it. */
static void let_go(struct gateway *g, struct route *route)
{
	for (uint32_t i = 0; i < route->n; i++) {
		struct backend *b = route->backends[i];

		b->routed = false;
		b->route = NULL;
		upstream_close_idle(b);
		routes_forget(g, b);
	}
	mem_free(TAKE_PTR(route->backends));
	route->n = 0;
}

static void ask_next(struct gateway *g, struct route *route)
{
	const struct wire_routes_backend mb = {.index = UINT32_MAX, .port = route->at.port};
	struct backend **list = mem_array(1, sizeof(*list)), *b;
	struct wire_route m = {0};

	memcpy(m.service, route->service, sizeof(m.service));
	b = list ? add_backend(g, &m, &mb) : NULL;
	if (!b) {
		mem_free(list);
		return;
	}
	let_go(g, route);
	list[0] = b;
	b->is_next = true;
	b->routed = true;
	b->route = route;
	route->backends = list;
	route->n = 1;
	route->turn[0] = route->turn[1] = 0;
	route->rules.from_zero = false;
	route->rules.concurrency = 0;
	route->news = (struct wire_routes_news){0};
	waiting_wake(g, route);
}

static bool is_reachable(const struct wire_listen_at *at)
{
	return strcmp(at->address, "127.0.0.1") == 0 || strcmp(at->address, "0.0.0.0") == 0;
}

/* Those that wait there are answered, for nobody will come. */
static void drop_route(struct gateway *g, size_t i)
{
	struct routes *r = &g->routes;
	struct route *route = r->list[i];

	r->list[i] = r->list[--r->n];
	listener_unroute(g, route);
	waiting_give_up(g, route);
	if (route->gone)
		let_go(g, route);
	free_route(g, route);
}

/* Its port is given to the replicas, or will be closed: whoever we have accepted there and has not
 * asked yet is sent to who accepts now. */
static bool keep_for_clients(struct gateway *g, struct route *route)
{
	if (!listener_has_clients(g, route) || !is_reachable(&route->at))
		return false;
	if (!route->gone) {
		waiting_give_up(g, route);
		route->gone = true;
		mem_free(TAKE_PTR(route->backends)); /* they may be in another one */
		route->n = 0;
		ask_next(g, route);
	}
	for (uint32_t i = 0; i < route->n; i++) {
		route->backends[i]->route = route;
		route->backends[i]->routed = true;
	}
	return route->n > 0;
}

static void drop_routes(struct gateway *g)
{
	struct routes *r = &g->routes;

	for (size_t i = 0; i < r->n;)
		if (r->list[i]->seen || keep_for_clients(g, r->list[i]))
			i++;
		else
			drop_route(g, i);
}

void routes_drop_gone(struct gateway *g, struct route *route)
{
	for (size_t i = 0; i < g->routes.n; i++)
		if (g->routes.list[i] == route && route->gone)
			drop_route(g, i);
}

static void settle_backends(struct gateway *g)
{
	struct backend *next;

	for (struct backend *b = g->routes.backends; b; b = next) {
		next = b->next;
		if (!b->draining && b->routed)
			continue;
		b->load_due = true;
		upstream_close_idle(b);
		routes_forget(g, b);
	}
}

int routes_apply(struct gateway *g, const struct wire_routes *m)
{
	struct routes *r = &g->routes;
	struct backend ***lists = NULL;
	int e;

	if (m->epoch == r->epoch && m->generation <= r->generation)
		return 0;
	e = prepare(g, m, &lists);
	if (e == 0) {
		take_over(g, m, lists);
		drop_routes(g);
		settle_backends(g);
		listener_route_all(g);
		for (size_t i = 0; i < r->n; i++)
			waiting_wake(g, r->list[i]);
	}
	for (uint32_t i = 0; lists && i < m->n; i++)
		mem_free(lists[i]);
	mem_free(lists);
	log_debug("epoch=%llu generation=%llu routes=%u in force", (unsigned long long)m->epoch,
		  (unsigned long long)m->generation, m->n);
	return e < 0 ? e : 1;
}

void routes_hand_over(struct gateway *g)
{
	for (size_t i = 0; i < g->routes.n; i++) {
		struct route *route = g->routes.list[i];

		if (!routes_has_active(route) && is_reachable(&route->at))
			ask_next(g, route);
	}
}

void routes_done(struct gateway *g)
{
	struct routes *r = &g->routes;

	for (size_t i = 0; i < r->n; i++)
		free_route(g, r->list[i]);
	mem_free(r->list);
	while (r->backends)
		unlink_backend(g, r->backends);
	*r = (struct routes){0};
}

bool routes_has_active(const struct route *r)
{
	for (uint32_t i = 0; i < r->n; i++)
		if (!r->backends[i]->draining)
			return true;
	return false;
}

void routes_begin(struct gateway *g, struct backend *b)
{
	b->active++;
	b->requests++;
	measure_change(&g->measure, b->demand, 0, 1);
	b->load_due = true;
	peer_load(&g->peer, false);
}

void routes_end(struct gateway *g, struct backend *b, bool failed)
{
	struct route *r = b->route;

	b->active--;
	b->failures += failed;
	measure_change(&g->measure, b->demand, 0, -1);
	b->load_due = true;
	peer_load(&g->peer, b->active == 0 && (b->draining || !b->routed));
	if (!b->routed)
		routes_forget(g, b);
	if (r && r->first)
		waiting_wake(g, r);
}

static void eject(struct gateway *g, struct backend *b, enum eject_event event)
{
	log_warn("service=%s/%u port=%u ejected for %u s: it %s", b->key.service, b->key.index,
		 b->port, b->eject.ms / 1000,
		 event == EJECT_REFUSED ? "cannot be reached" : "fails requests");
	b->stats_due = true;
	upstream_close_idle(b);
	deadline_set_in(&g->deadlines, &b->out,
			deadline_ref(&g->deadlines, DEADLINE_OUT, b->eject.ms));
	deadline_unref(b->out.in);
}

void routes_note(struct gateway *g, struct backend *b, enum eject_event event)
{
	struct route *r = b->route;
	uint64_t now = uv_now(&g->uv);
	bool bad = event == EJECT_REFUSED || event == EJECT_ERROR;
	enum eject_state before = eject_state(&b->eject, now);

	if (!r)
		return;
	if (eject_note(&b->eject, event, now, bad && balance_has_other(r, b, now)))
		eject(g, b, event);
	else if (before == EJECT_PROBATION && r->first &&
		 eject_state(&b->eject, now) ==
			 EJECT_IN) /* it takes more; not here, within an answer */
		deadline_set(&g->deadlines, &b->out, DEADLINE_AGAIN);
}
