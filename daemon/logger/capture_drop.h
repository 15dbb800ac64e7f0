/*
 * capture_drop: logs.on_full: drop. While the bytes of a capture cannot be stored its pipes are looked
 * at again and again; one that fills up loses its oldest bytes, up to the end of a line. They are
 * counted, and before the first bytes that are stored again the segment gets a line that says how
 * many are missing there, and why.
 *
 * What is lost is told (fault.h) about once a second. A logger that is killed meanwhile forgets the
 * count, not the bytes that are still in the pipe.
 *
 * A pipe must not be touched while its bytes are in a system call that hangs: its writer waits as
 * long. The other pipes of a set whose step hangs are looked at by whoever finds that out.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LOGGER_CAPTURE_DROP_H
#define AICTL_LOGGER_CAPTURE_DROP_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/logger/capture.h"

#define CAPTURE_DROP_SOON_MS 5	  /* until the next look, while pipes fill up */
#define CAPTURE_DROP_LATER_MS 100 /* while nothing comes */

/* Does it drop what cannot be stored? Else its writers wait. */
bool capture_drop_is_on(const struct capture *c);
/*
 * Looks at all captures of the set that wait and drop; `all`: also at those that nothing is wrong
 * with, for a step lasts or hangs. tools lends its scratch pipe and buffer. Returns the time until the next
 * look, 0 = none is needed.
 */
int64_t capture_drop_look(struct capture_set *set, struct store *tools, bool all);
/* c waits: the set's timer does that from now on. */
void capture_drop_begin(struct capture *c);
void capture_drop_init(struct capture_set *set);
/* Everything in both pipes: nothing of it can ever be stored. */
void capture_drop_rest(struct capture *c);
/* The rest of a line whose beginning is gone. */
void capture_drop_line(struct capture_stream *s);
/* Within a step: what is to be said before the stream goes on. 0 = it may, else as segment_take. */
int capture_drop_note(struct capture_stream *s);

#endif
