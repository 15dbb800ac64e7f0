/*
 * help: the pages of `aictl help` and of --help, from the table of commands.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_HELP_H
#define AICTL_CLI_HELP_H

#include <stdio.h>

struct cli;
struct command;

/* The page of one command, or the overview for NULL, to stdout. */
void help_show(const struct cli *cli, const struct command *command);
void help_overview(FILE *out);

#endif
