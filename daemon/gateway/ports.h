/*
 * ports: the listeners that the switch between threads holds a copy of, and whose they are (spread.h).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_GATEWAY_PORTS_H
#define AICTL_GATEWAY_PORTS_H

#include "daemon/gateway/share.h"
#include "daemon/wire/wire_listen.h"

struct port {
	struct wire_listen_at at;
	int fd; /* a copy of the thread's */
	unsigned thread;
	struct port *next;
};

struct ports {
	struct port *first;
	struct share_ports taken; /* the threads ask */
};

struct port *ports_find(const struct ports *p, const struct wire_listen_at *at); /* NULL = none */
struct port *ports_nth(const struct ports *p, unsigned i);
/* fd: owned in any case; it replaces a former one's. thread: of a new one. NULL: no memory. */
struct port *ports_add(struct ports *p, const struct wire_listen_at *at, int fd, unsigned thread);
void ports_remove(struct ports *p, struct port *gone);
void ports_done(struct ports *p); /* idempotent */

#endif
