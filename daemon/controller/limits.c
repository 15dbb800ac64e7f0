/* limits: see limits.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/limits.h"

#include <string.h>

#include "daemon/wire/wire.h"
#include "lib/manifest.h"
#include "lib/manifest_errors.h"
#include "lib/mem.h"

#define MILLI 1000

void limits_of(const struct service_spec *spec, struct wire_limits *ret)
{
	const struct resources_spec *r;

	*ret = (struct wire_limits){0};
	if (!spec)
		return;
	r = &spec->resources;
	ret->memory_max = (uint64_t)r->memory;
	ret->memory_high = (uint64_t)r->memory_high;
	ret->has_swap_max = r->swap != SPEC_UNSET;
	if (ret->has_swap_max)
		ret->swap_max = (uint64_t)r->swap;
	ret->oom_group = r->oom_group;
	ret->cpu_milli = (uint32_t)(r->cpus * MILLI + 0.5);
	ret->cpu_weight = (uint32_t)r->cpu_weight;
	ret->io_weight = (uint32_t)r->io_weight;
	ret->pids_max = (uint64_t)r->pids;
	if (r->cpuset)
		memccpy(ret->cpuset, r->cpuset, '\0', sizeof(ret->cpuset) - 1);
}

static const char *lack(uint32_t can, uint32_t needed)
{
	if (!(can & WIRE_CGROUP_TRACK))
		return "there is no cgroup2 tree that the daemon may use";
	return needed == WIRE_CGROUP_MEMORY ? "no memory controller"
	       : needed == WIRE_CGROUP_CPU  ? "no cpu controller"
	       : needed == WIRE_CGROUP_IO   ? "no io controller"
	       : needed == WIRE_CGROUP_PIDS ? "no pids controller"
					    : "no cpuset controller";
}

size_t limits_gaps(const struct service_spec *spec, uint32_t can,
		   struct limits_gap gaps[LIMITS_GAPS_MAX])
{
	const struct resources_spec *r = &spec->resources;
	const struct {
		const char *key;
		uint32_t needs;
		bool is_set;
	} limits[LIMITS_GAPS_MAX] = {
		{"resources.limits.memory", WIRE_CGROUP_MEMORY, r->memory > 0},
		{"resources.limits.memory_high", WIRE_CGROUP_MEMORY, r->memory_high > 0},
		{"resources.limits.swap", WIRE_CGROUP_MEMORY, r->swap != SPEC_UNSET},
		{"resources.limits.cpus", WIRE_CGROUP_CPU, r->cpus > 0},
		{"resources.limits.cpu_weight", WIRE_CGROUP_CPU, r->cpu_weight > 0},
		{"resources.limits.io_weight", WIRE_CGROUP_IO, r->io_weight > 0},
		{"resources.limits.pids", WIRE_CGROUP_PIDS, r->pids > 0},
		{"resources.limits.cpuset", WIRE_CGROUP_CPUSET, r->cpuset != NULL},
	};
	size_t n = 0;

	for (size_t i = 0; i < LIMITS_GAPS_MAX && !service_spec_is_container(spec); i++)
		if (limits[i].is_set && !(can & limits[i].needs))
			gaps[n++] = (struct limits_gap){limits[i].key, lack(can, limits[i].needs)};
	return n;
}

void limits_check(const struct service_spec *spec, uint32_t can, struct manifest_errors *errors,
		  struct manifest_errors *warnings)
{
	struct limits_gap gaps[LIMITS_GAPS_MAX];
	size_t n = limits_gaps(spec, can, gaps);

	for (size_t i = 0; i < n; i++) {
		struct manifest_place at = {spec->file, spec->line, 1};

		service_spec_place(spec, gaps[i].key, &at);
		if (spec->resources.required)
			manifest_errors_add(
				errors, &at,
				"see aictl doctor; without resources.required it is only a warning",
				"service \"%s\": %s cannot be enforced here: %s", spec->name,
				gaps[i].key, gaps[i].lacks);
		else
			manifest_errors_add(
				warnings, &at,
				"see aictl doctor; resources.required makes it an error",
				"service \"%s\": %s is not enforced here: %s", spec->name,
				gaps[i].key, gaps[i].lacks);
	}
}
