/* conflicts: see conflicts.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/conflicts.h"

#include <string.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/service.h"
#include "lib/depends.h"
#include "lib/err.h"
#include "lib/manifest.h"
#include "lib/manifest_depends.h"
#include "lib/mem.h"

struct manifest_place conflicts_place(const struct service_spec *spec, const char *key)
{
	struct manifest_place at;

	if (!service_spec_place(spec, key, &at))
		at = (struct manifest_place){spec->file, spec->line, 1};
	return at;
}

static bool comes(const struct conflicts *k, const char *name)
{
	return depends_find(k->specs, k->n, name) < k->n;
}

/* It will be there afterwards. */
static bool stays(const struct conflicts *k, const struct service *s)
{
	if (!s || s->deleted || !s->spec)
		return false;
	return !k->prune || strcmp(s->set, k->set) != 0;
}

/* ---- names and ports ---- */

static void check_name(const struct conflicts *k, const struct service_spec *spec,
		       const struct service *s, struct manifest_errors *errors)
{
	_cleanup_free_ char *hint =
		mem_printf("rename it here, or delete it there: aictl delete %s", s->name);
	const struct manifest_place at = conflicts_place(spec, "");
	_cleanup_err_ struct err *e = NULL;

	if (strcmp(s->set, k->set) == 0)
		return;
	err_set(&e, ERR_CONFLICT, "service \"%s\" belongs to the apply set \"%s\" already", s->name,
		s->set);
	err_hint(&e, "%s", hint ? hint : "");
	manifest_errors_take(errors, &at, NULL, &e);
}

static void check_port(const struct service_spec *spec, const struct service *s,
		       struct manifest_errors *errors)
{
	const struct port_spec *port = service_spec_clash(s->spec, spec, NULL);
	_cleanup_free_ char *key = port ? mem_printf("ports.%s.port", port->name) : NULL;
	_cleanup_err_ struct err *e = NULL;
	struct manifest_place at;

	if (!port)
		return;
	at = conflicts_place(spec, key ? key : "");
	err_set(&e, ERR_CONFLICT, "port %lld is a port of service \"%s\" already",
		(long long)port->port, s->name);
	manifest_errors_take(errors, &at, NULL, &e);
}

static void check_others(const struct conflicts *k, const struct service_spec *spec,
			 struct manifest_errors *errors)
{
	for (size_t i = 0; i < k->c->n_services; i++) {
		const struct service *s = k->c->services[i];

		if (s->deleted || !s->spec)
			continue;
		if (strcmp(s->name, spec->name) == 0)
			check_name(k, spec, s, errors);
		else if (stays(k, s) && !comes(k, s->name)) /* else the parser has compared them */
			check_port(spec, s, errors);
	}
}

/* ---- dependencies ---- */

/* Of two sets: within one the parser has found it. */
static void check_cycles(const struct conflicts *k, struct manifest_errors *errors)
{
	const struct controller *c = k->c;
	const struct service_spec **all = mem_array(c->n_services + k->n + 1, sizeof(*all));
	size_t n = 0, at = 0;

	if (!all) {
		errors->nomem = true;
		return;
	}
	for (size_t i = 0; i < c->n_services; i++) { /* both are sorted by name */
		const struct service *s = c->services[i];

		while (at < k->n && strcmp(k->specs[at]->name, s->name) <= 0)
			all[n++] = k->specs[at++];
		if (stays(k, s) && !comes(k, s->name))
			all[n++] = s->spec;
	}
	while (at < k->n)
		all[n++] = k->specs[at++];
	manifest_depends_cycle(all, n, errors);
	mem_free(all);
}

/* A required one that nobody has. */
static void check_dependencies(const struct conflicts *k, const struct service_spec *spec,
			       struct manifest_errors *errors)
{
	const struct depend_spec *v = spec->depends_on.v;

	for (size_t i = 0; i < spec->depends_on.n; i++) {
		_cleanup_free_ char *key = mem_printf("depends_on.%s", v[i].name);
		const struct manifest_place at = conflicts_place(spec, key ? key : "");

		if (v[i].required && !comes(k, v[i].name) &&
		    !stays(k, controller_find(k->c, v[i].name)))
			manifest_errors_add(
				errors, &at,
				"apply it first, or write required: false if it may be missing",
				"depends_on.%s: there is no such service, neither here nor in the daemon",
				v[i].name);
	}
}

void conflicts_check(const struct conflicts *k, struct manifest_errors *errors)
{
	for (size_t i = 0; i < k->n; i++)
		check_dependencies(k, k->specs[i], errors);
	check_cycles(k, errors);
	for (size_t i = 0; i < k->n; i++)
		check_others(k, k->specs[i], errors);
}
