/*
 * wire_child: what SPAWN and RUN share: the description of a child process, always the last part of
 * the message. Private to daemon/wire.
 *
 * It is decoded into one allocation of its own, in two passes: the first checks and counts, the
 * second copies.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_DAEMON_WIRE_CHILD_H
#define AICTL_DAEMON_WIRE_CHILD_H

#include <stddef.h>

#include "daemon/wire/wire.h"

struct buf;
struct field_reader;

void wire_child_put(struct buf *b, const struct wire_child *m);
/*
 * The rest of the message must be the description. 0, -ERR_INVALID (also when r is bad already) or
 * -ERR_NOMEM. *ret_extra is room for `extra` bytes more in the same allocation, m->memory_, which
 * is the caller's.
 */
int wire_child_get(struct field_reader *r, struct wire_child *m, size_t extra, void **ret_extra);

#endif
