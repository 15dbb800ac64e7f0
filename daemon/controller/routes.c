/* routes: see routes.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/routes.h"

#include <string.h>

#include "daemon/controller/replica.h"
#include "daemon/controller/replica_ports.h"
#include "daemon/controller/service.h"
#include "daemon/controller/service_canary.h"
#include "daemon/controller/service_zero.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/manifest.h"
#include "lib/manifest_ports.h"
#include "lib/mem.h"

_Static_assert((int)PORT_HTTP == (int)WIRE_ROUTES_HTTP && (int)PORT_TCP == (int)WIRE_ROUTES_TCP,
	       "protocols have the same numbers");

void routes_at(const struct port_spec *p, struct wire_listen_at *ret)
{
	*ret = (struct wire_listen_at){.port = (uint16_t)p->port};
	memccpy(ret->address, p->listen, '\0', sizeof(ret->address) - 1);
}

const struct port_spec *routes_port(const struct service_spec *spec, size_t i,
				    struct wire_listen_at *at)
{
	const struct port_spec *p;

	for (unsigned k = 0; (p = replica_ports_at(spec, k)); k++) {
		if (p->port == 0 || i-- > 0)
			continue;
		if (at)
			routes_at(p, at);
		return p;
	}
	return NULL;
}

const struct port_spec *routes_proxied(const struct service_spec *spec, size_t i)
{
	const struct port_spec *p;

	for (size_t k = 0; (p = routes_port(spec, k, NULL)); k++)
		if (p->mode == PORT_PROXY && i-- == 0)
			return p;
	return NULL;
}

bool routes_has(const struct service_spec *spec, const char *name)
{
	const struct port_spec *p;

	for (size_t i = 0; (p = routes_port(spec, i, NULL)); i++)
		if (strcmp(p->name, name) == 0)
			return true;
	return false;
}

void routes_say(const struct wire_listen_at *at, struct buf *out)
{
	bool v6 = strchr(at->address, ':');

	buf_printf(out, "%s%s%s:%u", v6 ? "[" : "", at->address, v6 ? "]" : "", at->port);
}

static const struct port_spec *port_of(const struct service *s, size_t i, struct wire_listen_at *at)
{
	return s->deleted ? NULL : routes_port(s->spec, i, at);
}

/* Is it in its service's routes? */
static bool is_up(const struct replica *r)
{
	return r->pid && (r->state == REPLICA_READY || r->state == REPLICA_UNREADY ||
			  r->state == REPLICA_DRAINING);
}

/* The port of that name as the replica has it. */
static const struct port_spec *port_in(const struct replica *r, const char *name)
{
	const struct port_spec *p;

	for (unsigned i = 0; (p = replica_ports_at(r->spec, i)); i++)
		if (strcmp(p->name, name) == 0)
			return p;
	return NULL;
}

/* It accepts by itself. */
static bool is_handed(const struct service *s, const struct port_spec *p, const struct replica *r)
{
	const struct port_spec *own = r->spec == s->spec ? p : port_in(r, p->name);

	return own && own->mode == PORT_SOCKET;
}

/* Shall the gateway accept there? While replicas of both ways run, where it has somebody to ask. */
static bool has_route(const struct service *s, const struct port_spec *p)
{
	bool handed = p->mode == PORT_SOCKET;

	for (size_t i = 0; i < s->n_replicas; i++) {
		const struct replica *r = s->replicas[i];

		if (!is_up(r))
			continue;
		if (is_handed(s, p, r))
			handed = true;
		else if (r->state == REPLICA_READY && !r->frozen)
			return true;
	}
	return !handed;
}

static int add_backends(const struct service *s, const struct port_spec *p,
			struct wire_route *route, bool *ret_left_out)
{
	route->backends = s->n_replicas ? mem_array(s->n_replicas, sizeof(*route->backends)) : NULL;
	if (s->n_replicas && !route->backends)
		return -ERR_NOMEM;
	for (size_t i = 0; i < s->n_replicas; i++) {
		const struct replica *r = s->replicas[i];
		unsigned port = replica_ports_number(r, route->name);
		const struct port_spec *own;
		struct wire_routes_backend *b;

		if (!is_up(r) || !port || is_handed(s, p, r))
			continue;
		if (route->n == WIRE_ROUTES_BACKENDS_MAX) {
			*ret_left_out = true;
			break;
		}
		b = &route->backends[route->n++];
		b->index = r->index;
		memcpy(b->incarnation, r->incarnation, sizeof(b->incarnation));
		own = r->spec == s->spec ? p : port_in(r, p->name);
		if (own && own->on_socket)
			replica_ports_socket(r, own, b->socket, sizeof(b->socket));
		else
			b->port = (uint16_t)port;
		b->revision = r->revision;
		b->draining = r->state != REPLICA_READY || r->frozen;
		b->canary = service_canary_is(r);
	}
	return 0;
}

