/* apply: see apply.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/apply.h"

#include <string.h>
#include <uv.h>

#include "daemon/controller/change.h"
#include "daemon/controller/controller.h"
#include "daemon/controller/events.h"
#include "daemon/controller/identity.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/service.h"
#include "daemon/controller/sources.h"
#include "daemon/controller/store.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/manifest.h"
#include "lib/mem.h"

/* What becomes of one service of the manifest. */
struct item {
	const struct service_spec *spec;
	const char *user;    /* to look up; NULL = ourselves. Borrowed from spec or the options */
	struct identity *id; /* found by the worker */
	const char *action;  /* static, as in the change */
	struct buf keys;     /* what changed */
};

struct job {
	struct job *next;
	struct controller *c;
	uv_work_t work;
	char change_id[CHANGE_ID_MAX + 1];
	struct sources sources;
	bool prune;
	uint32_t uid;
	void (*done)(void *user, struct change *ch, const struct manifest_errors *errors,
		     const struct err *err);
	void *user;
	struct spec_source *source;
	struct manifest_errors errors;
	struct item *items;
	size_t n_items;
	struct err *lookup_err; /* by the worker */
	struct change *change;
	uint64_t revision;
};

struct apply_queue {
	struct job *first; /* the one under way */
	size_t n;
};

struct apply_queue *apply_queue_new(void)
{
	return mem_alloc(sizeof(struct apply_queue));
}

static void job_free(struct job *j)
{
	sources_done(&j->sources);
	for (size_t i = 0; i < j->n_items; i++) {
		identity_free(j->items[i].id);
		buf_done(&j->items[i].keys);
	}
	mem_free(j->items);
	service_source_unref(j->source);
	manifest_errors_done(&j->errors);
	err_free(j->lookup_err);
	mem_free(j);
}

void apply_queue_free(struct apply_queue *q)
{
	while (q && q->first) {
		struct job *j = q->first;

		q->first = j->next;
		job_free(j);
	}
	mem_free(q);
}

static void run_first(struct controller *c);

/* The job at the head is over; the caller's callback is told, the next one runs. */
static void finish(struct job *j, struct change *ch, const struct err *err)
{
	struct controller *c = j->c;

	j->done(j->user, ch, !ch && !err ? &j->errors : NULL, err);
	c->apply->first = j->next;
	c->apply->n--;
	job_free(j);
	run_first(c);
}

/* ---- 1. parse and check against what runs ---- */

static void add_error(struct job *j, const struct service_spec *spec, struct err *e)
{
	err_place(&e, spec->file, spec->line, 1);
	if (j->errors.n < MANIFEST_ERRORS_MAX) {
		j->errors.errs[j->errors.n++] = e;
	} else {
		j->errors.more = true;
		err_free(e);
	}
}

static void check_user(struct job *j, struct item *it)
{
	const struct controller *c = j->c;
	struct err *e = NULL;

	it->user = it->spec->user;
	if (c->root && !it->user)
		it->user = c->opts.default_user;
	if (c->root && !it->user) {
		err_set(&e, ERR_INVALID,
			"service \"%s\": user is missing: this daemon runs as root and starts nothing as root by itself",
			it->spec->name);
		err_hint(&e, "add `user: NAME`, or start aictld with --default-user NAME");
		add_error(j, it->spec, e);
	}
}

static void check_conflicts(struct job *j, const struct service_spec *spec)
{
	const struct controller *c = j->c;
	const char *set = j->source->manifest->name;
	struct err *e = NULL;

	for (size_t i = 0; i < c->n_services; i++) {
		const struct service *s = c->services[i];

		if (s->deleted || !s->spec)
			continue;
		if (strcmp(s->name, spec->name) == 0) {
			if (strcmp(s->set, set) == 0)
				continue;
			err_set(&e, ERR_CONFLICT,
				"service \"%s\" belongs to the apply set \"%s\" already", s->name,
				s->set);
			err_hint(&e, "rename it here, or delete it there: aictl delete %s",
				 s->name);
			add_error(j, spec, TAKE_PTR(e));
		} else if (spec->port && s->spec->port == spec->port &&
			   !manifest_find(j->source->manifest, s->name)) {
			err_set(&e, ERR_CONFLICT, "port %lld is the port of service \"%s\" already",
				(long long)spec->port, s->name);
			add_error(j, spec, TAKE_PTR(e));
		}
	}
}

