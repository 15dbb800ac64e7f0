/*
 * store: the log directory as a whole: finding and making the directories of services and replicas,
 * and what is there. What goes is decided in keep.h, what is compressed in compress.h.
 *
 * Everything below the log directory is opened by *at() calls with O_NOFOLLOW. A segment that
 * in_use() names is neither deleted nor compressed.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LOGGER_STORE_H
#define AICTL_LOGGER_STORE_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct compress;
struct keep_policy;
struct steps;

#define STORE_BOUNCE (64 << 10) /* bytes of the bounce buffer */

struct store {
	const char *path; /* of the log directory, or of only's directory; borrowed */
	const char *only; /* the one service whose directory path is; NULL = all; borrowed */
	int dir_fd;	  /* -1: to be opened again */
	int scratch[2];	  /* a pipe to tee into: looks at bytes without taking them */
	uint8_t *bounce;  /* STORE_BOUNCE bytes, for the moment of one call */
	bool copying;	  /* this file system cannot splice */
	bool below;	  /* the floor, when looked at last */
	int64_t checked_mono_ms;
	uint64_t since_check;	   /* bytes stored since then */
	uint64_t keep_free;	   /* the floor; 0 = min(5 %, 256 MiB) */
	uint64_t budget;	   /* of all segments; 0 = none */
	uint64_t since_budget;	   /* bytes stored since it was looked at */
	bool budgeted;		   /* that was once */
	int64_t due_wall_ms;	   /* keep_aged is */
	bool recalled;		   /* it knows what is there since before this process */
	DIR *recall;		   /* so far; NULL = not begun */
	struct compress *compress; /* NULL: it cannot be done */
	SLIST_HEAD(keep_policies, keep_policy) policies;
	size_t n_policies;
	bool (*in_use)(void *user, const char *incarnation, uint32_t seq);
	/* Is the service's directory to be left alone, for it is a file system of its own? Or NULL. */
	bool (*is_elsewhere)(void *user, const char *service);
	void *user;
	struct steps *steps; /* where it is told that a call may hang, or NULL */
	uint64_t mount;	     /* as steps.h has it */
};

/*
 * Touches no file: the directory is opened when it is needed. in_use, only and what follows are
 * filled in by the caller. 0 or -errno; store_done either way.
 */
int store_init(struct store *st, const char *path);
/* Opens the directory itself. 0 or -errno. */
int store_open(struct store *st);
bool store_is_usable(const struct store *st);
void store_done(struct store *st);

/* The directory of one replica; made when create is set. 0 or -errno. */
int store_open_replica(struct store *st, const char *service, uint32_t index, bool create,
		       int *ret_fd);

/* A directory in another one, never through a symbolic link. A descriptor, or -errno. */
int store_open_dir(int at, const char *name, bool create);
int store_open_service(struct store *st, const char *service, bool create);
/* What is in the log directory, and in a service's; NULL = nothing can be read there. */
DIR *store_list(struct store *st);
DIR *store_list_service(struct store *st, const char *service);

/* The newest seq of an incarnation in *seq, 0 when there is none. 0 or -errno. */
int store_newest(int dir_fd, const char *incarnation, uint32_t *seq, bool *compressed);
/* Is something being written to it, or soon? */
bool store_is_in_use(const struct store *st, const char *incarnation, uint32_t seq);

#endif
