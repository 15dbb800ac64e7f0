/*
 * client: a connection that came to a listener. It reads heads, hands each request to its exchange,
 * and stashes what comes behind it (pipelining: at most 64 KiB) until that is over. In tcp mode, and
 * after an Upgrade, the exchange gets every byte.
 *
 * After the last answer the client's FIN is waited for, for a moment, so that it reads the answer
 * before it would see a reset.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_GATEWAY_CLIENT_H
#define AICTL_GATEWAY_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "daemon/gateway/deadline.h"
#include "daemon/gateway/exchange.h"
#include "daemon/gateway/io.h"
#include "daemon/wire/wire_listen.h"
#include "lib/buf.h"

struct gateway;
struct listener;

#define CLIENT_STASH_MAX 65536u

enum client_state {
	CLIENT_HEAD,   /* of the next request; or nothing of it yet: idle */
	CLIENT_BODY,   /* of the request under way */
	CLIENT_ANSWER, /* all of the request is read */
	CLIENT_SPLICED,
	CLIENT_LINGER, /* everything is said */
	CLIENT_GONE,
};

struct client {
	struct io io;
	struct gateway *g;
	struct listener *l;
	struct deadline deadline;
	enum client_state state;
	bool feeding;
	bool leaving; /* no other request after this one */
	bool is_ipv6, is_loopback;
	char address[WIRE_LISTEN_ADDRESS_SIZE];
	struct buf in; /* HEAD: what has come of it; ANSWER: what comes next */
	size_t in_seen;
	struct exchange x;
	struct client *next, *prev;
};

/* fd is owned. */
void client_new(struct listener *l, int fd, const struct sockaddr_storage *from);
/* The exchange is over: the next request, or the end. */
void client_next(struct client *c, bool close);
void client_splice(struct client *c);
void client_update_reading(struct client *c);
/* Its exchange is over or never was. */
void client_close(struct client *c);
void client_finish(struct client *c); /* after all that was written */
void client_abort(struct client *c);  /* the answer is not whole */
/* At any time. */
void client_cut(struct client *c);
void client_leave(struct client *c, bool handed_over);
void client_leave_all(struct gateway *g, const struct listener *l);
bool client_any_idle(const struct gateway *g);
bool client_evict(struct gateway *g); /* false: nobody is idle */

#endif