static uint16_t permille(double share)
{
	return (uint16_t)(share >= 1 ? 1000 : share * 1000 + 0.5);
}

static void set_rules(const struct service *s, struct wire_routes_rules *rules)
{
	const struct service_spec *spec = s->spec;
	const struct timeouts_spec *t = &spec->timeouts;

	*rules = (struct wire_routes_rules){.concurrency = (uint32_t)spec->concurrency,
					    .queue_max = (uint32_t)spec->queue_max,
					    .queue_timeout_ms = (uint32_t)spec->queue_timeout_ms,
					    .hold_ms = (uint32_t)spec->hold_ms,
					    .held_until = (uint64_t)s->held_until_mono_ms,
					    .retry = (uint8_t)spec->retry,
					    .canary_permille =
						    (uint16_t)(service_canary_share(s) * 10),
					    .access_permille = permille(spec->access_log),
					    .connect_ms = (uint32_t)t->connect_ms,
					    .head_ms = (uint32_t)t->head_ms,
					    .idle_ms = (uint32_t)t->idle_ms,
					    .response_ms = (uint32_t)t->response_ms,
					    .stall_ms = (uint32_t)t->stall_ms,
					    .total_ms = (uint32_t)t->total_ms,
					    .tunnel_ms = (uint32_t)t->tunnel_ms};
	if (spec->affinity_header)
		memccpy(rules->affinity, spec->affinity_header, '\0', sizeof(rules->affinity) - 1);
}

static size_t count(struct service *const *services, size_t n)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; port_of(services[i], k, NULL); k++)
			sum++;
	return sum < WIRE_ROUTES_MAX ? sum : WIRE_ROUTES_MAX;
}

int routes_build(struct service *const *services, size_t n, struct wire_routes *out,
		 bool *ret_left_out)
{
	size_t most = count(services, n);

	*out = (struct wire_routes){.list = most ? mem_array(most, sizeof(*out->list)) : NULL};
	*ret_left_out = false;
	if (most && !out->list)
		return -ERR_NOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct port_spec *p;
		struct wire_listen_at at;

		for (size_t k = 0; (p = port_of(services[i], k, &at)); k++) {
			struct wire_route *route = &out->list[out->n];

			if (!has_route(services[i], p))
				continue;
			if (out->n == most) {
				*ret_left_out = true;
				break;
			}
			out->n++;
			route->at = at;
			route->protocol = (uint8_t)p->protocol;
			set_rules(services[i], &route->rules);
			memccpy(route->service, services[i]->name, '\0',
				sizeof(route->service) - 1);
			memccpy(route->name, p->name, '\0', sizeof(route->name) - 1);
			service_zero_fill(services[i], route);
			if (add_backends(services[i], p, route, ret_left_out) < 0)
				return -ERR_NOMEM;
		}
	}
	return 0;
}

/* ---- what is listened on ---- */

static struct wire_listen_state *find_listen(const struct wire_listen *m,
					     const struct wire_listen_at *at)
{
	for (uint32_t i = 0; i < m->n; i++)
		if (m->list[i].at.port == at->port &&
		    strcmp(m->list[i].at.address, at->address) == 0)
			return &m->list[i];
	return NULL;
}

/* What a replica of a former specification accepts on stays open as long as that runs: the next one
 * may want it again. */
static void add_handed(const struct service *s, struct wire_listen *out)
{
	const struct port_spec *p;
	struct wire_listen_at at;

	for (size_t i = 0; i < s->n_replicas; i++) {
		const struct replica *r = s->replicas[i];

		if ((!r->pid && r->state != REPLICA_STARTING) || r->spec == s->spec)
			continue;
		for (size_t k = 0; (p = manifest_ports_handed(r->spec, k)); k++) {
			struct wire_listen_state *l;

			routes_at(p, &at);
			l = find_listen(out, &at);
			if (!l && out->n < WIRE_LISTEN_MAX) {
				l = &out->list[out->n++];
				l->at = at;
			}
			if (l)
				l->handed = true;
		}
	}
}

int routes_listen(struct service *const *services, size_t n, struct wire_listen *out)
{
	size_t most = count(services, n);
	const struct port_spec *p;
	struct wire_listen_at at;

	*out = (struct wire_listen){.list = mem_array(WIRE_LISTEN_MAX, sizeof(*out->list))};
	if (!out->list)
		return -ERR_NOMEM;
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; (p = port_of(services[i], k, &at)) && out->n < most; k++)
			out->list[out->n++] = (struct wire_listen_state){
				.at = at, .handed = p->mode == PORT_SOCKET};
	for (size_t i = 0; i < n; i++)
		if (!services[i]->deleted)
			add_handed(services[i], out);
	return 0;
}
