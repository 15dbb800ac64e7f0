/* load: see load.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/load.h"

#include <cjson/cJSON.h>
#include <string.h>
#include <uv.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/exit_lines.h"
#include "daemon/controller/exits.h"
#include "daemon/controller/events.h"
#include "daemon/controller/hold.h"
#include "daemon/controller/identity.h"
#include "daemon/controller/inventory.h"
#include "daemon/controller/revisions.h"
#include "daemon/controller/service.h"
#include "daemon/controller/service_rollout.h"
#include "daemon/controller/sources.h"
#include "daemon/controller/store.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/manifest.h"
#include "lib/mem.h"

struct loaded {
	struct service *service; /* not yet in the controller */
	const struct service_spec *spec;
	struct spec_source *source;
	struct identity *id;
	struct zones zones;	  /* of its schedules */
	struct service_good good; /* of the rollout under way */
	struct err *err;
};

struct load {
	uv_work_t work;
	struct controller *c;
	struct loaded *list;
	size_t n;
};

struct spec_source *load_parse(const char *json)
{
	__attribute__((cleanup(sources_done))) struct sources sources = {0};
	cJSON *array = cJSON_Parse(json);
	struct manifest_errors errors = {0};
	struct manifest *m = NULL;
	struct spec_source *src = NULL;
	char *copy = mem_strdup(json);

	if (copy && array && sources_from_json(array, &sources, NULL) == 0 &&
	    sources_parse(&sources, &m, &errors) == 0)
		src = service_source_new(m, copy);
	if (!src) {
		if (errors.n)
			log_error("store: %s:%u: %s",
				  errors.errs[0]->file ? errors.errs[0]->file : "",
				  errors.errs[0]->line, errors.errs[0]->msg);
		manifest_free(m);
		mem_free(copy);
	}
	manifest_errors_done(&errors);
	cJSON_Delete(array);
	return src;
}

static void restore_exits(struct service *s, const struct store_snapshot *snap)
{
	for (size_t i = 0; i < snap->n_exits; i++) {
		const struct store_exit *row = &snap->exits[i];
		struct replica_exit x;

		if (strcmp(row->service, s->name) != 0)
			continue;
		x = exits_from_store(row);
		exits_add(s->exits, row->index, &x);
	}
}

/* Its rollouts, oldest first; of the last one the good revision is parsed if it is needed. */
static void read_rollouts(struct loaded *at, const struct store_snapshot *snap)
{
	for (size_t i = 0; i < snap->n_rollouts; i++) {
		const struct store_rollout *row = &snap->rollouts[i];

		if (strcmp(row->service, at->service->name) != 0)
			continue;
		if (row->good_sources && !at->good.source &&
		    (i + 1 == snap->n_rollouts ||
		     strcmp(snap->rollouts[i + 1].service, row->service) != 0)) {
			at->good.source = load_parse(row->good_sources);
			at->good.revision = row->good_revision;
		}
		service_rollout_restore(at->service, row);
	}
	if (!at->good.source)
		return;
	at->good.spec = manifest_find(at->good.source->manifest, at->service->name);
	if (at->good.spec)
		at->good.hash = service_spec_hash(at->good.spec);
}

static void read_service(struct load *l, const struct store_snapshot *snap,
			 const struct store_service *row, struct spec_source **last)
{
	struct loaded *at = &l->list[l->n];

	if (!*last || strcmp((*last)->json, row->sources) !=
			      0) { /* services of one apply share their source */
		service_source_unref(*last);
		*last = load_parse(row->sources);
	}
	at->spec = *last ? manifest_find((*last)->manifest, row->name) : NULL;
	at->service = at->spec ? service_new(l->c, row->name, row->set) : NULL;
	if (!at->service) {
		l->c->store_replaced = true; /* what runs of it is not an unknown service's */
		log_error("service=%s cannot be read from the store: it is left alone", row->name);
		return;
	}
	at->source = service_source_ref(*last);
	at->service->revision = row->revision;
	at->service->stopped = row->stopped;
	at->service->replicas_override = row->replicas_override;
	hold_restore(at->service, row->held_until_wall_ms);
	at->service->override_until_wall_ms = row->override_until_wall_ms;
	at->service->scaled = row->scaled;
	at->service->run = (struct service_run){row->run_due_wall_ms, row->run_after_wall_ms};
	at->service->start_ms = row->start_ms;
	restore_exits(at->service, snap);
	read_rollouts(at, snap);
	l->n++;
}

