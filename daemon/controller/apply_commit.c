/*
 * apply_commit: what an apply does, once all is known to be well: the services and the revision go
 * to the store in one transaction; when that is on the disk, to memory. What becomes of a service
 * was said by preview_compare; nothing is decided here.
 *
 * SPDX-License-Identifier: MIT
 */
#include <string.h>

#include "daemon/controller/apply_job.h"
#include "daemon/controller/controller.h"
#include "daemon/controller/events.h"
#include "daemon/controller/order.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/replica_standby.h"
#include "daemon/controller/revisions.h"
#include "daemon/controller/service.h"
#include "daemon/controller/service_rollout.h"
#include "daemon/controller/service_task.h"
#include "daemon/controller/store.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/manifest.h"
#include "lib/mem.h"

struct commit {
	struct apply_job *job;
	void (*done)(struct apply_job *j, const struct err *err);
};

/* ---- memory ---- */

/* It was deleted and has not gone yet, or its manifest was lost: it may have been another set's. */
static void take_over(struct service *s, const char *set)
{
	char *copy = strcmp(s->set, set) == 0 ? NULL : mem_strdup(set);

	if (!copy)
		return;
	mem_free(s->set);
	s->set = copy;
}

static struct service *find_or_make(struct apply_job *j, const struct apply_item *it)
{
	struct controller *c = j->c;
	struct service *s = controller_find(c, it->name);

	if (s) {
		take_over(s, j->source->manifest->name);
		return s;
	}
	s = service_new(c, it->name, j->source->manifest->name);
	if (s && controller_add_service(c, s) == 0)
		return s;
	if (s)
		service_free(s);
	log_error("service=%s not taken: out of memory (it is stored: a restart finds it)",
		  it->name);
	return NULL;
}

/* Processes are (to be) started with something new. */
static bool is_rollout(const struct apply_item *it)
{
	return it->preview.action == PREVIEW_START || it->preview.action == PREVIEW_REPLACE;
}

static void note_change(struct apply_job *j, struct service *s, const struct apply_item *it)
{
	const struct preview *p = &it->preview;
	/* also when a delete came in between, while the disk was busy */
	bool made = p->action == PREVIEW_START || s->deleted;

	if (p->action == PREVIEW_NONE && !made)
		return;
	s->revision = j->revision;
	s->updated_wall_ms = clock_wall_ms();
	memccpy(s->changed_keys, buf_cstr(&p->keys), '\0', sizeof(s->changed_keys) - 1);
	if (made) {
		s->stopped = p->stopped;
		s->deleted = false;
	}
	/* a scale that came while the disk was busy is the newer wish */
	if (made || s->replicas_override == it->override_before)
		s->replicas_override = p->replicas_override;
	if (s->replicas_override < 0)
		s->override_until_wall_ms = 0;
}

static struct service_next next_of(const struct apply_job *j, const struct apply_item *it)
{
	return (struct service_next){.revision = j->revision,
				     .hash = service_spec_hash(it->spec),
				     .keys = buf_cstr(&it->preview.keys),
				     .steps = it->spec->update.strategy == UPDATE_CANARY};
}

static void take_service(struct apply_job *j, struct apply_item *it)
{
	struct service *s = it->kept ? NULL : find_or_make(j, it);
	const struct service_next next = next_of(j, it);

	if (!s)
		return;
	if (is_rollout(it) || s->deleted)
		service_rollout_begin(s, &next);
	else
		service_rollout_agree(s);
	note_change(j, s, it);
	zones_put(&j->c->zones, &it->zones);
	service_set_spec(s, j->source, it->spec, TAKE_PTR(it->id));
	service_task_applied(s);
	if (s->left_alone) {
		s->left_alone = false;
		for (size_t i = 0; i < s->n_replicas; i++)
			replica_take_over(s->replicas[i]);
	}
	/* one that is still to be replaced has probes of its own */
	if (it->preview.action == PREVIEW_LIVE || it->preview.action == PREVIEW_RELOAD)
		for (size_t i = 0; i < s->n_replicas; i++)
			if (replica_is_current(s->replicas[i]))
				replica_respec(s->replicas[i]);
	for (size_t i = 0; i < s->n_replicas; i++)
		replica_standby_renew(s->replicas[i]);
	controller_touch(s);
}

