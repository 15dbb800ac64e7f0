/*
 * cmd_completion: aictl completion bash|zsh|fish, the script that the package installs, for those
 * who build aictl themselves. The scripts ask `aictl __complete`; see cmd_complete.c.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <string.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/cmd.h"
#include "cli/completion_scripts.h"
#include "cli/report.h"
#include "lib/mem.h"

static int run(struct cli *cli, const struct args *args)
{
	static const struct {
		const char *shell;
		const char *const *lines;
	} scripts[] = {{"bash", completion_scripts_bash},
		       {"zsh", completion_scripts_zsh},
		       {"fish", completion_scripts_fish}};

	(void)cli;
	for (size_t i = 0; i < ARRAY_SIZE(scripts); i++) {
		if (strcmp(scripts[i].shell, args->operands[0]) != 0)
			continue;
		for (const char *const *line = scripts[i].lines; *line; line++)
			fputs(*line, stdout);
		return CODE_OK;
	}
	report_usage(args->command, "completion %s: expected bash, zsh or fish", args->operands[0]);
}

const struct command cmd_completion_command = {
	.name = "completion",
	.group = GROUP_OTHER,
	.synopsis = "bash|zsh|fish",
	.summary = "Print the completion script of a shell",
	.details =
		"Completes commands, options, their values, keys of the manifest, and the names\n"
		"of the services and replicas that the daemon has at that moment.\n\n"
		"A package installs the scripts; this is for those who have none:\n"
		"  bash  put the line source <(aictl completion bash) into ~/.bashrc\n"
		"  zsh   write it to a file _aictl in a directory of $fpath\n"
		"  fish  write it to ~/.config/fish/completions/aictl.fish",
	.examples = "source <(aictl completion bash)\n"
		    "aictl completion zsh > ~/.zfunc/_aictl\n"
		    "aictl completion fish > ~/.config/fish/completions/aictl.fish",
	.args_min = 1,
	.args_max = 1,
	.run = run,
};
