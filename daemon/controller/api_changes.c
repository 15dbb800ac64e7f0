/*
 * api_changes: POST /v1/changes, every write of the API, and GET /v1/changes/ID.
 * The answer goes out when the store has it; what it asks of running processes does not wait for
 * the disk, except for an apply and a delete, which change memory only after the commit.
 *
 * SPDX-License-Identifier: MIT
 */
#include <cjson/cJSON.h>
#include <signal.h>
#include <string.h>

#include "daemon/controller/api.h"
#include "daemon/controller/api_apply.h"
#include "daemon/controller/change.h"
#include "daemon/controller/controller.h"
#include "daemon/controller/hold.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/replica_cgroup.h"
#include "daemon/controller/replica_unit.h"
#include "daemon/controller/replica_reload.h"
#include "daemon/controller/service.h"
#include "daemon/controller/service_canary.h"
#include "daemon/controller/service_rollout.h"
#include "daemon/controller/service_scale.h"
#include "daemon/controller/service_task.h"
#include "daemon/controller/service_zero.h"
#include "daemon/controller/store.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/http_server.h"
#include "lib/jsonw.h"
#include "lib/manifest.h"
#include "lib/mem.h"
#include "lib/parse.h"
#include "lib/sock.h"

#define SCALE_FOR_MIN_MS 1000.0
#define SCALE_FOR_MAX_MS (365 * 24 * 3600 * 1000.0)

/* The request whose answer waits for the commit; outlives its client. */
struct pending {
	struct controller *c;
	struct http_request *r; /* NULL: the client has left */
	char id[CHANGE_ID_MAX + 1];
	char **deletes; /* these services, or NULL; owned */
};

/* One service of the request. */
struct target {
	struct service *s;
	int replica;	/* -1 = all */
	int64_t value;	/* scale: replicas, -1 = as without it; kill: the signal; restart: in place;
			  hold: ms */
	int64_t for_ms; /* scale: 0 = not given */
};

struct post {
	struct api_call *call;
	const char *id;
	const struct operation *op;
	struct target *targets;
	size_t n;
};

struct operation {
	const char *kind, *action;
	enum api_role role;
	bool gone;     /* its target: nothing of the service is left */
	bool replicas; /* may name single ones */
	bool stored;
	void (*perform)(const struct target *t);
};

void api_changes_reply(struct controller *c, struct http_request *r, int status,
		       const struct change *ch)
{
	_cleanup_buf_ struct buf b = {0};
	struct jsonw w = {.out = &b};

	change_write_json(c, ch, &w);
	api_reply(r, status, &b);
}

static void on_gone(struct http_request *r, void *user)
{
	struct pending *p = user;

	p->r = NULL;
	http_request_forget(r);
}

static void pending_free(struct pending *p)
{
	mem_strv_free(p->deletes);
	mem_free(p);
}

static struct pending *pending_new(struct api_call *call, const char *id)
{
	struct pending *p = mem_alloc(sizeof(*p));

	if (!p) {
		api_reply_error(call->r, 503, "out_of_memory", "out of memory");
		return NULL;
	}
	p->c = call->c;
	p->r = call->r;
	memccpy(p->id, id, '\0', sizeof(p->id) - 1);
	http_request_set_user(call->r, p, on_gone);
	return p;
}

/* ---- start, stop, restart, scale, delete, kill, reset ---- */

static void perform_start(const struct target *t)
{
	t->s->stopped = false;
	service_zero_rouse(t->s);
	if (service_task_is(t->s))
		service_task_run(t->s);
	for (size_t i = 0; i < t->s->n_replicas; i++) { /* the failed ones too: the user asks */
		struct replica *r = t->s->replicas[i];

		if (t->s->task && r->state != REPLICA_BACKOFF)
			continue;
		if (r->state == REPLICA_FAILED || r->state == REPLICA_BACKOFF ||
		    r->state == REPLICA_SUCCEEDED)
			replica_recycle(r, "user_restart", false);
	}
}

static void perform_stop(const struct target *t)
{
	t->s->stopped = true;
}

static bool names(const struct target *t, const struct replica *r)
{
	return t->replica < 0 || r->index == (unsigned)t->replica;
}

static void perform_restart(const struct target *t)
{
	if (t->s->stopped) /* one that sleeps has nothing to restart */
		service_zero_rouse(t->s);
	t->s->stopped = false;
	for (size_t i = 0; i < t->s->n_replicas; i++)
		if (names(t, t->s->replicas[i]))
			replica_recycle(t->s->replicas[i], "user_restart",
					t->replica >= 0 || t->value);
}

