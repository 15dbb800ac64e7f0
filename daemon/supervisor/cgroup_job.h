/*
 * cgroup_job: a child of aictld that works on a slot's cgroup (cgroup_tool.h): new limits, or the
 * kill where the kernel has no cgroup.kill. It has 5 s. A slot has at most one at a time, aictld a
 * few; what is due waits in its slot's struct cgroup, and only the newest limits count.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_CGROUP_JOB_H
#define AICTL_SUPERVISOR_CGROUP_JOB_H

#include <stdbool.h>

#include "daemon/supervisor/child.h"
#include "lib/loop.h"

struct slot;
struct supervisor;

#define CGROUP_JOBS_MAX 4
#define CGROUP_JOB_MS 5000

struct cgroup_job {
	struct supervisor *sup;
	struct slot *slot; /* NULL: free, or the slot is gone */
	struct child child;
	struct child_job job;
	struct loop_timer deadline;
	char **argv;
	int text_fd; /* what it says of its failure; -1 = it does not run */
	bool limits; /* else a kill */
};

void cgroup_job_init(struct supervisor *sup);
/* Nobody waits for those that run. */
void cgroup_job_done(struct supervisor *sup);
/* Starts what is due as far as there is room. */
void cgroup_job_start_due(struct supervisor *sup);
/* The slot goes away; its job ends by itself. */
void cgroup_job_forget(struct slot *s);

#endif
