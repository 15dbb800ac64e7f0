/*
 * replica_own: what replica.c offers to the files beside it (replica_*.c) and to nobody else.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_REPLICA_OWN_H
#define AICTL_CONTROLLER_REPLICA_OWN_H

#include "daemon/controller/replica_sm.h"

struct replica;

/* The single writer of its state: takes the event, or queues it when called from inside an action. */
void replica_post(struct replica *r, enum replica_event event);
/* Why it is as it is; reason is a static token. */
void replica_say(struct replica *r, const char *reason, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* An event for the journal with the replica's reason and message; from, cause, to may be NULL. */
void replica_publish(const struct replica *r, const char *type, const char *from, const char *cause,
		     const char *to);
void replica_send_stop(struct replica *r);
/* It must be replaced: the stop heals it. cause is static: what the exit record will say. */
void replica_condemn(struct replica *r, const char *cause);
/* Its pre_start is done: the SPAWN goes out. */
void replica_spawn_prepared(struct replica *r);
/* It never ran, for that cause (static). */
void replica_start_failed(struct replica *r, const char *cause, const char *message);
/* It never ran: as an end, by the policy. */
void replica_spawn_failed(struct replica *r, const char *message);
/* Its process is (to be) run by the service's present specification. */
void replica_take_spec(struct replica *r);
/* By what was started: the service's, or while a rollout goes on the last good one. */
void replica_find_spec(struct replica *r);

#endif
