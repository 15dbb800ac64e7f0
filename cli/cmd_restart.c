/*
 * cmd_restart: aictl restart, restarts services, or single replicas given as SERVICE/N, and waits
 * until they are ready again.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cli/args.h"
#include "cli/change.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/x.h"

static int run(struct cli *cli, const struct args *args)
{
	struct change_opts o = {.wait = !args_flag(args, "no-wait"),
				.timeout_ms = args_duration(args, "timeout", CHANGE_TIMEOUT_MS)};
	_cleanup_client_ struct client *client = client_open(cli);
	cJSON *body = change_new("restart");

	change_add_services(body, args);
	x_check(cJSON_AddBoolToObject(body, "in_place", args_flag(args, "now")));
	return change_run(cli, client, body, &o);
}

static const struct option_spec options[] = {
	{0, "now", NULL, "stop each replica first, whatever `update` says", NULL},
	{0, "no-wait", NULL, "return when the daemon has accepted it", NULL},
	{0, "timeout", "TIME", "wait at most so long (default 10m); exit code 5", NULL},
	{0},
};

const struct command cmd_restart_command = {
	.name = "restart",
	.group = GROUP_ACT,
	.synopsis = "[OPTIONS] SERVICE[/N]...",
	.summary = "Restart services or single replicas",
	.details = "As an update does it: new replicas are started first, under a free index,\n"
		   "unless `update.order` is stop-first or --now is given; never more at a time\n"
		   "than `update` allows. A single replica, SERVICE/N, keeps its index and is\n"
		   "stopped first. Waits until the new ones are ready. A restart asked for here\n"
		   "does not count for back-off and budget.",
	.examples = "aictl restart sentiment\n"
		    "aictl restart sentiment --now\n"
		    "aictl restart sentiment/1",
	.options = options,
	.args_min = 1,
	.args_max = ARGS_MANY,
	.run = run,
};