static void perform_scale(const struct target *t)
{
	if (t->value == 0 && !t->for_ms &&
	    service_zero_may(t->s->spec)) { /* to sleep, not to be off */
		service_scale_override(t->s, -1, 0);
		service_zero_lull(t->s);
	} else {
		service_scale_override(t->s, t->value, t->for_ms);
	}
}

static void perform_delete(const struct target *t)
{
	t->s->deleted = true;
}

/* To the main processes; what follows is their own and the restart policy's business. */
static void perform_kill(const struct target *t)
{
	for (size_t i = 0; i < t->s->n_replicas; i++)
		if (names(t, t->s->replicas[i]))
			replica_signal(t->s->replicas[i], (int)t->value);
}

static void perform_reload(const struct target *t)
{
	for (size_t i = 0; i < t->s->n_replicas; i++)
		if (names(t, t->s->replicas[i]))
			replica_reload(t->s->replicas[i], "user");
	secrets_retry(t->s);
}

static void perform_reset(const struct target *t)
{
	for (size_t i = 0; i < t->s->n_replicas; i++)
		if (names(t, t->s->replicas[i]))
			replica_reset(t->s->replicas[i]);
}

static void freeze(const struct target *t, bool frozen)
{
	for (size_t i = 0; i < t->s->n_replicas; i++)
		if (names(t, t->s->replicas[i]))
			replica_cgroup_freeze(t->s->replicas[i], frozen);
}

static void perform_freeze(const struct target *t)
{
	freeze(t, true);
}

static void perform_thaw(const struct target *t)
{
	freeze(t, false);
}

static void perform_hold(const struct target *t)
{
	hold_begin(t->s, t->value);
}

static void perform_release(const struct target *t)
{
	hold_release(t->s);
}

static void perform_pause(const struct target *t)
{
	service_rollout_pause(t->s);
}

static void perform_resume(const struct target *t)
{
	service_rollout_resume(t->s);
}

static void perform_promote(const struct target *t)
{
	service_rollout_promote(t->s);
}

static const struct operation operations[] = {
	{"start", "started", API_OPERATE, false, false, true, perform_start},
	{"stop", "stopped", API_OPERATE, true, false, true, perform_stop},
	{"restart", "restarted", API_OPERATE, false, true, true, perform_restart},
	{"scale", "scaled", API_OPERATE, false, false, true, perform_scale},
	{"delete", "removed", API_ADMIN, true, false, true, perform_delete},
	{"kill", CHANGE_SIGNALLED, API_OPERATE, false, true, false, perform_kill},
	{"reload", CHANGE_RELOADED, API_OPERATE, false, true, false, perform_reload},
	{"reset", "reset", API_OPERATE, false, true, false, perform_reset},
	{"freeze", CHANGE_FROZEN, API_OPERATE, false, true, false, perform_freeze},
	{"thaw", CHANGE_THAWED, API_OPERATE, false, true, false, perform_thaw},
	{"hold", CHANGE_HELD, API_OPERATE, false, false, true, perform_hold},
	{"release", CHANGE_RELEASED, API_OPERATE, false, false, true, perform_release},
	{"rollout_pause", CHANGE_PAUSED, API_OPERATE, false, false, false, perform_pause},
	{"rollout_resume", CHANGE_RESUMED, API_OPERATE, false, false, false, perform_resume},
	{"rollout_promote", "promoted", API_OPERATE, false, false, false, perform_promote},
};

/* They are out of the store, or have stayed in it. */
static void end_delete(const struct pending *p, bool done)
{
	for (char *const *name = p->deletes; name && *name; name++) {
		struct service *s = controller_find(p->c, *name);

		service_rollout_release(p->c, *name);
		if (!s || !done)
			continue;
		s->deleted = true;
		s->left_alone = false;
		controller_touch(s);
	}
}

static void on_committed(void *user, const struct err *err)
{
	struct pending *p = user;
	struct change *ch = change_find(p->c, p->id);
	struct err *copy = NULL;

	end_delete(p, !err);
	if (ch && err) {
		err_set(&copy, err->code, "%s", err->msg);
		change_finish(p->c, ch, copy);
	} else if (ch) {
		ch->committed = true;
		change_review(p->c, NULL);
	}
	if (p->r && err)
		api_reply_err(p->r, err);
	else if (p->r && ch)
		api_changes_reply(p->c, p->r, 202, ch);
	else if (p->r)
		api_reply_error(p->r, 503, "busy", "the change is no longer known");
	pending_free(p);
}

