/*
 * manifest_merge: the services of all files of an apply as one tree, before anything is decoded.
 *
 * A service is the `defaults` of the files that name it, in order, and over them its own maps, in
 * order:
 *   - maps merge key by key, at every depth;
 *   - lists and single values replace what was there (a list never grows);
 *   - null deletes the key, and as a whole service the service with all that lower layers said; a
 *     null that deletes nothing stays, for the decoder to report at its place;
 *   - a shorthand (`restart: always`, `port: 8000`) counts as the map it stands for.
 * `defaults` reach the services of their own file only. In one layer (the files of a directory) a
 * service stands in one file; a later layer (each -f is one) may change it.
 *
 * Nodes of the result keep the file, line and column they were written at: an error in a merged
 * value points at the very place in the right file. The limits of yamltree hold for the result.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_MANIFEST_MERGE_H
#define AICTL_LIB_MANIFEST_MERGE_H

#include <stddef.h>

struct manifest_errors;
struct yamltree;
struct ynode;

/* Nodes of all files together, before merging: bounds the work. */
#define MANIFEST_MERGE_NODES_MAX 40000

/* One file, as parsed; in order of the layers. */
struct manifest_merge_doc {
	const struct ynode *root;
	unsigned layer;
};

/*
 * 0 with a tree whose root is the map of services; its nodes borrow from those of docs. Services
 * may be missing from it, with an error added. Else -ERR_INVALID with an error added, or
 * -ERR_NOMEM.
 */
int manifest_merge(const struct manifest_merge_doc *docs, size_t n, struct yamltree **ret,
		   struct manifest_errors *errors);

#endif
