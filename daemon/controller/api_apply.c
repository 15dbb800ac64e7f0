/* api_apply: see api_apply.h. The answer goes out when the store has it. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/api_apply.h"

#include <cjson/cJSON.h>
#include <string.h>

#include "daemon/controller/api.h"
#include "daemon/controller/apply.h"
#include "daemon/controller/change.h"
#include "daemon/controller/controller.h"
#include "daemon/controller/sources.h"
#include "lib/err.h"
#include "lib/http_server.h"
#include "lib/mem.h"
#include "lib/sock.h"

#define ORIGIN_MAX 256 /* bytes of each of its texts */
#define REVISION_MAX (INT64_C(1) << 53)

/* The request whose answer waits; outlives its client. */
struct pending {
	struct controller *c;
	struct http_request *r; /* NULL: the client has left */
};

/* ---- the body ---- */

/* A short text without control characters, or NULL when absent. False: it is wrong. */
static bool read_text(const cJSON *o, const char *name, const char **ret)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(o, name);

	*ret = NULL;
	if (!item || cJSON_IsNull(item))
		return true;
	if (!cJSON_IsString(item) || strlen(item->valuestring) > ORIGIN_MAX)
		return false;
	for (const unsigned char *p = (const unsigned char *)item->valuestring; *p; p++)
		if (*p < 0x20 || *p == 0x7f || (p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0))
			return false;
	*ret = item->valuestring;
	return true;
}

static bool read_origin(const cJSON *body, struct apply_args *args)
{
	const cJSON *origin = cJSON_GetObjectItemCaseSensitive(body, "origin");
	const cJSON *git = cJSON_GetObjectItemCaseSensitive(origin, "git");

	args->git_dirty = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(git, "dirty"));
	return read_text(origin, "user", &args->by_user) &&
	       read_text(git, "commit", &args->git_commit) &&
	       read_text(git, "branch", &args->git_branch);
}

static bool read_if_revision(const cJSON *body, int64_t *ret)
{
	const cJSON *n = cJSON_GetObjectItemCaseSensitive(body, "if_revision");

	*ret = APPLY_ANY_REVISION;
	if (!n || cJSON_IsNull(n))
		return true;
	if (!cJSON_IsNumber(n) || n->valuedouble < 0 || n->valuedouble > (double)REVISION_MAX ||
	    n->valuedouble != (double)(int64_t)n->valuedouble)
		return false;
	*ret = (int64_t)n->valuedouble;
	return true;
}

bool api_apply_args(struct api_call *call, const cJSON *body, struct sources *sources,
		    struct apply_args *args)
{
	const cJSON *prune = cJSON_GetObjectItemCaseSensitive(body, "prune");
	_cleanup_err_ struct err *err = NULL;
	const char *wrong = NULL;

	if (prune && !cJSON_IsBool(prune))
		wrong = "prune: must be true or false";
	else if (!read_if_revision(body, &args->if_revision))
		wrong = "if_revision: must be the number of a revision, 0 for none";
	else if (!read_origin(body, args))
		wrong = "origin: texts of at most 256 bytes without control characters";
	if (wrong) {
		api_reply_error(call->r, 400, "invalid", "%s", wrong);
		return false;
	}
	if (sources_from_json(cJSON_GetObjectItemCaseSensitive(body, "manifests"), sources, &err) <
	    0) {
		api_reply_err(call->r, err);
		return false;
	}
	args->prune = cJSON_IsTrue(prune);
	args->sources = sources;
	return true;
}

/* ---- the answer ---- */

static void on_gone(struct http_request *r, void *user)
{
	struct pending *p = user;

	p->r = NULL;
	http_request_forget(r);
}

void api_apply_reply_failure(struct http_request *r, const struct apply_result *res)
{
	if (res->errors)
		api_reply_manifest_errors(r, res->errors);
	else if (res->code)
		api_reply_error(r, 409, res->code, "%s", res->err->msg);
	else
		api_reply_err(r, res->err);
}

static void applied(void *user, const struct apply_result *res)
{
	struct pending *p = user;

	if (p->r && res->change)
		api_changes_reply(p->c, p->r, 202, res->change);
	else if (p->r)
		api_apply_reply_failure(p->r, res);
	if (res->change)
		change_review(p->c, NULL);
	mem_free(p);
}

void api_apply_post(struct api_call *call, const char *id, const cJSON *body)
{
	__attribute__((cleanup(sources_done))) struct sources sources = {0};
	struct apply_args args = {.change_id = id, .done = applied};
	struct sock_peer peer = {0};
	struct pending *p;

	if (!api_role_allows(call, API_ADMIN, "apply") ||
	    !api_apply_args(call, body, &sources, &args))
		return;
	p = mem_alloc(sizeof(*p));
	if (!p) {
		api_reply_error(call->r, 503, "out_of_memory", "out of memory");
		return;
	}
	*p = (struct pending){call->c, call->r};
	sock_peer(http_request_fd(call->r), &peer);
	args.uid = peer.uid;
	args.user = p;
	http_request_set_user(call->r, p, on_gone);
	if (apply_submit(call->c, &args) < 0) {
		api_reply_error(call->r, 503, "busy", "too many applies at once: try again");
		mem_free(p);
	}
}
