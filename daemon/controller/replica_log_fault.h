/*
 * replica_log_fault: what is wrong with the storing of a replica's output, as aictld says it with
 * its slot: events when the trouble begins and ends, and the words for it. Memory is taken by a
 * replica that had some. The state of the replica has nothing to do with it: it runs on.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_REPLICA_LOG_FAULT_H
#define AICTL_CONTROLLER_REPLICA_LOG_FAULT_H

#include <stdbool.h>
#include <stdint.h>

struct buf;
struct jsonw;
struct replica;
struct wire_slot;

void replica_log_fault_take(struct replica *r, const struct wire_slot *slot);
/* Are its lines not stored now? */
bool replica_log_fault_is(const struct replica *r);
/* Are they copied, because their file system cannot splice? */
bool replica_log_fault_is_weak(const struct replica *r);
/* Lines that are not stored: appends "logs wait: No space left on device", else nothing. */
void replica_log_fault_say(const struct replica *r, struct buf *out);
/* "logs": an object, or null when all was always right. */
void replica_log_fault_write(const struct replica *r, struct jsonw *w);
/* Appends "12 lines (1.4 KiB)". */
void replica_log_fault_amount(uint64_t bytes, uint64_t lines, struct buf *out);

#endif