static int prepare(struct job *j)
{
	struct manifest *m = NULL;
	char *json;
	int r = sources_parse(&j->sources, &m, &j->errors);

	if (r < 0)
		return r;
	json = sources_to_json(&j->sources);
	j->source = json ? service_source_new(m, json) : NULL;
	if (!j->source) {
		manifest_free(m);
		mem_free(json);
		return -ERR_NOMEM;
	}
	j->items = mem_array(m->n_services, sizeof(*j->items));
	if (!j->items)
		return -ERR_NOMEM;
	j->n_items = m->n_services;
	for (size_t i = 0; i < j->n_items; i++) {
		j->items[i].spec = m->services[i];
		check_user(j, &j->items[i]);
		check_conflicts(j, m->services[i]);
	}
	return j->errors.n ? -ERR_INVALID : 0;
}

/* ---- 2. users, in a worker thread ---- */

static void look_up(uv_work_t *work)
{
	struct job *j = work->data;

	for (size_t i = 0; i < j->n_items && !j->lookup_err; i++) {
		struct item *it = &j->items[i];

		if (identity_lookup(it->user, &it->id, &j->lookup_err) < 0) {
			err_wrap(&j->lookup_err, "service \"%s\"", it->spec->name);
			err_place(&j->lookup_err, it->spec->file, it->spec->line, 1);
		} else if (!j->c->root && it->id->uid != j->c->owner) {
			err_set(&j->lookup_err, ERR_INVALID,
				"service \"%s\": user \"%s\": this daemon runs as an ordinary user and starts everything as itself",
				it->spec->name, it->user);
			err_hint(&j->lookup_err,
				 "leave `user` out, or apply to a daemon that runs as root");
			err_place(&j->lookup_err, it->spec->file, it->spec->line, 1);
		}
	}
}

/* ---- 3. what changes ---- */

static void compare(struct job *j, struct item *it)
{
	const struct service *s = controller_find(j->c, it->spec->name);

	if (!s || !s->spec || s->deleted) {
		it->action = "created";
		return;
	}
	switch (service_spec_diff(s->spec, it->spec, &it->keys)) {
	case CHANGE_NONE:
		it->action = "unchanged";
		break;
	case CHANGE_LIVE:
		it->action = "live";
		break;
	case CHANGE_REPLACE:
		it->action = "updated";
		break;
	}
}

static bool is_change(const struct item *it)
{
	return strcmp(it->action, "unchanged") != 0;
}

/* Services of this set that the manifest no longer holds. */
static int list_left_over(struct job *j)
{
	const struct manifest *m = j->source->manifest;
	struct controller *c = j->c;
	size_t n = 0;

	j->change->not_in_manifest = mem_array(c->n_services + 1, sizeof(char *));
	if (!j->change->not_in_manifest)
		return -ERR_NOMEM;
	for (size_t i = 0; i < c->n_services; i++) {
		const struct service *s = c->services[i];

		if (s->deleted || strcmp(s->set, m->name) != 0 || manifest_find(m, s->name))
			continue;
		j->change->not_in_manifest[n] = mem_strdup(s->name);
		if (!j->change->not_in_manifest[n++])
			return -ERR_NOMEM;
	}
	return 0;
}

