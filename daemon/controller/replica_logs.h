/*
 * replica_logs: what is kept of a replica's output, as its manifest says it, for aictld and the
 * logger: with each start, and at once when only that has changed.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_REPLICA_LOGS_H
#define AICTL_CONTROLLER_REPLICA_LOGS_H

#include <stdint.h>

struct replica;
struct service_spec;
struct wire_logs;

void replica_logs_of(const struct service_spec *spec, uint64_t revision, struct wire_logs *m);
/* To aictld, which ignores what it knows already. */
void replica_logs_send(const struct replica *r);

#endif
