/*
 * reaction: on_dependency_restart. A replica remembers of each dependency which of its lives
 * (deps.h) it began with, in its note; once the dependency is there again as a whole with a later
 * one, it is replaced or reloaded. No clock is compared, and what happened while there was no
 * controller counts as well: the exit records are handled first.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_REACTION_H
#define AICTL_CONTROLLER_REACTION_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/mem.h"

#define REACTION_MAX 64 /* dependencies: the schema's range */

struct controller;
struct replica;
struct service;

/* Part of struct replica. */
struct reaction {
	uint32_t names;	 /* deps_names_mark of what it began with; 0 = look at the present ones */
	uint32_t *marks; /* owned, n of them: deps_life_mark; 0 = look at the present one */
	uint8_t n;	 /* as many as the dependencies */
	uint64_t note_life;    /* of its own service, as its note said */
	int64_t ended_mono_ms; /* its process, begun then, has ended and nobody has looked; 0 = no */
};

/* r's process has ended. */
void reaction_ended(struct replica *r);
/* r has begun, or reads its files again: it knows its dependencies as they are now. */
void reaction_begun(struct replica *r);
/* Before s is planned: what has ended since the last time. */
void reaction_look(struct service *s);
/* After it was planned. true: it has other processes than before, and is as it should be. */
bool reaction_settled(struct service *s);
/* s has dependencies: what runs and began before they were replaced is told. */
void reaction_tell(struct service *s);
/* r is about to be forgotten, with its note. */
void reaction_removed(struct service *s, const struct replica *r);
/* All notes are read. */
void reaction_restored(struct controller *c);
static inline void reaction_done(struct reaction *x)
{
	mem_free(x->marks);
	*x = (struct reaction){0};
}

#endif
