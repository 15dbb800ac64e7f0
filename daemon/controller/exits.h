/*
 * exits: the newest ends of a service's processes, whatever became of their replicas; what describe
 * shows. Filled from the store at start and from each new exit record.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_EXITS_H
#define AICTL_CONTROLLER_EXITS_H

#include <stddef.h>

#include "daemon/controller/replica.h"

struct store_exit;

#define EXITS_KEPT 10

struct exits {
	struct exits_entry {
		unsigned index; /* of the replica */
		struct replica_exit exit;
	} list[EXITS_KEPT]; /* oldest first */
	size_t n;
};

/* In its place by time; an incarnation that is there already is written once. */
void exits_add(struct exits *e, unsigned index, const struct replica_exit *x);
/* What a row of the store says. */
struct replica_exit exits_from_store(const struct store_exit *row);

#endif
