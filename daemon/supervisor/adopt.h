/*
 * adopt: what a former aictld left running becomes ours, whether it was killed, ended on purpose
 * (detach) or became us (reexec).
 *
 * The table says what there was; nothing in it is believed before /proc has confirmed it: a process
 * is the slot's when pid and start time are. One that lives is watched by pidfd from now on
 * (child_adopt). One that is gone is an exit, exact when a logger brings its pidfd and the kernel
 * keeps statuses (Linux 6.15), else of unknown status.
 *
 * The log pipes of each living one are opened again from /proc/PID/fd at once, before a logger may join:
 * from here on a writer has a reader, whoever dies. Two descriptors for each, as later; what a logger
 * gives back takes their place.
 *
 * Meanwhile the loop turns: loggers give back (giveback.h), the old controller ends. When nobody is
 * waited for any more (adopt_poke), what nobody gave back stays as we opened it, and the helpers
 * start. A request to shut down waits so long.
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
#define ADOPT_STUCK_MS 4000   /* then it hangs in the kernel, and the next one starts beside it */
#define ADOPT_HALF_MADE_MS 50 /* between looks at a child that has not exec'd yet */
#define ADOPT_PIPES_MS 100    /* between looks at pipes that cannot be opened yet */

struct adopt {
	bool active;	    /* from adopt_begin until everything has its place */
	int controller_pid; /* the former one; 0 = gone, or as good as that */
	int controller_pidfd;
	bool controller_killed;
	struct loop_io controller_io;
	struct loop_timer controller_timer, half_made_timer, pipes_timer;
	bool half_made;		  /* there is such a child (dirs_have_half_made) */
	bool shutdown, by_signal; /* asked for meanwhile */
	uint32_t n_living, n_gone, n_damaged, n_remade;
};

void adopt_init(struct supervisor *sup);
void adopt_done(struct supervisor *sup);
/* Loads the table, and starts what adoption needs; adopt_poke follows at once. */
void adopt_begin(struct supervisor *sup);
/* Something that is waited for has come, or will not come. */
void adopt_poke(struct supervisor *sup);
/* A logger that holds the pipes is about to be killed: those of the living that could not be opened when
 * they were taken over (stream_hold) are tried again first, so that no writer is without a reader. */
void adopt_hold_pipes(struct supervisor *sup);
/* The former controller is gone: the next one may start. */
bool adopt_controller_is_gone(const struct supervisor *sup);
/* True: shutdown_begin is called again when adoption is complete. */
bool adopt_defers_shutdown(struct supervisor *sup, bool by_signal);

#endif
