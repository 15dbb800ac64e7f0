/*
 * log_out: one log line to stdout in one of the formats of `aictl logs`.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_LOG_OUT_H
#define AICTL_CLI_LOG_OUT_H

#include <stdbool.h>

#include "cli/view.h"

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
	bool begun;	  /* YAML: a document came before */
	bool add_newline; /* RAW: lines come without theirs (from a stream) */
};

void log_out_line(struct log_out *o, const struct tail_line *line);

#endif
