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

static void check_new(const struct args *args, const cJSON *replicas, const char *name)
{
	if (cJSON_GetObjectItemCaseSensitive(replicas, name))
		report_usage(args->command, "%s is named twice", name);
}

/* "sentiment=4", or "sentiment" and "4", into "replicas":{"sentiment":4}; returns how many operands
 * that were. */
static size_t add(const struct args *args, cJSON *replicas, size_t i)
{
	const char *operand = args->operands[i], *eq = strchr(operand, '=');
	const char *next = i + 1 < args->n_operands ? args->operands[i + 1] : "";
	bool apart = !eq && *next && !next[strspn(next, "0123456789")];
	_cleanup_err_ struct err *e = NULL;
	_cleanup_free_ char *name = NULL;
	int64_t n;

	if ((!eq && !apart) || eq == operand)
		report_usage(args->command, "\"%s\": expected SERVICE=N", operand);
	name = x_strndup(operand, eq ? (size_t)(eq - operand) : strlen(operand));
	if (parse_i64(eq ? eq + 1 : next, 0, MANIFEST_REPLICAS_MAX, &n, &e) < 0)
		report_usage(args->command, "%s: %s", operand, err_msg(e));
	check_new(args, replicas, name);
	x_check(cJSON_AddNumberToObject(replicas, name, (double)n));
	return apart ? 2 : 1;
}

/* With --auto: "sentiment" into "replicas":{"sentiment":null}. */
static void add_auto(const struct args *args, cJSON *replicas)
{
	if (args_value(args, "for", NULL))
		report_usage(args->command, "--auto and --for exclude each other");
	for (size_t i = 0; i < args->n_operands; i++) {
		if (strchr(args->operands[i], '='))
			report_usage(args->command, "\"%s\": --auto wants the service's name alone",
				     args->operands[i]);
		check_new(args, replicas, args->operands[i]);
		x_check(cJSON_AddNullToObject(replicas, args->operands[i]));
	}
}

static int run(struct cli *cli, const struct args *args)
{
	struct change_opts o = {.wait = !args_flag(args, "no-wait"),
				.timeout_ms = args_duration(args, "timeout", CHANGE_TIMEOUT_MS)};
	_cleanup_client_ struct client *client = NULL;
	cJSON *body = change_new("scale");
	cJSON *replicas = x_check(cJSON_AddObjectToObject(body, "replicas"));

	if (args_flag(args, "auto")) {
		add_auto(args, replicas);
	} else {
		for (size_t i = 0; i < args->n_operands;)
			i += add(args, replicas, i);
	}
	if (args_value(args, "for", NULL))
		x_check(cJSON_AddNumberToObject(body, "for_ms",
						(double)args_duration(args, "for", 0)));
	client = client_open(cli);
	return change_run(cli, client, body, &o);
}

static const struct option_spec options[] = {
	{0, "for", "TIME", "so long (default with a scaler: 1h; else until the manifest changes)",
	 NULL},
	{0, "auto", NULL, "no more: the scaler's number, or the manifest's", NULL},
	{0, "no-wait", NULL, "return when the daemon has accepted it", NULL},
	{0, "timeout", "TIME", "wait at most so long (default 10m); exit code 5", NULL},
	{0},
};

const struct command cmd_scale_command = {
	.name = "scale",
	.group = GROUP_ACT,
	.synopsis = "[OPTIONS] SERVICE=N...",
	.summary = "Set the number of replicas",
	.details =
		"Running replicas are not touched when there are to be more; the highest ones go\n"
		"when there are to be fewer. 0 stops all; where the range begins at 0, until the\n"
		"next request. Waits until the new ones are ready.\n"
		"Holds until the manifest's own number changes, or --for is over. Where replicas is\n"
		"a range, the scaler's number is set aside for an hour or for --for.",
	.examples = "aictl scale sentiment=4\n"
		    "aictl scale sentiment=4 tokenizer=1\n"
		    "aictl scale chat=8 --for 2h\n"
		    "aictl scale chat --auto",
	.options = options,
	.args_min = 1,
	.args_max = ARGS_MANY,
	.run = run,
};
