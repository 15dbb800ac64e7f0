/*
 * replica_hooks: the hooks of one replica: steps that run one after the other before its start,
 * beside its process, before its stop and after its end. replica.c says when; here it is done, and
 * what follows is told to it. At most one hook of a replica runs at a time.
 *
 *   pre_start   STARTING without a process. A stop kills it, and the stop is over when it is gone;
 *               it failed: the start failed. Without its success no process is started.
 *   post_start  beside the process, in its cgroup; the replica is not ready before it is done. It
 *               failed: the replica is condemned.
 *   pre_stop    STOPPING, before the STOP, which then has the rest of the grace period (at least two
 *               seconds of it, as with Kubernetes).
 *   post_stop   once for each attempt to start, when nothing of it is left; `busy` keeps plan from
 *               starting and removing the replica.
 *
 * aictld kills what runs when the controller goes. The next one starts anew with pre_start, runs an
 * unfinished post_start or post_stop again (the note says that it is owed), and does not repeat a
 * pre_stop.
 *
 * Memory: nothing while no hook runs.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_REPLICA_HOOKS_H
#define AICTL_CONTROLLER_REPLICA_HOOKS_H

#include <stdbool.h>
#include <stdint.h>

struct controller;
struct replica;
struct service_spec;

/* pre_start begins: the start goes on with replica_spawn_prepared, or fails. false: there is none. */
bool replica_hooks_before_start(struct replica *r);
/* Its process runs. */
void replica_hooks_after_start(struct replica *r);
/* It may not be called ready yet; when it may, its verdict is taken again. */
bool replica_hooks_hold(const struct replica *r);
/* It is to be stopped. true: replica_send_stop follows, or CLEARED when there is nothing to stop. */
bool replica_hooks_before_stop(struct replica *r);
/* What a STOP has of the grace period now. */
int64_t replica_hooks_grace(const struct replica *r);
/* Its process has ended while it was being stopped. */
void replica_hooks_process_gone(struct replica *r);
/* Nothing of it lives any more: its state has just become one of those. */
void replica_hooks_after_end(struct replica *r);
/* What was unfinished when a controller died: after a restore, else when safe mode is over. */
void replica_hooks_resume(struct replica *r);
void replica_hooks_free(struct replica *r);
/* "pre_start", or NULL when none runs. Static. */
const char *replica_hooks_running(const struct replica *r);
/* Must a start come through us? Then there is no standby. */
bool replica_hooks_need_us(const struct service_spec *spec);
/* Specifications have come or gone: are there hooks around stops? Then a shutdown leaves the stops to
 * us, and waits. */
bool replica_hooks_relink(struct controller *c);
/* At a shutdown: it need not wait any more, if that is so. */
void replica_hooks_report(struct controller *c);

#endif
