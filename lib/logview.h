/*
 * logview: reads what aictl-logger stored (logidx.h) as lines, merged over replicas and
 * incarnations by the time of each line's first byte. For `aictl logs` and the controller's API,
 * there in a worker thread: a view is used by one thread at a time and shares nothing.
 *
 *   logview_open; while logview_next == 1: use the line; without follow: logview_free.
 *   With follow: at 0 wait until logview_fd is readable, or half a second, and call it again.
 *
 * The two streams of a replica are put together each on its own, so a line cut by a chunk, a
 * rotation or the other stream comes whole. A last line without newline is given when its
 * incarnation is over, or at the end when nothing is followed. Following gives each line once,
 * across rotations and restarts; replicas and services that appear later are found.
 *
 * Lines of a replica come in the order of their arrival, whatever the clock did meanwhile; those of
 * different replicas by their times, but for lines that belong together (logblock.h): they stay so.
 * Following waits LOGVIEW_HOLD_MS at most for the rest of a traceback.
 *
 * A segment that is deleted under the reader is skipped, one that is shorter than its index ends
 * early, a damaged index ends its segment, zeros at the end of a segment are left out. Memory and
 * descriptors are bounded: lines over 64 KiB are cut, an incarnation that is being read costs 20 to
 * 256 KiB, all together about 16 MiB plus 20 KiB for each.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_LOGVIEW_H
#define AICTL_LIB_LOGVIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/logidx.h"

struct err;
struct logview;

#define LOGVIEW_LINE_MAX (64 << 10)
#define LOGVIEW_HOLD_MS 200
#define LOGVIEW_CUT " [cut]" /* ends a text that was cut; `cut` says so too */

/* Of a replica: the incarnation that it has now, and the one before, "" = not known. */
struct logview_runs {
	uint32_t index;
	char present[LOGIDX_INCARNATION_SIZE], previous[LOGIDX_INCARNATION_SIZE];
};

/* All but stop and filter_user is copied. What is 0 or NULL makes no difference, but for index and tail. */
struct logview_opts {
	const char *log_dir, *service;
	int64_t index; /* a replica, or -1 = all */
	int64_t tail;  /* the last n lines (of those wanted) of the merged view, or -1 = all */
	bool follow;
	/*
	 * Bytes as written: both streams of a replica in order of arrival, `text` with its newline
	 * if it had one (so `stream` is that of its first byte), nothing cut: a long line comes in
	 * pieces. No notes, unless asked for by `streams`.
	 */
	bool raw;
	int64_t since_ms, until_ms; /* wall clock; of a line its first byte counts */
	uint32_t streams;	    /* bits: 1 << enum logidx_stream */
	/* Only lines of which this says 1, not 0; negative ends the view. loggrep_filter is one. */
	int (*filter)(void *user, const char *text, size_t n, struct err **reterr);
	void *filter_user;	       /* borrowed */
	const char *incarnation;       /* only this one */
	const char *first_incarnation; /* none whose name is less */
	/*
	 * Of each replica the incarnation before the present one, as `runs` says. Where they do
	 * not: the newest that has logs of those before the present one; which is the newest of
	 * all if nobody says so (but that of a hook counts, too). Not with follow.
	 */
	bool previous;
	const struct logview_runs *runs;
	size_t n_runs;
	unsigned files_max; /* replicas with open files, two descriptors each; 0 = 256 */
	/*
	 * Borrowed, set by another thread (atomically): opening and reading end soon with -ERR_BUSY.
	 * A pattern that nothing matches is otherwise looked for in all there is.
	 */
	const bool *stop;
};

struct logview_line {
	const char *text; /* not NUL-terminated; valid until the next call. Any bytes */
	size_t len;	  /* without newline, unless raw */
	int64_t wall_ms;
	uint32_t stream; /* enum logidx_stream: 1 stdout, 2 stderr, 3 note */
	uint32_t index;
	const char *incarnation;
	bool cut;
	bool joined; /* belongs to the line before it (logblock.h): nothing comes between */
};

/* A service without logs is an empty view; -ERR_PERM when we may not read them. */
int logview_open(const struct logview_opts *opts, struct logview **ret, struct err **reterr);
/* There are no segments of it at all. */
bool logview_is_empty(const struct logview *v);
/* 1 = a line; 0 = nothing more (with follow: at the moment); else a negative error, for good. */
int logview_next(struct logview *v, struct logview_line *line, struct err **reterr);
/* After a 0: so long nothing else is to be shown, for the rest of a traceback. 0 = no. */
int logview_holds_ms(const struct logview *v);
/* Segments that were deleted before they were read, as far as they would have been, or damaged. */
uint64_t logview_lost(const struct logview *v);
/*
 * The next thing that a reader of it is to be told, once: that lines are missing, and why. False:
 * nothing (more). To be asked when logview_next has given no line.
 */
bool logview_warning(struct logview *v, char *text, size_t size);
/* Readable when there may be something new (follow only); -1 when that cannot be watched. */
int logview_fd(const struct logview *v);
struct logview *logview_free(struct logview *v); /* NULL is a no-op; returns NULL */

#endif
