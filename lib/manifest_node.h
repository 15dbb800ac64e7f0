/*
 * manifest_node: where something stands in a service's map, by its path as messages name it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_MANIFEST_NODE_H
#define AICTL_LIB_MANIFEST_NODE_H

#include "lib/manifest_errors.h"

struct yitem;
struct ynode;

/* Key and value at "restart.backoff.max", or NULL; node may be NULL or no map. */
const struct yitem *manifest_node_item(const struct ynode *node, const char *path);
/* The value alone; the path "" is node itself. */
const struct ynode *manifest_node_value(const struct ynode *node, const char *path);
struct manifest_place manifest_node_place(const struct ynode *node);

#endif
