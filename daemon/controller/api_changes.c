/*
 * api_changes: POST /v1/changes, every write of the API, and GET /v1/changes/ID.
 * The answer goes out when the store has it; what it asks of running processes does not wait for
 * the disk, except for an apply and a delete, which change memory only after the commit.
 *
 * SPDX-License-Identifier: MIT
 */
#include <cjson/cJSON.h>
#include <string.h>

#include "daemon/controller/api.h"
#include "daemon/controller/apply.h"
#include "daemon/controller/change.h"
#include "daemon/controller/controller.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/service.h"
#include "daemon/controller/sources.h"
#include "daemon/controller/store.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/http_server.h"
#include "lib/jsonw.h"
#include "lib/manifest.h"
#include "lib/mem.h"
#include "lib/parse.h"
#include "lib/sock.h"

/* The request whose answer waits for the commit; outlives its client. */
struct pending {
	struct controller *c;
	struct http_request *r; /* NULL: the client has left */
	char id[CHANGE_ID_MAX + 1];
};

/* One service of the request. */
struct target {
	struct service *s;
	int replica;	  /* -1 = all */
	int64_t replicas; /* scale */
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
	bool gone; /* its target: nothing of the service is left */
	void (*perform)(const struct target *t);
};

static void reply_change(struct controller *c, struct http_request *r, int status,
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

/* ---- apply ---- */

static void applied(void *user, struct change *ch, const struct manifest_errors *errors,
		    const struct err *err)
{
	struct pending *p = user;

	if (p->r && ch)
		reply_change(p->c, p->r, 202, ch);
	else if (p->r && errors)
		api_reply_manifest_errors(p->r, errors);
	else if (p->r)
		api_reply_err(p->r, err);
	if (ch)
		change_review(p->c, NULL);
	mem_free(p);
}

static void post_apply(struct api_call *call, const char *id, const cJSON *body)
{
	__attribute__((cleanup(sources_done))) struct sources sources = {0};
	struct apply_args args = {.change_id = id, .done = applied};
	_cleanup_err_ struct err *err = NULL;
	struct sock_peer peer = {0};

	if (!api_role_allows(call, API_ADMIN, "apply"))
		return;
	if (sources_from_json(cJSON_GetObjectItemCaseSensitive(body, "manifests"), &sources, &err) <
	    0) {
		api_reply_err(call->r, err);
		return;
	}
	sock_peer(http_request_fd(call->r), &peer);
	args.sources = &sources;
	args.prune = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(body, "prune"));
	args.uid = peer.uid;
	args.user = pending_new(call, id);
	if (args.user && apply_submit(call->c, &args) < 0) {
		api_reply_error(call->r, 503, "busy", "too many applies at once: try again");
		mem_free(args.user);
	}
}

/* ---- start, stop, restart, scale, delete ---- */

static void perform_start(const struct target *t)
{
	t->s->stopped = false;
	for (size_t i = 0; i < t->s->n_replicas; i++) { /* the failed ones too: the user asks */
		struct replica *r = t->s->replicas[i];

		if (r->state == REPLICA_FAILED || r->state == REPLICA_BACKOFF ||
		    r->state == REPLICA_SUCCEEDED)
			r->restart_wanted = true;
	}
}

static void perform_stop(const struct target *t)
{
	t->s->stopped = true;
}

static void perform_restart(const struct target *t)
{
	t->s->stopped = false;
	for (size_t i = 0; i < t->s->n_replicas; i++)
		if (t->replica < 0 || t->s->replicas[i]->index == (unsigned)t->replica)
			t->s->replicas[i]->restart_wanted = true;
}

static void perform_scale(const struct target *t)
{
	t->s->replicas_override = t->replicas;
}

static void perform_delete(const struct target *t)
{
	t->s->deleted = true;
}

static const struct operation operations[] = {
	{"start", "started", API_OPERATE, false, perform_start},
	{"stop", "stopped", API_OPERATE, true, perform_stop},
	{"restart", "restarted", API_OPERATE, false, perform_restart},
	{"scale", "scaled", API_OPERATE, false, perform_scale},
	{"delete", "removed", API_ADMIN, true, perform_delete},
};

