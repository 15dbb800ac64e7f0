/*
 * compose_merge: one Compose file over another, and one service over the one it extends.
 *
 * Maps are merged by key, lists are appended, texts are replaced; what Compose says of some keys of a
 * service stands in a table in compose_merge.c: commands are replaced, `environment` is merged by
 * name whether it is a map or a list, `volumes` by what they mount. `!override` replaces a value as
 * a whole, `!reset` takes it away.
 *
 * Nodes are shared, not copied; new ones go into the tree.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_COMPOSE_MERGE_H
#define AICTL_CLI_COMPOSE_MERGE_H

#include <stdbool.h>

struct ynode;
struct yamltree;

/* base may be NULL. */
const struct ynode *compose_merge_files(struct yamltree *t, const struct ynode *base,
					const struct ynode *over);
const struct ynode *compose_merge_services(struct yamltree *t, const struct ynode *base,
					   const struct ynode *over);
/* Without what !reset marks. */
const struct ynode *compose_merge_strip(struct yamltree *t, const struct ynode *node);
bool compose_merge_is_same(const struct ynode *a, const struct ynode *b);
/* A copy of a map without a key. */
const struct ynode *compose_merge_without(struct yamltree *t, const struct ynode *map,
					  const char *key);
/* A list of "KEY=VALUE" and "KEY" as a map; maps as they are. separators: "=", "=:". */
const struct ynode *compose_merge_to_map(struct yamltree *t, const struct ynode *node,
					 const char *separators);

#endif
