/*
 * stream_fault: what is wrong with the storing of a slot's output, as the logger tells it of each
 * incarnation (LOG_FAULT), put together for the controller (SLOT). Memory is taken by a slot that
 * had some trouble.
 *
 * What a logger said outlives it for some seconds: the next one says it again, or all is right.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_STREAM_FAULT_H
#define AICTL_SUPERVISOR_STREAM_FAULT_H

#include <stdbool.h>

struct slot;
struct stream;
struct supervisor;
struct wire_key;
struct wire_log_fault;
struct wire_slot;

#define STREAM_FAULT_STALE_MS 5000

void stream_fault_init(struct supervisor *sup);
void stream_fault_done(struct supervisor *sup);
/* A logger's word; of what is no more it is ignored. */
void stream_fault_take(struct supervisor *sup, const struct wire_key *key,
		       const struct wire_log_fault *m);
/* t has been taken out of its slot's list. */
void stream_fault_end(struct stream *t);
/* Another logger begins. */
void stream_fault_connected(struct supervisor *sup);
void stream_fault_fill(const struct slot *s, struct wire_slot *m);
/* That was sent to a controller. */
void stream_fault_told(struct slot *s);
void stream_fault_free(struct slot *s);

#endif
