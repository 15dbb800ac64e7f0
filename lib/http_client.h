/*
 * http_client: a blocking HTTP/1.1 client over a Unix socket for the CLI, on llhttp alone: libuv
 * and libcurl would double the start-up time.
 *
 * One request at a time; the connection is opened by the first and used again by the next ones. A
 * kept connection that the server has closed meanwhile is replaced without a word; when it dies
 * under the request before a byte of the answer came, the request is sent once more if it is
 * `repeatable`. Every wait ends at a deadline (clock_mono_ms milliseconds, INT64_MAX = never).
 *
 * Errors: ERR_UNREACHABLE (nobody listens, or the connection broke), ERR_PERM (the socket is not
 * ours to open), ERR_TIMEOUT (the deadline), ERR_INVALID (what came is not HTTP, or larger than
 * body_max). After an error the next request starts on a new connection.
 *
 *   http_client_call(c, &rq, &answer, &err): the whole answer
 *   http_client_begin(c, &rq, &status, &err); while (http_client_line(...) > 0) ...: a stream
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_HTTP_CLIENT_H
#define AICTL_LIB_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct http_client;

struct http_client_request {
	const char *method; /* "GET" */
	const char *target; /* path and query, percent-encoded by the caller */
	const char *body;   /* NULL = none */
	size_t body_len;
	int64_t deadline_mono_ms; /* for the head of the answer; http_client_call: for all of it */
	size_t body_max;	  /* http_client_call: a larger answer is an error; 0 = 64 MiB */
	bool repeatable;	  /* sending it twice does no harm */
	const char *upgrade;	  /* the protocol to change to, or NULL; see http_client_take */
};

struct http_client_answer {
	int status;
	char *body; /* NUL-terminated; caller frees */
	size_t len;
};

/* Connects to nothing yet. */
int http_client_new(const char *socket_path, struct http_client **ret, struct err **reterr);
struct http_client *http_client_free(struct http_client *c); /* returns NULL */

int http_client_call(struct http_client *c, const struct http_client_request *rq,
		     struct http_client_answer *ret, struct err **reterr);

/* Sends the request and reads the head of the answer. What is left of an answer before is dropped.
 */
int http_client_begin(struct http_client *c, const struct http_client_request *rq, int *ret_status,
		      struct err **reterr);
/* The next bytes of the answer: 1, or 0 at its end. Borrowed until the next call. A deadline of 0
 * only looks: -ERR_TIMEOUT (with reterr unset) when nothing is there. */
int http_client_read(struct http_client *c, int64_t deadline_mono_ms, const char **ret_data,
		     size_t *ret_len, struct err **reterr);
/* The same by lines, without their '\n'; a last line without one counts. */
int http_client_line(struct http_client *c, int64_t deadline_mono_ms, const char **ret_line,
		     struct err **reterr);
/*
 * After http_client_begin with `upgrade` and the status 101: the socket, now the caller's, and what
 * came behind the head, appended to early. Any other status is an ordinary answer.
 */
struct buf;
int http_client_take(struct http_client *c, struct buf *early);
/* To poll for POLLIN between calls with deadline 0 (read until -ERR_TIMEOUT first); -1 = none. */
int http_client_fd(const struct http_client *c);
/* Appends s percent-encoded, fit for one path segment or query value. */
void http_client_escape(struct buf *out, const char *s);

#endif
