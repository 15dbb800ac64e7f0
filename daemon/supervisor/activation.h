/*
 * activation: listening sockets from whoever started us (sd_listen_fds' protocol: LISTEN_PID,
 * LISTEN_FDS, LISTEN_FDNAMES, descriptors from 3 on): the API's, a Unix socket, and stable ports.
 *
 * The API's comes two ways: systemd's aictld.socket, whose file belongs to systemd and is never
 * unlinked by us, and an aictld that replaces itself by exec (reexec), which hands on either that
 * one or its own; the name tells which. Connections wait in the socket while nobody accepts.
 *
 * TCP sockets are for stable ports: one that the controller wants open is taken from here instead of
 * being bound (listen.h), so that a port below 1024 needs no rights of ours. They are never closed,
 * for whoever made them keeps them open, too; at a reexec they are handed on.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_ACTIVATION_H
#define AICTL_SUPERVISOR_ACTIVATION_H

#include <stdbool.h>

#include "daemon/supervisor/spawn.h"

struct err;

#define ACTIVATION_PORTS_MAX (SPAWN_LOW_FDS - 4) /* so many can be handed on behind descriptor 3 */

struct activation {
	int api_fd;	  /* -1 = none */
	bool api_foreign; /* the socket's file is not ours to unlink */
	int n_ports;
	int ports[ACTIVATION_PORTS_MAX];
};

/*
 * Removes the variables from our environment; descriptors that are not taken are closed. Before
 * anything else opens descriptors. What is taken lies above the numbers that children use. 0, or a
 * negative code when what we got cannot be listened on.
 */
int activation_take(struct activation *a, struct err **reterr);
/* Right before exec: api_fd becomes descriptor 3, the ports follow, with the variables. 0 or -errno. */
int activation_export(const struct activation *a);
void activation_done(struct activation *a); /* the ports */

#endif
