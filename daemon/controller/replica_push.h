/*
 * replica_push: what a replica says of itself (READY, STATUS, watchdog ...: SLOT's has_push), and
 * whether its start makes progress. Nothing is kept for a replica of which there is nothing to say.
 *
 * The stall deadline of a start needs evidence: bytes read and written, memory that grows (aictld is
 * asked, LOOK), output (replica_output.h), and what it asked for by EXTEND_TIMEOUT_USEC. When to look
 * and what it means is decided by health.c.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_REPLICA_PUSH_H
#define AICTL_CONTROLLER_REPLICA_PUSH_H

#include <stdint.h>

struct replica;
struct wire_evidence;
struct wire_push;
struct wire_slot;

void replica_push_free(struct replica *r);
/* Another process: nothing of the last one holds. */
void replica_push_begin(struct replica *r);
/* Of its present process, which runs. */
void replica_push_take(struct replica *r, const struct wire_slot *slot);
/* It is ready: its watchdog has to be served from now on. */
void replica_push_ready(struct replica *r);
/* What its present process has said, or NULL. */
const struct wire_push *replica_push_levels(const struct replica *r);

/* health_look_due() said so. */
void replica_push_look(struct replica *r);
/* Answers. */
void replica_push_evidence(struct replica *r, const struct wire_evidence *m);
void replica_push_wrote(struct replica *r, uint64_t bytes);

#endif
