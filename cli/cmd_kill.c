/*
 * cmd_kill: aictl kill, sends a signal to the main processes of services or single replicas. What
 * follows is the program's and the restart policy's business.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cli/args.h"
#include "cli/change.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/report.h"
#include "cli/x.h"
#include "lib/err.h"
#include "lib/parse.h"

static int run(struct cli *cli, const struct args *args)
{
	const char *signal = args_value(args, "signal", "SIGKILL");
	_cleanup_client_ struct client *client = NULL;
	_cleanup_err_ struct err *err = NULL;
	const struct change_opts o = {.wait = false};
	cJSON *body;
	int number;

	if (parse_signal(signal, &number, &err) < 0)
		report_usage(args->command, "--signal: %s", err_msg(err));
	client = client_open(cli);
	body = change_new("kill");
	change_add_services(body, args);
	x_check(cJSON_AddStringToObject(body, "signal", signal));
	return change_run(cli, client, body, &o);
}

static const struct option_spec options[] = {
	{'s', "signal", "SIGNAL", "name or number (default SIGKILL)", NULL},
	{0},
};

const struct command cmd_kill_command = {
	.name = "kill",
	.group = GROUP_ACT,
	.synopsis = "[OPTIONS] SERVICE[/N]...",
	.summary = "Send a signal to services or single replicas",
	.details = "To the main process of each replica. A replica that ends by it is started\n"
		   "again by its restart policy; to end it for good use `aictl stop`.\n\n"
		   "Exit code 3 when nothing of a named service runs.",
	.examples = "aictl kill sentiment/1\n"
		    "aictl kill -s SIGUSR1 sentiment   # to all of its replicas",
	.options = options,
	.args_min = 1,
	.args_max = ARGS_MANY,
	.run = run,
};