static int put(struct controller *c, const struct post *post, store_cb cb, void *user)
{
	int r = 0;

	store_begin(c->store);
	for (size_t i = 0; i < post->n && r == 0; i++) {
		const struct service *s = post->targets[i].s;
		/* no manifest: an apply may be on its way to the disk with a new one */
		const struct store_service row = {.name = s->name,
						  .stopped = s->stopped,
						  .replicas_override = s->replicas_override,
						  .held_until_wall_ms = s->held_until_wall_ms};
		store_cb last = i + 1 == post->n ? cb : NULL;

		if (post->op->perform == perform_scale)
			r = store_put_scale(c->store, s->name, s->override_until_wall_ms,
					    s->scaled);
		if (r < 0)
			break;
		r = post->op->perform == perform_delete
			    ? store_del_service(c->store, s->name, true, last, user)
			    : store_put_service(c->store, &row, true, last, user);
	}
	store_end(c->store);
	for (size_t i = 0; i < post->n && r == 0; i++)
		if (post->op->perform == perform_delete)
			service_rollout_hold(post->targets[i].s);
	return r;
}

static int name_deletes(struct pending *p, const struct post *post)
{
	p->deletes = mem_array(post->n + 1, sizeof(char *));
	for (size_t i = 0; p->deletes && i < post->n; i++) {
		p->deletes[i] = mem_strdup(post->targets[i].s->name);
		if (!p->deletes[i])
			return -ERR_NOMEM;
	}
	return p->deletes ? 0 : -ERR_NOMEM;
}

static void perform_all(const struct post *post)
{
	for (size_t i = 0; i < post->n; i++) {
		post->op->perform(&post->targets[i]);
		controller_touch(post->targets[i].s);
	}
}

/* Nothing of it is kept: done when it is done. */
static void run_unstored(const struct post *post, struct change *ch)
{
	struct controller *c = post->call->c;

	perform_all(post);
	ch->committed = true;
	change_review(c, NULL);
	api_changes_reply(c, post->call->r, 202, ch);
}

static void run_stored(const struct post *post, struct change *ch)
{
	struct pending *p = pending_new(post->call, post->id);
	bool deletes = post->op->perform == perform_delete;
	struct controller *c = post->call->c;
	struct err *err = NULL;

	if (!p)
		return;
	if (!deletes)
		perform_all(post);
	if ((deletes && name_deletes(p, post) < 0) || put(c, post, on_committed, p) < 0) {
		err_set(&err, ERR_BUSY, "the state directory does not keep up");
		change_finish(c, ch, err);
		api_reply_error(post->call->r, 503, "busy",
				"the state directory does not keep up (hung disk?): try again");
		pending_free(p);
	}
}

uid_t api_changes_peer_uid(struct http_request *r)
{
	struct sock_peer peer;

	return sock_peer(http_request_fd(r), &peer) == 0 ? peer.uid : (uid_t)-1;
}

static void run(struct post *post)
{
	struct controller *c = post->call->c;
	struct change *ch = change_new(c, post->id, post->op->kind);
	struct err *err = NULL;
	bool named = ch != NULL;

	for (size_t i = 0; named && i < post->n; i++) {
		named = change_add_service(ch, post->targets[i].s->name, post->op->action,
					   post->op->gone) == 0;
		if (named)
			change_name_replica(ch, post->targets[i].replica);
	}
	if (!named) {
		err_nomem(&err);
		if (ch)
			change_finish(c, ch, err);
		err_free(ch ? NULL : err);
		api_reply_error(post->call->r, 503, "out_of_memory", "out of memory");
		return;
	}
	ch->uid = api_changes_peer_uid(post->call->r);
	if (post->op->perform == perform_promote)
		ch->revision = post->targets[0].s->rollout->now.revision;
	if (post->op->stored)
		run_stored(post, ch);
	else
		run_unstored(post, ch);
}

static bool needs_process(const struct operation *op)
{
	return op->perform == perform_kill || op->perform == perform_reload ||
	       op->perform == perform_freeze || op->perform == perform_thaw;
}

