/*
 * shutdown: the end of aictld: stop every slot with its own signal and grace period, wait for the
 * exits, sweep, let the logger drain and the controller commit, end the helpers, leave.
 *
 * What SIGKILL has not ended 10 s after the last grace period is named in the log and keeps its
 * slot; the exit code is then 1. A second request kills at once.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_SHUTDOWN_H
#define AICTL_SUPERVISOR_SHUTDOWN_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/loop.h"

struct supervisor;

enum shutdown_phase {
	SHUTDOWN_NONE,
	SHUTDOWN_ORDERED,  /* the controller stops the slots, dependents first */
	SHUTDOWN_STOPPING, /* all that is left of them */
	SHUTDOWN_SETTLING, /* left-overs, log pipes, exit records */
	SHUTDOWN_CONTROLLER,
	SHUTDOWN_GATEWAY,
	SHUTDOWN_LOGGER,
	SHUTDOWN_DONE,
};

struct shutdown {
	enum shutdown_phase phase;
	struct loop_timer timer;
	struct loop_timer again;  /* untracked processes were killed: look again */
	int64_t deadline_mono_ms; /* of the phase */
	bool ordered;		  /* the controller wants to stop the slots one after the other */
	bool hooks;		  /* it has hooks to run after the last of them */
	bool forced, failed, poked;
};

void shutdown_init(struct supervisor *sup);
/* The first call stops everything; a later one kills it when it comes by a signal. */
void shutdown_begin(struct supervisor *sup, bool by_signal);
/* The controller stops what runs. Said at a shutdown: it goes on with that. */
void shutdown_ordered(struct supervisor *sup, bool yes);
/* Are there hooks that follow the stops? */
void shutdown_hooks(struct supervisor *sup, bool any);
/* A replica has asked for time (EXTEND_TIMEOUT_USEC): it is waited for. */
void shutdown_extend(struct supervisor *sup, int64_t until_mono_ms);
/* Something ended: look again, at the end of this round. */
void shutdown_poke(struct supervisor *sup);

#endif
