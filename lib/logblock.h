/*
 * logblock: which lines of an incarnation belong to the line before them, so that nothing of others
 * comes between in a merged view: Python's tracebacks up to their last line, chained ones and groups
 * too, also with a logger's prefix before each line; and indented lines below any other (Java's
 * stacks, Go's, a pretty-printed value).
 *
 * Pure, a line at a time. What belongs together came within short times of each other; a block ends
 * after LOGBLOCK_LINES or LOGBLOCK_MS whatever its lines say.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_LOGBLOCK_H
#define AICTL_LIB_LOGBLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOGBLOCK_LINES 1000
#define LOGBLOCK_MS 5000     /* from first to last line */
#define LOGBLOCK_GAP_MS 1000 /* from line to line within a traceback, */
#define LOGBLOCK_NEAR_MS 100 /* and for other lines */
#define LOGBLOCK_PREFIX 128  /* before each line of a traceback, at most */
#define LOGBLOCK_STREAMS 2

/* NONE: no traceback. BODY: before its last line. OVER: behind it, another may be chained. */
enum logblock_state { LOGBLOCK_NONE, LOGBLOCK_BODY, LOGBLOCK_OVER };

struct logblock_stream {
	enum logblock_state state;
	uint32_t lines; /* of this block so far; 0 = there was no line yet */
	int64_t first_ms, last_ms;
	size_t prefix_len;
	char prefix[LOGBLOCK_PREFIX];
};

/* Zero at first. */
struct logblock {
	struct logblock_stream streams[LOGBLOCK_STREAMS];
};

/* The next line, of stream 1 or 2 (others belong to nothing): does it belong to what came before? */
bool logblock_next(struct logblock *b, uint32_t stream, const char *text, size_t n,
		   int64_t wall_ms);
/* Is the rest of a traceback still to come? *last_ms: when its last line so far did. */
bool logblock_expects(const struct logblock *b, int64_t *last_ms);

#endif
