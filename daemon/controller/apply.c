/* apply: see apply.h. This file is the queue and the order of the steps. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/apply.h"

#include <string.h>
#include <uv.h>

#include "daemon/controller/apply_job.h"
#include "daemon/controller/change.h"
#include "daemon/controller/controller.h"
#include "daemon/controller/identity.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/service.h"
#include "daemon/controller/service_task.h"
#include "daemon/controller/service_rollout.h"
#include "daemon/controller/service_zero.h"
#include "daemon/controller/service_scale.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/manifest.h"
#include "lib/mem.h"

struct apply_queue {
	struct apply_job *first; /* the one under way */
	size_t n, n_plans;
	bool closed;
};

struct apply_queue *apply_queue_new(void)
{
	return mem_alloc(sizeof(struct apply_queue));
}

static void job_free(struct apply_job *j)
{
	for (size_t i = 0; i < j->n_items; i++) {
		identity_unref(j->items[i].id);
		zones_done(&j->items[i].zones);
		preview_done(&j->items[i].preview);
	}
	mem_free(j->items);
	mem_strv_free(j->left_over);
	service_source_unref(j->source);
	manifest_errors_done(&j->errors);
	manifest_errors_done(&j->warnings);
	err_free(j->err);
	sources_done(&j->sources);
	mem_free(j->by_user);
	mem_free(j->git_commit);
	mem_free(j->git_branch);
	mem_free(j);
}

void apply_queue_free(struct apply_queue *q)
{
	while (q && q->first) {
		struct apply_job *j = q->first;

		q->first = j->next;
		job_free(j);
	}
	mem_free(q);
}

/* The first one is with a worker, or its commit is under way: then the store tells how it ends. */
void apply_queue_close(struct apply_queue *q)
{
	_cleanup_err_ struct err *err = NULL;
	struct apply_job **at, *j;

	if (!q)
		return;
	q->closed = true;
	err_set(&err, ERR_BUSY, "the daemon is ending");
	at = q->first && !q->first->working ? &q->first->next : &q->first;
	while ((j = *at)) {
		*at = j->next;
		q->n--;
		j->done(j->user, &(struct apply_result){.err = err});
		if (j->working)
			j->abandoned = true;
		else
			job_free(j);
	}
}

static bool is_plan(const struct apply_job *j)
{
	return !j->change_id[0];
}

static void run_first(struct controller *c);

/* The job at the head is over; the caller's callback is told, the next one runs. */
static void finish(struct apply_job *j, const struct apply_result *res)
{
	struct controller *c = j->c;
	struct apply_queue *q = c->apply;

	j->done(j->user, res);
	q->first = j->next;
	q->n--;
	q->n_plans -= is_plan(j);
	job_free(j);
	run_first(c);
}

static void fail(struct apply_job *j, const struct err *err, const char *code)
{
	struct err *copy = NULL;

	if (j->change) {
		err_set(&copy, err->code, "%s", err->msg);
		change_finish(j->c, j->change, copy);
	}
	finish(j, &(struct apply_result){.err = err, .code = code});
}

static void fail_code(struct apply_job *j, int code)
{
	_cleanup_err_ struct err *err = NULL;

	if (code == -ERR_NOMEM)
		err_nomem(&err);
	else
		err_set(&err, (enum err_code) - code,
			"the state directory does not keep up (hung disk?): try again");
	fail(j, err, NULL);
}

/* ---- what changes ---- */

/* What is there of a service, without its replicas. False: nothing at all. */
static bool present_of(const struct service *s, const struct service_spec *want,
		       struct preview_present *ret)
{
	*ret = (struct preview_present){.replicas_override = -1};
	if (!s)
		return false;
	if (s->spec && !s->deleted) {
		ret->spec = s->spec;
		ret->stopped = s->stopped;
		ret->asleep = service_zero_is_asleep(s);
		ret->replicas_override = s->replicas_override;
		ret->scaled = want && want->replicas_max ? service_scale_after(s, want) : 0;
	}
	return true;
}

