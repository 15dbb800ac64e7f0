/*
 * standby: what is started at once when a slot's process ends by itself (wire.h, SPAWN), kept as it
 * came over the wire. With a thousand replicas this is the largest thing that each of them has, and
 * the standbys of a service are nearly the same: so a body is shared, and a slot keeps its
 * difference to it (lib/delta.h). It is made when the standby comes; the restart only decodes.
 *
 * A slot goes on with the body it had before, or takes the one of its service's first replica, or
 * of whoever came last. Where the difference would be large (another environment) it gets a body of
 * its own, which others may share from then on.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_STANDBY_H
#define AICTL_SUPERVISOR_STANDBY_H

#include <stddef.h>
#include <stdint.h>

struct slot;
struct standby_body;
struct supervisor;
struct wire_spawn;

struct standbys {
	uint8_t *text; /* room for the longest one that has to be put together */
	size_t cap;
	struct standby_body *last; /* borrowed; NULL = gone */
};

/* In the place of the one before. Out of memory there is none. */
void standby_keep(struct slot *s, const struct wire_spawn *m);
void standby_drop(struct slot *s);
/* It is no longer the slot's. 0, or a negative code: no memory. */
int standby_take(struct slot *s, struct wire_spawn *m);
void standby_free(struct slot *s); /* the slot goes, too */
void standby_done(struct supervisor *sup);

#endif