static void begin_delete(struct controller *c, const struct change *ch)
{
	for (size_t i = 0; i < ch->n_services; i++) {
		struct service *s = controller_find(c, ch->services[i].name);

		if (!s)
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

	if (ch && err) {
		err_set(&copy, err->code, "%s", err->msg);
		change_finish(p->c, ch, copy);
	} else if (ch) {
		ch->committed = true;
		if (strcmp(ch->kind, "delete") == 0)
			begin_delete(p->c, ch);
		change_review(p->c, NULL);
	}
	if (p->r && err)
		api_reply_err(p->r, err);
	else if (p->r && ch)
		reply_change(p->c, p->r, 202, ch);
	else if (p->r)
		api_reply_error(p->r, 503, "busy", "the change is no longer known");
	mem_free(p);
}

static int put(struct controller *c, const struct post *post, store_cb cb, void *user)
{
	int r = 0;

	store_begin(c->store);
	for (size_t i = 0; i < post->n && r == 0; i++) {
		const struct service *s = post->targets[i].s;
		const struct store_service row = {.name = s->name,
						  .set = s->set,
						  .sources = s->source ? s->source->json : "[]",
						  .revision = s->revision,
						  .stopped = s->stopped,
						  .replicas_override = s->replicas_override};
		store_cb last = i + 1 == post->n ? cb : NULL;

		r = post->op->perform == perform_delete
			    ? store_del_service(c->store, s->name, true, last, user)
			    : store_put_service(c->store, &row, true, last, user);
	}
	store_end(c->store);
	return r;
}

static void run(struct post *post)
{
	struct controller *c = post->call->c;
	struct change *ch = change_new(c, post->id, post->op->kind);
	struct err *err = NULL;
	struct pending *p;
	bool named = ch != NULL;

	for (size_t i = 0; named && i < post->n; i++)
		named = change_add_service(ch, post->targets[i].s->name, post->op->action,
					   post->op->gone) == 0;
	if (!named) {
		err_nomem(&err);
		if (ch)
			change_finish(c, ch, err);
		api_reply_error(post->call->r, 503, "out_of_memory", "out of memory");
		return;
	}
	p = pending_new(post->call, post->id);
	if (!p)
		return;
	if (post->op->perform != perform_delete) {
		for (size_t i = 0; i < post->n; i++) {
			post->op->perform(&post->targets[i]);
			controller_touch(post->targets[i].s);
		}
	}
	if (put(c, post, on_committed, p) < 0) {
		err_set(&err, ERR_BUSY, "the state directory does not keep up");
		change_finish(c, ch, err);
		api_reply_error(post->call->r, 503, "busy",
				"the state directory does not keep up (hung disk?): try again");
		mem_free(p);
	}
}

static int add_target(struct post *post, const char *id, int64_t replicas)
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
	*t = (struct target){
		.s = controller_find(call->c, name), .replica = index, .replicas = replicas};
	if (t->s && t->s->left_alone && post->op->perform != perform_delete) {
		api_reply_error(call->r, 409, "conflict",
				"the manifest of service \"%s\" is lost: apply it again", name);
		return -1;
	}
	if (!t->s || t->s->deleted || (!t->s->spec && !t->s->left_alone)) {
		api_reply_error(call->r, 404, "not_found", "no service \"%s\"", name);
		return -1;
	}
	if (index >= 0 && post->op->perform != perform_restart) {
		api_reply_error(call->r, 400, "invalid",
				"%s works on whole services: \"%s\" names a replica",
				post->op->kind, id);
		return -1;
	}
	if (index >= 0 && !service_replica(t->s, (unsigned)index)) {
		api_reply_error(call->r, 404, "not_found", "no replica \"%s\"", id);
		return -1;
	}
	post->n++;
	return 0;
}

static int scale_targets(struct post *post, const cJSON *map)
{
	const cJSON *item;

	if (!cJSON_IsObject(map) || cJSON_GetArraySize(map) < 1) {
		api_reply_error(post->call->r, 400, "invalid",
				"replicas: must be {\"SERVICE\": N}");
		return -1;
	}
	post->targets = mem_array((size_t)cJSON_GetArraySize(map), sizeof(*post->targets));
	cJSON_ArrayForEach (item, map) {
		if (!cJSON_IsNumber(item) || item->valuedouble != (double)item->valueint ||
		    item->valueint < 0 || item->valueint > MANIFEST_REPLICAS_MAX) {
			api_reply_error(post->call->r, 400, "invalid",
					"replicas: %s: must be a whole number in 0..%d",
					item->string, MANIFEST_REPLICAS_MAX);
			return -1;
		}
		if (!post->targets || add_target(post, item->string, item->valueint) < 0)
			return -1;
	}
	return 0;
}

static int list_targets(struct post *post, const cJSON *list)
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
		if (!post->targets || add_target(post, item->valuestring, 0) < 0)
			return -1;
	}
	return 0;
}

static void post_operation(struct api_call *call, const char *id, const char *kind,
			   const cJSON *body)
{
	struct post post = {.call = call, .id = id};
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(operations); i++)
		if (strcmp(operations[i].kind, kind) == 0)
			post.op = &operations[i];
	if (!post.op) {
		api_reply_error(call->r, 400, "invalid",
				"kind \"%s\" is none of apply, start, stop, restart, scale, delete",
				kind);
		return;
	}
	if (!api_role_allows(call, post.op->role, kind))
		return;
	if (post.op->perform == perform_scale)
		r = scale_targets(&post, cJSON_GetObjectItemCaseSensitive(body, "replicas"));
	else
		r = list_targets(&post, cJSON_GetObjectItemCaseSensitive(body, "services"));
	if (r == 0)
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
		if (strcmp(known->kind, kind->valuestring) == 0)
			reply_change(call->c, call->r, 202, known); /* a retry */
		else
			api_reply_error(call->r, 409, "conflict", "change %s exists already, as %s",
					known->id, known->kind);
	} else if (writable(call)) {
		if (strcmp(kind->valuestring, "apply") == 0)
			post_apply(call, id->valuestring, body);
		else
			post_operation(call, id->valuestring, kind->valuestring, body);
	}
	cJSON_Delete(body);
}

void api_changes_get(struct api_call *call)
{
	struct change *ch = change_find(call->c, call->name);

	if (ch)
		reply_change(call->c, call->r, 200, ch);
	else
		api_reply_error(call->r, 404, "not_found",
				"no change \"%s\" (the newest %d are kept)", call->name,
				CHANGES_KEPT);
}
