/*
 * keep: which closed segments go, and when.
 *
 *   of a replica    the oldest, while all have more than max_size * max_files bytes or there are
 *                   more than max(max_files, 64): looked at when a segment begins, when an
 *                   incarnation goes on to the next with every sixteenth, and as it grows
 *   of a service    the oldest, while those of all its replicas, also of former ones, have more than
 *                   max_total; and those that nothing was written to for max_age, when that is due
 *   of a store      while all have more than the budget, or less than the floor is free, the oldest
 *                   of the replica with the largest total. At the floor nothing is stored any more
 *                   when nothing can be deleted: keep_check says -ENOSPC.
 *
 * What is being written (store_is_in_use) is never deleted, and so a total may be passed by the
 * segments that are open. What a service wants is learned when one of its segments begins, and
 * remembered as long as this process lives; its max_age for longer (keep_age.h), so that what was
 * stopped or deleted ages too: KEEP_RECALL_MS after the beginning, when who writes has been handed
 * over, the directories are looked through, a few at a time. Directories that are emptied so go.
 *
 * Everything here makes system calls on files.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LOGGER_KEEP_H
#define AICTL_LOGGER_KEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store;
struct wire_log_done;
struct wire_log_work;

#define KEEP_NEVER INT64_MAX
#define KEEP_RECALL_MS 30000

struct keep_limits {
	const char *service;
	uint32_t index;
	uint64_t max_size;
	uint32_t max_files;
	bool compress;
	uint64_t max_total;	 /* 0 = none */
	int64_t max_age_ms;	 /* 0 = none */
	const char *incarnation; /* the segment being written, */
	uint32_t seq;
	uint64_t size; /* and its bytes in both files */
};

/*
 * Deletes what is over the limits of the replica, whose directory dir_fd is, and of its service.
 * *others becomes the bytes of the replica's other segments. 0 or -errno.
 */
int keep_prune(struct store *st, int dir_fd, const struct keep_limits *l, uint64_t *others);
/* That segment of it has been closed for good, and nothing else begins. */
void keep_closed(struct store *st, const struct keep_limits *l);
/* That of the service alone. */
void keep_total(struct store *st, const char *service, uint64_t max_total);
/* What is too old goes. st->due_wall_ms is when this is due again, or KEEP_NEVER. */
void keep_aged(struct store *st);
/* Something is about to be stored. 0, or -ENOSPC below the floor. Looks about once a second. */
int keep_check(struct store *st);
/* n bytes were. */
void keep_wrote(struct store *st, uint64_t n);

/*
 * By hand: a PRUNE, what went or would go into *ret. Directories that become empty go as well; of a
 * service that is not there, nothing.
 */
void keep_by_hand(struct store *st, const struct wire_log_work *o, struct wire_log_done *ret);

void keep_done(struct store *st);

#endif
