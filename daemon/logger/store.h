/*
 * store: the log directory as a whole: finding and making replica directories, deleting old
 * segments, and the floor of free disk space.
 *
 * Everything below the log directory is opened by *at() calls with O_NOFOLLOW. Retention works on
 * one replica's directory: the oldest segments go while the sum of bytes exceeds max_size *
 * max_files or there are more than max(max_files, 64). Below the floor, min(5 %, 256 MiB) free, the
 * oldest segments of the replica with the largest total go first; when nothing is left to delete,
 * store_check_floor says -ENOSPC and the callers stop reading. A segment that in_use() names is
 * never deleted.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LOGGER_STORE_H
#define AICTL_LOGGER_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STORE_BOUNCE (64 << 10) /* bytes of the bounce buffer */

struct store {
	const char *path; /* of the log directory; borrowed */
	int dir_fd;	  /* -1: to be opened again */
	int scratch[2];	  /* a pipe to tee into: looks at bytes without taking them */
	uint8_t *bounce;  /* STORE_BOUNCE bytes, for the moment of one call */
	bool copying;	  /* this file system cannot splice */
	bool below;	  /* the floor, when looked at last */
	int64_t checked_mono_ms;
	uint64_t since_check; /* bytes stored since then */
	uint64_t floor_test;  /* tests: this floor instead of the computed one; 0 = off */
	bool (*in_use)(void *user, const char *incarnation, uint32_t seq);
	void *user;
};

/*
 * in_use and user are filled in by the caller. 0 or -errno; store_done either way. When only the
 * directory is missing the store is usable all the same: it is looked for again later.
 */
int store_init(struct store *st, const char *path);
bool store_is_usable(const struct store *st);
void store_done(struct store *st);

/* The directory of one replica; made when create is set. 0 or -errno. */
int store_open_replica(struct store *st, const char *service, uint32_t index, bool create,
		       int *ret_fd);

struct store_limits {
	uint64_t max_size;
	uint32_t max_files;
	const char *incarnation; /* the segment being written, */
	uint32_t seq;
	uint64_t size; /* and its bytes in both files */
};
/* Deletes what is over the limits. *others becomes the bytes of the other segments. 0 or -errno. */
int store_prune(struct store *st, int dir_fd, const struct store_limits *l, uint64_t *others);
/* The newest seq of an incarnation in *seq, 0 when there is none. 0 or -errno. */
int store_newest(int dir_fd, const char *incarnation, uint32_t *seq);

/* n bytes are about to be stored. 0, or -ENOSPC below the floor. Looks about once a second. */
int store_check_floor(struct store *st, uint64_t n);

#endif
