/*
 * cmd_version: aictl version, the version of this program, and of the daemon where one answers.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/daemon_try.h"
#include "cli/js.h"
#include "cli/output.h"
#include "cli/x.h"
#include "lib/mem.h"

static void table(const struct output *out, const cJSON *v)
{
	const cJSON *d = js_get(v, "daemon");

	printf("aictl %s", js_str(v, "version", "?"));
	if (out->format == OUTPUT_WIDE)
		printf(", API %s", js_str(v, "api_version", "?"));
	putchar('\n');
	if (d)
		printf("aictld %s, %s, at %s\n", js_str(d, "version", "?"), js_str(d, "mode", "?"),
		       js_str(d, "socket", "?"));
}

static void add_daemon(const struct cli *cli, cJSON *v)
{
	_cleanup_reply_ struct reply r = {0};
	_cleanup_free_ char *socket = daemon_try_info(cli, &r);
	cJSON *d;

	if (!r.json) {
		x_check(cJSON_AddNullToObject(v, "daemon"));
		return;
	}
	d = x_check(cJSON_AddObjectToObject(v, "daemon"));
	x_check(cJSON_AddStringToObject(d, "version", js_str(r.json, "version", "?")));
	x_check(cJSON_AddStringToObject(d, "mode", js_str(r.json, "mode", "?")));
	x_check(cJSON_AddStringToObject(d, "socket", socket));
}

static int run(struct cli *cli, const struct args *args)
{
	static const struct output_view view = {.table = table, .id = "version"};
	_cleanup_js_ cJSON *v = x_check(cJSON_CreateObject());
	struct output out;

	x_check(cJSON_AddStringToObject(v, "version", PKGVERSION));
	x_check(cJSON_AddStringToObject(v, "api_version", "v1"));
	add_daemon(cli, v);
	output_begin(&out, cli, args);
	output_json(&out, &view, v);
	return CODE_OK;
}

static const struct option_spec options[] = {
	OUTPUT_OPTION,
	{0},
};

const struct command cmd_version_command = {
	.name = "version",
	.group = GROUP_OTHER,
	.synopsis = "[OPTIONS]",
	.summary = "Show the versions of this program and of the daemon",
	.details = "Of the daemon where one answers: it is no error when none does.",
	.examples = "aictl version\n"
		    "aictl version -o json",
	.options = options,
	.run = run,
};
