/*
 * log_pretty: a line of a log for people: a JSON object as level, message and key=value, stacks
 * below it; another line as it is; both in the colour of their level where colours are wanted.
 *
 *   {"level":"warning","event":"slow request","ms":120}
 *   WARNING slow request ms=120
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_LOG_PRETTY_H
#define AICTL_CLI_LOG_PRETTY_H

#include <stddef.h>

struct buf;
struct term;

/* prefix: what stands before the first line of text, and before each other one. No newline at the
 * end. */
void log_pretty(struct buf *out, const struct term *term, const char *text, size_t n,
		const char *prefix, size_t prefix_len);

#endif