void load_look_up(const struct controller *c, const struct service_spec *spec,
		  struct identity **ret, struct err **reterr)
{
	const char *user = c->root && !spec->user ? c->opts.default_user : spec->user;

	if (service_spec_is_container(spec)) /* whose home "~" is, and whose the secrets' files */
		identity_lookup(c->root ? (c->opts.default_user ? c->opts.default_user : "root")
					: NULL,
				NULL, ret, reterr);
	else if (c->root && !user)
		err_set(reterr, ERR_INVALID, "it has no user and aictld no --default-user");
	else
		identity_lookup(user, spec->group, ret, reterr);
}

static void look_up(uv_work_t *work)
{
	struct load *l = work->data;

	for (size_t i = 0; i < l->n; i++) {
		struct loaded *at = &l->list[i];
		_cleanup_err_ struct err *err = NULL, *zone = NULL;
		const char *key;

		load_look_up(l->c, at->spec, &at->id, &at->err);
		if (zones_read(&at->zones, at->spec, &key, &zone) < 0)
			log_error("service=%s its %s is taken as UTC: %s", at->spec->name, key,
				  err_msg(zone));
		if (at->good.spec)
			load_look_up(l->c, at->good.spec, &at->good.identity, &err);
	}
}

static void on_looked_up(uv_work_t *work, int status)
{
	struct load *l = work->data;
	struct controller *c = l->c;

	(void)status;
	for (size_t i = 0; i < l->n; i++) {
		struct loaded *at = &l->list[i];

		if (c->closed) {
			service_free(at->service);
		} else if (at->err || controller_add_service(c, at->service) < 0) {
			c->store_replaced = true; /* what runs of it is left alone */
			log_error("service=%s cannot be run: %s", at->service->name,
				  err_msg(at->err));
			service_free(at->service);
		} else {
			zones_put(&c->zones, &at->zones);
			service_set_spec(at->service, at->source, at->spec, TAKE_PTR(at->id));
			if (at->good.spec && at->good.identity)
				service_rollout_set_good(at->service, &at->good);
		}
		service_source_unref(at->source);
		identity_unref(at->id);
		service_source_unref(at->good.source);
		identity_unref(at->good.identity);
		zones_done(&at->zones);
		err_free(at->err);
	}
	mem_free(l->list);
	mem_free(l);
	if (c->closed)
		return;
	c->loaded = true;
	controller_begin(c);
}

/* Never written to: a state directory that was emptied, or another one than what runs came from. */
static bool is_new(const struct store_snapshot *snap)
{
	return snap->n_revisions == 0 && snap->n_services == 0 && snap->n_exits == 0 &&
	       snap->last_event_seq == 0;
}

int load_from_store(struct controller *c, const struct store_snapshot *snap)
{
	struct load *l = mem_alloc(sizeof(*l));
	struct spec_source *last = NULL;

	if (l)
		l->list = mem_array(snap->n_services, sizeof(*l->list));
	if (!l || !l->list) {
		mem_free(l);
		return -ERR_NOMEM;
	}
	l->c = c;
	l->work.data = l;
	if (is_new(snap) && !c->opts.inherit_env) /* an `up` empties its own, and begins anew */
		c->store_replaced = true;
	for (size_t i = snap->n_revisions; i-- > 0;) { /* the newest of a set comes last */
		struct set *set = controller_set(c, snap->revisions[i].set);

		if (!set)
			continue;
		set->revision = snap->revisions[i].number;
		if (revisions_add(set, &snap->revisions[i]) < 0)
			log_warn("set=%s a revision is not shown: out of memory", set->name);
	}
	events_restore(c->events, snap->events, snap->n_events, snap->last_event_seq);
	for (size_t i = 0; c->inventory && i < snap->n_exits; i++)
		if (inventory_add_exit(c->inventory, &snap->exits[i]) < 0)
			break; /* out of memory: `ps` shows fewer last exits */
	exit_lines_recall(c->exit_lines, snap);
	for (size_t i = 0; i < snap->n_services; i++)
		read_service(l, snap, &snap->services[i], &last);
	service_source_unref(last);
	if (uv_queue_work(c->loop, &l->work, look_up, on_looked_up) < 0)
		return -ERR_BUSY;
	return 0;
}
