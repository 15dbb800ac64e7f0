/*
 * replica_cgroup: what a replica's cgroup is asked for while it runs: limits that changed, and
 * freezing. Both are kept by aictld, so they outlive a controller; what it says of the slot is the
 * truth. Freezing is of one process: a stop thaws, and the next process begins thawed.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_REPLICA_CGROUP_H
#define AICTL_CONTROLLER_REPLICA_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

struct controller;
struct replica;
struct wire_slot;

/* Those of its specification, when it runs; the same again does nothing. */
void replica_cgroup_send_limits(const struct replica *r);
/* NULL, or why nothing can be frozen here. Static. */
const char *replica_cgroup_why_not(const struct controller *c);
/* Asks for it, when it runs; replica_cgroup_take hears of it. */
void replica_cgroup_freeze(struct replica *r, bool frozen);
/* aictld says that it is frozen, or no longer: probes pause and go on, and it is an event. */
void replica_cgroup_take(struct replica *r, const struct wire_slot *slot);
/* As the kernel tells it of sockets; 0 = it runs in none of its own. */
uint64_t replica_cgroup_id(const struct replica *r);
/* Is that one below its own? Not more than REPLICA_CGROUP_LOOKS are looked at. */
bool replica_cgroup_has(const struct replica *r, uint64_t id);
#define REPLICA_CGROUP_LOOKS 256
/* The reason and message of a frozen one are these instead of its own. */
#define REPLICA_CGROUP_REASON "frozen"
#define REPLICA_LIMITS_MESSAGE "its limits are not those of the manifest: %s"
#define REPLICA_CGROUP_MESSAGE "frozen by the user"

#endif
