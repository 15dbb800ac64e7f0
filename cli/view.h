/*
 * view: lines of several replicas on one screen, each with the name of its replica before it.
 *
 *   sentiment/0 | a line the replica wrote
 *   sentiment/0   ready after 1.9s
 *
 * On a terminal each replica has its colour. Lines are printed as they are (a service may colour
 * its own log); only the prefix is ours.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_VIEW_H
#define AICTL_CLI_VIEW_H

#include <stdbool.h>
#include <stddef.h>

struct term;

struct view {
	const struct term *term;
	bool prefix;
	size_t width;	/* of the prefix; grows with the names seen */
	char **objects; /* "sentiment/0": their place decides the colour */
	size_t n_objects, cap_objects;
};

/* Makes room for a name before it is seen, so that the columns do not move. True when it is new. */
bool view_expect(struct view *v, const char *object);
/* One line of a log, text of n bytes without its newline. */
void view_log(struct view *v, const char *object, const char *text, size_t n);
/* A word of ours about a replica; color may be "". */
void view_note(struct view *v, const char *object, const char *color, const char *text);
void view_done(struct view *v);

#endif
