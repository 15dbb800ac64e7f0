/*
 * probe_progress: busy is not dead. Of a page of metrics (Prometheus' text format) the sum of one
 * counter and of one gauge over all their labels; a replica that has work waiting while its counter
 * stands still for too long is stuck. Pure: bytes and time are arguments.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_PROBE_PROGRESS_H
#define AICTL_CONTROLLER_PROBE_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROBE_PROGRESS_NAME_MAX 256
#define PROBE_PROGRESS_LINE_MAX 1024 /* of a line only its beginning and its end are of interest */

/* Sums while the page comes in pieces of any size. Zeroed, then metric and pending set. */
struct probe_page {
	char metric[PROBE_PROGRESS_NAME_MAX], pending[PROBE_PROGRESS_NAME_MAX]; /* without labels */
	double metric_sum, pending_sum;
	bool has_metric, has_pending;
	/* of the line under way */
	char line[PROBE_PROGRESS_LINE_MAX];
	size_t len;
	bool too_long;
};

void probe_progress_add(struct probe_page *p, const char *data, size_t n);
void probe_progress_end(struct probe_page *p); /* the last line may lack its newline */

/* What is remembered from one page to the next. */
struct probe_progress {
	double counter;
	int64_t moved_mono_ms; /* it moved, or nothing was waiting; 0 = no page yet */
};

/* Is it alive? message says why. */
bool probe_progress_judge(struct probe_progress *p, const struct probe_page *page, int64_t stall_ms,
			  int64_t now_mono_ms, char *message, size_t n);

#endif
