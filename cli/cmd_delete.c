/*
 * cmd_delete: aictl delete, stops services and removes them from the daemon: those that are named,
 * those of a set, or those of a manifest. Names are checked by the daemon before anything is done.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdlib.h>
#include <string.h>

#include "cli/args.h"
#include "cli/change.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/js.h"
#include "cli/report.h"
#include "cli/sources.h"
#include "cli/x.h"
#include "lib/manifest.h"

static bool is_there(const cJSON *services, const char *set, const char *name)
{
	const cJSON *s;

	cJSON_ArrayForEach (s, services) {
		if (strcmp(js_str(s, "name", ""), name) == 0 &&
		    strcmp(js_str(s, "set", ""), set) == 0)
			return true;
	}
	return false;
}

/* What the manifest names and the daemon has in that set; the others are named. */
static void add_from_manifest(struct client *client, const struct manifest *m, cJSON *body)
{
	cJSON *list = x_check(cJSON_AddArrayToObject(body, "services"));
	_cleanup_reply_ struct reply reply = {0};

	client_get(client, "/v1/services", &reply);
	for (size_t i = 0; i < m->n_services; i++) {
		const char *name = m->services[i]->name;

		if (is_there(js_get(reply.json, "services"), m->name, name))
			cJSON_AddItemToArray(list, x_check(cJSON_CreateString(name)));
		else
			report_warning("no service \"%s\" in set %s", name, m->name);
	}
	if (cJSON_GetArraySize(list) == 0) {
		report_plain("nothing of the manifest is there (set %s)", m->name);
		exit(CODE_UNKNOWN);
	}
}

static void check_usage(const struct args *args)
{
	int ways = (args->n_operands > 0) + args_flag(args, "set") + args_flag(args, "file");

	if (ways == 0)
		report_usage(args->command, "name services, --set NAME or -f FILE");
	if (ways > 1)
		report_usage(args->command, "services, --set and -f cannot be mixed");
}

static int run(struct cli *cli, const struct args *args)
{
	struct change_opts o = {.wait = !args_flag(args, "no-wait"),
				.timeout_ms = args_duration(args, "timeout", CHANGE_TIMEOUT_MS)};
	_cleanup_client_ struct client *client = NULL;
	struct sources sources = {0};
	struct manifest *m = NULL;
	cJSON *body;
	int code;

	check_usage(args);
	if (args_flag(args, "file")) {
		sources_load(cli, args, &sources);
		sources.names_only = true;
		m = sources_check(&sources);
	}
	client = client_open(cli);
	body = change_new("delete");
	if (m)
		add_from_manifest(client, m, body);
	else if (args_flag(args, "set"))
		x_check(cJSON_AddStringToObject(body, "set", args_value(args, "set", "")));
	else
		change_add_services(body, args);
	code = change_run(cli, client, body, &o);
	manifest_free(m);
	cli->dir = NULL;
	sources_done(&sources);
	return code;
}

static const struct option_spec options[] = {
	{'f', "file", "FILE|DIR", "what this manifest names; may be repeated", NULL},
	{0, "set", "NAME", "all services of this apply set", NULL},
	{0, "no-wait", NULL, "return when the daemon has accepted it", NULL},
	{0, "timeout", "TIME", "wait at most so long (default 10m); exit code 5", NULL},
	{0},
};

const struct command cmd_delete_command = {
	.name = "delete",
	.group = GROUP_ACT,
	.synopsis = "[OPTIONS] [SERVICE...]",
	.summary = "Stop services and forget them",
	.details = "Services by name, all of an apply set (--set), or what a manifest names (-f).\n"
		   "Logs stay on the disk, and the set's revisions are still known. The manifest\n"
		   "file is not touched: the next apply creates the services again.",
	.examples = "aictl delete sentiment\n"
		    "aictl delete --set shop\n"
		    "aictl delete -f aictl.yaml",
	.options = options,
	.args_max = ARGS_MANY,
	.run = run,
};
