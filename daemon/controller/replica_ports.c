/* replica_ports: see replica_ports.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/replica_ports.h"

#include <string.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/ports.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/service.h"
#include "lib/manifest.h"
#include "lib/parse.h"

const struct port_spec *replica_ports_at(const struct service_spec *spec, unsigned i)
{
	return spec && i < spec->ports.n ? (const struct port_spec *)spec->ports.v + i : NULL;
}

/* FNV-1a */
static uint32_t hash(const char *name)
{
	uint32_t h = UINT32_C(2166136261);

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * UINT32_C(16777619);
	return h;
}

unsigned replica_ports_number(const struct replica *r, const char *name)
{
	const struct port_spec *first = r->spec ? service_spec_main_port(r->spec) : NULL;
	uint32_t h = hash(name);

	for (unsigned i = 0; i < r->n_ports; i++)
		if (r->ports[i].name == h)
			return r->ports[i].number;
	/* a note of before there were names knows the main one only */
	return r->n_ports == 0 && first && strcmp(first->name, name) == 0 ? r->port : 0;
}

unsigned replica_ports_resolve(const struct replica *r, const char *ref)
{
	int64_t number;

	if (!ref || !*ref)
		return r->port;
	if (parse_i64(ref, 1, 65535, &number, NULL) == 0)
		return (unsigned)number;
	return replica_ports_number(r, ref);
}

void replica_ports_release(struct replica *r)
{
	struct ports *all = r->service->controller->ports;

	if (r->n_ports == 0)
		ports_release(all, r->port);
	for (unsigned i = 0; i < r->n_ports; i++)
		ports_release(all, r->ports[i].number);
	r->n_ports = 0;
	r->port = 0;
}

void replica_ports_adopt(struct replica *r)
{
	struct ports *all = r->service->controller->ports;

	ports_adopt(all, r->port);
	for (unsigned i = 0; i < r->n_ports; i++)
		ports_adopt(all, r->ports[i].number);
}

/* Gives back those of names that are no more. */
static void release_old(struct replica *r, const struct replica_port *now, unsigned n)
{
	for (unsigned i = 0; i < r->n_ports; i++) {
		bool kept = false;

		for (unsigned k = 0; k < n; k++)
			kept = kept || now[k].number == r->ports[i].number;
		if (!kept)
			ports_release(r->service->controller->ports, r->ports[i].number);
	}
}

int replica_ports_take(struct replica *r)
{
	const struct service *s = r->service;
	const struct port_spec *first = service_spec_main_port(s->spec), *p;
	struct replica_port now[REPLICA_PORTS_MAX];
	unsigned n = 0;

	for (; (p = replica_ports_at(s->spec, n)) && n < REPLICA_PORTS_MAX; n++) {
		unsigned have = replica_ports_number(r, p->name);

		now[n].name = hash(p->name);
		now[n].number = (uint16_t)ports_take(s->controller->ports, s->name, r->index,
						     p->name, have);
		if (now[n].number == 0) {
			while (n > 0)
				ports_release(s->controller->ports, now[--n].number);
			replica_ports_release(r);
			return -1;
		}
	}
	release_old(r, now, n);
	if (n == 0)
		ports_release(s->controller->ports, r->port);
	memcpy(r->ports, now, n * sizeof(now[0]));
	r->n_ports = n;
	r->port = first ? replica_ports_number(r, first->name) : 0;
	return 0;
}
