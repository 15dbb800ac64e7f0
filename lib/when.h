/*
 * when: a point in time as people write it: RFC 3339, or a span back from now.
 *
 *   2026-01-02T03:04:05Z   2026-01-02T03:04:05.123+01:00   2026-01-02 03:04:05   2026-01-02
 *   10m   1h30m   now
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_WHEN_H
#define AICTL_LIB_WHEN_H

#include <stdbool.h>
#include <stdint.h>

struct err;

/*
 * Wall clock ms, > 0. What has no zone is local time, or (local false) is refused: a server does
 * not know its client's.
 */
int when_parse(const char *text, int64_t now_ms, bool local, int64_t *ret, struct err **reterr);

#endif
