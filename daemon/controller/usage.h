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

#include <stddef.h>
#include <stdint.h>

#include "daemon/wire/wire.h"

struct usage {
	const char *source; /* static: "cgroup", "session"; NULL = not known */
	int64_t memory_bytes, cpu_us, pids;
};

struct usage_item {
	char service[WIRE_SERVICE_SIZE];
	uint32_t index;
	int32_t pid; /* the main process */
	struct usage usage;
};

/* Fills usage of each. proc is "/proc"; cgroup_dir is STATUS's, "" = there is none. */
void usage_read(struct usage_item *items, size_t n, const char *proc, const char *cgroup_dir);

#endif
