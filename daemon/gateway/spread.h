/*
 * spread: the gateway with several threads. Each port is served by one of them (share.h), by a whole
 * gateway of its own (lane.h); this is the switch between those and aictld and the controller, in the
 * main thread, which serves nobody.
 *
 *   from aictld      HELLO and QUIT to all; a listener to its thread; PING to all, and PONG goes back
 *                    when all have answered: a thread that hangs is one that aictld hears nothing of
 *   the controller   to each thread the ROUTES of its ports, of each generation. ROUTED goes to both
 *                    when all threads have said so; LOAD, DEMAND and STATS are passed on, and not
 *                    before the ROUTED that they are behind
 *   orphan           the listeners are given back from here; then the threads drain
 *
 * Nothing is lost between them and nothing piles up: while something waits for room in a socket, what
 * it came from is not read.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_GATEWAY_SPREAD_H
#define AICTL_GATEWAY_SPREAD_H

#include <stdbool.h>
#include <sys/types.h>

struct spread_options {
	unsigned threads;
	const char *sup_dir; /* NULL: end with aictld */
	int fd;		     /* the socket to aictld */
	uid_t aictld;
};

/* Returns when all has ended. False: a disk hangs, and only _exit ends the threads. */
bool spread_run(const struct spread_options *o, int *ret_status);

#endif
