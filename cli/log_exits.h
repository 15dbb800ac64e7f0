/*
 * log_exits: the last lines of a run whose log files are gone: the daemon keeps up to 50 with its exit
 * (GET /v1/services/NAME/exits). For `aictl logs --previous`, where a replica's run gave no line.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_LOG_EXITS_H
#define AICTL_CLI_LOG_EXITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct client;
struct err;
struct log_out;
struct logview_opts;
struct logview_runs;
struct tail_line;

/* Replicas that gave lines. */
struct log_exits {
	char **seen;
	size_t n, cap;
};

/* That one was shown. */
void log_exits_saw(struct log_exits *x, const struct tail_line *line);
/*
 * Shows what is kept of the previous runs of a service, of those replicas that gave nothing and of
 * what `choose` asks for. 1 = there was something, 0, or negative: its filter failed.
 */
int log_exits_show(const struct log_exits *x, struct client *client, struct log_out *out,
		   const struct logview_opts *choose, struct err **reterr);
void log_exits_done(struct log_exits *x);

#endif
