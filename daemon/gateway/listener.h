/*
 * listener: a listening socket of aictld's. Accepting goes on while there is a route for it and room
 * for a client; else clients wait in the kernel's queue. Another gateway may accept from the same
 * socket at the same time.
 *
 * Without room a client that is idle is closed for a new one. Clients refer to a listener, so one
 * that was closed lives until the last of them has gone.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_GATEWAY_LISTENER_H
#define AICTL_GATEWAY_LISTENER_H

#include <stdbool.h>
#include <uv.h>

#include "daemon/wire/wire_listen.h"

struct gateway;
struct route;

struct listener {
	struct gateway *g;
	struct wire_listen_at at;
	char host[WIRE_LISTEN_ADDRESS_SIZE + 8]; /* "127.0.0.1:8000", "[::1]:8000" */
	int fd;					 /* -1 = closed */
	uv_poll_t poll;
	bool polled, closed; /* closed: its handle, too */
	struct route *route; /* NULL = none */
	unsigned clients;
	struct listener *next, *prev;
};

/* fd is owned. One of the same name is replaced. 0 or -errno. */
int listener_add(struct gateway *g, const struct wire_listen_at *at, int fd);
void listener_remove(struct gateway *g, const struct wire_listen_at *at);
void listener_close_all(struct gateway *g);
/* Of that route: it is open, and has some. */
bool listener_has_clients(const struct gateway *g, const struct route *r);
void listener_unroute(struct gateway *g, const struct route *r);
/* Looks up the route of each, and accepts or not. */
void listener_route_all(struct gateway *g);
/* One that takes connections to 127.0.0.1:port. */
bool listener_is_at(const struct gateway *g, uint16_t port);
void listener_drop_client(struct listener *l);

#endif
