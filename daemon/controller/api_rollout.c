/*
 * api_rollout: the changes rollout_undo and rollout_abort. To the last good revision while an update is under way or has
 * failed: at once; rollout_abort knows nothing else. To an earlier revision of the set, for this service alone: its text is read by
 * the store's thread, parsed and its user looked up in a worker, stored, and then rolled out like
 * any other revision.
 *
 * SPDX-License-Identifier: MIT
 */
#include <cjson/cJSON.h>
#include <string.h>
#include <uv.h>

#include "daemon/controller/api.h"
#include "daemon/controller/api_apply.h"
#include "daemon/controller/change.h"
#include "daemon/controller/controller.h"
#include "daemon/controller/identity.h"
#include "daemon/controller/load.h"
#include "daemon/controller/preview.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/replica_standby.h"
#include "daemon/controller/order.h"
#include "daemon/controller/service.h"
#include "daemon/controller/service_rollout.h"
#include "daemon/controller/store.h"
#include "lib/err.h"
#include "lib/http_server.h"
#include "lib/manifest.h"
#include "lib/mem.h"

struct undo {
	uv_work_t work;
	struct controller *c;
	struct http_request *r; /* NULL: the client has left */
	char id[CHANGE_ID_MAX + 1];
	char *service; /* owned */
	uint64_t revision;
	char *json; /* owned */
	struct service_good to;
	struct zones zones; /* of its schedules */
	struct err *err;    /* owned */
};

static void undo_free(struct undo *u)
{
	service_source_unref(u->to.source);
	identity_unref(u->to.identity);
	zones_done(&u->zones);
	err_free(u->err);
	mem_free(u->service);
	mem_free(u->json);
	mem_free(u);
}

static void on_gone(struct http_request *r, void *user)
{
	struct undo *u = user;

	u->r = NULL;
	http_request_forget(r);
}

static void answer(struct undo *u)
{
	struct change *ch = change_find(u->c, u->id);

	if (u->r && ch)
		api_changes_reply(u->c, u->r, 202, ch);
	else if (u->r)
		api_reply_error(u->r, 503, "busy", "the change is no longer known");
	undo_free(u);
}

static void refuse(struct undo *u, int status, const char *code)
{
	struct change *ch = change_find(u->c, u->id);
	struct err *copy = NULL;

	if (u->r && u->err->file) /* it has more to say */
		api_reply_err(u->r, u->err);
	else if (u->r)
		api_reply_error(u->r, status, code, "%s", err_msg(u->err));
	if (ch) {
		err_set(&copy, ERR_CONFLICT, "%s", err_msg(u->err));
		change_finish(u->c, ch, copy);
	}
	undo_free(u);
}

/* What comes later must not be overwritten in the store. */
static bool is_busy(const struct service *s, struct err **reterr)
{
	if (s->storing == 0)
		return false;
	err_set(reterr, ERR_BUSY, "another change of \"%s\" is being written: try again", s->name);
	return true;
}

/* ---- to a revision of the store ---- */

/* What ran before has no steps to go. */
static struct service_next next_of(const struct undo *u, const char *keys)
{
	return (struct service_next){.revision = u->revision, .hash = u->to.hash, .keys = keys};
}

static void take(struct undo *u, struct service *s)
{
	struct buf keys = {0};
	enum change_class change = service_spec_diff(s->spec, u->to.spec, &keys);
	const struct service_next next = next_of(u, buf_cstr(&keys));

	if (change == CHANGE_REPLACE)
		service_rollout_begin(s, &next);
	else
		service_rollout_agree(s);
	s->revision = u->revision;
	memccpy(s->changed_keys, buf_cstr(&keys), '\0', sizeof(s->changed_keys) - 1);
	zones_put(&u->c->zones, &u->zones);
	service_set_spec(s, u->to.source, u->to.spec, identity_ref(u->to.identity));
	for (size_t i = 0; i < s->n_replicas; i++) {
		if (replica_is_current(s->replicas[i]))
			replica_respec(s->replicas[i]);
		replica_standby_renew(s->replicas[i]);
	}
	buf_done(&keys);
	controller_touch(s);
	order_relink(u->c);
}

