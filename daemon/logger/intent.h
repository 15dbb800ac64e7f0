/*
 * intent: the words in shared memory that make the logger's death harmless.
 *
 * Before bytes are moved, the slot's word says from which stream and to which offset; after their
 * index entry is written it becomes 0 again. The table is aictld's (tmpfs, MAP_SHARED), so it
 * outlives kill -9. A word that is not 0 when a stream comes back means: bytes of the segment
 * beyond the index belong to that stream.
 *
 *   bits 0-39 offset, 40-41 stream, 42-63 a hash of the incarnation
 *
 * The hash is there because an old incarnation may still drain while the next one of the same slot
 * writes. Without a table (or beyond its end) a private word is used, which a death loses.
 *
 * The last word of the table belongs to no stream: it is the pid of the logger that may read pipes
 * when no aictld is there to say so (0 = none may). aictld writes it when it starts a logger, so two
 * that outlive it never read the same pipe.
 *
 * Before it lie those of daemon/wire/steps.h: where threads of former loggers still are in a system
 * call. What one of them is about is left alone until its bytes are where they were going.
 * Without a table, or in a small one, nobody is told.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LOGGER_INTENT_H
#define AICTL_LOGGER_INTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/wire/steps.h"

#define INTENT_OFFSET_MAX ((UINT64_C(1) << 40) - 1)

struct intent_table {
	uint64_t *words; /* mapped, or NULL */
	size_t n;	 /* of all words */
	size_t n_slots;	 /* the first of them */
	uint64_t spare;	 /* for a slot without a word */
	struct steps steps;
};

void intent_init(struct intent_table *t);
/* Maps the file and closes fd, always; an earlier one is dropped. 0 or -errno. */
int intent_map(struct intent_table *t, int fd);
void intent_done(struct intent_table *t);
/* Never NULL; lives as long as the mapping. *shared is false for the private one. */
uint64_t *intent_word(struct intent_table *t, uint32_t index, bool *shared);

/* Is the logger with this pid the one that may read? False without a table. */
bool intent_is_owner(const struct intent_table *t, int32_t pid);

void intent_set(uint64_t *word, const char *incarnation, uint32_t stream, uint64_t offset);
void intent_clear(uint64_t *word);
/* Is one outstanding for this incarnation? Then its stream and offset. */
bool intent_get(const uint64_t *word, const char *incarnation, uint32_t *stream, uint64_t *offset);

#endif
