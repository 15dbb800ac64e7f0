/*
 * compose_extend: `extends` of the services of one file, in that file or in another one. What is
 * extended is followed first, at most 16 levels deep.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_COMPOSE_EXTEND_H
#define AICTL_CLI_COMPOSE_EXTEND_H

struct compose;
struct compose_env;
struct ynode;

/* root: of a file; before: what files before it have merged to, for services that only they have,
 * or NULL. */
const struct ynode *compose_extend_file(struct compose *c, const struct ynode *root,
					const struct ynode *before, const struct compose_env *env);

#endif
