/*
 * commands: the one table of commands. help.c, main.c, the tests and the man page check read it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_COMMANDS_H
#define AICTL_CLI_COMMANDS_H

#include <stddef.h>

struct command;

size_t commands_count(void);
const struct command *commands_at(size_t i);
/* By name or alias; NULL when there is none. */
const struct command *commands_find(const char *name);
/* The nearest name, or NULL. */
const char *commands_nearest(const char *name);

#endif
