/*
 * view: lines of several replicas on one screen, each with the name of its replica before it.
 *
 *   sentiment/0 | a line the replica wrote
 *   sentiment/0   ready after 1.9s
 *
 * On a terminal each replica has its colour, the same one each time it is looked at. A service may
 * colour its own log; only the prefix is ours.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_VIEW_H
#define AICTL_CLI_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct term;
struct view_object;

struct view {
	const struct term *term;
	bool prefix;
	size_t width; /* of the prefix; grows with the names seen */
	struct view_object *objects;
	size_t n_objects, cap_objects;
	uint32_t *places; /* by hash: 1 + the place in objects; 0 = free */
	size_t n_places;
};

/* Makes room for a name before it is seen, so that the columns do not move. True when it is new. */
bool view_expect(struct view *v, const char *object);
/* What stands before a line of a replica, "" when nothing does. Borrowed until the next call. */
const char *view_prefix(struct view *v, const char *service, int64_t replica, size_t *len);
/* A word of ours about a replica or a service; color may be "". */
void view_note(struct view *v, const char *object, const char *color, const char *text);
void view_done(struct view *v);

#endif
