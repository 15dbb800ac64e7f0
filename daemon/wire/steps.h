/*
 * steps: which threads of which loggers are in a system call that may hang, and where, in words at the
 * end of the intent file. So those words outlive kill -9, and who comes next can see it.
 *
 * A killed thread that waits for a disk in D state is not gone: when the disk answers it finishes that
 * one call (bytes leave a pipe, a file grows), and ends. Nobody else may touch what the call is about
 * before: the pipe, the segment. File locks cannot say so: they are those of the whole process, and stay
 * until the last of its threads has ended.
 *
 * A thread takes a place with its first step, for good. Each step says there on which mount and for
 * which incarnation it is, then that it is over. Of a thread that is gone the last step
 * has ended, whatever stands there. A thread is known by its id and its start time.
 *
 * Any thread may call this; no call waits for anybody.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_WIRE_STEPS_H
#define AICTL_WIRE_STEPS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define STEPS_PLACES 64
#define STEPS_WORDS (3 * STEPS_PLACES)
#define STEPS_NOBODY 0		  /* a step for no incarnation; or: none is asked for */
#define STEPS_NO_MOUNT UINT64_MAX /* none is asked for */

struct steps {
	uint64_t *words; /* NULL: nobody tells, nobody is told */
	uint64_t ours;	 /* a bit for each place of this process */
	int64_t seen_mono_ms[STEPS_PLACES];
	pthread_mutex_t lock; /* of taking a place */
};

struct steps_thread {
	unsigned at; /* its place + 1; 0 = none yet */
};

void steps_init(struct steps *s);
/* words: STEPS_WORDS of them, borrowed; NULL = no more. */
void steps_map(struct steps *s, uint64_t *words);
void steps_done(struct steps *s);

/* As what an incarnation stands there. */
uint64_t steps_id(const char *incarnation);
/* Of the calling thread, whose t is. Not nested. */
void steps_begin(struct steps *s, struct steps_thread *t, uint64_t mount, uint64_t id);
void steps_end(struct steps *s, const struct steps_thread *t);

/* Is a living thread of another process in a step on that mount, or for that incarnation? */
bool steps_is_other(struct steps *s, uint64_t mount, uint64_t id);

#endif
