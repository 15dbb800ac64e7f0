/*
 * cgroup_limits: from wire_limits to files of a cgroup and what is written into them. Pure.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_CGROUP_LIMITS_H
#define AICTL_SUPERVISOR_CGROUP_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/wire/wire.h"

#define CGROUP_LIMITS_MAX 9

struct cgroup_limit {
	const char *file;
	char value[WIRE_CPUSET_SIZE];
};

/*
 * What to write so that m is in force, in that order; how many. Only files of controllers that
 * `can` (enum wire_cgroup_can) names. fresh: a new cgroup, where what is not limited needs no word.
 */
unsigned cgroup_limits_fill(struct cgroup_limit out[CGROUP_LIMITS_MAX], const struct wire_limits *m,
			    uint32_t can, bool fresh);
bool cgroup_limits_equal(const struct wire_limits *a, const struct wire_limits *b);

#endif
