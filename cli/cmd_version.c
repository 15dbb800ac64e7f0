/*
 * cmd_version: aictl version, the version of this program, on one line.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/cmd.h"

static int run(struct cli *cli, const struct args *args)
{
	(void)cli;
	(void)args;
	printf("aictl %s\n", PKGVERSION);
	return CODE_OK;
}

const struct command cmd_version_command = {
	.name = "version",
	.group = GROUP_OTHER,
	.synopsis = "",
	.summary = "Show the version of this program",
	.details = "That of the running daemon is in `aictl daemon info`.",
	.examples = "aictl version",
	.run = run,
};
