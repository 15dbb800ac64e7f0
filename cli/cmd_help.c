/*
 * cmd_help: aictl help, prints the pages that --help prints, or the overview.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/cmd.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "cli/report.h"

static int run(struct cli *cli, const struct args *args)
{
	const char *name = args->n_operands ? args->operands[0] : NULL, *best;
	const struct command *command = name ? commands_find(name) : NULL;

	if (name && !command) {
		report_plain("unknown command \"%s\"", name);
		best = commands_nearest(name);
		if (best)
			report_hint("did you mean \"%s\"?", best);
		return CODE_USAGE;
	}
	help_show(cli, command);
	return CODE_OK;
}

const struct command cmd_help_command = {
	.name = "help",
	.group = GROUP_OTHER,
	.synopsis = "[COMMAND]",
	.summary = "Explain a command",
	.examples = "aictl help\n"
		    "aictl help logs",
	.args_max = 1,
	.run = run,
};
