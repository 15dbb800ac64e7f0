/*
 * services_view: GET /v1/services as a table: a row for each replica; a service has a row of its
 * own when it has no replica, or differs from its manifest (scaled by hand).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_SERVICES_VIEW_H
#define AICTL_CLI_SERVICES_VIEW_H

#include <stdbool.h>
#include <stdint.h>
#include <cjson/cJSON.h>

struct buf;
struct term;

enum services_view_flags { SERVICES_VIEW_WIDE = 1, SERVICES_VIEW_USAGE = 2 };

/* Appends the lines, each ending in eol, with the header first; nothing without services. */
void services_view_render(const struct term *term, const cJSON *reply, unsigned flags,
			  const char *eol, struct buf *out);
/*
 * Appends what somebody who watches wants to hear of when it changes, and nothing else: no ages, no
 * times. Equal texts mean that nothing happened.
 */
void services_view_signature(const cJSON *reply, struct buf *out);

#endif