/* aictld freezes nothing that it is stopping. */
static bool has_process(const struct operation *op, const struct replica *r)
{
	return r->pid && !(op->perform == perform_freeze && r->state == REPLICA_STOPPING);
}

static bool runs(const struct operation *op, const struct target *t)
{
	for (size_t i = 0; i < t->s->n_replicas; i++)
		if (names(t, t->s->replicas[i]) && has_process(op, t->s->replicas[i]))
			return true;
	return false;
}

/* NULL: all of it can be frozen that runs. */
static const struct replica *untracked(const struct target *t)
{
	for (size_t i = 0; i < t->s->n_replicas; i++) {
		const struct replica *r = t->s->replicas[i];

		if (names(t, r) && r->pid && !r->tracked)
			return r;
	}
	return NULL;
}

static int check_process(const struct post *post, const struct target *t, const char *id)
{
	const struct replica *r;

	if (!runs(post->op, t)) {
		api_reply_error(post->call->r, 409, "not_running", "nothing of \"%s\" runs", id);
		return -1;
	}
	if (post->op->perform == perform_reload && !t->s->spec->reload.enabled) {
		api_reply_error(post->call->r, 409, "conflict",
				"service \"%s\" declares no reload: add reload: { signal: SIGHUP }",
				t->s->name);
		return -1;
	}
	r = post->op->perform == perform_freeze ? untracked(t) : NULL;
	if (!r)
		return 0;
	if (replica_unit_is(r)) {
		api_reply_error(
			post->call->r, 409, "unsupported",
			"\"%s/%u\" cannot be frozen: it is a container, which only its engine "
			"could pause",
			t->s->name, r->index);
		return -1;
	}
	api_reply_error(
		post->call->r, 409, "unsupported",
		"\"%s/%u\" cannot be frozen: it was started without a cgroup, restart it first",
		t->s->name, r->index);
	return -1;
}

static int add_target(struct post *post, const char *id, int64_t value)
{
	struct api_call *call = post->call;
	struct target *t = &post->targets[post->n];
	_cleanup_err_ struct err *err = NULL;
	char name[64];
	int index;

	if (parse_replica_id(id, name, &index, &err) < 0) {
		api_reply_err(call->r, err);
		return -1;
	}
	*t = (struct target){.s = controller_find(call->c, name), .replica = index, .value = value};
	if (t->s && t->s->left_alone && post->op->perform != perform_delete) {
		api_reply_error(call->r, 409, "conflict",
				"the manifest of service \"%s\" is lost: apply it again", name);
		return -1;
	}
	if (!t->s || t->s->deleted || (!t->s->spec && !t->s->left_alone)) {
		api_reply_error(call->r, 404, "not_found", "no service \"%s\"", name);
		return -1;
	}
	if (index >= 0 && !post->op->replicas) {
		api_reply_error(call->r, 400, "invalid",
				"%s works on whole services: \"%s\" names a replica",
				post->op->kind, id);
		return -1;
	}
	if (index >= 0 && !service_replica(t->s, (unsigned)index)) {
		api_reply_error(call->r, 404, "not_found", "no replica \"%s\"", id);
		return -1;
	}
	if ((post->op->perform == perform_pause && !service_rollout_is_progressing(t->s)) ||
	    (post->op->perform == perform_resume && !service_rollout_is_paused(t->s))) {
		api_reply_error(call->r, 409, "conflict", "no update of \"%s\" is %s", name,
				post->op->perform == perform_pause ? "under way" : "paused");
		return -1;
	}
	if (post->op->perform == perform_hold && !hold_is_possible(t->s)) {
		api_reply_error(call->r, 409, "conflict",
				"service \"%s\" has no stable port: nothing can be held", name);
		return -1;
	}
	if (post->op->perform == perform_promote && service_canary_promotable(t->s, &err) < 0) {
		api_reply_err(call->r, err);
		return -1;
	}
	if (needs_process(post->op) && check_process(post, t, id) < 0)
		return -1;
	post->n++;
	return 0;
}

/* null: as if it had never been scaled. */
static bool is_replicas(const cJSON *item)
{
	return cJSON_IsNull(item) ||
	       (cJSON_IsNumber(item) && item->valuedouble == (double)item->valueint &&
		item->valueint >= 0 && item->valueint <= MANIFEST_REPLICAS_MAX);
}

