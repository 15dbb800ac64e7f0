/*
 * docker_http: requests to the engine, by libcurl over its Unix socket. libcurl says which
 * descriptors to watch and when to call it; the host's loop calls it back. Answers are handed out
 * after libcurl has returned, so a callback may send and cancel requests, its own as well.
 *
 * Each call ends in one `done`, unless it is canceled: then in none. A body is bounded (`max`;
 * more of it is an error); with on_line each line of a 2xx answer is handed out as it comes, and
 * `max` bounds the line. A timeout_ms of 0 is for streams that stay open.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_PLUGINS_DOCKER_HTTP_H
#define AICTL_PLUGINS_DOCKER_HTTP_H

#include <aictl/plugin.h>
#include <stddef.h>
#include <stdint.h>

struct docker_http;
struct docker_http_call;

struct docker_http_answer {
	int code;	  /* AICTL_OK: there is an answer; else UNREACHABLE, TIMEOUT, NO_MEMORY */
	int status;	  /* of HTTP, with AICTL_OK */
	const char *body; /* has a NUL behind it; "" if there is none */
	size_t len;
	const char *error; /* for people, unless AICTL_OK */
};

struct docker_http_ask {
	const char *method; /* NULL: GET */
	const char *path;   /* with its query */
	const char *body;   /* JSON, or NULL */
	const char *auth;   /* X-Registry-Auth, or NULL */
	int64_t timeout_ms;
	size_t max; /* 0: a default */
	void (*on_line)(void *user, const char *line, size_t len);
	void (*done)(void *user, const struct docker_http_answer *answer);
	void *user;
};

struct docker_http *docker_http_new(const struct aictl_host *host, const char *socket_path);
void docker_http_free(struct docker_http *h); /* cancels all; not from within a callback */

/* NULL: no memory, and no callback. */
struct docker_http_call *docker_http_send(struct docker_http *h, const struct docker_http_ask *ask);
void docker_http_cancel(struct docker_http_call *c); /* NULL does nothing */

#endif
