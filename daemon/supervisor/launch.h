/*
 * launch: a slot's way from SPAWN to exec: checks, pipes, the environment with its cookie, clone3,
 * and what is freed when the child no longer reads our memory.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_LAUNCH_H
#define AICTL_SUPERVISOR_LAUNCH_H

struct slot;
struct supervisor;
struct wire_spawn;

/* Takes m over. Refusals and failures are reported with the slot. */
void launch_spawn(struct supervisor *sup, struct wire_spawn *m);
void launch_memory_free(void *user); /* callback of struct child; user is the slot */
void launch_free(struct slot *s);

#endif
