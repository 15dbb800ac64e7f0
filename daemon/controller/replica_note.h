/*
 * replica_note: what a replica must remember over its controller's death, as text of at most
 * WIRE_NOTE_MAX bytes that aictld keeps with the slot. Space-separated decimal fields, the first is
 * the version.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_REPLICA_NOTE_H
#define AICTL_CONTROLLER_REPLICA_NOTE_H

#include <stddef.h>
#include <stdint.h>

struct buf;
struct replica;

void replica_note_encode(const struct replica *r, struct buf *out);
/* The same for the incarnation of its standby: as it will be when aictld has used it. */
void replica_note_encode_standby(const struct replica *r, struct buf *out);
/* Fills r from the note; 0, or -ERR_INVALID with r as it was (another version, cut, out of range).
 */
int replica_note_decode(struct replica *r, const uint8_t *note, size_t len);

#endif
