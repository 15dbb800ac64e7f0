/*
 * share: which of several threads has which port, and what each is told. Pure: no I/O.
 *
 * A port of a service belongs to one thread, which has all that must be exact of it: the slots of its
 * replicas, the line of those who wait, who is left out. That thread is its number's (port % n) at
 * first, and stays when the service gets another number: what is under way at its replicas is counted
 * there.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_GATEWAY_SHARE_H
#define AICTL_GATEWAY_SHARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/wire/wire_routes.h"

#define SHARE_THREADS_MAX 64
#define SHARE_KEPT_MAX                                                                             \
	(4 * WIRE_ROUTES_MAX) /* beyond that, those that have no route are forgotten */

struct share_port {
	char service[WIRE_SERVICE_SIZE], name[WIRE_ROUTES_NAME_SIZE];
	unsigned thread;
	bool seen; /* in the last routes */
	struct wire_listen_at at;
};

struct share {
	unsigned n;
	struct share_port *list;
	size_t n_ports, cap;
};

/* The routes that a thread has in force. */
struct share_routed {
	uint64_t epoch, generation; /* 0 = none yet */
	bool ended;		    /* the thread: nobody waits for it */
};

/* The ports of listeners that take connections to 127.0.0.1, of all threads; a bit for each. Any thread
 * may ask. */
struct share_ports {
	uint64_t bits[(UINT16_MAX + 1) / 64];
};

void share_take(struct share_ports *p, const struct wire_listen_at *at, bool on);
bool share_is_taken(const struct share_ports *p, uint16_t port);

/* Of a listener: the thread that has its route, or will have the first one. */
unsigned share_of(const struct share *s, const struct wire_listen_at *at);
/* Of each route of m the thread, in threads: in, where its listener is now. 0 or -ERR_NOMEM. */
int share_routes(struct share *s, const struct wire_routes *m, unsigned *threads);
/* The routes of one thread, of that epoch and generation; list has room for all, and borrows. */
void share_part(const struct wire_routes *m, const unsigned *threads, unsigned thread,
		struct wire_route *list, struct wire_routes *ret);
/* What all threads have in force; false: nothing yet. */
bool share_routed(const struct share_routed *list, unsigned n, uint64_t *epoch,
		  uint64_t *generation);
void share_done(struct share *s);

#endif
