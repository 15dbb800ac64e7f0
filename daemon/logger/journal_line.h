/*
 * journal_line: a service's line as a datagram of the journal's native protocol: MESSAGE, PRIORITY,
 * SYSLOG_IDENTIFIER and the AICTL_ fields. Pure.
 *
 * The priority is that of a <N> before the line, which is left out of MESSAGE then, of a JSON
 * object's level, or of a level word (loglevel.h); 6 (info) without one, 4 for a note of the logger.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LOGGER_JOURNAL_LINE_H
#define AICTL_LOGGER_JOURNAL_LINE_H

#include <stddef.h>
#include <stdint.h>

struct buf;

struct journal_line {
	const char *service, *incarnation;
	uint32_t index, stream; /* enum logidx_stream */
	uint64_t revision;	/* 0 = not known */
	int64_t wall_ms;
	const char *text; /* no newline in it */
	size_t len;
};

/* Appends it to an empty buffer. */
void journal_line_encode(struct buf *out, const struct journal_line *l);

#endif