static int compare(struct apply_job *j, struct apply_item *it)
{
	struct preview_present now;
	bool there = present_of(controller_find(j->c, it->name), it->spec, &now);
	int r = preview_compare(there ? &now : NULL, it->spec, &it->preview);

	it->override_before = now.replicas_override;
	if (r < 0 || !j->unasked || it->preview.action != PREVIEW_REPLACE ||
	    !service_rollout_has_failed(controller_find(j->c, it->name),
					service_spec_hash(it->spec)))
		return r;
	it->kept = true;
	it->preview.action = PREVIEW_NONE;
	return 0;
}

/* Services of this set that the manifest no longer holds. */
static int list_left_over(struct apply_job *j)
{
	const struct manifest *m = j->source->manifest;
	const struct controller *c = j->c;
	size_t n = 0;

	j->left_over = mem_array(c->n_services + 1, sizeof(char *));
	if (!j->left_over)
		return -ERR_NOMEM;
	for (size_t i = 0; i < c->n_services; i++) {
		const struct service *s = c->services[i];

		if (s->deleted || strcmp(s->set, m->name) != 0 || manifest_find(m, s->name))
			continue;
		j->left_over[n] = mem_strdup(s->name);
		if (!j->left_over[n++])
			return -ERR_NOMEM;
	}
	return 0;
}

/* With prune they are items, too: without a specification. */
static int add_left_over(struct apply_job *j)
{
	size_t cap = j->n_items, n = 0;

	while (j->left_over[n])
		n++;
	if (!j->prune || n == 0)
		return 0;
	if (mem_grow(&j->items, &cap, j->n_items + n, sizeof(*j->items)) < 0)
		return -ERR_NOMEM;
	for (size_t i = 0; i < n; i++)
		j->items[j->n_items++] = (struct apply_item){.name = j->left_over[i]};
	return 0;
}

static int preview_all(struct apply_job *j, bool *ret_changes)
{
	int r = list_left_over(j);

	if (r == 0)
		r = add_left_over(j);
	for (size_t i = 0; i < j->n_items && r == 0; i++) {
		r = compare(j, &j->items[i]);
		*ret_changes |= j->items[i].preview.action != PREVIEW_NONE;
	}
	return r;
}

/* ---- a plan ---- */

static int play(struct apply_job *j, struct apply_item *it, unsigned *left)
{
	const struct service *s = controller_find(j->c, it->name);
	struct preview_replica *replicas;
	struct preview_present now;
	bool there = present_of(s, it->spec, &now);
	size_t n = there ? s->n_replicas : 0;
	int r;

	if (it->preview.desired + n > *left)
		return -ERR_INVALID;
	*left -= it->preview.desired + (unsigned)n;
	replicas = mem_array(n, sizeof(*replicas));
	if (!replicas)
		return -ERR_NOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct replica *x = s->replicas[i];

		replicas[i] = (struct preview_replica){.index = x->index,
						       .state = x->state,
						       .launch_hash = x->launch_hash,
						       .recycle = x->recycle,
						       .in_place = x->in_place,
						       .intent = x->intent,
						       .next_at_mono_ms = x->next_at_mono_ms,
						       .start_ms = x->start_ms,
						       .stop_ms = x->stop_ms};
	}
	now.replicas = replicas;
	now.n_replicas = n;
	r = preview_play(there ? &now : NULL, it->spec, clock_mono_ms(), &it->preview);
	mem_free(replicas);
	return r;
}

static void hand_over(struct apply_job *j, struct apply_service *list, uint64_t revision,
		      bool changes)
{
	static char *const nothing[] = {NULL};
	const struct apply_plan plan = {.manifest = j->source->manifest,
					.revision = revision,
					.next_revision = revision + changes,
					.services = list,
					.n_services = j->n_items,
					.not_in_manifest = j->prune ? nothing : j->left_over,
					.warnings = &j->warnings};

	for (size_t i = 0; i < j->n_items; i++) {
		const struct apply_item *it = &j->items[i];
		const struct service *s = controller_find(j->c, it->name);

		list[i] = (struct apply_service){.name = it->name,
						 .now = s && !s->deleted ? s->spec : NULL,
						 .want = it->spec,
						 .preview = &it->preview};
	}
	finish(j, &(struct apply_result){.plan = &plan});
}

