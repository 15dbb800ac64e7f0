/*
 * logs_files: `aictl logs rotate` and `aictl logs prune`: log files by hand, through the daemon,
 * whose logger alone may write there.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_LOGS_FILES_H
#define AICTL_CLI_LOGS_FILES_H

#include <stdbool.h>

struct args;
struct cli;

#define LOGS_FILES_OPTIONS                                                                         \
	{0, "older-than", "TIME", "prune: what was not written to for so long, as 7d", NULL},      \
		{0, "keep", "N", "prune: not the newest N files of each replica", NULL},           \
		{0, "all", NULL, "prune: whatever their age, also of replicas that are there",     \
		 NULL},                                                                            \
	{                                                                                          \
		0, "dry-run", NULL, "prune: only say what would go", NULL                          \
	}

/* Is it one of them? Ends the program with 2 when an option is not for what was asked for. */
bool logs_files_is_meant(const struct args *args);
int logs_files_run(struct cli *cli, const struct args *args);

#endif
