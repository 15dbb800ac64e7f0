/*
 * cmd_version: aictl version, the version of this program, on one line.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/cmd.h"
#include "cli/js.h"
#include "cli/output.h"
#include "cli/x.h"

static void table(const struct output *out, const cJSON *v)
{
	printf("aictl %s", js_str(v, "version", "?"));
	if (out->format == OUTPUT_WIDE)
		printf(", API %s", js_str(v, "api_version", "?"));
	putchar('\n');
}

static int run(struct cli *cli, const struct args *args)
{
	static const struct output_view view = {.table = table, .id = "version"};
	_cleanup_js_ cJSON *v = x_check(cJSON_CreateObject());
	struct output out;

	x_check(cJSON_AddStringToObject(v, "version", PKGVERSION));
	x_check(cJSON_AddStringToObject(v, "api_version", "v1"));
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
	.summary = "Show the version of this program",
	.details = "That of the running daemon is in `aictl daemon info`.",
	.examples = "aictl version\n"
		    "aictl version -o json",
	.options = options,
	.run = run,
};
