/*
 * sweep: finds and kills what the processes of a dead incarnation left behind outside its process
 * group (setsid, double forks). They carry AICTL_INCARNATION=<cookie> in their environment.
 *
 * Being subreaper, aictld inherits every such process: as long as it has no child that nobody here
 * started, nothing is left and no scan is needed. Else a child of aictld (`aictld --sweep`, scan.c)
 * looks through /proc, because reading the environment of a process in D state may hang; it gets
 * 5 s. After a STOP this happens at once, after a crash at most once a second for all incarnations
 * together, and never on the restart path.
 *
 * What a look cannot end (SIGKILL waits for a disk) is looked for again, after 1 s doubling to 60 s
 * and alone: nobody else's stop waits for it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_SWEEP_H
#define AICTL_SUPERVISOR_SWEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/supervisor/child.h"
#include "daemon/wire/wire.h"

struct slot;
struct supervisor;

enum sweep_kind {
	SWEEP_LAZY,
	SWEEP_URGENT,
	SWEEP_FORMER, /* urgent, and its orphans are not ours: always scan */
	SWEEP_KIND_MAX_
};

#define SWEEP_DEADLINE_MS 5000
#define SWEEP_LAZY_MS 1000
#define SWEEP_BATCH_MAX 1000	/* cookies of one scan */
#define SWEEP_ENTRIES_MAX 65536 /* then the oldest are given up, and the log says so */

struct sweep_entry {
	struct slot *slot; /* counts this entry in `unswept`, so it stays */
	char cookie[WIRE_INCARNATION_SIZE];
	int64_t at_mono_ms; /* not before */
	uint32_t delay_ms;  /* > 0: a run could not end it, it goes alone from now on */
	uint8_t kind;	    /* enum sweep_kind */
	uint8_t run;	    /* 0 = waiting, else 1 + number of the run */
};

struct sweep_run {
	struct supervisor *sup;
	struct child child;
	struct child_job job;
	struct loop_timer deadline;
	char **argv;
	uint8_t id;
};

struct sweep {
	struct sweep_entry *entries;
	size_t n, cap;
	struct sweep_run runs[2]; /* lazy and urgent: a hanging one does not hold the other */
	struct loop_timer timer;
	int64_t lazy_at_mono_ms; /* not before: for all lazy ones */
	bool lazy_waiting;
};

void sweep_init(struct supervisor *sup);
void sweep_done(struct supervisor *sup);
void sweep_add(struct slot *s, const char *cookie, enum sweep_kind kind);
/* Is something of a former aictld still looked for? */
bool sweep_has_former(const struct supervisor *sup);
/* The slot's waiting cookies become urgent. */
void sweep_urge(struct slot *s);

#endif
