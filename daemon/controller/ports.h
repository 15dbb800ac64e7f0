/*
 * ports: loopback ports for replicas, from the daemon's range. Stable for a replica index and a
 * port's name (the search starts at a place given by both), skipped when another program has it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_PORTS_H
#define AICTL_CONTROLLER_PORTS_H

#include <stdbool.h>

struct err;
struct ports;

int ports_new(unsigned first, unsigned last, struct ports **ret, struct err **reterr);
void ports_free(struct ports *p);
/*
 * A port of that name for the replica: `have` (0 = none) is kept when it is still free to bind, else the next
 * free one. It counts as used until ports_release. 0 when none is left.
 */
unsigned ports_take(struct ports *p, const char *service, unsigned index, const char *name,
		    unsigned have);
/* Marks a port as used without asking the kernel (a living replica has it). False: out of range. */
bool ports_adopt(struct ports *p, unsigned port);
void ports_release(struct ports *p, unsigned port); /* 0 is a no-op */

#endif
