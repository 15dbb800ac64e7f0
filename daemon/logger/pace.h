/*
 * pace: when a stream is read, and how much fits into its pipe: the numbers by which reading is
 * tuned, and the decisions made from them.
 *
 * A stream whose pieces come quickly and are small rests for some milliseconds and is then emptied
 * in one step, which costs a fraction; a single line of an idle stream is stored at once. A rest
 * ends long before the pipe is full at the pace of late, and with the next tick of its length, so
 * that all who rest equally long need one wake-up. A pipe that was found full grows, within the
 * budget that all pipes share.
 *
 * Pure but for pace_grow, which changes the pipe. A budget may be shared by several threads.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LOGGER_PACE_H
#define AICTL_LOGGER_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACE_PIPE_SMALL (64u << 10) /* what a pipe has by default: outside the budget */
#define PACE_PIPE_LARGE (1u << 20)
#define PACE_END 6   /* the rest before an end of file is looked at; below: 1, 2, 4 ... 32 ms */
#define PACE_TICKS 7 /* kinds of rests */

/* Of one stream. */
struct pace {
	uint32_t pipe_size;
	uint32_t rest_ms;     /* the present one; 0 = none */
	uint32_t want;	      /* size that the pipe is to have */
	uint32_t rate;	      /* bytes in a millisecond, of late */
	bool refused;	      /* it could not grow: not tried again before it is full */
	int64_t last_mono_ms; /* of the last bytes */
	int64_t last_mono_us; /* the same, for pace_blink */
	uint32_t blink_us;    /* the present one */
};

struct pace_budget {
	uint64_t max, used; /* bytes beyond what pipes have by default */
};

/* system: aictld runs as root, which has more room in pipes. */
struct pace_budget pace_budget(bool system);
/* The pipe of fd as it is; last: when there were bytes. */
void pace_begin(struct pace *p, struct pace_budget *b, int fd, int64_t last_mono_ms);
/* The pipe is no more. */
void pace_end(struct pace *p, struct pace_budget *b);

/*
 * n bytes were taken in one step. The tick after which the stream is to be looked at again; -1 = as
 * soon as there is something.
 */
int pace_taken(struct pace *p, size_t n, int64_t now);
/*
 * After pace_taken said -1: for so many microseconds the reader may look away all the same. For a
 * stream of hundreds of megabytes a second, whose large pipe fills in a fraction of a millisecond:
 * it is then met with some hundred kilobytes, never with a full pipe.
 */
unsigned pace_blink(struct pace *p, size_t n, int64_t now_us);
/* There was nothing. */
void pace_empty(struct pace *p);
/* When the next tick of a kind is. */
int64_t pace_tick(int tick, int64_t now);
/*
 * n bytes were found in the pipe: is it to grow? When it was full, and to let who writes a megabyte
 * a second rest longer.
 */
bool pace_is_full(struct pace *p, size_t n);
/* As just said, if the budget has room. */
void pace_grow(struct pace *p, struct pace_budget *b, int fd);

#endif
