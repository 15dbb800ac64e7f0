/*
 * child: one process started by aictld, from spawn to reaping: a service's main process, a helper,
 * a sweep. It joins the spawn job, the pidfd and the two events that matter: "our memory is free"
 * (the process has exec'd or died) and "it ended".
 *
 * Our memory is looked after a moment later, and only if the child still has it then, the loop
 * watches: a wake-up of ours at the exec would take the processor from the new program's first
 * instruction.
 *
 * A child's process group is killed before the child is reaped: until then its zombie pins the
 * group's id, so the signal can hit nobody else. The end is seen through the pidfd, or, when
 * SIGCHLD is faster, through child_collect, which also reaps what our children left behind (we are
 * their subreaper) and never steals a status that has an owner.
 *
 * One that a former aictld started is adopted: it is mostly not our child (after a re-exec it is),
 * so somebody else reaps it. Its status is then asked of the kernel (proc_end); its group is
 * signalled through the pidfd, which means this group and no later one even after its leader's end.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_CHILD_H
#define AICTL_SUPERVISOR_CHILD_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/supervisor/spawn.h"
#include "lib/loop.h"

struct supervisor;

/* What a start needs until the child has exec'd or died; the owner's, who knows of it by
 * on_memory_free. */
struct child_job {
	struct spawn_job spawn;
	struct loop_io gone_io;
};

struct child {
	struct supervisor *sup;
	void (*on_memory_free)(void *user); /* once per start, before on_exit; may be NULL */
	/* Dead, its group killed, not yet reaped: for word that cannot wait. May be NULL. */
	void (*on_death)(void *user, const siginfo_t *si);
	/* No longer watched, reaped right after; may start the next one. si_code CHILD_UNKNOWN: it
	 * ended, and nobody can say how. */
	void (*on_exit)(void *user, const siginfo_t *si);
	void *user;
	struct child_job *job; /* while the child reads our memory, else NULL */
	struct spawn_cell *cell;
	struct spawn_cell own_cell; /* for jobs that have no slot in the table */
	int pid;		    /* 0 = none */
	int pidfd;
	struct loop_io pidfd_io;
	struct child *next_of_pid; /* hash chain */
	bool adopted;		   /* a former aictld started it */
	bool half_made;		   /* adopted before it had exec'd; the owner clears it */
	/* Started: is our memory free? Adopted: a zombie whose status nobody tells yet. */
	struct loop_timer timer;
};

#define CHILD_BUCKETS 1024
#define CHILD_UNKNOWN 0	     /* si_code */
#define CHILD_STATUS_MS 1000 /* so long a foreign zombie may wait for its reaper */
#define CHILD_EXEC_MS 2	     /* by then most have exec'd */

/* Fill sup, callbacks and user before; the job too (its cell may be NULL: own_cell). 0 or -errno. */
int child_start(struct child *c, struct child_job *job);
/* The same for a process that a former aictld started. cell is needed, on_memory_free is not
 * called. pidfd is taken over in either case. */
int child_adopt(struct child *c, int pid, int pidfd);
/* It may have exec'd without our having noticed yet: on_memory_free comes from here then. */
void child_look(struct child *c);
/* Another process of the slot is its main one from now on. 0 or -errno: then the former
 * one still is. pidfd is taken over in either case. */
int child_replace(struct child *c, int pid, int pidfd);
/* Its process becomes that of `to`, which has sup, callbacks and user, and no process. It has long exec'd.
 * 0 or -errno: then nothing has changed. */
int child_move(struct child *c, struct child *to);
bool child_is_alive(const struct child *c); /* started and not yet reaped */
/* True from exec on; also when it was killed at that very moment. */
bool child_has_execed(const struct child *c);
void child_signal(struct child *c, int sig);
/* The whole group once it exists, else the process alone. SIGCONT follows where it helps. */
void child_signal_group(struct child *c, int sig);
/* SIGCHLD: reaps orphans, and hands known children to their owners. */
void child_collect(struct supervisor *sup);
/* Is there any child process of ours that nobody here started? Reads one /proc file. May report
 * exits of others on its way, as child_collect does. */
bool child_has_orphans(struct supervisor *sup);
/* Kills them; false when there were none. */
bool child_kill_orphans(struct supervisor *sup);

#endif
