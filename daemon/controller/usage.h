/*
 * usage: what replicas use now: memory, processor time, processes. From the files of a replica's
 * cgroup where it has one (what lacks a controller there is summed over its members), else from
 * /proc, over the session of its main process. Files only, no controller: it runs in a worker
 * thread, for a thousand replicas are thousands of files.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_USAGE_H
#define AICTL_CONTROLLER_USAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/wire/wire.h"

struct usage {
	const char *source; /* static: "cgroup", "container", "session"; NULL = not known */
	int64_t memory_bytes, cpu_us, pids;
};

struct usage_item {
	char service[WIRE_SERVICE_SIZE];
	uint32_t index;
	int32_t pid;	/* the main process */
	bool container; /* its cgroup is its engine's: that of the process */
	struct usage usage;
};

struct usage_where {
	const char *proc, *cgroup_root; /* USAGE_PROC, USAGE_CGROUPS */
	const char *cgroup_dir;		/* of our slots: STATUS's, "" = there is none */
};

#define USAGE_PROC "/proc"
#define USAGE_CGROUPS "/sys/fs/cgroup"
#define USAGE_HERE(dir) (&(const struct usage_where){USAGE_PROC, USAGE_CGROUPS, dir})

/* Fills usage of each. */
void usage_read(struct usage_item *items, size_t n, const struct usage_where *where);

#endif