static void on_stored(void *user, const struct err *err)
{
	struct undo *u = user;
	struct service *s = controller_find(u->c, u->service);
	struct change *ch = change_find(u->c, u->id);

	service_rollout_release(u->c, u->service);
	if (err || !s || s->deleted || !s->spec) {
		err_set(&u->err, ERR_BUSY, "%s", err ? err_msg(err) : "the service has gone");
		refuse(u, 503, "busy");
		return;
	}
	take(u, s);
	if (ch)
		ch->committed = true;
	controller_settle(u->c);
	change_review(u->c, NULL);
	answer(u);
}

/* The service's row and its rollout's in one transaction, as an apply does it. */
static void store(struct undo *u, struct service *s)
{
	_cleanup_buf_ struct buf keys = {0};
	enum change_class change = service_spec_diff(s->spec, u->to.spec, &keys);
	const struct service_next next = next_of(u, buf_cstr(&keys));
	struct store_rollout rollout;
	const struct store_service row = {.name = s->name,
					  .set = s->set,
					  .sources = u->to.source->json,
					  .revision = u->revision,
					  .stopped = s->stopped,
					  .replicas_override = s->replicas_override};
	int r = 0;

	store_begin(u->c->store);
	if (change == CHANGE_REPLACE) {
		rollout = service_rollout_row(s, s->name, &next);
		r = store_put_rollout(u->c->store, &rollout, NULL, NULL);
	}
	if (r == 0)
		r = store_put_service(u->c->store, &row, true, on_stored, u);
	store_end(u->c->store);
	if (r == 0) {
		service_rollout_hold(s);
		return;
	}
	err_set(&u->err, ERR_BUSY, "the state directory does not keep up (hung disk?): try again");
	refuse(u, 503, "busy");
}

static void prepare(uv_work_t *work)
{
	struct undo *u = work->data;
	const char *key;

	u->to.source = load_parse(u->json);
	u->to.spec = u->to.source ? manifest_find(u->to.source->manifest, u->service) : NULL;
	if (!u->to.spec) {
		err_set(&u->err, ERR_NOTFOUND, "service \"%s\" was not in revision %llu",
			u->service, (unsigned long long)u->revision);
		return;
	}
	u->to.hash = service_spec_hash(u->to.spec);
	u->to.revision = u->revision;
	load_look_up(u->c, u->to.spec, &u->to.identity, &u->err);
	if (!u->err)
		zones_read(&u->zones, u->to.spec, &key, &u->err);
}

static void on_prepared(uv_work_t *work, int status)
{
	struct undo *u = work->data;
	struct service *s = controller_find(u->c, u->service);

	(void)status;
	if (!u->err && (!s || s->deleted || !s->spec))
		err_set(&u->err, ERR_NOTFOUND, "no service \"%s\"", u->service);
	if (u->err)
		refuse(u, 404, "not_found");
	else if (is_busy(s, &u->err))
		refuse(u, 503, "busy");
	else if (service_rollout_check(s, &u->to, &u->err) < 0)
		refuse(u, 409, "conflict");
	else
		store(u, s);
}

static void on_read(void *user, const char *sources, const struct err *err)
{
	struct undo *u = user;

	if (err) {
		err_set(&u->err, err->code, "%s", err_msg(err));
		refuse(u, 503, "busy");
		return;
	}
	if (!sources) {
		err_set(&u->err, ERR_NOTFOUND, "there is no revision %llu (the last %d are kept)",
			(unsigned long long)u->revision, STORE_REVISIONS_KEPT);
		refuse(u, 404, "not_found");
		return;
	}
	u->json = mem_strdup(sources);
	u->work.data = u;
	if (!u->json || uv_queue_work(u->c->loop, &u->work, prepare, on_prepared) < 0) {
		err_set(&u->err, ERR_BUSY, "out of memory");
		refuse(u, 503, "out_of_memory");
	}
}

static void undo_to(struct undo *u, const struct service *s)
{
	http_request_set_user(u->r, u, on_gone);
	if (store_read_revision(u->c->store, s->set, u->revision, on_read, u) == 0)
		return;
	err_set(&u->err, ERR_BUSY, "the state directory does not keep up (hung disk?): try again");
	refuse(u, 503, "busy");
}

