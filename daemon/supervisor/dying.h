/*
 * dying: a logger that was killed and does not end, for a thread of it is in a system call on a file
 * system that does not answer (D state).
 *
 * The kernel says nothing then: no end of its socket, no exit. So the logger's witness
 * (daemon/logger/witness.h) holds the far end of a pipe of ours, which is at its end as soon as the
 * logger dies. If it has not ended DYING_MS later, another one is started beside it: what logs to other
 * file systems goes on. That one leaves alone what the old thread is about (daemon/wire/steps.h).
 *
 * The old one is only reaped from then on, whenever that is. There may be DYING_MAX such at once; with
 * more, the present one is waited for until one has ended.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_DYING_H
#define AICTL_SUPERVISOR_DYING_H

#include <stdbool.h>

#include "daemon/supervisor/child.h"
#include "lib/loop.h"

struct supervisor;

#define DYING_MAX 2
#define DYING_MS 1000

struct dying {
	int fds[2]; /* ours; the logger's, until it was sent. -1 = none */
	struct loop_io io;
	struct loop_timer timer;
	int pid; /* that dies; 0 = none */
	struct dying_child {
		struct supervisor *sup;
		struct child child;
		int pid;
	} left[DYING_MAX]; /* nobody's any more */
};

void dying_init(struct supervisor *sup);
void dying_done(struct supervisor *sup);
/* For a new logger. */
void dying_renew(struct supervisor *sup);
/* The end for its witness, -1 = none; it was sent. */
int dying_fd(const struct supervisor *sup);
void dying_sent(struct supervisor *sup);

#endif
