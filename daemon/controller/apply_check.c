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
#include "daemon/controller/conflicts.h"
#include "daemon/controller/controller.h"
#include "daemon/controller/identity.h"
#include "daemon/controller/limits.h"
#include "daemon/controller/load.h"
#include "daemon/controller/runtimes.h"
#include "daemon/controller/secrets.h"
#include "daemon/controller/service.h"
#include "daemon/controller/sources.h"
#include "daemon/controller/zones.h"
#include "daemon/wire/wire_routes.h"
#include "lib/err.h"
#include "lib/manifest.h"
#include "lib/manifest_host.h"
#include "lib/mem.h"

/* ---- in the worker thread ---- */

static void add_error(struct apply_job *j, const struct service_spec *spec, const char *key,
		      struct err **e)
{
	const struct manifest_place at = conflicts_place(spec, key);
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
	sources_forget_generations(&j->sources); /* apply_check_secrets says which they are */
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

	if (service_spec_is_container(it->spec)) { /* its user is one of the image's */
		load_look_up(c, it->spec, &it->id, &e);
		if (e)
			add_error(j, it->spec, "", &e);
		return;
	}
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

#define INDEX_DIGITS 4 /* replicas, and those beside them in an update */

/* No replica could listen there. */
static void check_sockets(struct apply_job *j, const struct apply_item *it)
{
	const char *dir = j->c->hello.sockets_dir;
	const struct port_spec *p = it->spec->ports.v;

	for (size_t i = 0; i < it->spec->ports.n; i++) {
		size_t len = strlen(dir) + strlen(it->name) + strlen(p[i].name) + INDEX_DIGITS + 3;
		_cleanup_err_ struct err *e = NULL;

		if (!p[i].on_socket || len < WIRE_ROUTES_SOCKET_SIZE)
			continue;
		err_set(&e, ERR_INVALID,
			"ports.%s: the path of its ${SOCKET}, %s/%s.NUMBER/%s, is longer than the %d "
			"bytes that a Unix socket may have",
			p[i].name, dir, it->name, p[i].name, WIRE_ROUTES_SOCKET_SIZE - 1);
		err_hint(&e, "shorten the service's or the port's name, or use ${PORT}");
		add_error(j, it->spec, "ports", &e);
	}
}

static void check_zone(struct apply_job *j, struct apply_item *it)
{
	_cleanup_err_ struct err *e = NULL;
	const char *key;

	if (zones_read(&it->zones, it->spec, &key, &e) < 0)
		add_error(j, it->spec, key, &e);
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
		check_zone(j, &j->items[i]);
		check_sockets(j, &j->items[i]);
	}
}

/* ---- on the loop ---- */

int apply_check_secrets(struct apply_job *j)
{
	struct spec_source *src = j->source;
	char *json;

	secrets_assign(j->c, src->manifest);
	json = sources_add_generations(src->json, src->manifest);
	if (!json)
		return -ERR_NOMEM;
	mem_free(src->json);
	src->json = json;
	return 0;
}

void apply_check_conflicts(struct apply_job *j)
{
	const struct manifest *m = j->source->manifest;
	const struct conflicts k = {.c = j->c,
				    .specs = (const struct service_spec *const *)m->services,
				    .n = m->n_services,
				    .set = m->name,
				    .prune = j->prune};

	conflicts_check(&k, &j->errors);
}

void apply_check_runtimes(struct apply_job *j)
{
	for (size_t i = 0; i < j->n_items; i++) {
		_cleanup_err_ struct err *e = NULL;

		if (runtimes_check(j->c->runtimes, j->items[i].spec, &e) < 0)
			add_error(j, j->items[i].spec, "image", &e);
	}
}

void apply_check_limits(struct apply_job *j)
{
	for (size_t i = 0; i < j->n_items; i++)
		limits_check(j->items[i].spec, j->c->status.cgroup_can, &j->errors, &j->warnings);
}
