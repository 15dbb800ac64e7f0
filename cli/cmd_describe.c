/*
 * cmd_describe: aictl describe, all about services (describe_view.h).
 *
 * SPDX-License-Identifier: MIT
 */
#include <string.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/describe_view.h"
#include "cli/js.h"
#include "cli/output.h"
#include "cli/report.h"
#include "cli/x.h"
#include "lib/err.h"
#include "lib/mem.h"

static void table(const struct output *out, const cJSON *service)
{
	describe_view(&out->cli->term, service, out->format == OUTPUT_WIDE);
}

/* For the page: its last ends with their lines. Without them it is there all the same. */
static void add_ends(struct client *client, const char *service, cJSON *to)
{
	_cleanup_free_ char *path = x_printf("/v1/services/%s/exits", service);
	_cleanup_reply_ struct reply reply = {0};
	_cleanup_err_ struct err *e = NULL;
	cJSON *ends;

	if (client_call(client, &(struct client_request){.method = "GET", .path = path}, &reply,
			&e) < 0 ||
	    reply.status != 200)
		return;
	ends = cJSON_DetachItemFromObjectCaseSensitive(reply.json, "exits");
	if (ends)
		cJSON_AddItemToObject(to, "ends", ends);
}

static void describe(struct client *client, struct output *out, const char *service)
{
	static const struct output_view view = {.table = table, .id = "name"};
	_cleanup_free_ char *path = x_printf("/v1/services/%s?usage=1", service);
	_cleanup_reply_ struct reply reply = {0};

	client_get(client, path, &reply);
	if (out->format == OUTPUT_TABLE || out->format == OUTPUT_WIDE)
		add_ends(client, service, reply.json);
	output_reply(out, &view, &reply);
}

/* Other commands take one: what is shown here is of the service. */
static void refuse_replicas(const struct args *args)
{
	for (size_t i = 0; i < args->n_operands; i++) {
		const char *name = args->operands[i], *slash = strchr(name, '/');

		if (slash)
			report_usage(args->command,
				     "\"%s\" is a replica; with its service it is shown by: aictl "
				     "describe %.*s",
				     name, (int)(slash - name), name);
	}
}

static int run(struct cli *cli, const struct args *args)
{
	_cleanup_client_ struct client *client = NULL;
	struct output out;

	refuse_replicas(args);
	client = client_open(cli);
	output_begin(&out, cli, args);
	for (size_t i = 0; i < args->n_operands; i++) {
		_cleanup_free_ char *name = client_escape(args->operands[i]);

		describe(client, &out, name);
	}
	return CODE_OK;
}

static const struct option_spec options[] = {
	OUTPUT_OPTION,
	{0},
};

const struct command cmd_describe_command = {
	.name = "describe",
	.aliases = {"show"},
	.group = GROUP_LOOK,
	.synopsis = "[OPTIONS] SERVICE...",
	.summary = "Show all about a service",
	.details =
		"State and why, each replica with the last result of its probes, the last exits,\n"
		"the time of the next attempt, events, and its manifest key by key with the lines\n"
		"that decide. wide adds the identifiers of processes and older events. Values of\n"
		"the environment are shown to those who may change them.",
	.examples = "aictl describe sentiment\n"
		    "aictl describe -o json sentiment | jq .events",
	.options = options,
	.args_min = 1,
	.args_max = ARGS_MANY,
	.run = run,
};
