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
 * A segment that is deleted under the reader is skipped, one that is shorter than its index ends
 * early, a damaged index ends its segment. Memory is bounded: lines over 64 KiB are cut, a live
 * incarnation costs about 20 KiB while it is being read.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_LOGVIEW_H
#define AICTL_LIB_LOGVIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct logview;

#define LOGVIEW_LINE_MAX (64 << 10)
#define LOGVIEW_CUT " [cut]" /* ends a text that was cut; `cut` says so too */

struct logview_opts {
	const char *log_dir, *service; /* copied */
	int64_t index;		       /* a replica, or -1 = all */
	int64_t tail;		       /* the last n lines of the merged view, or -1 = all */
	bool follow;
	/*
	 * Bytes as written: both streams of a replica in order of arrival, `text` with its newline
	 * if it had one (so `stream` is that of its first byte), nothing cut: a long line comes in
	 * pieces.
	 */
	bool raw;
};

struct logview_line {
	const char *text; /* not NUL-terminated; valid until the next call. Any bytes */
	size_t len;	  /* without newline, unless raw */
	int64_t wall_ms;
	uint32_t stream; /* enum logidx_stream: 1 stdout, 2 stderr */
	uint32_t index;
	const char *incarnation;
	bool cut;
};

/* A service without logs is an empty view; -ERR_PERM when we may not read them. */
int logview_open(const struct logview_opts *opts, struct logview **ret, struct err **reterr);
/* 1 = a line; 0 = nothing more (with follow: at the moment); else a negative error, for good. */
int logview_next(struct logview *v, struct logview_line *line, struct err **reterr);
/* Readable when there may be something new (follow only); -1 when that cannot be watched. */
int logview_fd(const struct logview *v);
struct logview *logview_free(struct logview *v); /* NULL is a no-op; returns NULL */

#endif
