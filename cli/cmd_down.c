/*
 * cmd_down: aictl down, the end of what `up` or `apply` started from a directory: an `up` of it is
 * stopped; on a daemon that stays, the services of the manifest's set are deleted.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <string.h>

#include "cli/args.h"
#include "cli/change.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/client_find.h"
#include "cli/cmd.h"
#include "cli/halt.h"
#include "cli/js.h"
#include "cli/report.h"
#include "cli/sources.h"
#include "cli/x.h"
#include "lib/manifest.h"
#include "lib/mem.h"

/* The names of the services of a set; how many. */
static int names_of_set(struct client *client, const char *set, cJSON *names)
{
	_cleanup_reply_ struct reply r = {0};
	const cJSON *s;

	client_get(client, "/v1/services", &r);
	cJSON_ArrayForEach (s, js_get(r.json, "services")) {
		if (strcmp(js_str(s, "set", ""), set) == 0)
			cJSON_AddItemToArray(names,
					     x_check(cJSON_CreateString(js_str(s, "name", ""))));
	}
	return cJSON_GetArraySize(names);
}

static int delete_set(struct cli *cli, struct client *client, const struct args *args,
		      const struct change_opts *o)
{
	struct sources sources;
	struct manifest *m;
	cJSON *body = change_new("delete");
	int code = CODE_OK;

	sources_load(cli, args, &sources);
	sources.names_only = true;
	m = sources_check(&sources);
	if (names_of_set(client, m->name, x_check(cJSON_AddArrayToObject(body, "services"))) == 0) {
		fprintf(stderr, "no services of set %s\n", m->name);
		cJSON_Delete(body);
	} else {
		code = change_run(cli, client, body, o);
	}
	manifest_free(m);
	cli->dir = NULL;
	sources_done(&sources);
	return code;
}

static int run(struct cli *cli, const struct args *args)
{
	struct change_opts o = {.wait = !args_flag(args, "no-wait"),
				.timeout_ms = args_duration(args, "timeout", CHANGE_TIMEOUT_MS)};
	_cleanup_free_ char *dir = sources_dir(args), *up = NULL;
	_cleanup_client_ struct client *client = NULL;
	int code;

	cli->dir = dir;
	up = client_find_up(dir);
	client = client_open(cli);
	if (strcmp(client_socket(client), up) == 0)
		code = halt_daemon(client, o.wait ? o.timeout_ms : 0);
	else
		code = delete_set(cli, client, args, &o);
	cli->dir = NULL;
	return code;
}

static const struct option_spec options[] = {
	{'f', "file", "FILE|DIR", "manifest, or the directory where `up` runs", NULL},
	{0, "no-wait", NULL, "return when the daemon has accepted it", NULL},
	{0, "timeout", "TIME", "wait at most so long (default 10m); exit code 5", NULL},
	{0},
};

const struct command cmd_down_command = {
	.name = "down",
	.group = GROUP_MANIFEST,
	.synopsis = "[OPTIONS]",
	.summary = "Stop what `up` or `apply` started from here",
	.details =
		"When `aictl up` runs for this directory (or that of -f), it is stopped with all of\n"
		"its services. Else the services of the manifest's set are deleted from the\n"
		"daemon that answers; other sets are not touched. Logs stay.",
	.examples = "aictl down\n"
		    "aictl down -f services/aictl.yaml",
	.options = options,
	.run = run,
};
