/*
 * cmd_reset: aictl reset, forgets the failures of services or single replicas; what waits or has
 * failed starts now, what runs is not touched.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cli/change.h"
#include "cli/cli.h"
#include "cli/cmd.h"

static int run(struct cli *cli, const struct args *args)
{
	return change_services(cli, args, "reset");
}

const struct command cmd_reset_command = {
	.name = "reset",
	.group = GROUP_ACT,
	.synopsis = "[OPTIONS] SERVICE[/N]...",
	.summary = "Forget failures and try again now",
	.details = "Restart counters, back-off, budget and slow mode begin anew. Replicas that\n"
		   "wait for their next attempt or have failed start at once; what runs is left\n"
		   "alone. Waits until all is ready.",
	.examples = "aictl reset sentiment\n"
		    "aictl reset sentiment/1 --no-wait",
	.options = change_wait_options,
	.args_min = 1,
	.args_max = ARGS_MANY,
	.run = run,
};
