/*
 * docker_stream: a connection to the engine's socket that is ours after the request: the logs of a
 * container, and exec, which goes both ways. libcurl keeps a buffer per transfer and does not lend
 * out its connection; here fifty chatty containers share one buffer.
 *
 * `body` may take less than it is given: the stream then keeps the rest, reads no more, and gives
 * it again after docker_stream_resume. `ended` comes once, last, when the stream has been freed: clean
 * (the answer was complete; for one without length: the connection ended), or with an error.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_PLUGINS_DOCKER_STREAM_H
#define AICTL_PLUGINS_DOCKER_STREAM_H

#include <stdbool.h>
#include <stddef.h>

#include "docker_head.h"

struct docker;
struct docker_stream;

struct docker_stream_events {
	void *user;
	/* The head is complete. False: the stream is of no use, and is freed; no `ended`. */
	bool (*head)(void *user, const struct docker_head *head);
	/* How much was taken. */
	size_t (*body)(void *user, const char *data, size_t n);
	void (*writable)(void *user); /* only after docker_stream_want_write */
	void (*ended)(void *user, bool clean, const char *error);
};

/* `request` is the whole of it. NULL with errno set: no connection. */
struct docker_stream *docker_stream_new(struct docker *d, const char *request,
					const struct docker_stream_events *events);
void docker_stream_free(struct docker_stream *s); /* NULL does nothing */
void docker_stream_resume(struct docker_stream *s);

/* How much was taken, 0 if there is no room; -1: broken. Not before the head. */
long docker_stream_send(struct docker_stream *s, const char *data, size_t n);
void docker_stream_want_write(struct docker_stream *s, bool want);
void docker_stream_shut(struct docker_stream *s); /* no more will be sent */

#endif
