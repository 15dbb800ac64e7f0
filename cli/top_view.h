/*
 * top_view: what passes each service, and what it uses, as a table.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_TOP_VIEW_H
#define AICTL_CLI_TOP_VIEW_H

#include <stddef.h>
#include <stdint.h>
#include <cjson/cJSON.h>

struct buf;
struct term;

/* What each replica had used when it was looked at last: the processor's share is of two looks. */
struct top_seen {
	char *incarnation;
	int64_t cpu_us;
};

struct top_view {
	struct top_seen *seen;
	size_t n, cap;
	int64_t at_mono_ms;	 /* of the last look; 0 = there was none */
	int64_t span_ms;	 /* between the last two */
	struct top_seen *before; /* the look before */
	size_t n_before;
};

/* A reply of /v1/services?usage=1 that has just come. */
void top_view_take(struct top_view *v, const cJSON *reply);
void top_view_render(const struct top_view *v, const struct term *term, const cJSON *reply,
		     const char *eol, struct buf *out);
void top_view_done(struct top_view *v);

#endif
