/*
 * control: what aictld and aictl-controller say to each other. Slots that have changed stand in a
 * queue (one entry each, however often they change) and are encoded when the socket has room.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_CONTROL_H
#define AICTL_SUPERVISOR_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

struct slot;
struct supervisor;
struct wire_key;
struct wire_packet;

struct control {
	struct slot *first, *last; /* dirty slots, oldest first */
	bool hello_due, synced_due, status_due;
	bool synced; /* this controller has the inventory */
};

void control_connected(struct supervisor *sup);
/* Link callbacks; user is the struct helper. */
void control_flush(void *user);
void control_packet(void *user, struct wire_packet *p);
/* The slot has news; control_flush_soon or a link_flush sends it. */
void control_mark(struct supervisor *sup, struct slot *s);
void control_forget(struct supervisor *sup, struct slot *s);
/* A refusal for a slot that does not exist; lost when the socket is full. */
void control_refuse(struct supervisor *sup, const struct wire_key *key, int err);
void control_set_mode(struct supervisor *sup, uint8_t mode);

#endif
