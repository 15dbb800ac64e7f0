/*
 * logcheck: reads a replica's segments by the letter of logidx.h, independent of logview.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_TESTS_LOGCHECK_H
#define AICTL_TESTS_LOGCHECK_H

#include <stddef.h>

#include "lib/buf.h"

struct logcheck {
	struct buf streams[2]; /* bytes of stdout and stderr, of all segments in order */
	struct buf notes;      /* lines of the logger's own */
	size_t segments, entries, ends;
	char problem[256]; /* "" = the index is right: no gap, no overlap, covers the file */
};

/* dir is <log-dir>/<service>/<index>. A missing directory has no segments. */
void logcheck_read(const char *dir, struct logcheck *ret);
void logcheck_done(struct logcheck *c);
/* Are these the lines "<tag>0000000\n" .. with n lines? NULL, or what is wrong (static). */
const char *logcheck_numbered(const struct buf *b, char tag, size_t n);
/* Removes a directory and all below it. */
void logcheck_remove(const char *dir);

#endif
