/*
 * cmd_thaw: aictl thaw, what aictl freeze has stopped runs on.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cli/change.h"
#include "cli/cli.h"
#include "cli/cmd.h"

static int run(struct cli *cli, const struct args *args)
{
	return change_services(cli, args, "thaw");
}

const struct command cmd_thaw_command = {
	.name = "thaw",
	.aliases = {"unpause"},
	.group = GROUP_ACT,
	.synopsis = "[OPTIONS] SERVICE[/N]...",
	.summary = "Let frozen services or single replicas run on",
	.details = "Undoes `aictl freeze`. Probes go on; a replica that was starting has as long\n"
		   "for it as ever. What is not frozen stays as it is.",
	.examples = "aictl thaw sentiment\n"
		    "aictl thaw sentiment/1",
	.options = change_wait_options,
	.args_min = 1,
	.args_max = ARGS_MANY,
	.run = run,
};