static void show_plan(struct apply_job *j, uint64_t revision, bool changes)
{
	_cleanup_free_ struct apply_service *list = mem_array(j->n_items, sizeof(*list));
	_cleanup_err_ struct err *err = NULL;
	unsigned left = PREVIEW_REPLICAS_MAX;
	int r = list ? 0 : -ERR_NOMEM;

	for (size_t i = 0; i < j->n_items && r == 0; i++)
		r = play(j, &j->items[i], &left);
	if (r == 0) {
		hand_over(j, list, revision, changes);
	} else if (r == -ERR_INVALID) {
		err_set(&err, ERR_INVALID, "a plan shows at most %d replicas",
			PREVIEW_REPLICAS_MAX);
		fail(j, err, NULL);
	} else {
		fail_code(j, r);
	}
}

/* ---- an apply ---- */

/* As the change names it; stable words of the API. */
static const char *action_word(const struct apply_job *j, const struct apply_item *it)
{
	static const char *const words[PREVIEW_ACTION_MAX_] = {
		[PREVIEW_NONE] = "unchanged",  [PREVIEW_LIVE] = "live",
		[PREVIEW_REPLACE] = "updated", [PREVIEW_START] = "created",
		[PREVIEW_STOP] = "removed",    [PREVIEW_RELOAD] = CHANGE_RELOADS,
	};

	const struct service *s = controller_find(j->c, it->name);

	if (it->preview.action == PREVIEW_NONE && s && it->spec &&
	    service_task_would_run(s, it->spec))
		return "run";
	return words[it->preview.action];
}

static int fill_change(struct apply_job *j)
{
	j->change = change_new(j->c, j->change_id, "apply");
	if (!j->change)
		return -ERR_NOMEM;
	j->change->uid = j->uid;
	j->change->warnings = j->warnings;
	j->warnings = (struct manifest_errors){0};
	j->change->set = mem_strdup(j->source->manifest->name);
	j->change->not_in_manifest = mem_strv_dup((const char *const *)j->left_over);
	if (!j->change->set || !j->change->not_in_manifest)
		return -ERR_NOMEM;
	for (size_t i = 0; i < j->n_items; i++) {
		const struct apply_item *it = &j->items[i];

		if (change_add_service(j->change, it->name, action_word(j, it), !it->spec) < 0)
			return -ERR_NOMEM;
	}
	return 0;
}

static void applied(struct apply_job *j)
{
	j->change->revision = j->revision;
	j->change->committed = true;
	finish(j, &(struct apply_result){.change = j->change});
}

static void on_committed(struct apply_job *j, const struct err *err)
{
	if (err)
		fail(j, err, NULL);
	else
		applied(j);
}

static void do_apply(struct apply_job *j, uint64_t revision, bool changes)
{
	int r = fill_change(j);

	if (r < 0) {
		fail_code(j, r);
		return;
	}
	j->revision = revision + changes;
	if (!changes) { /* nothing is written; the new text's lines are taken over all the same */
		apply_commit_take(j);
		applied(j);
		return;
	}
	r = apply_commit_run(j, on_committed);
	if (r < 0)
		fail_code(j, r);
}

/* ---- the steps ---- */

static bool exists(const struct controller *c, const char *set)
{
	for (size_t i = 0; i < c->n_services; i++)
		if (!c->services[i]->deleted && strcmp(c->services[i]->set, set) == 0)
			return true;
	return false;
}

/* Of a set that was never applied: 0. */
static uint64_t revision_of(const struct controller *c, const char *set)
{
	for (size_t i = 0; i < c->n_sets; i++)
		if (strcmp(c->sets[i].name, set) == 0)
			return c->sets[i].revision;
	return 0;
}

static bool revision_fits(const struct apply_job *j, const char *set, uint64_t revision)
{
	if (j->if_revision == APPLY_ANY_REVISION || (uint64_t)j->if_revision == revision)
		return true;
	return j->if_revision == 0 && !exists(j->c, set);
}

