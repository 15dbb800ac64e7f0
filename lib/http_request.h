/*
 * http_request: private to the http_* files: a request from its first byte to the end of its
 * answer. Made by its connection when a byte arrives; READING until http_parse is done, ASKED while
 * the handler has it, STREAMING between http_stream_begin and _end.
 *
 * When the client leaves, the connection lets go of it (http_request_gone): conn becomes NULL and
 * the handler is told; the handler's http_request_forget then frees it. A handler that gave no
 * on_gone answers as if nothing had happened and frees it that way.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_HTTP_REQUEST_H
#define AICTL_LIB_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/http_parse.h"

struct http_conn;

#define HTTP_PARAMS_MAX 64u

enum http_request_state { HTTP_REQUEST_READING, HTTP_REQUEST_ASKED, HTTP_REQUEST_STREAMING };

struct http_param {
	const char *name, *value;
};

struct http_request {
	struct http_conn *conn; /* NULL: the client is gone */
	struct http_parse parse;
	enum http_request_state state;
	char *path; /* decoded in place, inside the head */
	struct http_param *params;
	size_t n_params;
	bool head_only; /* HEAD: no body in the answer */
	bool chunked;	/* of the stream */
	void *user;
	void (*on_gone)(struct http_request *r, void *user);
	void (*drained)(struct http_request *r, void *user);
};

struct http_request *http_request_new(struct http_conn *conn, size_t body_max);
void http_request_free(struct http_request *r); /* NULL is a no-op */
/* Splits and decodes the target of a parsed request; NULL, or what is wrong (static) and the status
 * to answer with. */
const char *http_request_resolve(struct http_request *r, int *ret_status);
/* The connection is closed: see above. */
void http_request_gone(struct http_request *r);

#endif
