/*
 * import_notes: what an import says: which field of which service has no counterpart, became something
 * else, or is left to the user. In order; a table on stderr, comments in the manifest.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_IMPORT_NOTES_H
#define AICTL_CLI_IMPORT_NOTES_H

#include <stddef.h>

struct buf;
struct term;

enum import_kind { IMPORT_DROPPED, IMPORT_CHANGED, IMPORT_TODO };

struct import_note {
	char *service; /* NULL: of the project */
	char *field, *text;
	enum import_kind kind;
};

struct import_notes {
	struct import_note *v;
	size_t n, cap;
};

/* Said once: the same field and text of a service again is nothing new. */
void import_notes_add(struct import_notes *l, enum import_kind kind, const char *service,
		      const char *field, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
/* Comments of one service (NULL: the project). */
void import_notes_comment(const struct import_notes *l, const char *service, int depth,
			  struct buf *out);
void import_notes_print(const struct import_notes *l, const struct term *term); /* to stderr */
void import_notes_done(struct import_notes *l);

#endif
