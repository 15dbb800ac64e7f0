/*
 * http_server: a small HTTP/1.1 server on libuv and llhttp, for the control API on a Unix socket
 * and fit for the gateway later. One server owns its connections; all on the loop's thread.
 *
 * Limits: head 64 KiB, body `body_max`, `connections_max`, `idle_ms` for a connection that has no
 * request under way, `head_ms` for reading one head + body. A connection beyond connections_max
 * takes the place of the one that has been idle longest; when none is idle it is answered 503 and
 * closed, and so are those of a user beyond `per_user_max`. What all together have sent and not
 * finished, or not taken of their answers, is at most `held_max`: beyond it the one that holds most
 * is cut, those of root and of `owner` last.
 * Strict: besides what llhttp refuses, space before a colon, obs-fold, several Host headers, NUL
 * and bare LF are 400. Pipelined requests are answered in order, one at a time. `Expect:
 * 100-continue` is honoured. A slow reader is bounded: a stream is cut when a
 * write would leave more than `stream_buffer_max` bytes unsent (one write of any size may follow
 * when all before it was taken).
 *
 * A handler gets a complete request and answers now or later, exactly once, with http_reply, or
 * with http_stream_begin / _write / _end (chunked). The request stays valid until the answer is
 * complete or on_gone was called, whichever is first. After on_gone (the client left, also by
 * half-closing, or was cut) only http_request_forget is allowed. on_gone always comes from the
 * loop, never from inside a call of the handler's. A handler that sets no on_gone answers as usual,
 * into the void when nobody is left.
 *
 * The process must ignore SIGPIPE. HTTP/1.0 connections are closed after the answer. An answer that
 * its client does not take is dropped when nothing has moved for idle_ms.
 *
 * http_server.c accepts and closes; http_conn is one connection, http_parse one request's bytes,
 * http_request what the handler sees of it, http_reply and http_stream the answers, http_upgrade the
 * way out of HTTP, http_watch all time-outs with one timer.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_HTTP_SERVER_H
#define AICTL_LIB_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

struct buf;
struct err;
struct http_server;
struct http_request;

struct http_server_opts {
	size_t body_max; /* bytes */
	unsigned connections_max;
	int64_t idle_ms, head_ms;
	size_t stream_buffer_max; /* bytes not yet taken by the client before a stream is cut */
	size_t held_max;	  /* bytes of all connections together; 0 = no limit */
	unsigned per_user_max;	  /* connections of one uid but root's and owner's; 0 = no limit */
	uid_t owner;
	void (*on_request)(struct http_request *r, void *user);
	void *user;
};

/* Serves listen_fd (non-blocking stream listener; owned by the server from success on). */
int http_server_new(uv_loop_t *loop, int listen_fd, const struct http_server_opts *opts,
		    struct http_server **ret, struct err **reterr);
/* Closes everything; open requests see on_gone. `closed` (may be NULL) is called when all handles
 * are gone. */
void http_server_close(struct http_server *s, void (*closed)(void *user), void *user);
unsigned http_server_connections(const struct http_server *s);

/* Borrowed, valid with the request. */
const char *http_request_method(const struct http_request *r); /* "GET" */
const char *
http_request_path(const struct http_request *r); /* percent-decoded, without the query */
/* Value of a query parameter, percent-decoded, or NULL; "" for `?follow`. */
const char *http_request_query(const struct http_request *r, const char *name);
/* The nth (from 0) of several of that name, or NULL. */
const char *http_request_query_nth(const struct http_request *r, const char *name, size_t nth);
const char *http_request_header(const struct http_request *r,
				const char *name); /* case-insensitive; NULL = absent */
const char *http_request_body(const struct http_request *r, size_t *len); /* NUL-terminated */
/* The client's connected socket, for SO_PEERCRED. */
int http_request_fd(const struct http_request *r);
/* The caller's own pointer; on_gone is called at most once, when the client leaves before the
 * answer is complete. */
void http_request_set_user(struct http_request *r, void *user,
			   void (*on_gone)(struct http_request *r, void *user));
/* Allowed in or after on_gone: the server may free the request. Must be called exactly once after
 * on_gone. */
void http_request_forget(struct http_request *r);

/* Complete answer; body is copied. content_type NULL = application/json. */
void http_reply(struct http_request *r, int status, const char *content_type, const char *body,
		size_t len);
void http_stream_begin(struct http_request *r, int status, const char *content_type);
/* false: the client is gone or was cut (on_gone has been or will be called). */
bool http_stream_write(struct http_request *r, const void *p, size_t n);
size_t http_stream_pending(const struct http_request *r); /* bytes not yet taken by the client */
/* Calls writable once when pending has fallen to 0 (at once, from the loop, if it is). */
void http_stream_on_drain(struct http_request *r,
			  void (*drained)(struct http_request *r, void *user));
void http_stream_end(struct http_request *r);

/*
 * Upgrade: the connection leaves the server and speaks another protocol. An Upgrade field that no
 * handler takes up is ignored, as RFC 9110 allows.
 *
 * Does the client ask for it (HTTP/1.1, "Connection: upgrade", `protocol` among those of Upgrade)?
 */
bool http_upgrade_wanted(const struct http_request *r, const char *protocol);
/* An answer like http_reply: 426, with the field that says which protocol it is. */
void http_upgrade_required(struct http_request *r, const char *protocol);
/*
 * Answers 101 in place of http_reply and hands over the socket: non-blocking, CLOEXEC, the
 * caller's, and no longer counted by connections_max; its limits and time-outs are the caller's as
 * well. What the client has sent behind its request is appended to early (at most
 * HTTP_CONN_AHEAD_MAX + one read). The request is gone in any case, on_gone is not called. Negative:
 * the client has left, or has not taken earlier answers; then nothing is handed over.
 */
int http_upgrade(struct http_request *r, const char *protocol, struct buf *early, int *ret_fd);

#endif
