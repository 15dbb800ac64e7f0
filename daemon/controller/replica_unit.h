/*
 * replica_unit: a replica that is a container (a *unit*, wire_unit.h): what its runtime says of it
 * beside what aictld says of its slot. The slot moves its state machine as a process's does; what is
 * here is shown with it: the container's names, how far its image's pull has come, why it could not
 * start.
 *
 * While its engine cannot be reached nobody knows what became of it. It is shown as unknown then and
 * not counted as ready, but its state stays: nothing is started, nothing ends, and its probes and
 * routes go on, for they reach it without the engine.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_REPLICA_UNIT_H
#define AICTL_CONTROLLER_REPLICA_UNIT_H

#include <stdbool.h>

#include "daemon/controller/replica_sm.h"
#include "daemon/wire/wire_unit.h"

struct jsonw;
struct replica;

/* As replica.pid: it runs, and nobody can say as which process. */
#define REPLICA_UNIT_PID -1

void replica_unit_free(struct replica *r);
/* A new one is to be started: what was said of the last does not hold for it. */
void replica_unit_begin(struct replica *r);
/* Its start has been asked for: tells who watches if nobody is there to do it. */
void replica_unit_asked(const struct replica *r);
/* Its runtime's word. */
void replica_unit_take(struct replica *r, const struct wire_unit_state *m);
/* Is its process (to be) a container? By what it was started with. */
bool replica_unit_is(const struct replica *r);
/* Its container lives, as far as is known, and its engine cannot be asked. */
bool replica_unit_is_lost(const struct replica *r);
/* Its state for people: unknown where it is lost. */
enum replica_state replica_unit_shown(const struct replica *r);
/* Why it is lost. Borrowed. */
const char *replica_unit_why_lost(const struct replica *r);
/* Why its container (that incarnation) could not be started, as the engine says; NULL: nothing is
 * known. Borrowed. */
const char *replica_unit_failure(const struct replica *r, const char *incarnation);
/* The key that its last failure to start is about. */
const char *replica_unit_failed_key(const struct replica *r);
/* What the engine has said of the present one; NULL: nothing. Borrowed. */
const struct wire_unit_state *replica_unit_said(const struct replica *r);
/* Where it can be asked without what stands in front of its published ports: an engine's proxy accepts
 * connections also while nobody listens inside. NULL: nowhere, ask at 127.0.0.1. Borrowed. */
const char *replica_unit_address(const struct replica *r);
/* The member "container": its name, id, image, address. Nothing for a process. */
void replica_unit_write(const struct replica *r, struct jsonw *w);

#endif
