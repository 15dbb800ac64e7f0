/*
 * api: dispatch of the control API (api.def) and what every handler needs: replies, errors, numbers
 * from the query. Handlers live in api_*.c; each answers its request exactly once, now or later.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_API_H
#define AICTL_CONTROLLER_API_H

#include <stdint.h>

struct buf;
struct controller;
struct err;
struct http_request;
struct jsonw;
struct manifest_errors;

/* By peer credentials: the daemon's owner and root are admin, members of its group may operate. */
enum api_role { API_NONE, API_READ, API_OPERATE, API_ADMIN };

struct api_call {
	struct controller *c;
	struct http_request *r;
	const char *name; /* the path's {} part, or NULL; borrowed during the call */
	enum api_role role;
};

#define ENDPOINT(method, path, role, handler) void handler(struct api_call *call);
#include "daemon/controller/api.def"
#undef ENDPOINT

/* Serves listen_fd; called when HELLO has brought it. */
int api_start(struct controller *c, int listen_fd, struct err **reterr);
/* b is one JSON value; a failed buffer becomes 503. */
void api_reply(struct http_request *r, int status, const struct buf *b);
void api_reply_error(struct http_request *r, int status, const char *code, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* By its code: 404, 409, 422, ... */
void api_reply_err(struct http_request *r, const struct err *e);
void api_reply_manifest_errors(struct http_request *r, const struct manifest_errors *errors);
void api_write_error(struct jsonw *w, const char *key, const struct err *e);
/* Whole number of the query in [min, max], or dflt when absent; -1 and a 400 reply when wrong. */
int64_t api_query_int(struct api_call *call, const char *name, int64_t dflt, int64_t min,
		      int64_t max);

#endif
