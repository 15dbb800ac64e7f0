/*
 * progress: what is seen while a change is waited for.
 *
 * On a terminal a block of lines, one for each replica, redrawn in place (written in one piece and
 * left with the cursor below it, so that an interrupt needs no repair) and erased at the end. Off a
 * terminal, when asked for, one line for each transition. Else nothing.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_PROGRESS_H
#define AICTL_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <cjson/cJSON.h>

struct cli;
struct client;

enum progress_mode { PROGRESS_OFF, PROGRESS_LIVE, PROGRESS_LINES };

struct progress {
	const struct cli *cli;
	struct client *client;
	enum progress_mode mode;
	unsigned drawn;	  /* LIVE: lines on the screen */
	unsigned columns; /* LIVE: of the screen then */
	int64_t seq;	  /* LINES: last event seen */
};

/* Before the change is sent: remembers where the events stand. */
void progress_begin(struct progress *p, const struct cli *cli, struct client *client, bool lines);
/* How long one wait may last between two updates. */
int64_t progress_step_ms(const struct progress *p);
void progress_update(struct progress *p, const cJSON *change);
void progress_end(struct progress *p, const cJSON *change);

#endif
