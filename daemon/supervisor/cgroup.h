/*
 * cgroup: the cgroup of one slot, <dir>/<service>.<index> (cgroups.h): processes are born in it, it
 * tells when the last of them is gone, and holds the slot's limits.
 *
 * It is made at the slot's first start and kept until the slot is freed: its directory and two of
 * its files stay open, so that a restart costs one or two preads and no other file-system call.
 * When a main process ends and others are still there, cgroup.kill ends them, and nothing is
 * started in the slot before cgroup.events says that it is empty (slot_emptied).
 *
 * A slot whose cgroup cannot be made has none: it is tracked by its cookie (sweep.h). Only with
 * limits that could have been enforced that is an error of the start.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_CGROUP_H
#define AICTL_SUPERVISOR_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/wire/wire.h"

struct cgroup_wait;
struct slot;
struct table_slot;

#define CGROUP_NAME_SIZE (WIRE_SERVICE_SIZE + 16)

/* Limits in force; the slots of a service mostly have the same ones and share them. */
struct cgroup_kept {
	struct wire_limits limits;
	uint32_t n_slots;
};

/* All 0 = none. */
struct cgroup {
	int dir_fd, events_fd;	  /* 0 = none */
	int memory_fd;		  /* memory.events, where there is a memory controller */
	struct cgroup_wait *wait; /* while it is being emptied, else NULL */
	bool clean;		  /* known to be empty, since nothing was started in it */
	bool spent;		  /* cgroup.kill was used, see cgroup_prepare */
	bool frozen;		  /* as we, or a former aictld, told it to be */
	bool freeze_due;	  /* as soon as the child has exec'd */
	uint32_t freeze_request, freeze_answered; /* see SLOT */
	int freeze_err;				  /* of the last one; 0 = done */
	bool limits_known;			  /* `limits` is what is in force */
	char *limits_failed;	    /* why the last live change is not in force, or NULL */
	bool limits_due, kill_due;  /* a child has to do it (cgroup_job.h) */
	struct cgroup_kept *limits; /* NULL = none */
};

/* Of the slot's directory; the end of wire_cgroup_path. */
char *cgroup_name(const struct table_slot *t, char name[CGROUP_NAME_SIZE]);
/*
 * Before a start: makes the cgroup if there is none, or makes it anew with other limits, and also
 * after a cgroup.kill: newer kernels (seen: 6.18) kill at birth what is cloned into it then (the
 * kernel compares the counts of kills of the parent's cgroup and the child's). 0, with or without
 * a cgroup; -EBUSY: something still runs in it, which is being killed, slot_emptied follows; else
 * -errno: the limits cannot be set.
 */
int cgroup_prepare(struct slot *s, const struct wire_limits *limits);
/* A start in it failed by errno `err`: true when it has been made anew and trying again makes sense.
 */
bool cgroup_repair(struct slot *s, int err);
bool cgroup_exists(const struct slot *s);
/* For spawn_job.cgroup_fd; 0 = none. */
int cgroup_fd(const struct slot *s);
/* The same for one more process, while the slot's own runs. */
int cgroup_fd_beside(const struct slot *s);
void cgroup_started(struct slot *s); /* something is in it now */
void cgroup_execed(struct slot *s);
/* Reads cgroup.events; true without a cgroup. */
bool cgroup_is_empty(struct slot *s);
/* SIGKILL to all that is in it. */
void cgroup_kill(struct slot *s);
/* Kills and waits; the slot's `unswept` counts it, slot_emptied(s, cookie) ends it. False: killed,
 * but there is no memory to wait. */
bool cgroup_empty(struct slot *s, const char *cookie);
/* Was anything in it killed by the OOM killer since the last call? */
bool cgroup_oom_killed(struct slot *s);
/* Only a running slot is frozen. */
void cgroup_freeze(struct slot *s, bool frozen);
/* The same for a FREEZE, which is answered. */
void cgroup_take_freeze(struct slot *s, bool frozen, uint32_t request);
/* Of a running slot; a child does it. */
void cgroup_set_limits(struct slot *s, const struct wire_limits *limits);
/*
 * For a slot of a former aictld: finds its cgroup, if it had one. Then cgroup_exists; it may hold
 * anything.
 */
void cgroup_adopt(struct slot *s);
/* Is this process in the slot's cgroup or below? Not for the restart path. */
bool cgroup_has_pid(const struct slot *s, int pid);
void cgroup_remove(struct slot *s); /* the slot is freed for good */
void cgroup_close(struct slot *s);  /* the slot's memory goes; the cgroup stays */

#endif
