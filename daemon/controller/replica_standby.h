/*
 * replica_standby: what aictld starts at once when a replica's process ends by itself (wire.h,
 * SPAWN): given ahead where the restart policy says "at once" in advance.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_REPLICA_STANDBY_H
#define AICTL_CONTROLLER_REPLICA_STANDBY_H

#include <stdbool.h>
#include <stdint.h>

struct replica;
struct wire_slot;

/* When the standby is due to be given, INT64_MAX = not. */
int64_t replica_standby_due(const struct replica *r);
/* Gives it when it is due. */
void replica_standby_give(struct replica *r);
/* The spec it was made of has changed, or it may no longer be given. */
void replica_standby_renew(struct replica *r);
/* aictld drops what it has, also of a former controller. */
void replica_standby_off(const struct replica *r);
/* Our process has ended and the slot has the next one already: aictld has used the standby. */
bool replica_standby_is_used(const struct replica *r, const struct wire_slot *slot);
/* That one is the replica's process now. */
void replica_standby_take(struct replica *r, const char *incarnation);

#endif
