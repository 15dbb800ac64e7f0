/*
 * cmd_scale: aictl scale, sets numbers of replicas. What is not a number is refused here; what is
 * no service is refused by the daemon.
 *
 * SPDX-License-Identifier: MIT
 */
#include <string.h>

#include "cli/args.h"
#include "cli/change.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/report.h"
#include "cli/x.h"
#include "lib/err.h"
#include "lib/manifest.h"
#include "lib/mem.h"
#include "lib/parse.h"

/* "sentiment=4" into "replicas":{"sentiment":4}. */
static void add(const struct args *args, cJSON *replicas, const char *operand)
{
	const char *eq = strchr(operand, '=');
	_cleanup_err_ struct err *e = NULL;
	_cleanup_free_ char *name = NULL;
	int64_t n;

	if (!eq || eq == operand)
		report_usage(args->command, "\"%s\": expected SERVICE=N", operand);
	name = x_strndup(operand, (size_t)(eq - operand));
	if (parse_i64(eq + 1, 0, MANIFEST_REPLICAS_MAX, &n, &e) < 0)
		report_usage(args->command, "%s: %s", operand, err_msg(e));
	if (cJSON_GetObjectItemCaseSensitive(replicas, name))
		report_usage(args->command, "%s is named twice", name);
	x_check(cJSON_AddNumberToObject(replicas, name, (double)n));
}

static int run(struct cli *cli, const struct args *args)
{
	struct change_opts o = {.wait = !args_flag(args, "no-wait"),
				.timeout_ms = args_duration(args, "timeout", CHANGE_TIMEOUT_MS)};
	_cleanup_client_ struct client *client = NULL;
	cJSON *body = change_new("scale");
	cJSON *replicas = x_check(cJSON_AddObjectToObject(body, "replicas"));

	for (size_t i = 0; i < args->n_operands; i++)
		add(args, replicas, args->operands[i]);
	client = client_open(cli);
	return change_run(cli, client, body, &o);
}

const struct command cmd_scale_command = {
	.name = "scale",
	.group = GROUP_ACT,
	.synopsis = "[OPTIONS] SERVICE=N...",
	.summary = "Set the number of replicas",
	.details =
		"Running replicas are not touched when there are to be more; the highest ones go\n"
		"when there are to be fewer. 0 stops all. Waits until the new ones are ready.\n"
		"Holds until the manifest's own number changes.",
	.examples = "aictl scale sentiment=4\n"
		    "aictl scale sentiment=4 tokenizer=1",
	.options = change_wait_options,
	.args_min = 1,
	.args_max = ARGS_MANY,
	.run = run,
};
