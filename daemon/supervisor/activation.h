/*
 * activation: the API's listening socket from whoever started us (sd_listen_fds' protocol:
 * LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES, descriptors from 3 on).
 *
 * Two come this way: systemd's aictld.socket, whose file belongs to systemd and is never unlinked
 * by us, and an aictld that replaces itself by exec (reexec), which hands on either that one or its
 * own; the name tells which. Connections wait in the socket while nobody accepts.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_ACTIVATION_H
#define AICTL_SUPERVISOR_ACTIVATION_H

#include <stdbool.h>

struct err;

/*
 * Removes the variables from our environment; descriptors other than the socket are closed. Before
 * anything else opens descriptors. *ret_fd is -1 when there is none; else it lies above the
 * numbers that children use. *ret_foreign: the socket's file is not ours to unlink. 0, or a
 * negative code when what we got cannot be listened on.
 */
int activation_take(int *ret_fd, bool *ret_foreign, struct err **reterr);
/* Right before exec: fd becomes descriptor 3, with the variables. 0 or -errno. */
int activation_export(int fd, bool foreign);

#endif
