/*
 * tail: log lines of several services as one sequence. Each source is either the log files, read
 * with our own rights through lib/logview, or a stream of GET /v1/logs where we may not read them.
 * The next line is the oldest of those that the sources have at hand.
 *
 *   tail_new; tail_add_*; while (tail_next(t, &line)) ...; following: wait on tail_fd, go on.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_TAIL_H
#define AICTL_CLI_TAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct log_stream_opts;
struct logview_opts;
struct tail;

/* Valid until the next tail_next. */
struct tail_line {
	const char *service, *incarnation;
	int64_t replica;
	uint32_t stream; /* enum logidx_stream */
	bool joined;	 /* it belongs to the line before it */
	bool cut;	 /* the text is its beginning, and LOGVIEW_CUT */
	int64_t wall_ms;
	const char *text; /* not NUL-terminated */
	size_t len;	  /* without newline; raw files: with it */
};

struct tail *tail_new(void);
struct tail *tail_free(struct tail *t); /* NULL is a no-op; returns NULL */
/* 0 or a negative code. */
int tail_add_files(struct tail *t, const struct logview_opts *opts, struct err **reterr);
int tail_add_stream(struct tail *t, const struct log_stream_opts *opts, struct err **reterr);

/* False when there is nothing at the moment. */
bool tail_next(struct tail *t, struct tail_line *ret);
/* Lines are missing, and the user was told. */
bool tail_has_failed(const struct tail *t);
/* Every source has come to its end (streams that are not followed, or broke). */
bool tail_is_over(const struct tail *t);
/* Readable when there may be more; look again after tail_look_ms all the same. */
int tail_fd(const struct tail *t);
int tail_look_ms(const struct tail *t);
#define TAIL_LOOK_MS 500
size_t tail_sources(const struct tail *t);

#endif
