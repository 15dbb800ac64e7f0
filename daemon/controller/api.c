/* api: see api.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/api.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "daemon/controller/controller.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/http_server.h"
#include "lib/jsonw.h"
#include "lib/log.h"
#include "lib/manifest.h"
#include "lib/mem.h"
#include "lib/parse.h"

#define BODY_MAX (16 << 20) /* an apply of many manifests */
#define CONNECTIONS_MAX 1024
#define IDLE_MS (5 * 60 * 1000)
#define HEAD_MS 30000
#define STREAM_BUFFER_MAX (4 << 20)
#define HELD_MAX (64 << 20)
#define PER_USER_MAX 256

struct endpoint {
	const char *method, *path;
	enum api_role role;
	void (*handler)(struct api_call *call);
};

static const struct endpoint endpoints[] = {
#define ENDPOINT(method, path, role, handler, ...) {method, path, role, handler},
#include "daemon/controller/api.def"
#undef ENDPOINT
};

void api_reply(struct http_request *r, int status, const struct buf *b)
{
	static const char oom[] =
		"{\"error\":{\"code\":\"out_of_memory\",\"message\":\"out of memory\"}}";

	if (b->failed)
		http_reply(r, 503, NULL, oom, sizeof(oom) - 1);
	else
		http_reply(r, status, NULL, b->data, b->len);
}

static void write_error(struct jsonw *w, const char *key, const char *code, const struct err *e)
{
	jsonw_object_begin(w, key);
	jsonw_string(w, "code", code);
	jsonw_string(w, "message", e->msg);
	jsonw_string(w, "file", e->file);
	if (e->line)
		jsonw_int(w, "line", e->line);
	else
		jsonw_null(w, "line");
	if (e->column)
		jsonw_int(w, "column", e->column);
	else
		jsonw_null(w, "column");
	jsonw_string(w, "hint", e->hint);
	jsonw_object_end(w);
}

void api_write_error(struct jsonw *w, const char *key, const struct err *e)
{
	write_error(w, key, err_code_name(e->code), e);
}

void api_write_errors(struct jsonw *w, const char *key, const struct manifest_errors *errors)
{
	jsonw_array_begin(w, key);
	for (size_t i = 0; i < errors->n; i++)
		api_write_error(w, NULL, errors->errs[i]);
	jsonw_array_end(w);
}

void api_reply_error(struct http_request *r, int status, const char *code, const char *fmt, ...)
{
	_cleanup_buf_ struct buf b = {0};
	struct jsonw w = {.out = &b};
	char msg[512];
	const struct err e = {.msg = msg};
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	jsonw_object_begin(&w, NULL);
	write_error(&w, "error", code, &e);
	jsonw_object_end(&w);
	api_reply(r, status, &b);
}

static int status_of(enum err_code code)
{
	static const int status[ERR_CODE_MAX_] = {
		[ERR_OK] = 200,	      [ERR_INVALID] = 400,     [ERR_NOTFOUND] = 404,
		[ERR_CONFLICT] = 409, [ERR_BUSY] = 503,	       [ERR_TIMEOUT] = 504,
		[ERR_PERM] = 403,     [ERR_UNREACHABLE] = 503, [ERR_SYS] = 500,
		[ERR_NOMEM] = 503,
	};

	return status[code];
}

bool api_ready(struct api_call *call)
{
	if (call->c->begun)
		return true;
	if (call->c->loaded)
		api_reply_error(call->r, 503, "starting",
				"the controller is starting: try again in a moment");
	else if (call->c->store_failed)
		api_reply_error(call->r, 503, "starting",
				"the controller cannot read its store in %s: %s",
				call->c->opts.state_dir,
				call->c->store_error ? call->c->store_error : "see its log");
	else
		api_reply_error(call->r, 503, "starting",
				"the controller is starting and reads its store in %s",
				call->c->opts.state_dir);
	return false;
}

