/*
 * manifest_ports: what follows from how a service's ports are served: which of them the replicas get
 * as descriptors (mode: socket) and which are at a path (${SOCKET}), and whether that can be.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_MANIFEST_PORTS_H
#define AICTL_LIB_MANIFEST_PORTS_H

#include <stddef.h>

struct manifest_errors;
struct port_spec;
struct service_spec;
struct ynode;

#define MANIFEST_HANDED_MAX 8 /* ports with mode: socket of one service */
#define MANIFEST_LISTEN_FD 3  /* descriptor of the first of them (sd_listen_fds) */

/* Fills handed and on_socket of each port; node is the service's map. */
void manifest_ports_complete(struct service_spec *s, const struct ynode *node,
			     struct manifest_errors *errors);
/* The i-th of those that replicas get as descriptors, from MANIFEST_LISTEN_FD on; NULL = no more. */
const struct port_spec *manifest_ports_handed(const struct service_spec *s, size_t i);
/* The descriptor of that one; 0 = they do not get it. */
int manifest_ports_listen_fd(const struct service_spec *s, const struct port_spec *port);

#endif
