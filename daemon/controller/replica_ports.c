/* replica_ports: see replica_ports.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/replica_ports.h"

#include <stdio.h>
#include <string.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/ports.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/service.h"
#include "daemon/wire/wire_listen.h"
#include "lib/buf.h"
#include "lib/manifest.h"
#include "lib/mem.h"
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

void replica_ports_socket(const struct replica *r, const struct port_spec *port, char *path,
			  size_t size)
{
	_cleanup_buf_ struct buf dir = {0};

	wire_listen_socket_dir(&dir, r->service->controller->hello.sockets_dir, r->service->name,
			       r->index);
	snprintf(path, size, "%s/%s", buf_cstr(&dir), port->name);
}

const struct port_spec *replica_ports_named(const struct replica *r, const char *ref)
{
	const struct port_spec *p;

	if (!ref || !*ref)
		return r->spec ? service_spec_main_port(r->spec) : NULL;
	for (unsigned i = 0; (p = replica_ports_at(r->spec, i)); i++)
		if (strcmp(p->name, ref) == 0)
			return p;
	return NULL;
}

const char *replica_ports_host(const struct replica *r, const char *host, const char *ref,
			       char path[REPLICA_PORTS_PATH_SIZE])
{
	const struct port_spec *p = replica_ports_named(r, ref);

	if (!p || !p->on_socket)
		return host;
	replica_ports_socket(r, p, path, REPLICA_PORTS_PATH_SIZE);
	return path;
}

void replica_ports_say(const struct replica *r, const char *host, const char *ref, struct buf *out)
{
	char path[REPLICA_PORTS_PATH_SIZE];
	const char *at = replica_ports_host(r, host, ref, path);

	buf_str(out, at);
	if (at == host)
		buf_printf(out, ":%u", replica_ports_resolve(r, ref));
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
	mem_free(r->ports);
	r->ports = NULL;
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
	struct replica_port *copy = NULL;
	unsigned n = 0;

	for (; (p = replica_ports_at(s->spec, n)) && n < REPLICA_PORTS_MAX; n++) {
		unsigned have = replica_ports_number(r, p->name);

		now[n].name = hash(p->name);
		now[n].number = (uint16_t)ports_take(s->controller->ports, s->name, r->index,
						     p->name, have);
		if (now[n].number == 0)
			break;
	}
	if (n > 0)
		copy = mem_dup(now, n * sizeof(now[0]));
	if ((p && n < REPLICA_PORTS_MAX) || (n > 0 && !copy)) {
		mem_free(copy);
		while (n > 0)
			ports_release(s->controller->ports, now[--n].number);
		replica_ports_release(r);
		return -1;
	}
	release_old(r, now, n);
	if (n == 0)
		ports_release(s->controller->ports, r->port);
	mem_free(r->ports);
	r->ports = copy;
	r->n_ports = n;
	r->port = first ? replica_ports_number(r, first->name) : 0;
	return 0;
}
