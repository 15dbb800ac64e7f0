/*
 * loggrep: a pattern held against lines: a Perl-compatible regular expression (PCRE2), or, when it
 * has no special character, a text to be found (many times faster).
 *
 * Patterns come from anybody who may read, and lines from anybody who may write: a match is ended at
 * limits of steps, depth and memory, which is an error that names the pattern, never "no match".
 *
 * A line that is UTF-8 is seen as characters: "." is one, and without regard to case all letters of
 * Unicode have theirs. A line that is not, or a pattern that is not, is seen as bytes: such bytes
 * neither fail nor hide what stands around them.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_LOGGREP_H
#define AICTL_LIB_LOGGREP_H

#include <stdbool.h>
#include <stddef.h>

struct err;
struct loggrep;

#define LOGGREP_MAX 1024 /* bytes of a pattern */

int loggrep_new(const char *pattern, bool ignore_case, struct loggrep **ret, struct err **reterr);
/* 1, 0, or negative: that cannot be said within the limits. Not for two threads at a time. */
int loggrep_matches(struct loggrep *g, const char *text, size_t n, struct err **reterr);
/* The same as the filter of a logview; user is the loggrep. */
int loggrep_filter(void *user, const char *text, size_t n, struct err **reterr);
struct loggrep *loggrep_free(struct loggrep *g); /* NULL is a no-op; returns NULL */

#endif
