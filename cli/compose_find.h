/*
 * compose_find: the Compose file of a directory, by the names that Compose looks for.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_COMPOSE_FIND_H
#define AICTL_CLI_COMPOSE_FIND_H

#include <stdbool.h>

/* Is a file called as Compose looks for it? */
bool compose_find_is_name(const char *path);
/* Its path, or NULL. Caller frees. */
char *compose_find(const char *dir);
/* The file beside it that overrides it, or NULL. Caller frees. */
char *compose_find_override(const char *path);

#endif
