/*
 * runs: commands that aictld wants executed in units. Each ends with one RUN_END; so do those of a unit
 * that is not there, and of a plugin that cannot do it.
 *
 * A terminal comes as the side that a process would have. It is made raw, for the engine has one of
 * its own inside, and its size is looked at from time to time: who changes it does not tell us.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_RUNTIME_RUNS_H
#define AICTL_RUNTIME_RUNS_H

#include <stdint.h>

#include "lib/loop.h"

struct run;
struct runtime;
struct wire_run;

#define RUNS_FDS 3

struct runs {
	struct runtime *runtime;
	struct run *first;
	struct loop_timer size; /* while one has a terminal */
};

void runs_init(struct runs *rs, struct runtime *r);
void runs_done(struct runs *rs);
/* The descriptors are taken over; m is borrowed. */
void runs_start(struct runs *rs, const struct wire_run *m, int fds[RUNS_FDS]);
void runs_kill(struct runs *rs, uint64_t id, int signal);

#endif
