/*
 * apply_check: what can be wrong with an apply. Parsing, users and the machine are looked at in a
 * worker thread, for they may take long (a name service, a file server); all that is wrong is
 * collected, so that a manifest is repaired in one round.
 *
 * SPDX-License-Identifier: MIT
 */
#include <string.h>
#include <unistd.h>

#include "daemon/controller/apply_job.h"
#include "daemon/controller/controller.h"
#include "daemon/controller/identity.h"
#include "daemon/controller/limits.h"
#include "daemon/controller/secrets.h"
#include "daemon/controller/service.h"
#include "daemon/controller/sources.h"
#include "lib/err.h"
#include "lib/manifest.h"
#include "lib/manifest_host.h"
#include "lib/mem.h"

/* ---- in the worker thread ---- */

/* Where the key is written, "" = the service. */
static struct manifest_place place_of(const struct service_spec *spec, const char *key)
{
	struct manifest_place at;

	if (!service_spec_place(spec, key, &at))
		at = (struct manifest_place){spec->file, spec->line, 1};
	return at;
}

static void add_error(struct apply_job *j, const struct service_spec *spec, const char *key,
		      struct err **e)
{
	const struct manifest_place at = place_of(spec, key);
	_cleanup_free_ char *context = mem_printf("service \"%s\"", spec->name);

	manifest_errors_take(&j->errors, &at, context ? context : "service", e);
}

static int parse(struct apply_job *j)
{
	struct manifest *m = NULL;
	char *json = NULL;
	int r = sources_parse(&j->sources, &m, &j->errors);

	if (r < 0)
		return r;
	if (secrets_assign(j->c, m, &j->sources) == 0)
		json = sources_to_json(&j->sources);
	sources_done(&j->sources);
	j->source = json ? service_source_new(m, json) : NULL;
	if (j->source)
		return 0;
	manifest_free(m);
	mem_free(json);
	return -ERR_NOMEM;
}

static void check_user(struct apply_job *j, struct apply_item *it)
{
	const struct controller *c = j->c;
	_cleanup_err_ struct err *e = NULL;

	it->user = it->spec->user;
	if (c->root && !it->user)
		it->user = c->opts.default_user;
	if (c->root && !it->user) {
		err_set(&e, ERR_INVALID,
			"user is missing: this daemon runs as root and starts nothing as root by itself");
		err_hint(&e, "add `user: NAME`, or start aictld with --default-user NAME");
		add_error(j, it->spec, "", &e);
		return;
	}
	if (identity_lookup(it->user, it->spec->group, &it->id, &e) < 0) {
		if (e->code != ERR_NOTFOUND || !it->spec->user || !j->errors.n)
			add_error(j, it->spec, "user",
				  &e); /* else manifest_host_check has said it */
	} else if (!c->root && it->id->uid != c->owner) {
		err_set(&e, ERR_INVALID,
			"user \"%s\": this daemon runs as an ordinary user and starts everything as itself",
			it->user);
		err_hint(&e, "leave `user` out, or apply to a daemon that runs as root");
		add_error(j, it->spec, "user", &e);
	} else if (!c->root && it->spec->group && it->id->gid != getegid()) {
		err_set(&e, ERR_INVALID,
			"group \"%s\": this daemon runs as an ordinary user and starts everything in its own group",
			it->spec->group);
		err_hint(&e, "leave `group` out, or apply to a daemon that runs as root");
		add_error(j, it->spec, "group", &e);
	}
}

void apply_check_run(struct apply_job *j)
{
	const struct manifest *m;
	int r = parse(j);

	if (r < 0) {
		if (!j->errors.n && !j->err)
			err_nomem(&j->err);
		return;
	}
	m = j->source->manifest;
	j->items = mem_array(m->n_services, sizeof(*j->items));
	if (!j->items) {
		err_nomem(&j->err);
		return;
	}
	j->n_items = m->n_services;
	manifest_host_check(m, j->c->root ? HOST_APPLY_ROOT : HOST_APPLY, &j->errors);
	for (size_t i = 0; i < j->n_items; i++) {
		j->items[i].spec = m->services[i];
		j->items[i].name = m->services[i]->name;
		check_user(j, &j->items[i]);
	}
}

/* ---- on the loop ---- */

static void check_service(struct apply_job *j, const struct service_spec *spec,
			  const struct service *s)
{
	const struct manifest *m = j->source->manifest;
	const struct port_spec *port;
	struct manifest_place at;

	if (strcmp(s->name, spec->name) == 0) {
		_cleanup_free_ char *hint =
			mem_printf("rename it here, or delete it there: aictl delete %s", s->name);
		_cleanup_err_ struct err *e = NULL;

		if (strcmp(s->set, m->name) == 0)
			return;
		err_set(&e, ERR_CONFLICT, "service \"%s\" belongs to the apply set \"%s\" already",
			s->name, s->set);
		err_hint(&e, "%s", hint ? hint : "");
		at = place_of(spec, "");
		manifest_errors_take(&j->errors, &at, NULL, &e);
		return;
	}
	if (manifest_find(m, s->name) || (j->prune && strcmp(s->set, m->name) == 0))
		return; /* what it will be is compared by the parser */
	port = service_spec_clash(s->spec, spec, NULL);
	if (port) {
		_cleanup_free_ char *key = mem_printf("ports.%s.port", port->name);
		_cleanup_err_ struct err *e = NULL;

		at = place_of(spec, key ? key : "");
		err_set(&e, ERR_CONFLICT, "port %lld is a port of service \"%s\" already",
			(long long)port->port, s->name);
		manifest_errors_take(&j->errors, &at, NULL, &e);
	}
}

void apply_check_conflicts(struct apply_job *j)
{
	const struct controller *c = j->c;

	for (size_t i = 0; i < j->n_items; i++)
		for (size_t k = 0; k < c->n_services; k++)
			if (!c->services[k]->deleted && c->services[k]->spec)
				check_service(j, j->items[i].spec, c->services[k]);
}

void apply_check_limits(struct apply_job *j)
{
	for (size_t i = 0; i < j->n_items; i++)
		limits_check(j->items[i].spec, j->c->status.cgroup_can, &j->errors, &j->warnings);
}
