/*
 * launch: a slot's way from SPAWN to exec: checks, pipes, the environment with its cookie, clone3,
 * and what is freed when the child no longer reads our memory.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_LAUNCH_H
#define AICTL_SUPERVISOR_LAUNCH_H

#include <stdbool.h>

struct slot;
struct supervisor;
struct wire_spawn;

/* Takes m over. Refusals and failures are reported with the slot. */
void launch_spawn(struct supervisor *sup, struct wire_spawn *m);
void launch_memory_free(void *user); /* callback of struct child; user is the slot */
void launch_free(struct slot *s);
/* The standby: what is started at once when the slot's process ends by itself (wire.h, SPAWN). */
bool launch_standby_applies(const struct slot *s);
void launch_use_standby(struct slot *s); /* the slot is empty; failures are reported with it */
/* A start that waits (slot.waiting) until the slot's cgroup is empty and its listeners are there: they
 * may be, or it is not to be. */
void launch_resume(struct slot *s);
void launch_resume_all(struct supervisor *sup);
void launch_cancel(struct slot *s, int err);

#endif
