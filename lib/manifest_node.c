/* manifest_node: see manifest_node.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/manifest_node.h"

#include <string.h>

#include "lib/yamltree.h"

const struct yitem *manifest_node_item(const struct ynode *node, const char *path)
{
	const struct yitem *found = NULL;

	while (node && *path) {
		size_t len = strcspn(path, ".");

		found = NULL;
		for (size_t i = 0; node->kind == YNODE_MAP && i < node->n; i++)
			if (strlen(node->items[i].key->text) == len &&
			    strncmp(node->items[i].key->text, path, len) == 0)
				found = &node->items[i];
		node = found ? found->value : NULL;
		path += len + (path[len] == '.');
	}
	return found;
}

const struct ynode *manifest_node_value(const struct ynode *node, const char *path)
{
	const struct yitem *item = path[0] ? manifest_node_item(node, path) : NULL;

	return !path[0] ? node : item ? item->value : NULL;
}

struct manifest_place manifest_node_place(const struct ynode *node)
{
	return (struct manifest_place){node->file, node->line, node->column};
}
