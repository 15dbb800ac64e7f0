/*
 * adopt: what a former aictld left running becomes ours, whether it was killed, ended on purpose
 * (detach) or became us (reexec).
 *
 * The table says what there was; nothing in it is believed before /proc has confirmed it: a process
 * is the slot's when pid and start time are. One that lives is watched by pidfd from now on
 * (child_adopt). One that is gone is an exit, exact when a logger brings its pidfd and the kernel
 * keeps statuses (Linux 6.15), else of unknown status.
 *
 * Meanwhile the loop turns: loggers give back (giveback.h), the old controller ends. When nobody is
 * waited for any more (adopt_poke), streams that nobody gave back are made again from
 * /proc/PID/fd of the living, and the helpers start. A request to shut down waits so long.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_ADOPT_H
#define AICTL_SUPERVISOR_ADOPT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/loop.h"

struct supervisor;

#define ADOPT_CONTROLLER_MS 1000 /* it ends by itself at the end of its socket; then SIGKILL */
#define ADOPT_HALF_MADE_MS 50	 /* between looks at a child that has not exec'd yet */

struct adopt {
	bool active;	    /* from adopt_begin until everything has its place */
	int controller_pid; /* the former one; 0 = gone */
	int controller_pidfd;
	struct loop_io controller_io;
	struct loop_timer controller_timer, half_made_timer;
	int half_made_fd;	  /* its spawn lock, or -1 */
	bool shutdown, by_signal; /* asked for meanwhile */
	uint32_t n_living, n_gone, n_damaged, n_remade;
};

void adopt_init(struct supervisor *sup);
void adopt_done(struct supervisor *sup);
/* Loads the table, and starts what adoption needs; adopt_poke follows at once. */
void adopt_begin(struct supervisor *sup);
/* Something that is waited for has come, or will not come. */
void adopt_poke(struct supervisor *sup);
/* A logger that holds the pipes is about to be killed: those of the living are opened again first, so
 * that no writer sees an end without a reader. */
void adopt_hold_pipes(struct supervisor *sup);
/* The former controller is gone: the next one may start. */
bool adopt_controller_is_gone(const struct supervisor *sup);
/* True: shutdown_begin is called again when adoption is complete. */
bool adopt_defers_shutdown(struct supervisor *sup, bool by_signal);

#endif
