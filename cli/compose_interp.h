/*
 * compose_interp: ${NAME} in the values of a Compose file:
 *
 *   $NAME ${NAME}                     the variable; nothing, and told by `unset`, when there is none
 *   ${NAME:-text} ${NAME-text}        else the text (":": also when it is empty)
 *   ${NAME:?text} ${NAME?text}        else an error with the text
 *   ${NAME:+text} ${NAME+text}        the text if there is one, else nothing
 *   $$                                a dollar
 *
 * The texts may hold such things again.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_COMPOSE_INTERP_H
#define AICTL_CLI_COMPOSE_INTERP_H

#include <stdbool.h>

struct buf;
struct compose_env;
struct manifest_errors;
struct ynode;
struct yamltree;

struct compose_interp {
	const struct compose_env *env;
	bool lax;	       /* a dollar that begins nothing is itself */
	struct yamltree *tree; /* where new nodes go */
	struct manifest_errors *errors;
	const struct ynode *at; /* the value under way */
	/* A variable was asked for; value NULL: there is none, and no other text for it. Or NULL. */
	void (*used)(void *user, const struct ynode *at, const char *name, const char *value);
	void *user;
	char *error;  /* owned: why compose_interp_text failed */
	bool missing; /* because of a ${NAME:?...} */
};

/* Appends; false: error says why. */
bool compose_interp_text(struct compose_interp *in, const char *text, struct buf *out);
/* The same tree, or a copy of what changes. Errors are added at their places. */
const struct ynode *compose_interp_tree(struct compose_interp *in, const struct ynode *node);

#endif