static int scale_for(const struct post *post, const cJSON *value, int64_t *ret_ms)
{
	*ret_ms = 0;
	if (!value)
		return 0;
	if (cJSON_IsNumber(value) && value->valuedouble >= SCALE_FOR_MIN_MS &&
	    value->valuedouble <= SCALE_FOR_MAX_MS) {
		*ret_ms = (int64_t)value->valuedouble;
		return 0;
	}
	api_reply_error(post->call->r, 400, "invalid", "for_ms: must be 1 s to 365 d");
	return -1;
}

static int scale_targets(struct post *post, const cJSON *body)
{
	const cJSON *map = cJSON_GetObjectItemCaseSensitive(body, "replicas"), *item;
	int64_t for_ms;

	if (!cJSON_IsObject(map) || cJSON_GetArraySize(map) < 1) {
		api_reply_error(post->call->r, 400, "invalid",
				"replicas: must be {\"SERVICE\": N}");
		return -1;
	}
	if (scale_for(post, cJSON_GetObjectItemCaseSensitive(body, "for_ms"), &for_ms) < 0)
		return -1;
	post->targets = mem_array((size_t)cJSON_GetArraySize(map), sizeof(*post->targets));
	cJSON_ArrayForEach (item, map) {
		if (!is_replicas(item)) {
			api_reply_error(post->call->r, 400, "invalid",
					"replicas: %s: must be a whole number in 0..%d",
					item->string, MANIFEST_REPLICAS_MAX);
			return -1;
		}
		if (!post->targets ||
		    add_target(post, item->string, cJSON_IsNull(item) ? -1 : item->valueint) < 0)
			return -1;
		post->targets[post->n - 1].for_ms = for_ms;
	}
	return 0;
}

static int list_targets(struct post *post, const cJSON *list, int64_t value)
{
	const cJSON *item;

	if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) < 1) {
		api_reply_error(post->call->r, 400, "invalid", "services: must be a list of names");
		return -1;
	}
	post->targets = mem_array((size_t)cJSON_GetArraySize(list), sizeof(*post->targets));
	cJSON_ArrayForEach (item, list) {
		if (!cJSON_IsString(item)) {
			api_reply_error(post->call->r, 400, "invalid",
					"services: must be a list of names");
			return -1;
		}
		if (!post->targets || add_target(post, item->valuestring, value) < 0)
			return -1;
	}
	return 0;
}

/* All of an apply set. */
static int set_targets(struct post *post, const cJSON *set)
{
	const struct controller *c = post->call->c;

	if (!cJSON_IsString(set)) {
		api_reply_error(post->call->r, 400, "invalid", "set: must be a name");
		return -1;
	}
	post->targets = mem_array(c->n_services + 1, sizeof(*post->targets));
	for (size_t i = 0; post->targets && i < c->n_services; i++) {
		struct service *s = c->services[i];

		if (!s->deleted && strcmp(s->set, set->valuestring) == 0)
			post->targets[post->n++] = (struct target){.s = s, .replica = -1};
	}
	if (!post->targets)
		api_reply_error(post->call->r, 503, "out_of_memory", "out of memory");
	else if (post->n == 0)
		api_reply_error(post->call->r, 404, "not_found", "no services in a set \"%s\"",
				set->valuestring);
	return post->n ? 0 : -1;
}

static int kill_targets(struct post *post, const cJSON *body)
{
	const cJSON *signal = cJSON_GetObjectItemCaseSensitive(body, "signal");
	_cleanup_err_ struct err *err = NULL;
	int number = SIGKILL;

	if (signal && !cJSON_IsString(signal)) {
		api_reply_error(post->call->r, 400, "invalid", "signal: must be a name");
		return -1;
	}
	if (signal && parse_signal(signal->valuestring, &number, &err) < 0) {
		err_wrap(&err, "signal");
		api_reply_err(post->call->r, err);
		return -1;
	}
	return list_targets(post, cJSON_GetObjectItemCaseSensitive(body, "services"), number);
}

static int hold_targets(struct post *post, const cJSON *body)
{
	const cJSON *ms = cJSON_GetObjectItemCaseSensitive(body, "timeout_ms");

	if (ms &&
	    (!cJSON_IsNumber(ms) || !(ms->valuedouble >= 1) || !(ms->valuedouble <= HOLD_MAX_MS))) {
		api_reply_error(post->call->r, 400, "invalid", "timeout_ms: must be in 1..%d",
				HOLD_MAX_MS);
		return -1;
	}
	return list_targets(post, cJSON_GetObjectItemCaseSensitive(body, "services"),
			    ms ? (int64_t)ms->valuedouble : HOLD_DEFAULT_MS);
}

