/*
 * wire_logs: the part of SLOT that tells what is wrong with the storing of its output. Private to
 * daemon/wire.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_DAEMON_WIRE_LOGS_H
#define AICTL_DAEMON_WIRE_LOGS_H

#include "daemon/wire/field.h"
#include "daemon/wire/wire.h"

void wire_logs_put_fault(struct buf *b, const struct wire_log_fault *m);
void wire_logs_get_fault(struct field_reader *r, struct wire_log_fault *m);

#endif
