/*
 * yamltree: YAML text -> a small tree that knows where each key and value stands.
 *
 * What a manifest does not need is an error with a place: a second document, tags, keys that are
 * not plain text, duplicate keys, byte-order marks, control characters, bytes that are not UTF-8.
 * Scalars are never typed here: they keep their text and whether they were quoted, so `yes`, `no`
 * and `0755` are what was written.
 * Aliases and merge keys (`<<`) are expanded by copying, each copied node counts; the copies stand
 * at the place of use and remember the line of the original. Limits: YAMLTREE_*_MAX.
 *
 * Nodes and texts live in the tree and are freed with it. Not thread-bound, no globals.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_YAMLTREE_H
#define AICTL_LIB_YAMLTREE_H

#include <stdbool.h>
#include <stddef.h>

struct manifest_errors;

#define YAMLTREE_BYTES_MAX (1 << 20)
#define YAMLTREE_DEPTH_MAX 32
#define YAMLTREE_NODES_MAX 10000 /* keys count too */

enum ynode_kind { YNODE_SCALAR, YNODE_LIST, YNODE_MAP };
/* Tags of Compose, where they are allowed: remove what is below, or do not merge with it. */
enum ynode_tag { YNODE_PLAIN, YNODE_RESET, YNODE_OVERRIDE };

struct yitem {
	const struct ynode *key; /* a scalar; NULL in a list */
	const struct ynode *value;
};

struct ynode {
	enum ynode_kind kind;
	bool quoted;	       /* scalar in quotes or as a block: always text */
	bool is_default;       /* stands below `defaults` */
	enum ynode_tag tag;    /* PLAIN but for yamltree_parse_compose */
	const char *file;      /* borrowed, as given to yamltree_parse */
	unsigned line, column; /* 1-based, columns are characters; the place of use for aliases */
	unsigned width;	       /* scalar on one line: characters with its quotes; else 0 */
	unsigned origin_line;  /* where an alias' original stands, 0 = here */
	const char *text;      /* scalar: NUL-terminated, no NUL inside */
	struct yitem *items;   /* list, map: in order of the file, merged ones last */
	size_t n;
};

struct yamltree;

/*
 * Returns 0 with a tree when one could be built; errors may have been added all the same (duplicate
 * keys: the first one counts). Else -ERR_INVALID with an error added, or -ERR_NOMEM. file is
 * borrowed by the nodes.
 */
int yamltree_parse(const char *file, const char *text, size_t len, struct yamltree **ret,
		   struct manifest_errors *errors);
/* The same for a Compose file, which may have the tags !reset and !override. */
int yamltree_parse_compose(const char *file, const char *text, size_t len, struct yamltree **ret,
			   struct manifest_errors *errors);
void yamltree_free(struct yamltree *t);
const struct ynode *yamltree_root(const struct yamltree *t); /* NULL in a new one */
unsigned yamltree_nodes(const struct yamltree *t);	     /* how many were read */
/* Sets is_default below the root's key. */
void yamltree_mark_default(struct yamltree *t, const char *key);

/* A tree made by hand; its nodes may hold nodes of others. All return NULL when out of memory. */
struct yamltree *yamltree_new(void);
/* An empty map with room for that many items, standing where `like` stands; a list by its kind. */
struct ynode *yamltree_new_map(struct yamltree *t, const struct ynode *like, size_t room);
struct ynode *yamltree_new_text(struct yamltree *t, const struct ynode *like, const char *text);
void yamltree_set_root(struct yamltree *t, struct ynode *root);
/* The value of a key of a map, or NULL; node may be NULL or no map. */
const struct ynode *yamltree_get(const struct ynode *node, const char *key);
/* Nothing, ~ or null. */
bool yamltree_is_null(const struct ynode *node);
/* "a map", "a list", "text", "nothing": for messages. */
const char *yamltree_kind_name(const struct ynode *node);
/* Length in bytes of the line break at p (LF, CR, CRLF, NEL, LS, PS as YAML 1.1 counts lines), 0 =
 * none. */
size_t yamltree_break_len(const char *p, const char *end);
/* Length of the valid UTF-8 sequence at p and its code point; 0 = not UTF-8. */
size_t yamltree_utf8(const char *p, const char *end, unsigned *ret_code);

#endif
