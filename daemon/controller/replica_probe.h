/*
 * replica_probe: health checks of one replica: a timer for the next due probe, runs by the prober,
 * verdicts to the state machine.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_REPLICA_PROBE_H
#define AICTL_CONTROLLER_REPLICA_PROBE_H

#include "daemon/controller/health.h"

struct buf;
struct replica;

void replica_probe_begin(struct replica *r);
/* After a controller's restart, from what the note said. */
void replica_probe_resume(struct replica *r);
void replica_probe_respec(struct replica *r);
/* Sets the timer to the next probe or the standby's time, whichever comes first. */
void replica_probe_arm(struct replica *r);
void replica_probe_end(struct replica *r); /* cancels what runs */
/* It is frozen: the same, until replica_probe_resume. */
void replica_probe_pause(struct replica *r);
/* The verdict's event, with its sentence; in replica.c. */
void replica_verdict(struct replica *r, enum health_verdict v, enum probe_kind kind);
/* Every enabled probe that may run now and does not is due at once. */
void replica_probe_now(struct replica *r);
/* Of the last result; "" = there is none. */
const char *replica_probe_said(const struct replica *r, enum probe_kind kind);
void replica_probe_free(struct replica *r); /* the results */
/* For people: what it does, "http GET /healthz", and to whom, "127.0.0.1:20001" (nothing for exec). */
void replica_probe_describe(const struct replica *r, enum probe_kind kind, struct buf *handler,
			    struct buf *target);
const char *replica_probe_kind_name(enum probe_kind kind);

#endif
