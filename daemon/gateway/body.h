/*
 * body: one message's body on its way through: read as it is framed on one side, written as it is
 * framed on the other. Chunks are taken apart and put together anew, so that no byte between them is
 * ours to pass on: extensions are dropped, and trailers are checked as a head's fields are.
 * Strict: digits of a size, CR LF after it and after the data. Pure; memory only for trailers.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_GATEWAY_BODY_H
#define AICTL_GATEWAY_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/gateway/head.h"
#include "lib/buf.h"

#define BODY_TRAILERS_MAX 16384u
#define BODY_EXTENSION_MAX 1024u

enum body_step {
	BODY_SIZE,
	BODY_EXTENSION,
	BODY_SIZE_LF,
	BODY_DATA,
	BODY_DATA_CR,
	BODY_DATA_LF,
	BODY_TRAILER,
};

struct body {
	enum head_body from;
	bool chunks; /* written in chunks */
	bool drop;   /* chunked, and the other side takes no trailers */
	bool done, bad;
	enum body_step step;
	unsigned digits, extension;
	uint64_t left; /* of the length, or of the chunk */
	struct buf trailers;
};

typedef void (*body_put_fn)(void *user, const char *data, size_t n);

/* chunks: how it is to be written where it has no length. */
void body_init(struct body *b, enum head_body from, uint64_t length, bool chunks);
void body_done(struct body *b);
/* How many bytes belonged to it; then done, bad, or all were used. */
size_t body_pass(struct body *b, const char *data, size_t n, body_put_fn put, void *user);
/* The sender's end. True: that is where it ends (HEAD_BODY_TO_END). */
bool body_end(struct body *b, body_put_fn put, void *user);

#endif
