/*
 * replica_output: how much a replica has written to its log by now, as evidence that its start makes
 * progress. Asked of the directory by a worker: a disk that hangs holds one of those and nothing
 * else. Only starting replicas are asked about, now and then.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_REPLICA_OUTPUT_H
#define AICTL_CONTROLLER_REPLICA_OUTPUT_H

#include <stdbool.h>

struct replica;

/* replica_push_wrote() is told later; false: no memory. */
bool replica_output_ask(struct replica *r);

#endif
