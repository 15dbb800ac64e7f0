/*
 * run: processes beside the slots, for exec probes, hooks and `aictl exec`: started with the
 * descriptors that came with RUN, not restarted. RUN_END tells of each once, refusals included.
 *
 * A hook's output is stored: it gets pipes and a stream of its slot, which is made when there is
 * none, under its own incarnation; what it leaves behind is swept. A shutdown does not refuse it, and
 * waits for it.
 *
 * They belong to the controller that asked: when it goes, and when we do, their groups are killed.
 * One that cannot be killed (D state) is reported two seconds after its SIGKILL all the same, and
 * keeps its place until it is reaped; until then the same command of the same replica is refused
 * (EALREADY), or a probe of a hung disk would soon have all places.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_RUN_H
#define AICTL_SUPERVISOR_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/supervisor/table.h"
#include "daemon/wire/wire.h"

struct link;
struct run;
struct runtime;
struct supervisor;

#define RUN_ENDS_MAX 4096 /* not yet told; a controller that reads nothing loses more */

struct runs {
	struct run *live[WIRE_RUNS_MAX]; /* NULL = free place */
	unsigned n;
	struct table_run *places;	  /* one for each place, in the table */
	struct run *first_end, *last_end; /* to be told, oldest first */
	unsigned n_ends;
};

void run_init(struct supervisor *sup); /* after the table is open */
void run_done(struct supervisor *sup);
/* Takes m over and three of the packet's descriptors. */
void run_start(struct supervisor *sup, struct wire_run *m, struct wire_packet *p);
void run_kill(struct supervisor *sup, uint64_t id, int signal);
/* The controller is gone: nobody is told. */
void run_abandon(struct supervisor *sup);
/* We end: all are killed, and told of. */
void run_kill_all(struct supervisor *sup);
bool run_any(const struct supervisor *sup);
bool run_any_hook(const struct supervisor *sup); /* one whose time is not over */
/* ---- inside units (RUN with `inside`): its aictl-runtime starts them and tells of their ends ---- */

/* What is due to that runtime; false: the socket is full. */
bool run_send_inside(struct runtime *r, struct link *l);
void run_end_inside(struct runtime *r, const struct wire_run_end *m);
void run_note_inside(struct runtime *r, uint64_t id, int pid);
/* Its process is gone, and with it those who would tell. */
void run_lose_inside(struct runtime *r);

/* From control_flush: false = the socket is full. */
bool run_flush(struct supervisor *sup);

#endif
