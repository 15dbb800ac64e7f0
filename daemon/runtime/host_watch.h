/*
 * host_watch: the part of the host's table with which a plugin waits: descriptors and timers.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_RUNTIME_HOST_WATCH_H
#define AICTL_RUNTIME_HOST_WATCH_H

struct host;

void host_watch_init(struct host *h); /* fills in the table */
/* Drops all; says what was left if the plugin should have done it. */
void host_watch_done(struct host *h, int closed);

#endif
