/*
 * capture_keep: when a set's store is to delete what is too old (keep.h) and to begin or end the
 * compression of a segment (compress.h): in the set's loop, within a step, and only when due. And
 * what is asked for by hand.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LOGGER_CAPTURE_KEEP_H
#define AICTL_LOGGER_CAPTURE_KEEP_H

#include <stdbool.h>

struct capture_set;
struct wire_log_done;
struct wire_log_work;

/* After its store. */
void capture_keep_init(struct capture_set *set);
void capture_keep_done(struct capture_set *set);
/* After a step: something may have become due by it. */
void capture_keep_soon(struct capture_set *set);
/* (any) Is a step of this, or a compression, under way? */
bool capture_keep_is_idle(const struct capture_set *set);
/*
 * (any) What somebody wants done by hand. set->on_drained is called when capture_keep_answer has the
 * answer. False: something is being done already, or the set is paused.
 */
bool capture_keep_ask(struct capture_set *set, const struct wire_log_work *m);
/* (any) The answer, once; false = none. */
bool capture_keep_answer(struct capture_set *set, struct wire_log_done *ret);
/* (any) Nothing is deleted or compressed in between. */
void capture_keep_pause(struct capture_set *set);
void capture_keep_resume(struct capture_set *set);

#endif