static int fill_change(struct job *j)
{
	j->change = change_new(j->c, j->change_id, "apply");
	if (!j->change)
		return -ERR_NOMEM;
	j->change->set = mem_strdup(j->source->manifest->name);
	for (size_t i = 0; i < j->n_items; i++)
		if (change_add_service(j->change, j->items[i].spec->name, j->items[i].action,
				       false) < 0)
			return -ERR_NOMEM;
	if (!j->change->set || list_left_over(j) < 0)
		return -ERR_NOMEM;
	for (size_t i = 0; j->prune && j->change->not_in_manifest[i]; i++)
		if (change_add_service(j->change, j->change->not_in_manifest[i], "removed", true) <
		    0)
			return -ERR_NOMEM;
	return 0;
}

/* ---- 4. commit, then memory ---- */

static void take_service(struct job *j, struct item *it)
{
	struct controller *c = j->c;
	struct service *s = controller_find(c, it->spec->name);

	if (!s) {
		s = service_new(c, it->spec->name, j->source->manifest->name);
		if (!s || controller_add_service(c, s) < 0) {
			if (s)
				service_free(s);
			log_error(
				"service=%s not taken: out of memory (it is stored: a restart finds it)",
				it->spec->name);
			return;
		}
	}
	if (is_change(it)) {
		s->revision = j->revision;
		s->updated_wall_ms = clock_wall_ms();
		memccpy(s->changed_keys, buf_cstr(&it->keys), '\0', sizeof(s->changed_keys) - 1);
		if (s->spec && s->spec->replicas != it->spec->replicas)
			s->replicas_override = -1;
	}
	if (strcmp(it->action, "created") == 0) {
		s->stopped = s->deleted = false;
		s->replicas_override = -1;
	}
	service_set_spec(s, j->source, it->spec, TAKE_PTR(it->id));
	if (s->left_alone) {
		s->left_alone = false;
		for (size_t i = 0; i < s->n_replicas; i++)
			replica_take_over(s->replicas[i]);
	}
	if (strcmp(it->action, "live") == 0)
		for (size_t i = 0; i < s->n_replicas; i++)
			replica_respec(s->replicas[i]);
	for (size_t i = 0; i < s->n_replicas; i++)
		replica_renew_standby(s->replicas[i]);
	controller_touch(s);
}

static void publish(struct job *j)
{
	_cleanup_free_ char *message = mem_printf("revision %llu of set %s applied",
						  (unsigned long long)j->revision, j->change->set);
	const struct event_args a = {"", -1, "apply", "manifest_changed", message, NULL, NULL};

	events_add(j->c->events, &a);
}

static void on_committed(void *user, const struct err *err)
{
	struct job *j = user;
	struct controller *c = j->c;

	if (err) {
		struct err *copy = NULL;

		err_set(&copy, err->code, "%s", err->msg);
		change_finish(c, j->change, copy);
		finish(j, NULL, err);
		return;
	}
	for (size_t i = 0; i < j->n_items; i++)
		take_service(j, &j->items[i]);
	for (size_t i = 0; j->prune && j->change->not_in_manifest[i]; i++) {
		struct service *s = controller_find(c, j->change->not_in_manifest[i]);

		if (s) {
			s->deleted = true;
			controller_touch(s);
		}
	}
	controller_set(c, j->change->set)->revision = j->revision;
	j->change->revision = j->revision;
	j->change->committed = true;
	publish(j);
	finish(j, j->change, NULL);
}

static int put_services(struct job *j)
{
	struct store *st = j->c->store;
	int r = 0;

	for (size_t i = 0; i < j->n_items && r == 0; i++) {
		const struct item *it = &j->items[i];
		const struct service *s = controller_find(j->c, it->spec->name);
		bool keep = s && !s->deleted && s->spec;
		const struct store_service row = {
			.name = it->spec->name,
			.set = j->source->manifest->name,
			.sources = j->source->json,
			.revision = is_change(it) || !keep ? j->revision : s->revision,
			.stopped = keep && s->stopped,
			.replicas_override = keep && s->spec->replicas == it->spec->replicas
						     ? s->replicas_override
						     : -1};

		r = store_put_service(st, &row, true, NULL, NULL);
	}
	for (size_t i = 0; j->prune && r == 0 && j->change->not_in_manifest[i]; i++)
		r = store_del_service(st, j->change->not_in_manifest[i], true, NULL, NULL);
	return r;
}

