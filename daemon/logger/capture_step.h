/*
 * capture_step: the system calls of captures that may hang, on files and on pipes. In a set with
 * on_step (capture.h) others may come in meanwhile: what was true before is to be asked again.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LOGGER_CAPTURE_STEP_H
#define AICTL_LOGGER_CAPTURE_STEP_H

#include <stdbool.h>
#include <sys/types.h>

#include "daemon/logger/capture.h"

/* What comes until the end may hang; c stays, and is living, whatever others do meanwhile. */
void capture_step_begin(struct capture *c);
void capture_step_end(struct capture *c);
/* Within one: false = something that others may see is looked at, true = it goes on. */
void capture_step_switch(struct capture_set *set, bool begins);

/* The same for what is no capture's. */
void capture_step_open(struct capture_set *set);
void capture_step_close(struct capture_set *set);
/* Is a former logger in a step on the set's mount, or for c (or NULL)? */
bool capture_step_is_other(struct capture_set *set, const struct capture *c);
/* The segment may have been opened or closed. */
void capture_step_count(struct capture_set *set, struct capture *c, bool was_open);
/* Closes the files of whoever used them the longest ago, for c. False when there is none. */
bool capture_step_evict(struct capture *c);
/* Stores something of the stream: what segment_take says. */
ssize_t capture_step_take(struct capture_stream *s);

#endif
