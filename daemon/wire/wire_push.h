/*
 * wire_push: the part of SLOT that tells what a process has said through its notify socket.
 * Private to daemon/wire.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_DAEMON_WIRE_PUSH_H
#define AICTL_DAEMON_WIRE_PUSH_H

#include "daemon/wire/field.h"
#include "daemon/wire/wire.h"

void wire_push_put(struct buf *b, const struct wire_push *m);
void wire_push_get(struct field_reader *r, struct wire_push *m);

#endif
