/*
 * cmd_start: aictl start, starts stopped services and waits until they are ready. Operands are
 * checked by the daemon before anything is done.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cli/change.h"
#include "cli/cli.h"
#include "cli/cmd.h"

static int run(struct cli *cli, const struct args *args)
{
	return change_services(cli, args, "start");
}

const struct command cmd_start_command = {
	.name = "start",
	.group = GROUP_ACT,
	.synopsis = "[OPTIONS] SERVICE...",
	.summary = "Start stopped services",
	.details = "Waits until they are ready; services that run already are left alone.\n"
		   "One that is idle, at zero replicas, gets one without a request.\n"
		   "A task runs now, whatever its schedule, and the wait is for its end.",
	.examples = "aictl start sentiment\n"
		    "aictl start --timeout 30s sentiment tokenizer",
	.options = change_wait_options,
	.args_min = 1,
	.args_max = ARGS_MANY,
	.run = run,
};
