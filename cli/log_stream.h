/*
 * log_stream: GET /v1/logs as JSON lines. One that is followed is asked for again when it breaks,
 * for as long as it takes: controllers die, daemons are replaced, and the logs are all there
 * afterwards. What was given already is not given twice.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_LOG_STREAM_H
#define AICTL_CLI_LOG_STREAM_H

#include <stdbool.h>
#include <stdint.h>
#include <cjson/cJSON.h>

struct err;
struct log_stream;

struct log_stream_opts {
	const char *socket;
	const char *query; /* "service=chat&stream=stderr": all but the following. Copied */
	int64_t n, since_ms;
	bool follow;
};

/* 0 or a negative code. */
int log_stream_open(const struct log_stream_opts *o, struct log_stream **ret, struct err **reterr);
/*
 * 1 and a line (borrowed until the next call), 0 at the end, -ERR_TIMEOUT (reterr unset) when there
 * is none yet, else a negative code for good.
 */
int log_stream_next(struct log_stream *s, const cJSON **ret, struct err **reterr);
/* To poll for the next line, -1 while it is broken: then look again after a while. It changes. */
int log_stream_fd(const struct log_stream *s);
struct log_stream *log_stream_free(struct log_stream *s); /* NULL is a no-op; returns NULL */

#endif
