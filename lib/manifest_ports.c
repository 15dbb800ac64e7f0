/* manifest_ports: see manifest_ports.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/manifest_ports.h"

#include <string.h>

#include "lib/manifest.h"
#include "lib/manifest_decode.h"
#include "lib/mem.h"
#include "lib/yamltree.h"

const struct port_spec *manifest_ports_handed(const struct service_spec *s, size_t i)
{
	const struct port_spec *ports = s ? s->ports.v : NULL;

	for (size_t k = 0; ports && k < s->ports.n; k++)
		if (ports[k].mode == PORT_SOCKET && ports[k].port != 0 && i-- == 0)
			return &ports[k];
	return NULL;
}

int manifest_ports_listen_fd(const struct service_spec *s, const struct port_spec *port)
{
	const struct port_spec *p;

	for (int i = 0; (p = manifest_ports_handed(s, (size_t)i)); i++)
		if (p == port)
			return MANIFEST_LISTEN_FD + i;
	return 0;
}

/* FNV-1a, and never 0. */
static int64_t digest(const struct port_spec *p)
{
	uint64_t h = UINT64_C(14695981039346656037) ^ (uint64_t)p->port;

	for (const char *c = p->listen; *c; c++)
		h = (h ^ (unsigned char)*c) * UINT64_C(1099511628211);
	return (int64_t)(h | 1);
}

static struct manifest_place place_at(const struct service_spec *s, const struct ynode *node,
				      const char *a, const char *b, const char *c)
{
	const char *const path[] = {a, b, c};
	struct manifest_place at = {s->file, s->line, 1};

	for (size_t i = 0; i < ARRAY_SIZE(path) && node && path[i]; i++) {
		node = yamltree_get(node, path[i]);
		if (node)
			at = (struct manifest_place){node->file, node->line, node->column};
	}
	return at;
}

static void check_mode(const struct service_spec *s, const struct port_spec *p,
		       const struct ynode *node, struct manifest_errors *errors)
{
	struct manifest_place at = place_at(s, node, "ports", p->name, "mode");

	if (p->port == 0)
		manifest_errors_add(errors, &at, "give it a port",
				    "ports.%s.mode: only a stable port can be handed to replicas",
				    p->name);
	if (manifest_ports_listen_fd(s, p) >= MANIFEST_LISTEN_FD + MANIFEST_HANDED_MAX)
		manifest_errors_add(errors, &at, NULL,
				    "ports.%s.mode: more than %d ports with mode: socket", p->name,
				    MANIFEST_HANDED_MAX);
}

/* It would be one of the sockets. */
static void check_notify_fd(const struct service_spec *s, const struct ynode *node,
			    struct manifest_errors *errors)
{
	int64_t fd = s->probes[PROBE_READINESS].notify_fd;
	struct manifest_place at;
	_cleanup_free_ char *hint = NULL;
	int n = 0;

	while (manifest_ports_handed(s, (size_t)n))
		n++;
	if (n == 0 || fd == 0 || fd >= MANIFEST_LISTEN_FD + n)
		return;
	at = place_at(s, node, "probes", "readiness", "notify_fd");
	hint = mem_printf("%d is free", MANIFEST_LISTEN_FD + n);
	manifest_errors_add(errors, &at, hint,
			    "probes.readiness.notify_fd: descriptor %d is a listening socket "
			    "(ports with mode: socket)",
			    (int)fd);
}

static uint32_t sockets_in(char *const *list, const struct service_spec *s)
{
	uint32_t all = 0;

	for (size_t i = 0; list && list[i]; i++)
		all |= manifest_expand_sockets(list[i], s);
	return all;
}

void manifest_ports_complete(struct service_spec *s, const struct ynode *node,
			     struct manifest_errors *errors)
{
	uint32_t sockets = sockets_in(s->command, s) | sockets_in(s->environment, s);
	struct port_spec *ports = s->ports.v;

	for (size_t i = 0; i < s->ports.n; i++) {
		struct port_spec *p = &ports[i];

		p->on_socket = i < 32 && sockets & UINT32_C(1) << i;
		p->handed = 0;
		if (p->mode != PORT_SOCKET)
			continue;
		check_mode(s, p, node, errors);
		p->handed = p->port ? digest(p) : 0;
	}
	check_notify_fd(s, node, errors);
}