void api_reply_err(struct http_request *r, const struct err *e)
{
	_cleanup_buf_ struct buf b = {0};
	struct jsonw w = {.out = &b};

	jsonw_object_begin(&w, NULL);
	api_write_error(&w, "error", e);
	jsonw_object_end(&w);
	api_reply(r, status_of(e->code), &b);
}

/* 422, or 409 when all that is wrong is a conflict with what runs. */
void api_reply_manifest_errors(struct http_request *r, const struct manifest_errors *errors)
{
	_cleanup_buf_ struct buf b = {0};
	struct jsonw w = {.out = &b};
	bool conflict = true;

	jsonw_object_begin(&w, NULL);
	api_write_error(&w, "error", errors->errs[0]);
	jsonw_array_begin(&w, "errors");
	for (size_t i = 0; i < errors->n; i++) {
		conflict = conflict && errors->errs[i]->code == ERR_CONFLICT;
		api_write_error(&w, NULL, errors->errs[i]);
	}
	jsonw_array_end(&w);
	jsonw_bool(&w, "more", errors->more);
	jsonw_object_end(&w);
	api_reply(r, conflict ? 409 : 422, &b);
}

int64_t api_query_int(struct api_call *call, const char *name, int64_t dflt, int64_t min,
		      int64_t max)
{
	const char *text = http_request_query(call->r, name);
	_cleanup_err_ struct err *err = NULL;
	int64_t v;

	if (!text)
		return dflt;
	if (parse_i64(text, min, max, &v, &err) == 0)
		return v;
	err_wrap(&err, "query %s", name);
	api_reply_err(call->r, err);
	return -1;
}

/* Matches path against pattern; the {} segment is copied to name[n]. */
static bool match(const char *pattern, const char *path, char *name, size_t n)
{
	while (*pattern) {
		if (pattern[0] == '{') {
			size_t len = strcspn(path, "/");

			if (len == 0 || len >= n)
				return false;
			memcpy(name, path, len);
			name[len] = '\0';
			path += len;
			pattern += 2;
		} else if (*pattern++ != *path++) {
			return false;
		}
	}
	return *path == '\0';
}

static void on_request(struct http_request *r, void *user)
{
	struct controller *c = user;
	const char *path = http_request_path(r), *method = http_request_method(r);
	struct api_call call = {.c = c, .r = r, .role = api_role_of(c, http_request_fd(r))};
	bool path_known = false;
	char name[128], what[160];

	log_debug("api method=%s path=%.100s role=%s", method, path, api_role_name(call.role));

	for (size_t i = 0; i < ARRAY_SIZE(endpoints); i++) {
		const struct endpoint *e = &endpoints[i];

		if (!match(e->path, path, name, sizeof(name)))
			continue;
		path_known = true;
		if (strcmp(e->method, method) != 0 &&
		    !(strcmp(method, "HEAD") == 0 && strcmp(e->method, "GET") == 0))
			continue;
		snprintf(what, sizeof(what), "%s %s", method, path);
		if (!api_role_allows(&call, e->role, what))
			return;
		call.name = strchr(e->path, '{') ? name : NULL;
		e->handler(&call);
		return;
	}
	if (path_known)
		api_reply_error(r, 405, "method_not_allowed", "%s is not a method of %s", method,
				path);
	else
		api_reply_error(
			r, 404, "unknown_endpoint",
			"no endpoint %s: see GET /v1/services, /v1/changes, /v1/events, /v1/logs, /v1/daemon",
			path);
}

int api_start(struct controller *c, int listen_fd, struct err **reterr)
{
	const struct http_server_opts opts = {.body_max = BODY_MAX,
					      .connections_max = CONNECTIONS_MAX,
					      .idle_ms = IDLE_MS,
					      .head_ms = HEAD_MS,
					      .stream_buffer_max = STREAM_BUFFER_MAX,
					      .held_max = HELD_MAX,
					      .per_user_max = PER_USER_MAX,
					      .owner = c->owner,
					      .on_request = on_request,
					      .user = c};

	return http_server_new(c->loop, listen_fd, &opts, &c->http, reterr);
}
