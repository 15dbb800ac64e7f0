/*
 * http_watch: the time-outs of all connections of one server, with one timer. Each kind of wait has
 * one duration, so its connections are a list in the order of their deadlines: watching is O(1) and
 * the timer is armed for the earliest head only. Nothing is armed, and nobody wakes up, while no
 * connection waits.
 *
 * It also keeps the connections that have something to do on the loop as soon as the caller's stack
 * is unwound (a kick). Callbacks may watch, kick and drop any connection.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_HTTP_WATCH_H
#define AICTL_LIB_HTTP_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uv.h>

enum http_watch_kind {
	HTTP_WATCH_IDLE,   /* no request under way */
	HTTP_WATCH_READ,   /* a request began to arrive */
	HTTP_WATCH_FLUSH,  /* the answer is complete, the client has yet to take it */
	HTTP_WATCH_LINGER, /* the last answer is out, waiting for the client to close */
	HTTP_WATCH_MAX_,
	HTTP_WATCH_NONE = -1
};

struct http_watch_entry { /* embedded in the connection */
	TAILQ_ENTRY(http_watch_entry) by_time, by_kick;
	enum http_watch_kind kind;
	uint64_t deadline; /* uv_now milliseconds */
	bool kicked;
};
TAILQ_HEAD(http_watch_list, http_watch_entry);

struct http_watch {
	uv_timer_t timer; /* data: the http_watch */
	int64_t wait_ms[HTTP_WATCH_MAX_];
	struct http_watch_list lists[HTTP_WATCH_MAX_], kicks;
	void *owner; /* for the callbacks */
	void (*expired)(struct http_watch_entry *e, enum http_watch_kind kind, void *owner);
	void (*kicked)(struct http_watch_entry *e);
};

/* wait_ms, owner and the callbacks are the caller's to set before; 0 or a libuv error. */
int http_watch_init(struct http_watch *w, uv_loop_t *loop);
void http_watch_close(struct http_watch *w, uv_close_cb closed);
void http_watch_entry_init(struct http_watch_entry *e);
/* Starts the wait anew, whatever it was before; HTTP_WATCH_NONE stops it. */
void http_watch_set(struct http_watch *w, struct http_watch_entry *e, enum http_watch_kind kind);
void http_watch_kick(struct http_watch *w, struct http_watch_entry *e);
/* Neither waits nor is kicked any more. */
void http_watch_drop(struct http_watch *w, struct http_watch_entry *e);

#endif
