/*
 * cgroups: the directory in a cgroup2 tree below which each slot has its own cgroup (cgroup.h), and
 * what can be done there.
 *
 *   --cgroup auto   <our own cgroup>/aictl-UID-DEV-INO, DEV-INO being sup/'s: one per instance.
 *                   On a hybrid machine the tree at /sys/fs/cgroup/unified serves for tracking
 *                   and killing though its controllers are elsewhere
 *   --cgroup PATH   PATH/aictl-UID-DEV-INO; PATH is a delegated cgroup without processes of its own
 *   --cgroup none   services are tracked by the cookie in their environment alone (sweep.h)
 *
 * Controllers are enabled as far as the tree lets us; `can` is found by looking and trying in a
 * cgroup made for that. Where nothing can be had the log says why and all goes on without.
 *
 * At the start, what a former instance left is cleared away: cgroups of ours that no slot of the
 * table names (what runs in them is killed: nobody knows it any more), and empty directories of
 * instances that are gone. A living instance holds a shared flock on its directory.
 *
 * Older builds used PATH/aictl for all instances of one PATH. One that finds a process of its table
 * there stays there, and leaves alone what it does not know, until all has ended.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_CGROUPS_H
#define AICTL_SUPERVISOR_CGROUPS_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/supervisor/cgroup_job.h"

struct cgroup_kept;
struct supervisor;

struct cgroups {
	char *dir;     /* absolute; NULL = none */
	int dir_fd;    /* 0 = none */
	bool old_name; /* an older build's, of which other instances may be part */
	uint32_t can;  /* enum wire_cgroup_can */
	bool has_kill; /* cgroup.kill: Linux 5.14 */
	struct cgroup_job jobs[CGROUP_JOBS_MAX];
	uint32_t next_due;	  /* slot at which the search for the next job starts */
	struct cgroup_kept *kept; /* the limits kept last: the next slot's are mostly the same */
};

/* After the table is open. Not an error: without cgroups all works, too. */
void cgroups_init(struct supervisor *sup);
/* remove: we end for good; what is empty goes. */
void cgroups_done(struct supervisor *sup, bool remove);

#endif
