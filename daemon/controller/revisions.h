/*
 * revisions: what is known of the last applies of each set: who, when, from which commit, a hash of
 * the text. In memory, so that showing them waits for no disk; the text itself is in the store.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_REVISIONS_H
#define AICTL_CONTROLLER_REVISIONS_H

#include <stdbool.h>
#include <stdint.h>

struct jsonw;
struct set;
struct store_revision;

struct revision {
	uint64_t number;
	int64_t at_wall_ms;
	uint32_t uid;
	uint64_t hash;
	char *user;		       /* or NULL */
	char *services;		       /* names, separated by spaces */
	char *git_commit, *git_branch; /* or NULL */
	bool git_dirty;
};

/* Adds one that is newer than all there are; the oldest beyond STORE_REVISIONS_KEPT goes.
 * -ERR_NOMEM. */
int revisions_add(struct set *set, const struct store_revision *row);
void revisions_free(struct set *set);
/* Borrowed, or NULL. */
const struct revision *revisions_find(const struct set *set, uint64_t number);
/* The members of a revision's object. The hash is of a text with values that not everybody may see,
 * and short ones could be guessed by it: without show_hash it is null. */
void revisions_write_json(const struct revision *r, bool show_hash, struct jsonw *w);
/* FNV-1a, 64 bits: tells texts apart (one in 10^19 by chance), proves nothing against malice. */
uint64_t revisions_hash(const char *text);

#endif