void apply_commit_take(struct apply_job *j)
{
	for (size_t i = 0; i < j->n_items; i++) {
		struct service *s;

		if (j->items[i].spec) {
			take_service(j, &j->items[i]);
			continue;
		}
		s = controller_find(j->c, j->items[i].name);
		if (s) {
			s->deleted = true;
			controller_touch(s);
		}
	}
	order_relink(j->c);
}

/* ---- the store ---- */

static int put_service(struct apply_job *j, const struct apply_item *it)
{
	const struct service *s = controller_find(j->c, it->name);
	const struct store_service row = {
		.name = it->name,
		.set = j->source->manifest->name,
		.sources = j->source->json,
		.revision = s && it->preview.action == PREVIEW_NONE ? s->revision : j->revision,
		.stopped = it->preview.stopped,
		.replicas_override = it->preview.replicas_override};
	struct store_rollout rollout;
	struct service_next next;
	int r;

	if (it->kept)
		return 0;
	if (it->preview.action == PREVIEW_STOP)
		return store_del_service(j->c->store, it->name, true, NULL, NULL);
	r = store_put_service(j->c->store, &row, true, NULL, NULL);
	if (r < 0 || !is_rollout(it))
		return r;
	next = next_of(j, it);
	rollout = service_rollout_row(s, it->name, &next);
	return store_put_rollout(j->c->store, &rollout, NULL, NULL);
}

static char *service_names(const struct manifest *m)
{
	struct buf b = {0};

	for (size_t i = 0; i < m->n_services; i++)
		buf_printf(&b, "%s%s", i ? " " : "", m->services[i]->name);
	return buf_take(&b);
}

static struct store_revision revision_of(const struct apply_job *j, const char *services)
{
	return (struct store_revision){.set = j->source->manifest->name,
				       .number = j->revision,
				       .sources = j->source->json,
				       .at_wall_ms = j->committed_wall_ms,
				       .uid = j->uid,
				       .user = j->by_user,
				       .hash = revisions_hash(j->source->json),
				       .services = services,
				       .git_commit = j->git_commit,
				       .git_branch = j->git_branch,
				       .git_dirty = j->git_dirty};
}

static void publish(struct apply_job *j, const char *set)
{
	_cleanup_free_ char *message =
		mem_printf("revision %llu of set %s applied", (unsigned long long)j->revision, set);
	const struct event_args a = {"", -1, "apply", "manifest_changed", message, NULL, NULL};

	events_add(j->c->events, &a);
}

static void remember_revision(struct apply_job *j)
{
	_cleanup_free_ char *services = service_names(j->source->manifest);
	const struct store_revision row = revision_of(j, services ? services : "");
	struct set *set = controller_set(j->c, row.set);

	if (set)
		set->revision = j->revision;
	if (!set || revisions_add(set, &row) < 0)
		log_warn("set=%s revision %llu is not shown before the next start: out of memory",
			 row.set, (unsigned long long)j->revision);
	publish(j, row.set);
}

static void hold_all(const struct apply_job *j)
{
	for (size_t i = 0; i < j->n_items; i++) {
		struct service *s = controller_find(j->c, j->items[i].name);

		if (s)
			service_rollout_hold(s);
	}
}

static void on_committed(void *user, const struct err *err)
{
	struct commit *commit = user;
	struct apply_job *j = commit->job;

	for (size_t i = 0; i < j->n_items; i++)
		service_rollout_release(j->c, j->items[i].name);
	if (!err) {
		apply_commit_take(j);
		remember_revision(j);
	}
	commit->done(j, err);
	mem_free(commit);
}

int apply_commit_run(struct apply_job *j, void (*done)(struct apply_job *j, const struct err *err))
{
	_cleanup_free_ char *services = service_names(j->source->manifest);
	struct commit *commit = mem_alloc(sizeof(*commit));
	struct store_revision row;
	int r = 0;

	if (!services || !commit) {
		mem_free(commit);
		return -ERR_NOMEM;
	}
	*commit = (struct commit){j, done};
	j->committed_wall_ms = clock_wall_ms();
	row = revision_of(j, services);
	store_begin(j->c->store);
	for (size_t i = 0; i < j->n_items && r == 0; i++)
		r = put_service(j, &j->items[i]);
	if (r == 0)
		r = store_put_revision(j->c->store, &row, true, on_committed, commit);
	store_end(j->c->store);
	if (r < 0)
		mem_free(commit);
	else
		hold_all(j);
	return r;
}
