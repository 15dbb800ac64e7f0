/*
 * log_out: one log line to stdout in one of the formats of `aictl logs`.
 *
 *   for (...) log_out_line(&o, &line);  log_out_flush(&o);  log_out_done(&o);
 *
 * With `gather` lines are written in large pieces, at the latest by log_out_flush.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_LOG_OUT_H
#define AICTL_CLI_LOG_OUT_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/view.h"
#include "lib/buf.h"

struct tail_line;

enum log_out_format {
	LOG_OUT_TEXT,
	LOG_OUT_RAW,
	LOG_OUT_JSON, /* an object a line */
	LOG_OUT_YAML, /* a document a line */
	LOG_OUT_NAME, /* only the replicas, each once */
};

struct log_out {
	enum log_out_format format;
	struct view view; /* TEXT */
	bool timestamps;  /* TEXT: local time before each line */
	bool streams;	  /* TEXT: stdout or stderr before each line */
	bool as_written;  /* TEXT: no JSON is recognised, no level coloured */
	bool safe;	  /* TEXT: for a terminal: see log_safe.h */
	bool gather;
	/* its own */
	bool begun;	/* YAML: a document came before */
	struct buf out; /* gathered, or of one line */
	struct buf scratch;
	int64_t stamp_s;
	char stamp[32]; /* of that second */
};

void log_out_line(struct log_out *o, const struct tail_line *line);
void log_out_flush(struct log_out *o);
void log_out_done(struct log_out *o);

#endif
