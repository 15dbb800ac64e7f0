/*
 * replica_slot: what aictld says of a replica's slot, brought to its state machine; exit records on
 * their way to the store.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_REPLICA_SLOT_H
#define AICTL_CONTROLLER_REPLICA_SLOT_H

struct controller;
struct replica;
struct wire_slot;

/* Plans at once; r may be gone afterwards. */
void replica_slot_take(struct replica *r, const struct wire_slot *slot);
/* From the inventory: the note first, then what the slot says now. */
void replica_slot_restore(struct replica *r, const struct wire_slot *slot);
/* Of a slot whose replica is gone: its exits are stored and acknowledged. */
void replica_slot_store_exits(struct controller *c, const struct wire_slot *slot);

#endif
