/*
 * cmd_stop: aictl stop, stops services, which then stay stopped, and waits for their end. Operands
 * are checked by the daemon before anything is done.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cli/change.h"
#include "cli/cli.h"
#include "cli/cmd.h"

static int run(struct cli *cli, const struct args *args)
{
	return change_services(cli, args, "stop");
}

const struct command cmd_stop_command = {
	.name = "stop",
	.group = GROUP_ACT,
	.synopsis = "[OPTIONS] SERVICE...",
	.summary = "Stop services and keep them stopped",
	.details =
		"Sends each replica its stop signal, kills what is left after the grace period,\n"
		"and waits for it. A stopped service stays stopped when the daemon starts again.",
	.examples = "aictl stop sentiment\n"
		    "aictl stop --no-wait sentiment tokenizer",
	.options = change_wait_options,
	.args_min = 1,
	.args_max = ARGS_MANY,
	.run = run,
};
