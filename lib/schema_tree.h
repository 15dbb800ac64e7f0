/*
 * schema_tree: a part of a manifest that has no rows (SCHEMA_TREE) as JSON: what an answer must
 * hold. Plain scalars that are JSON's numbers, true, false and null (also ~ and nothing) are taken
 * as such, all others are strings. Names are sorted, so that two texts that mean the same are equal;
 * numbers stay as they are written. All beyond ASCII that a YAML reader refuses is escaped: the text
 * is valid YAML, too.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_SCHEMA_TREE_H
#define AICTL_LIB_SCHEMA_TREE_H

struct buf;
struct ynode;

void schema_tree_json(const struct ynode *node, struct buf *out);

#endif
