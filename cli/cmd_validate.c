/*
 * cmd_validate: aictl validate, checks a manifest with the function that the daemon uses. No daemon
 * is needed.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/cmd.h"
#include "cli/sources.h"
#include "cli/text.h"
#include "lib/manifest.h"
#include "lib/mem.h"

static int run(struct cli *cli, const struct args *args)
{
	_cleanup_free_ char *count = NULL;
	struct sources sources;
	struct manifest *m;

	sources_load(cli, args, &sources);
	m = sources_check(&sources);
	count = text_count((int64_t)m->n_services, "service");
	printf("%s: %s, valid\n", m->name, count);
	manifest_free(m);
	cli->dir = NULL;
	sources_done(&sources);
	return CODE_OK;
}

static const struct option_spec options[] = {
	{'f', "file", "FILE|DIR", "manifest; may be repeated, - is standard input", NULL},
	{0},
};

const struct command cmd_validate_command = {
	.name = "validate",
	.group = GROUP_MANIFEST,
	.synopsis = "[OPTIONS]",
	.summary = "Check a manifest without applying it",
	.details =
		"Needs no daemon. Shows all errors at once, each with its line and a caret under\n"
		"the value; exit code 9 when there are any.",
	.examples = "aictl validate\n"
		    "aictl validate -f services/",
	.options = options,
	.run = run,
};
