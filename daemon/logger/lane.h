/*
 * lane: a thread that stores what goes to one file system, so that a file system that hangs stalls
 * only what goes there.
 *
 * A lane is a loop, and a lock of everything that happens in it. The thread holds the lock except
 * while it waits and in a step: a system call that may hang (capture.h). So another thread that
 * takes the lock gets it soon, always, and finds everything as it is between two steps; the one
 * capture that is in a step is named by its set. After it has changed something the other thread
 * wakes the lane.
 *
 * Nothing happens in a lane that has nothing to do. Its thread takes no signals. It ends with the
 * process: one that hangs cannot be waited for.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LOGGER_LANE_H
#define AICTL_LOGGER_LANE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/loop.h"

struct lane {
	struct loop loop;
	pthread_mutex_t lock;
	pthread_t thread;
	int wake_fd;
	struct loop_io wake_io;
	bool stop;
	int64_t step_since_mono_ms; /* 0 = in no step */
	bool hung;		    /* somebody has said so: on_back is called when the step ends */
	void (*on_back)(void *user);
	void (*on_stop)(void *user); /* in the thread, when it is to end */
	void *user;
};

/* 0 or -errno; on failure there is nothing to undo. user and the functions are filled in before. */
int lane_start(struct lane *l);
void lane_lock(struct lane *l);
/* Unlocks, and has the thread look at its timers again. */
void lane_unlock(struct lane *l, bool wake);
/* Of the thread itself: a step begins, and ends. */
void lane_step(struct lane *l, bool begins);
/* Ends it, on_stop called first. */
void lane_ask_to_end(struct lane *l);
/* Waits max_ms for that. False: it hangs, and must be left as it is. */
bool lane_join(struct lane *l, int64_t max_ms);
/* After it has ended: nobody needs its loop any more. */
void lane_done(struct lane *l);

#endif
