/*
 * recycle: replicas that are replaced before they fail: older than restart.max_age, or using more
 * memory than restart.max_memory. What they do is replaced as in an update (plan.h), so the service
 * is never without them.
 *
 * When is recycle_pace.h's matter: a ceiling below what the service needs does not replace one
 * process after the other.
 *
 * Ages are looked at when a service is planned, which its timer makes happen in time. Memory is
 * read by a worker thread every RECYCLE_LOOK_MS, of services that have a ceiling; without one
 * nothing wakes up.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_RECYCLE_H
#define AICTL_CONTROLLER_RECYCLE_H

#include <stdint.h>

struct controller;
struct recycler;
struct replica;
struct service;

#define RECYCLE_LOOK_MS 10000

/* What of s is too old is marked; *wake_mono_ms becomes sooner when another will be. Also begins to
 * look at memory where there is a ceiling. */
void recycle_settle(struct service *s, int64_t *wake_mono_ms);
/* At the controller's end; NULL is a no-op. */
void recycle_close(struct recycler *r);

#endif