static void go_on(struct apply_job *j)
{
	const char *set = j->source->manifest->name;
	uint64_t revision = revision_of(j->c, set);
	_cleanup_err_ struct err *err = NULL;
	bool changes = false;
	int r = preview_all(j, &changes);

	if (r < 0) {
		fail_code(j, r);
	} else if (!revision_fits(j, set, revision)) {
		err_set(&err, ERR_CONFLICT, "set \"%s\" is at revision %llu, not %lld", set,
			(unsigned long long)revision, (long long)j->if_revision);
		fail(j, err, "revision_conflict");
	} else if (is_plan(j)) {
		show_plan(j, revision, changes);
	} else {
		do_apply(j, revision, changes);
	}
}

/* Sent again while the first was still on its way: the same change, or another's id. */
static bool answered(struct apply_job *j)
{
	struct change *known = is_plan(j) ? NULL : change_find(j->c, j->change_id);
	_cleanup_err_ struct err *err = NULL;

	if (!known)
		return false;
	if (strcmp(known->kind, "apply") == 0) {
		finish(j, &(struct apply_result){.change = known});
		return true;
	}
	err_set(&err, ERR_CONFLICT, "change %s exists already, as %s", known->id, known->kind);
	fail(j, err, NULL);
	return true;
}

static void check(uv_work_t *work)
{
	apply_check_run(work->data);
}

static void on_checked(uv_work_t *work, int status)
{
	struct apply_job *j = work->data;
	bool nomem = false; /* with the secrets */

	(void)status;
	j->working = false;
	if (j->abandoned) {
		job_free(j);
		return;
	}
	if (answered(j))
		return;
	if (!j->err && !j->errors.n) {
		apply_check_conflicts(j);
		apply_check_limits(j);
		apply_check_runtimes(j);
		nomem = apply_check_secrets(j) < 0;
	}
	if (nomem || j->errors.nomem || j->warnings.nomem)
		fail_code(j, -ERR_NOMEM);
	else if (j->errors.n)
		finish(j, &(struct apply_result){.errors = &j->errors});
	else if (j->err)
		fail(j, j->err, NULL);
	else
		go_on(j);
}

static int work(struct apply_job *j)
{
	int r = uv_queue_work(j->c->loop, &j->work, check, on_checked);

	j->working = r == 0;
	return r;
}

static void run_first(struct controller *c)
{
	struct apply_job *j = c->apply->first;

	if (j && work(j) < 0)
		fail_code(j, -ERR_BUSY);
}

static int copy(char **ret, const char *text)
{
	*ret = text ? mem_strdup(text) : NULL;
	return text && !*ret ? -ERR_NOMEM : 0;
}

static struct apply_job *job_new(struct controller *c, const struct apply_args *args)
{
	struct apply_job *j = mem_alloc(sizeof(*j));

	if (!j)
		return NULL;
	if (args->change_id)
		memccpy(j->change_id, args->change_id, '\0', sizeof(j->change_id) - 1);
	j->c = c;
	j->prune = args->prune;
	j->unasked = args->unasked;
	j->if_revision = args->if_revision;
	j->uid = args->uid;
	j->git_dirty = args->git_dirty;
	j->done = args->done;
	j->user = args->user;
	j->work.data = j;
	if (copy(&j->by_user, args->by_user) == 0 && copy(&j->git_commit, args->git_commit) == 0 &&
	    copy(&j->git_branch, args->git_branch) == 0)
		return j;
	job_free(j);
	return NULL;
}

int apply_submit(struct controller *c, const struct apply_args *args)
{
	struct apply_queue *q = c->apply;
	struct apply_job *j, **at;

	if (q->closed || q->n >= APPLY_QUEUE_MAX ||
	    (!args->change_id && q->n_plans >= APPLY_PLANS_MAX))
		return -ERR_BUSY;
	j = job_new(c, args);
	if (!j)
		return -ERR_NOMEM;
	j->sources = *args->sources;
	*args->sources = (struct sources){0};
	for (at = &q->first; *at; at = &(*at)->next)
		;
	*at = j;
	if (q->first == j && work(j) < 0) {
		q->first = NULL;
		job_free(j);
		return -ERR_BUSY;
	}
	q->n++;
	q->n_plans += is_plan(j);
	return 0;
}
