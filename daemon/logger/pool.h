/*
 * pool: what all captures of this process share, whichever thread stores them: the intents, the
 * budget of the pipes, the number of descriptors.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LOGGER_POOL_H
#define AICTL_LOGGER_POOL_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/logger/intent.h"
#include "daemon/logger/pace.h"

struct pool {
	struct intent_table intents;
	struct pace_budget pipes;
	size_t fds, fds_max; /* of streams and segments */
};

/* system: aictld runs as root, which gives more room in pipes. */
void pool_init(struct pool *p, bool system);
void pool_done(struct pool *p);
/* n descriptors more, or less. */
void pool_count(struct pool *p, int n);
/* Are there too many, with that many more? */
bool pool_is_full(const struct pool *p, size_t more);

#endif
