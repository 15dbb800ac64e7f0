/*
 * rewrite: heads as the other side gets them. Always HTTP/1.1; what concerns one connection only is
 * dropped (Connection and what it names, Keep-Alive, TE, Transfer-Encoding, Upgrade, Proxy-*), and so
 * is what only we may say; a name with "_" counts as one with "-", for applications cannot tell them
 * apart. Framing is written anew from what was understood. Pure.
 *
 * To a backend: Forwarded, X-Forwarded-For, -Proto and -Host, X-Request-Id. What a client says of
 * others' addresses is believed from loopback only (a proxy in front).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_GATEWAY_REWRITE_H
#define AICTL_GATEWAY_REWRITE_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/gateway/head.h"
#include "lib/buf.h"

#define REWRITE_ID_SIZE 129

struct rewrite_from {
	const char *address;	  /* of the client, numeric */
	bool is_ipv6, is_trusted; /* trusted: loopback */
	const char *host;	  /* where the client sends none: "127.0.0.1:8000" */
	char id[REWRITE_ID_SIZE]; /* a new one; replaced by the client's, where that is one */
};

/* A protocol to change to; not to another HTTP, whose requests we would not see. */
bool rewrite_may_upgrade(const struct head *h);
void rewrite_request(struct buf *out, const struct head *h, struct rewrite_from *from);

struct rewrite_to {
	const char *id; /* of the request */
	bool http10;	/* the client */
	bool close;	/* the connection ends after it */
	bool chunks;	/* the body goes out in chunks */
};

void rewrite_answer(struct buf *out, const struct head *h, const struct rewrite_to *to);

/* Lines with an empty one at the end. */
bool rewrite_trailers_are_sound(const char *lines, size_t n);
void rewrite_trailers(struct buf *out, const char *lines, size_t n);

#endif
