/* manifest_check: see manifest_check.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/manifest_check.h"

#include <string.h>

#include "lib/err.h"
#include "lib/fs.h"
#include "lib/manifest.h"
#include "lib/manifest_decode.h"
#include "lib/mem.h"
#include "lib/yamltree.h"

static struct manifest_place place(const struct service_spec *s, const struct ynode *node)
{
	(void)s;
	return (struct manifest_place){node->file, node->line, node->column};
}

/* Tries the replacement that happens when a replica starts. context is taken. */
static void try_expand(const struct service_spec *s, const struct ynode *node, char *context,
		       struct manifest_errors *errors)
{
	struct manifest_place at = place(s, node);
	struct err *e = NULL;
	size_t offset = 0;

	if (!context)
		errors->nomem = true;
	else if (node->kind == YNODE_SCALAR &&
		 manifest_expand_check(node->text, s, &offset, &e) < 0)
		manifest_errors_take(errors, &at, context, &e);
	mem_free(context);
}

static void check_expansion(const struct service_spec *s, const struct ynode *node,
			    struct manifest_errors *errors)
{
	const struct ynode *command = yamltree_get(node, "command");
	const struct ynode *vars = yamltree_get(node, "environment");

	for (size_t i = 0; command && command->kind == YNODE_LIST && i < command->n; i++)
		try_expand(s, command->items[i].value, mem_printf("command[%zu]", i), errors);
	for (size_t i = 0; vars && vars->kind == YNODE_MAP && i < vars->n; i++)
		try_expand(s, vars->items[i].value,
			   mem_printf("environment.%s", vars->items[i].key->text), errors);
}

static void check_command(const struct service_spec *s, const struct ynode *node,
			  struct manifest_errors *errors)
{
	const struct ynode *command = yamltree_get(node, "command");
	struct manifest_place at;

	if (!command || command->kind != YNODE_LIST || !s->command || !s->command[0] ||
	    s->command[0][0])
		return;
	at = place(s, command->items[0].value);
	manifest_errors_add(errors, &at, NULL, "command[0]: the program's name is empty");
}

static void check_probe_port(const struct service_spec *s, const struct ynode *node,
			     const char *kind, struct manifest_errors *errors)
{
	const struct ynode *http =
		yamltree_get(yamltree_get(yamltree_get(node, "probes"), kind), "http");
	struct manifest_place at;

	if (!http || http->kind != YNODE_MAP || yamltree_get(http, "port") || s->ports.n > 0)
		return;
	at = place(s, http);
	manifest_errors_add(errors, &at,
			    "give the service a port, or the probe: http: { port: ... }",
			    "probes.%s.http: there is no port to ask", kind);
}

static void check_backoff(const struct service_spec *s, const struct ynode *node,
			  struct manifest_errors *errors)
{
	const struct ynode *backoff = yamltree_get(yamltree_get(node, "restart"), "backoff");
	const struct ynode *max = yamltree_get(backoff, "max");
	const struct ynode *initial = yamltree_get(backoff, "initial");
	struct manifest_place at;

	if (s->restart.backoff_max_ms >= s->restart.backoff_initial_ms || (!max && !initial))
		return;
	at = place(s, max ? max : initial);
	manifest_errors_add(errors, &at, NULL,
			    "restart.backoff.%s: max (%s) is shorter than initial (%s)",
			    max ? "max" : "initial", max ? max->text : "default 60s",
			    initial ? initial->text : "default 1s");
}

/* "./x" of a manifest in /srv/app means /srv/app/x. */
static void complete_working_dir(struct service_spec *s, const struct ynode *node,
				 struct manifest_errors *errors)
{
	const struct ynode *at = yamltree_get(node, "working_dir");
	_cleanup_free_ char *base = fs_dirname(at ? at->file : s->file);
	char *dir = base ? fs_join(base, s->working_dir ? s->working_dir : ".") : NULL;

	if (!dir) {
		errors->nomem = true;
		return;
	}
	mem_free(s->working_dir);
	s->working_dir = dir;
}

void manifest_check_service(struct service_spec *s, const struct ynode *node,
			    struct manifest_errors *errors)
{
	check_command(s, node, errors);
	check_expansion(s, node, errors);
	check_probe_port(s, node, "startup", errors);
	check_probe_port(s, node, "readiness", errors);
	check_probe_port(s, node, "liveness", errors);
	check_backoff(s, node, errors);
	complete_working_dir(s, node, errors);
}

/* Where the number of a port is written: at ports.NAME.port or at port. */
static void port_place(const struct service_spec *s, const struct port_spec *port,
		       struct manifest_place *ret)
{
	_cleanup_free_ char *key = mem_printf("ports.%s.port", port->name);

	*ret = (struct manifest_place){s->file, s->line, 1};
	if (key)
		service_spec_place(s, key, ret);
}

/* b may be a. */
static void check_ports(const struct service_spec *a, const struct service_spec *b,
			struct manifest_errors *errors)
{
	const struct port_spec *first, *second = service_spec_clash(a, b, &first);
	struct manifest_place at, there;

	if (!second)
		return;
	port_place(a, first, &there);
	port_place(b, second, &at);
	if (a == b)
		manifest_errors_add(errors, &at, NULL,
				    "ports.%s: %lld is taken by ports.%s at line %u", second->name,
				    (long long)second->port, first->name, there.line);
	else
		manifest_errors_add(
			errors, &at, NULL, "port: %lld is taken by service \"%s\" at %s:%u:%u",
			(long long)second->port, a->name, there.file, there.line, there.column);
}

static void check_pair(const struct manifest_entry *a, const struct manifest_entry *b,
		       struct manifest_errors *errors)
{
	if (strcmp(a->spec->name, b->spec->name) == 0)
		manifest_errors_add(errors, &b->at, NULL,
				    "services.%s: defined twice, first at %s:%u:%u", b->spec->name,
				    a->at.file, a->at.line, a->at.column);
	else
		check_ports(a->spec, b->spec, errors);
}

void manifest_check_set(const struct manifest_set *set, struct manifest_errors *errors)
{
	for (size_t i = 0; !errors->nomem && i < set->n; i++) {
		check_ports(set->entries[i].spec, set->entries[i].spec, errors);
		for (size_t k = 0; k < i; k++)
			check_pair(&set->entries[k], &set->entries[i], errors);
	}
}
