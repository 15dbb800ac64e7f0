/* callers: see callers.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/callers.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/replica_cgroup.h"
#include "daemon/controller/routes.h"
#include "daemon/controller/service.h"
#include "daemon/controller/sockdiag.h"
#include "daemon/wire/wire.h"
#include "lib/clock.h"
#include "lib/jsonw.h"
#include "lib/manifest.h"
#include "lib/mem.h"

struct edge {
	char from[WIRE_SERVICE_SIZE], to[WIRE_SERVICE_SIZE], port[64];
	unsigned connections; /* at the last look */
	int64_t seen_wall_ms;
};

struct callers {
	struct edge *edges;
	size_t n, cap;
	int64_t looked_mono_ms;
};

struct target {
	uint16_t number;
	const char *service, *port;
};

struct owner {
	uint64_t cgroup;
	const char *service;
};

/* All that one look needs; borrowed names. */
struct look {
	struct callers *k;
	struct target *targets;
	struct owner *owners;
	size_t n_targets, n_owners;
	uint16_t low, high; /* of the targets' numbers */
	int64_t now_wall_ms;
};

struct callers *callers_new(void)
{
	return mem_alloc(sizeof(struct callers));
}

void callers_free(struct callers *k)
{
	if (k)
		mem_free(k->edges);
	mem_free(k);
}

/* ---- what is looked for ---- */

static void add_targets(struct look *l, const struct service *s)
{
	const struct port_spec *p;
	struct wire_listen_at at;

	for (size_t k = 0; !s->deleted && (p = routes_port(s->spec, k, &at)); k++) {
		l->targets[l->n_targets++] = (struct target){at.port, s->name, p->name};
		l->low = at.port < l->low ? at.port : l->low;
		l->high = at.port > l->high ? at.port : l->high;
	}
}

static void add_owners(struct look *l, const struct service *s)
{
	for (size_t i = 0; i < s->n_replicas; i++) {
		uint64_t cgroup = replica_cgroup_id(s->replicas[i]);

		if (cgroup)
			l->owners[l->n_owners++] = (struct owner){cgroup, s->name};
	}
}

static int by_cgroup(const void *a, const void *b)
{
	uint64_t x = ((const struct owner *)a)->cgroup, y = ((const struct owner *)b)->cgroup;

	return (x > y) - (x < y);
}

/* False: nothing can be found. */
static bool prepare(struct look *l, const struct controller *c)
{
	size_t ports = 0, replicas = 0;

	for (size_t i = 0; i < c->n_services; i++) {
		for (size_t k = 0; routes_port(c->services[i]->spec, k, NULL); k++)
			ports++;
		replicas += c->services[i]->n_replicas;
	}
	if (ports == 0 || replicas == 0 || !c->status.cgroup_dir[0])
		return false;
	l->targets = mem_array(ports, sizeof(*l->targets));
	l->owners = mem_array(replicas, sizeof(*l->owners));
	if (!l->targets || !l->owners)
		return false;
	l->low = UINT16_MAX;
	for (size_t i = 0; i < c->n_services; i++) {
		add_targets(l, c->services[i]);
		add_owners(l, c->services[i]);
	}
	if (l->n_owners > 0)
		qsort(l->owners, l->n_owners, sizeof(*l->owners), by_cgroup);
	return l->n_targets > 0 && l->n_owners > 0;
}

/* ---- what is found ---- */

static void count(struct look *l, const char *from, const struct target *to)
{
	struct callers *k = l->k;
	struct edge *e = NULL;

	for (size_t i = 0; i < k->n && !e; i++)
		if (strcmp(k->edges[i].from, from) == 0 &&
		    strcmp(k->edges[i].to, to->service) == 0 &&
		    strcmp(k->edges[i].port, to->port) == 0)
			e = &k->edges[i];
	if (!e) {
		if (k->n >= CALLERS_MAX ||
		    mem_grow(&k->edges, &k->cap, k->n + 1, sizeof(*k->edges)) < 0)
			return;
		e = &k->edges[k->n++];
		*e = (struct edge){0};
		memccpy(e->from, from, '\0', sizeof(e->from) - 1);
		memccpy(e->to, to->service, '\0', sizeof(e->to) - 1);
		memccpy(e->port, to->port, '\0', sizeof(e->port) - 1);
	}
	e->connections++;
	e->seen_wall_ms = l->now_wall_ms;
}

static void take(const struct sockdiag_socket *socket, void *user)
{
	struct look *l = user;
	const struct owner key = {.cgroup = socket->cgroup}, *owner;

	if (!sockdiag_is_loopback(socket->family, socket->remote))
		return;
	owner = bsearch(&key, l->owners, l->n_owners, sizeof(key), by_cgroup);
	for (size_t i = 0; owner && i < l->n_targets; i++)
		if (l->targets[i].number == socket->remote_port)
			count(l, owner->service, &l->targets[i]);
}

static void forget_old(struct callers *k, int64_t now_wall_ms)
{
	for (size_t i = k->n; i-- > 0;) {
		k->edges[i].connections = 0;
		if (now_wall_ms - k->edges[i].seen_wall_ms > CALLERS_KEPT_MS)
			k->edges[i] = k->edges[--k->n];
	}
}

void callers_look(struct callers *k, const struct controller *c, int64_t every_ms)
{
	struct look l = {.k = k, .now_wall_ms = clock_wall_ms()};
	int64_t now = clock_mono_ms();

	if (k->looked_mono_ms && now - k->looked_mono_ms < every_ms)
		return;
	k->looked_mono_ms = now;
	forget_old(k, l.now_wall_ms);
	if (prepare(&l, c))
		(void)sockdiag_read(SOCKDIAG_ESTABLISHED, l.low, l.high, take, &l);
	mem_free(l.targets);
	mem_free(l.owners);
}

void callers_write(const struct callers *k, const struct service *s, struct jsonw *w)
{
	jsonw_array_begin(w, "callers");
	for (size_t i = 0; i < k->n; i++) {
		const struct edge *e = &k->edges[i];

		if (strcmp(e->to, s->name) != 0)
			continue;
		jsonw_object_begin(w, NULL);
		jsonw_string(w, "service", e->from);
		jsonw_string(w, "port", e->port);
		jsonw_int(w, "connections", e->connections);
		jsonw_time(w, "seen_at", e->seen_wall_ms);
		jsonw_object_end(w);
	}
	jsonw_array_end(w);
}
