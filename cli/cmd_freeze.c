/*
 * cmd_freeze: aictl freeze, stops services or single replicas where they stand: their processes get
 * no processor time until aictl thaw. The kernel does it (cgroup.freeze), so nothing of a replica is
 * left out, and nobody of it can tell.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cli/change.h"
#include "cli/cli.h"
#include "cli/cmd.h"

static int run(struct cli *cli, const struct args *args)
{
	return change_services(cli, args, "freeze");
}

const struct command cmd_freeze_command = {
	.name = "freeze",
	.aliases = {"pause"},
	.group = GROUP_ACT,
	.synopsis = "[OPTIONS] SERVICE[/N]...",
	.summary = "Freeze services or single replicas where they stand",
	.details =
		"All processes of what runs now get no processor time; memory, files and\n"
		"connections stay as they are. Probes pause, so nothing is restarted for it. It\n"
		"lasts until `aictl thaw`, also over deaths and restarts of the daemon; a stop or\n"
		"restart of the replica thaws it, and a process that is killed is replaced.\n\n"
		"Needs a cgroup2 tree that the daemon may use: see aictl doctor. Exit code 3 when\n"
		"nothing of a named service runs.",
	.examples = "aictl freeze sentiment\n"
		    "aictl freeze sentiment/1",
	.options = change_wait_options,
	.args_min = 1,
	.args_max = ARGS_MANY,
	.run = run,
};
