/*
 * http_conn: private to the http_* files: one client's connection. Reads, lets http_parse take what
 * belongs to a request, asks the handler, writes what http_reply and http_stream hand over.
 *
 * One request at a time, and one in a turn of the loop, so that pipelining gains nobody a larger
 * share: bytes of later ones wait in `in` (bounded: beyond HTTP_CONN_AHEAD_MAX reading stops) until
 * the answer before them has left. An end of file is the client's farewell,
 * unless pipelined bytes are waiting; so a half-closed connection counts as gone.
 * The last answer of a connection is followed by a shutdown, and reads are thrown away for a
 * moment, for closing with unread bytes would destroy the answer on its way.
 *
 * The struct is freed in the handle's close callback, which first lets go of the request; nothing
 * is ever freed on the caller's stack.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_HTTP_CONN_H
#define AICTL_LIB_HTTP_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>
#include <uv.h>

#include "lib/buf.h"
#include "lib/http_watch.h"

struct http_conn;
struct http_request;
struct http_server_opts;

#define HTTP_CONN_AHEAD_MAX 65536u
#define HTTP_CONN_READ_SIZE 65536u

/* What all connections of a server share. */
struct http_conn_env {
	uv_loop_t *loop;
	struct http_server_opts *opts;
	struct http_watch *watch;
	char *read_buf; /* HTTP_CONN_READ_SIZE bytes: a read is used up before the next one */
	void *owner;
	void (*closed)(struct http_conn *c, void *owner); /* about to be freed */
	void (*over)(void *owner);			  /* held > opts->held_max */
	size_t held;					  /* the sum of the connections' held */
	unsigned n_closing;
};

struct http_conn {
	union {
		uv_handle_t handle;
		uv_stream_t stream;
		uv_pipe_t pipe;
		uv_tcp_t tcp;
	} uv; /* data: the http_conn */
	struct http_conn_env *env;
	TAILQ_ENTRY(http_conn) all; /* the server's */
	struct http_watch_entry wait;
	struct http_request *req; /* being read or answered, or NULL */
	struct buf in;		  /* read, not yet parsed */
	const char *rest;	  /* while the handler is asked: what came behind its request */
	size_t rest_len;
	size_t flush_left; /* unsent bytes when the flush was last looked at */
	size_t discarded;  /* bytes thrown away while lingering */
	size_t held;	   /* bytes of it in our memory, as counted in env->held */
	uid_t uid;	   /* the peer's; -1 = unknown */
	bool trusted;	   /* root or the server's owner */
	bool eof, reading, last_answer, lingering, closing;
	uv_shutdown_t shutdown;
};

/* Owns fd on success only. 0 or a libuv error. */
int http_conn_new(struct http_conn_env *env, int fd, struct http_conn **ret);
void http_conn_close(struct http_conn *c);
int http_conn_fd(const struct http_conn *c);
/* Sends now what the socket takes, queues a copy of the rest. False: closed, nothing was sent. */
bool http_conn_write(struct http_conn *c, const uv_buf_t *bufs, unsigned n);
size_t http_conn_pending(const struct http_conn *c);
/* Appends what was read behind the request that the handler has. */
void http_conn_early(const struct http_conn *c, struct buf *out);
/* The answer of c's request is written: frees it and goes on with the next, from the loop. */
void http_conn_answered(struct http_conn *c);
/* The one that has waited longest for `kind`, of an untrusted user where there is one, but at least
 * min_ms; or NULL. */
struct http_conn *http_conn_oldest(const struct http_watch *w, enum http_watch_kind kind,
				   uint64_t min_ms);
void http_conn_expired(struct http_watch_entry *e, enum http_watch_kind kind);
void http_conn_kicked(struct http_watch_entry *e);

#endif
