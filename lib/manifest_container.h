/*
 * manifest_container: what is asked of a service with an image beyond its single keys, and what
 * processes and containers do not share. Relative sources of volumes are made absolute, container
 * ports are filled in.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_MANIFEST_CONTAINER_H
#define AICTL_LIB_MANIFEST_CONTAINER_H

struct manifest_errors;
struct service_spec;
struct ynode;

/* Of one service; node is its map. Its ports are complete. */
void manifest_container_check(struct service_spec *s, const struct ynode *node,
			      struct manifest_errors *errors);

#endif
