/*
 * manifests: the daemon's own manifest directory. aictld has its files opened and sends them over a
 * socket (RELOAD); they are read in a worker thread and applied as one set, with prune.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_MANIFESTS_H
#define AICTL_CONTROLLER_MANIFESTS_H

struct controller;

/* Takes fd over: packets of "name\0error" with a descriptor (none when error is not empty) until
 * EOF. */
void manifests_reload(struct controller *c, int fd);

#endif