/* ---- the request ---- */

static struct undo *undo_new(struct api_call *call, const char *id, const char *kind,
			     const struct service *s)
{
	struct undo *u = mem_alloc(sizeof(*u));
	struct change *ch = u ? change_new(call->c, id, kind) : NULL;

	if (u)
		u->service = mem_strdup(s->name);
	if (!ch || !u->service || change_add_service(ch, s->name, "undone", false) < 0) {
		if (u)
			undo_free(u);
		api_reply_error(call->r, 503, "out_of_memory", "out of memory");
		return NULL;
	}
	ch->uid = api_changes_peer_uid(call->r);
	u->c = call->c;
	u->r = call->r;
	memccpy(u->id, id, '\0', sizeof(u->id) - 1);
	return u;
}

/* It is done, or refused for u->err. */
static void taken_back(struct undo *u)
{
	if (u->err) {
		refuse(u, 409, "conflict");
		return;
	}
	change_find(u->c, u->id)->committed = true;
	controller_settle(u->c);
	answer(u);
}

static void undo(struct api_call *call, const char *id, struct service *s, uint64_t to)
{
	struct undo *u = undo_new(call, id, "rollout_undo", s);
	struct change *ch;

	if (!u)
		return;
	if (is_busy(s, &u->err)) {
		refuse(u, 503, "busy");
		return;
	}
	if (to == 0 && service_rollout_undo(s, &u->err)) {
		taken_back(u);
		return;
	}
	u->revision = to ? to : service_rollout_previous(s);
	if (u->revision == 0) {
		err_set(&u->err, ERR_CONFLICT,
			"\"%s\" has no earlier revision that was good: name one with --to",
			s->name);
		refuse(u, 409, "conflict");
		return;
	}
	ch = change_find(call->c, id);
	ch->revision = u->revision;
	undo_to(u, s);
}

static void abort_rollout(struct api_call *call, const char *id, struct service *s)
{
	struct undo *u = undo_new(call, id, "rollout_abort", s);

	if (!u)
		return;
	if (is_busy(s, &u->err)) {
		refuse(u, 503, "busy");
		return;
	}
	if (!service_rollout_abort(s, &u->err))
		err_set(&u->err, ERR_CONFLICT, "no update of \"%s\" is under way", s->name);
	taken_back(u);
}

/* The one service that it names; NULL: it is answered. */
static struct service *named(struct api_call *call, const cJSON *body)
{
	const cJSON *services = cJSON_GetObjectItemCaseSensitive(body, "services");
	const cJSON *name = cJSON_GetArrayItem(services, 0);
	struct service *s;

	if (!cJSON_IsArray(services) || cJSON_GetArraySize(services) != 1 ||
	    !cJSON_IsString(name)) {
		api_reply_error(call->r, 400, "invalid", "services: must be a list of one name");
		return NULL;
	}
	s = controller_find(call->c, name->valuestring);
	if (s && !s->deleted && s->spec)
		return s;
	api_reply_error(call->r, 404, "not_found", "no service \"%s\"", name->valuestring);
	return NULL;
}

void api_rollout_undo(struct api_call *call, const char *id, const cJSON *body)
{
	const cJSON *to = cJSON_GetObjectItemCaseSensitive(body, "revision");
	struct service *s;

	if (!api_role_allows(call, API_OPERATE, "rollout_undo"))
		return;
	if (to && (!cJSON_IsNumber(to) || to->valuedouble < 1 ||
		   to->valuedouble != (double)(uint64_t)to->valuedouble)) {
		api_reply_error(call->r, 400, "invalid", "revision: must be a whole number from 1");
		return;
	}
	s = named(call, body);
	if (s)
		undo(call, id, s, to ? (uint64_t)to->valuedouble : 0);
}

void api_rollout_abort(struct api_call *call, const char *id, const cJSON *body)
{
	struct service *s;

	if (!api_role_allows(call, API_OPERATE, "rollout_abort"))
		return;
	s = named(call, body);
	if (s)
		abort_rollout(call, id, s);
}
