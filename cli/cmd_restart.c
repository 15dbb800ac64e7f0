/*
 * cmd_restart: aictl restart, restarts services, or single replicas given as SERVICE/N, and waits
 * until they are ready again.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cli/change.h"
#include "cli/cli.h"
#include "cli/cmd.h"

static int run(struct cli *cli, const struct args *args)
{
	return change_services(cli, args, "restart");
}

const struct command cmd_restart_command = {
	.name = "restart",
	.group = GROUP_ACT,
	.synopsis = "[OPTIONS] SERVICE[/N]...",
	.summary = "Restart services or single replicas",
	.details = "One replica of a service at a time; waits until the new ones are ready.\n"
		   "A restart asked for here does not count for back-off and budget.",
	.examples = "aictl restart sentiment\n"
		    "aictl restart sentiment/1",
	.options = change_wait_options,
	.args_min = 1,
	.args_max = ARGS_MANY,
	.run = run,
};
