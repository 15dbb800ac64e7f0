/*
 * cmd_delete: aictl delete, stops services and removes them from the daemon. Operands are checked
 * by the daemon before anything is done.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cli/change.h"
#include "cli/cli.h"
#include "cli/cmd.h"

static int run(struct cli *cli, const struct args *args)
{
	return change_services(cli, args, "delete");
}

const struct command cmd_delete_command = {
	.name = "delete",
	.group = GROUP_ACT,
	.synopsis = "[OPTIONS] SERVICE...",
	.summary = "Stop services and forget them",
	.details = "Logs stay on the disk. The manifest file is not touched: the next apply\n"
		   "creates the service again.",
	.examples = "aictl delete sentiment",
	.options = change_wait_options,
	.args_min = 1,
	.args_max = ARGS_MANY,
	.run = run,
};
