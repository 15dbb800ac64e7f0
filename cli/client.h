/*
 * client: requests to the daemon as a command makes them, on lib/http_client.
 *
 * The socket is searched once (client_find.h). A request that a dying controller cut off is sent
 * again (aictld keeps the socket, the next controller answers within a second), and so is one that
 * came while the daemon is starting; every write carries an id of ours, so a repeated one is the
 * same change. One request at a time per client.
 *
 * Functions without an err parameter print what is wrong and exit with its code.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_CLIENT_H
#define AICTL_CLI_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cjson/cJSON.h>

struct cli;
struct client;
struct err;

struct reply {
	int status;
	char *text; /* NUL-terminated */
	size_t len;
	cJSON *json; /* the parsed text; NULL when the reply is no JSON */
};

/* Finds a daemon, or exits 6 (7 when a socket is there but closed to us). */
struct client *client_open(struct cli *cli);
/* For a socket that is known; nothing is sent yet. */
struct client *client_new(const char *socket);
struct client *client_free(struct client *c); /* returns NULL */
void client_freep(struct client **c);
#define _cleanup_client_ __attribute__((cleanup(client_freep)))
const char *client_socket(const struct client *c);

struct client_request {
	const char *method, *path;
	const char *body; /* NULL = none */
	int64_t wait_ms;  /* how long the daemon itself may take (a /wait endpoint), else 0 */
};
/* 0 with any HTTP status, or a negative code. */
int client_call(struct client *c, const struct client_request *rq, struct reply *ret,
		struct err **reterr);
/* How long an answer may take before the daemon counts as unreachable (default 30 s). */
void client_set_patience(struct client *c, int64_t ms);
/* The connection broke, but somebody still listens: a controller died in between. */
bool client_is_passing(const struct err *e);
void client_reply_done(struct reply *r);
#define _cleanup_reply_ __attribute__((cleanup(client_reply_done)))

/* Exits with the error of the reply unless it is 2xx. */
void client_check(const struct reply *r);
/* client_call; returns the HTTP status. */
int client_send(struct client *c, const char *method, const char *path, const char *body,
		struct reply *ret);
/* 2xx, or exit with the error of the reply. */
void client_get(struct client *c, const char *path, struct reply *ret);
void client_get_wait(struct client *c, const char *path, int64_t wait_ms, struct reply *ret);
void client_post(struct client *c, const char *path, const char *body, struct reply *ret);

/*
 * A stream of JSON lines. begin: 0, or a negative code (an HTTP error is one too). next: 1 and a
 * line (borrowed until the next call), 0 at the end, negative for an error; with `block` false
 * -ERR_TIMEOUT (reterr unset) when no line is there yet. fd: to poll for the next line.
 */
int client_stream_begin(struct client *c, const char *path, struct err **reterr);
int client_stream_next(struct client *c, bool block, const char **ret_line, struct err **reterr);
int client_stream_fd(const struct client *c);

/*
 * POST of body to an endpoint that leaves HTTP: the socket (the caller's) and what came behind the
 * head. Exits with the reply's error when it is refused.
 */
struct buf;
int client_upgrade(struct client *c, const char *path, const char *body, const char *protocol,
		   struct buf *early);

/* path with "service=NAME" for each name in its query. Caller frees. */
char *client_path_services(const char *path, const char *const *names, size_t n);
/* A name made safe for a path segment or query value. Caller frees. */
char *client_escape(const char *text);

#endif
