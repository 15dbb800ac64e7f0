/*
 * cmd_hold: aictl hold, requests to services wait at their stable ports until aictl release.
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

#define DEFAULT_MS 30000
#define MOST_MS (24 * 60 * 60 * 1000)
#define ACCEPTED_MS 30000 /* the gateway has to say so */

static int run(struct cli *cli, const struct args *args)
{
	int64_t ms = args_duration(args, "timeout", DEFAULT_MS);
	const struct change_opts o = {.wait = true, .timeout_ms = ACCEPTED_MS};
	_cleanup_client_ struct client *client = NULL;
	cJSON *body;

	if (ms < 1 || ms > MOST_MS)
		report_usage(args->command, "--timeout: must be in 1ms..24h");
	client = client_open(cli);
	body = change_new("hold");
	change_add_services(body, args);
	x_check(cJSON_AddNumberToObject(body, "timeout_ms", (double)ms));
	return change_run(cli, client, body, &o);
}

static const struct option_spec options[] = {
	{0, "timeout", "TIME", "release by itself after so long (default 30s)", NULL},
	{0},
};

const struct command cmd_hold_command = {
	.name = "hold",
	.group = GROUP_ACT,
	.synopsis = "[OPTIONS] SERVICE...",
	.summary = "Let requests wait at the stable ports of services",
	.details =
		"Returns once no new request goes to a replica; what is under way there ends as\n"
		"ever. Requests, or connections of protocol: tcp, that come meanwhile wait, up to\n"
		"queue.max of them at each port, and go on with `aictl release`, or by themselves\n"
		"when the time is over. Also when the controller or aictld dies meanwhile.\n"
		"Again: the time begins anew.",
	.examples = "aictl hold sentiment && ./migrate && aictl release sentiment\n"
		    "aictl hold --timeout 2m sentiment",
	.options = options,
	.args_min = 1,
	.args_max = ARGS_MANY,
	.run = run,
};
