/*
 * api: dispatch of the control API (api.def) and what every handler needs: replies, errors, numbers
 * from the query. Handlers live in api_*.c; each answers its request exactly once, now or later.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_API_H
#define AICTL_CONTROLLER_API_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct buf;
struct cJSON;
struct controller;
struct err;
struct http_request;
struct jsonw;
struct manifest_errors;

/*
 * By peer credentials: root and the daemon's owner are admin, under a root daemon members of the
 * group aictl operate, whoever else gets at the socket reads. Metrics is for later listeners.
 */
enum api_role { API_NONE, API_METRICS, API_READ, API_OPERATE, API_ADMIN };

struct api_call {
	struct controller *c;
	struct http_request *r;
	const char *name; /* the path's {} part, or NULL; borrowed during the call */
	enum api_role role;
};

#define ENDPOINT(method, path, role, handler, ...) void handler(struct api_call *call);
#include "daemon/controller/api.def"
#undef ENDPOINT

/* Whose change it is. */
uid_t api_changes_peer_uid(struct http_request *r);
/* POST /v1/changes of this kind: api_rollout.c. */
void api_rollout_undo(struct api_call *call, const char *id, const struct cJSON *body);
void api_rollout_abort(struct api_call *call, const char *id, const struct cJSON *body);

/* What a value of an environment or a secret reads as for those who may not change it. */
#define API_MASK "***"

enum api_role api_role_of(const struct controller *c, int fd);
const char *api_role_name(enum api_role role);
/* False: the caller may not, and has been told who may. what: "apply", "POST /v1/daemon/stop". */
bool api_role_allows(struct api_call *call, enum api_role needed, const char *what);
/* May the caller see values of environment and secrets? Else they are written as API_MASK. */
bool api_role_sees_values(const struct api_call *call);

/*
 * The request's body: one JSON object of at most API_BODY_DEPTH levels and API_BODY_VALUES values,
 * no member twice, no NUL. NULL: it is not, and the request is answered. Free with cJSON_Delete.
 */
#define API_BODY_DEPTH 32
#define API_BODY_VALUES 20000
struct cJSON *api_body_object(struct api_call *call);

/* Serves listen_fd; called when HELLO has brought it. */
int api_start(struct controller *c, int listen_fd, struct err **reterr);
/* STATUS came: answers those who wait to detach or reexec. */
void api_handover_told(struct controller *c, uint32_t refusals_before);
/* b is one JSON value; a failed buffer becomes 503. */
void api_reply(struct http_request *r, int status, const struct buf *b);
void api_reply_error(struct http_request *r, int status, const char *code, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* By its code: 404, 409, 422, ... */
void api_reply_err(struct http_request *r, const struct err *e);
/* Is what runs known already? If not, 503 is the answer. */
bool api_ready(struct api_call *call);
void api_reply_manifest_errors(struct http_request *r, const struct manifest_errors *errors);
void api_write_error(struct jsonw *w, const char *key, const struct err *e);
void api_write_errors(struct jsonw *w, const char *key, const struct manifest_errors *errors);
/* Whole number of the query in [min, max], or dflt when absent; -1 and a 400 reply when wrong:
 * the request is gone then. */
int64_t api_query_int(struct api_call *call, const char *name, int64_t dflt, int64_t min,
		      int64_t max);

#endif
