/*
 * manifests: the daemon's own manifest directory. aictld has its files opened and sends them over a
 * socket (RELOAD); they are read in a worker thread and applied as one set, with prune. What they
 * name (env_file, secrets) is asked for over the same socket, also in that thread: the opener says
 * no to what anybody but root could have put there.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_MANIFESTS_H
#define AICTL_CONTROLLER_MANIFESTS_H

#include <stdbool.h>

struct controller;

/* Takes fd over: packets as daemon/supervisor/manifests.h has them. */
/* At our own start nobody asks for it: see apply.h, unasked. */
void manifests_reload(struct controller *c, int fd, bool unasked);

#endif
