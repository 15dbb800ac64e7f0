/*
 * limits: resources.limits of a service as aictld gets them, and which of them nobody keeps here: a
 * controller of cgroups is missing, or there is no cgroup2 tree at all. Such a limit is a warning at
 * apply; with resources.required it is an error, there and at each start.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_LIMITS_H
#define AICTL_CONTROLLER_LIMITS_H

#include <stddef.h>
#include <stdint.h>

struct manifest_errors;
struct service_spec;
struct wire_limits;

struct limits_gap {
	const char *key;   /* "resources.limits.memory" */
	const char *lacks; /* "no memory controller" */
};
#define LIMITS_GAPS_MAX 8

/* spec NULL: none. */
void limits_of(const struct service_spec *spec, struct wire_limits *ret);
/* What spec asks for and `can` (enum wire_cgroup_can) does not cover; returns how many. */
size_t limits_gaps(const struct service_spec *spec, uint32_t can,
		   struct limits_gap gaps[LIMITS_GAPS_MAX]);
/* Each gap at its place: an error where spec requires its limits, else a warning. */
void limits_check(const struct service_spec *spec, uint32_t can, struct manifest_errors *errors,
		  struct manifest_errors *warnings);

#endif
