/*
 * cmd_reload: aictl reload, asks services or single replicas to read again what they read, in the way
 * that their manifest declares.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cli/args.h"
#include "cli/change.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/cmd.h"

static int run(struct cli *cli, const struct args *args)
{
	_cleanup_client_ struct client *client = client_open(cli);
	const struct change_opts o = {.wait = false};
	cJSON *body = change_new("reload");

	change_add_services(body, args);
	return change_run(cli, client, body, &o);
}

const struct command cmd_reload_command = {
	.name = "reload",
	.group = GROUP_ACT,
	.synopsis = "SERVICE[/N]...",
	.summary = "Ask services to read their files again",
	.details =
		"By the signal or request that the manifest declares as reload; no process ends.\n"
		"What came of it is an event: `aictl events`.\n\n"
		"Exit code 3 when nothing of a named service runs, 8 when it declares no reload.",
	.examples = "aictl reload proxy",
	.args_min = 1,
	.args_max = ARGS_MANY,
	.run = run,
};
