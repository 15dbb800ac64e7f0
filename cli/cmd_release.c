/*
 * cmd_release: aictl release, what aictl hold has let wait goes on.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cli/change.h"
#include "cli/cli.h"
#include "cli/cmd.h"

static int run(struct cli *cli, const struct args *args)
{
	return change_services(cli, args, "release");
}

const struct command cmd_release_command = {
	.name = "release",
	.group = GROUP_ACT,
	.synopsis = "[OPTIONS] SERVICE...",
	.summary = "Let requests go on that aictl hold has let wait",
	.details =
		"In the order in which they came. Nothing happens to a service that is not held.",
	.examples = "aictl release sentiment",
	.options = change_wait_options,
	.args_min = 1,
	.args_max = ARGS_MANY,
	.run = run,
};
