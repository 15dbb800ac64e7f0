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

#include "lib/loop.h"

struct slot;
struct supervisor;
struct wire_key;
struct wire_packet;

struct control {
	struct slot *first, *last; /* dirty slots, oldest first */
	bool hello_due, synced_due, status_due;
	bool synced; /* this controller has the inventory */
	struct loop_timer later;
};

void control_init(struct supervisor *sup);
void control_done(struct supervisor *sup);
void control_connected(struct supervisor *sup);
/* Link callbacks; user is the struct helper. */
void control_flush(void *user);
void control_packet(void *user, struct wire_packet *p);
/* The slot has news; control_flush_later or a link_flush sends it. */
void control_mark(struct supervisor *sup, struct slot *s);
/* Within a few milliseconds: for news that has a sequel, and no hurry. */
void control_flush_later(struct supervisor *sup);
void control_forget(struct supervisor *sup, struct slot *s);
/* A refusal for a slot that does not exist; lost when the socket is full. */
void control_refuse(struct supervisor *sup, const struct wire_key *key, int err);
void control_set_mode(struct supervisor *sup, uint8_t mode);

#endif