static int commit(struct job *j)
{
	const struct store_revision rev = {.set = j->source->manifest->name,
					   .number = j->revision,
					   .sources = j->source->json,
					   .at_wall_ms = clock_wall_ms(),
					   .uid = j->uid};
	int r;

	store_begin(j->c->store);
	r = put_services(j);
	if (r == 0)
		r = store_put_revision(j->c->store, &rev, true, on_committed, j);
	store_end(j->c->store);
	return r;
}

static void fail(struct job *j, int code, const char *what)
{
	_cleanup_err_ struct err *err = NULL;
	struct err *copy = NULL;

	if (code == -ERR_NOMEM)
		err_nomem(&err);
	else
		err_set(&err, (enum err_code) - code, "%s", what);
	if (j->change) {
		err_set(&copy, err->code, "%s", err->msg);
		change_finish(j->c, j->change, copy);
	}
	finish(j, NULL, err);
}

static void on_looked_up(uv_work_t *work, int status)
{
	struct job *j = work->data;
	struct set *set;
	bool changes = false;
	int r;

	(void)status;
	if (j->lookup_err) { /* as any other error of the manifest */
		j->errors.errs[j->errors.n++] = TAKE_PTR(j->lookup_err);
		finish(j, NULL, NULL);
		return;
	}
	for (size_t i = 0; i < j->n_items; i++) {
		compare(j, &j->items[i]);
		changes = changes || is_change(&j->items[i]);
	}
	set = controller_set(j->c, j->source->manifest->name);
	r = set ? fill_change(j) : -ERR_NOMEM;
	if (r < 0) {
		fail(j, r, "");
		return;
	}
	changes = changes || (j->prune && j->change->not_in_manifest[0]);
	if (!changes) { /* nothing is written; the new text's lines are taken over all the same */
		j->revision = j->change->revision = set->revision;
		for (size_t i = 0; i < j->n_items; i++)
			take_service(j, &j->items[i]);
		j->change->committed = true;
		finish(j, j->change, NULL);
		return;
	}
	j->revision = set->revision + 1;
	r = commit(j);
	if (r < 0)
		fail(j, r, "the state directory does not keep up (hung disk?): try again");
}

static void run_first(struct controller *c)
{
	struct job *j = c->apply->first;
	int r;

	if (!j)
		return;
	r = prepare(j);
	if (r == -ERR_INVALID)
		finish(j, NULL, NULL);
	else if (r < 0)
		fail(j, r, "");
	else if (uv_queue_work(c->loop, &j->work, look_up, on_looked_up) < 0)
		fail(j, -ERR_BUSY, "no worker thread: try again");
}

static void start_later(uv_work_t *work)
{
	(void)work;
}

static void on_start(uv_work_t *work, int status)
{
	struct job *j = work->data;

	(void)status;
	if (j->c->apply->first == j)
		run_first(j->c);
}

int apply_submit(struct controller *c, const struct apply_args *args)
{
	struct job *j, **at;

	if (c->apply->n >= APPLY_QUEUE_MAX)
		return -ERR_BUSY;
	j = mem_alloc(sizeof(*j));
	if (!j)
		return -ERR_NOMEM;
	memccpy(j->change_id, args->change_id, '\0', sizeof(j->change_id) - 1);
	j->c = c;
	j->prune = args->prune;
	j->uid = args->uid;
	j->done = args->done;
	j->user = args->user;
	j->work.data = j;
	for (at = &c->apply->first; *at; at = &(*at)->next)
		;
	*at = j;
	c->apply->n++;
	if (c->apply->first == j && uv_queue_work(c->loop, &j->work, start_later, on_start) < 0) {
		*at = NULL;
		c->apply->n--;
		job_free(j);
		return -ERR_BUSY;
	}
	j->sources = *args->sources;
	*args->sources = (struct sources){0};
	return 0;
}
