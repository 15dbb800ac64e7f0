/*
 * lane: a thread with a gateway of its own: a loop, listeners, routes, clients. It shares nothing of
 * them with the others, so nothing on the way of a request takes a lock. It hears what it hears over
 * sockets, as a gateway without any threads does; at their other ends is the switch (spread.h).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_GATEWAY_LANE_H
#define AICTL_GATEWAY_LANE_H

#include <stdbool.h>
#include <uv.h>

#include "daemon/gateway/control.h"
#include "daemon/gateway/gateway.h"

struct share_ports;

/* Among the others. */
struct lane_place {
	unsigned number, of;
	const struct share_ports *taken; /* by all of them */
	uv_async_t *ended;		 /* told at the end; then lane_is_over */
};

struct lane {
	struct gateway gateway;
	struct control control;
	uv_thread_t thread;
	struct lane_place at;
	bool over;
	/* Its own until it is over. */
	int status;
	bool hung; /* a disk hangs, only _exit ends it */
};

/* fd: the thread's end of the socket to the switch, owned in any case. 0 or -errno. */
int lane_start(struct lane *l, const struct lane_place *at, int fd);
bool lane_is_over(const struct lane *l);
void lane_join(struct lane *l); /* it is over, or soon will be */

#endif