static int find_targets(struct post *post, const cJSON *body)
{
	const cJSON *set = cJSON_GetObjectItemCaseSensitive(body, "set");

	if (post->op->perform == perform_scale)
		return scale_targets(post, body);
	if (post->op->perform == perform_kill)
		return kill_targets(post, body);
	if (post->op->perform == perform_hold)
		return hold_targets(post, body);
	if (post->op->perform == perform_delete && set)
		return set_targets(post, set);
	return list_targets(post, cJSON_GetObjectItemCaseSensitive(body, "services"),
			    cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(body, "in_place")));
}

static void post_operation(struct api_call *call, const char *id, const char *kind,
			   const cJSON *body)
{
	struct post post = {.call = call, .id = id};
	const char *why_not;

	for (size_t i = 0; i < ARRAY_SIZE(operations); i++)
		if (strcmp(operations[i].kind, kind) == 0)
			post.op = &operations[i];
	if (!post.op) {
		api_reply_error(
			call->r, 400, "invalid",
			"kind \"%s\" is none of apply, start, stop, restart, scale, delete, kill, reload, reset, freeze, thaw, hold, release, rollout_pause, rollout_resume, rollout_undo, rollout_promote, rollout_abort",
			kind);
		return;
	}
	if (!api_role_allows(call, post.op->role, kind))
		return;
	why_not = post.op->perform == perform_freeze ? replica_cgroup_why_not(call->c) : NULL;
	if (why_not) {
		api_reply_error(call->r, 409, "unsupported", "nothing can be frozen: %s", why_not);
		return;
	}
	if (find_targets(&post, body) == 0)
		run(&post);
	mem_free(post.targets);
}

static bool writable(struct api_call *call)
{
	const char *mode = controller_mode_name(call->c);

	if (strcmp(mode, "normal") == 0)
		return true;
	if (strcmp(mode, "safe") == 0)
		api_reply_error(
			call->r, 503, "safe_mode",
			"safe mode: the controller died too often; nothing is changed until a minute has passed or `aictl daemon reload`");
	else if (strcmp(mode, "shutdown") == 0)
		api_reply_error(call->r, 503, "shutting_down", "the daemon is shutting down");
	else
		api_reply_error(call->r, 503, "starting",
				"the controller is starting: try again in a moment");
	return false;
}

void api_changes_post(struct api_call *call)
{
	cJSON *body = api_body_object(call);
	const cJSON *id = cJSON_GetObjectItemCaseSensitive(body, "id");
	const cJSON *kind = cJSON_GetObjectItemCaseSensitive(body, "kind");
	struct change *known;

	if (!body)
		return;
	if (!cJSON_IsString(id) || !change_valid_id(id->valuestring) || !cJSON_IsString(kind)) {
		api_reply_error(call->r, 400, "invalid",
				"a change needs \"id\" (16 to 64 of a-z 0-9 -) and \"kind\"");
	} else if ((known = change_find(call->c, id->valuestring))) {
		if (known->uid != api_changes_peer_uid(call->r))
			api_reply_error(call->r, 409, "conflict",
					"change %s exists already, of another user", known->id);
		else if (strcmp(known->kind, kind->valuestring) == 0)
			api_changes_reply(call->c, call->r, 202, known); /* a retry */
		else
			api_reply_error(call->r, 409, "conflict", "change %s exists already, as %s",
					known->id, known->kind);
	} else if (writable(call)) {
		if (strcmp(kind->valuestring, "apply") == 0)
			api_apply_post(call, id->valuestring, body);
		else if (strcmp(kind->valuestring, "rollout_undo") == 0)
			api_rollout_undo(call, id->valuestring, body);
		else if (strcmp(kind->valuestring, "rollout_abort") == 0)
			api_rollout_abort(call, id->valuestring, body);
		else
			post_operation(call, id->valuestring, kind->valuestring, body);
	}
	cJSON_Delete(body);
}

void api_changes_get(struct api_call *call)
{
	struct change *ch = change_find(call->c, call->name);

	if (ch)
		api_changes_reply(call->c, call->r, 200, ch);
	else
		api_reply_error(call->r, 404, "not_found",
				"no change \"%s\" (the newest %d are kept)", call->name,
				CHANGES_KEPT);
}
