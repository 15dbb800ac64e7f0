/*
 * http_fixture: an HTTP server on a thread and a loop of its own, for test_http_server and
 * test_http_client. Its handler answers by path; see http_fixture.c.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_TESTS_HTTP_FIXTURE_H
#define AICTL_TESTS_HTTP_FIXTURE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>
#include <uv.h>

#include "lib/http_server.h"

struct fixture_wait;

struct http_fixture {
	struct http_server_opts opts; /* may be changed between _init and _start */
	char dir[64], path[80];	      /* of the socket */
	uv_loop_t loop;
	uv_async_t stop;
	uv_thread_t thread;
	struct http_server *server;
	atomic_int requests, gone, open, drains, connections;
	bool joined;	/* the test has stopped it already */
	int loop_close; /* what uv_loop_close said at the end */
};

void http_fixture_init(struct http_fixture *f);
void http_fixture_start(struct http_fixture *f);
void http_fixture_start_on(struct http_fixture *f, int listen_fd);
/* Also asserts that every handle was closed. */
void http_fixture_stop(struct http_fixture *f);
int http_fixture_connect(const struct http_fixture *f);
/* Waits until *v is want, at most five seconds; returns what it is then. */
int http_fixture_await(atomic_int *v, int want);

/* Bytes to the server; it may close early. */
void http_fixture_put(int fd, const char *p, size_t n);
void http_fixture_say(int fd, const char *text);
/* Reads until `until` is in what came (NULL: the end), at most five seconds. Caller frees. */
char *http_fixture_hear(int fd, const char *until);
/* On a connection of its own, in pieces of `step`; the whole answer. Caller frees. */
char *http_fixture_exchange(struct http_fixture *f, const char *bytes, size_t n, size_t step);
int http_fixture_status(const char *answer);

#endif
