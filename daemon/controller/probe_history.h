/*
 * probe_history: the last results of one probe of one replica. Pure. Memory is taken with the first
 * result; a message that repeats the one before is kept once, so that a thousand healthy replicas
 * cost a few hundred bytes each.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_PROBE_HISTORY_H
#define AICTL_CONTROLLER_PROBE_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#define PROBE_HISTORY_MAX 10

struct probe_text;

struct probe_entry {
	int64_t at_wall_ms;
	int32_t duration_ms;
	bool ok;
	struct probe_text *text; /* probe_entry_message() */
};

struct probe_history {
	struct probe_entry *v; /* NULL until the first; a ring */
	uint8_t n, next;
	uint32_t count; /* all there have been */
};

/* Without memory for it the result is counted but not kept. */
void probe_history_add(struct probe_history *h, int64_t at_wall_ms, int64_t duration_ms, bool ok,
		       const char *message);
/* The i-th last, 0 = the last; NULL = there are not that many. */
const struct probe_entry *probe_history_at(const struct probe_history *h, unsigned i);
const char *probe_history_message(const struct probe_entry *e); /* e may be NULL */
void probe_history_done(struct probe_history *h);

#endif
