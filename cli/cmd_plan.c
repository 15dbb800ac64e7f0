/*
 * cmd_plan: aictl plan, what an apply would do, by the very code that would do it. Nothing is
 * changed; the daemon has to run, for it knows what is there.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cli/args.h"
#include "cli/change.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/js.h"
#include "cli/output.h"
#include "cli/sources.h"
#include "lib/manifest.h"

static void show(struct cli *cli, const struct args *args, const struct sources *sources,
		 const struct reply *reply)
{
	static const struct output_view view = {.list = "services", .id = "name"};
	struct output out;

	output_begin(&out, cli, args);
	if (out.format == OUTPUT_TABLE || out.format == OUTPUT_WIDE)
		change_show_plan(cli, sources, reply, !args_flag(args, "no-diff"));
	else
		output_reply(&out, &view, reply);
}

static int run(struct cli *cli, const struct args *args)
{
	_cleanup_client_ struct client *client = NULL;
	_cleanup_reply_ struct reply reply = {0};
	struct sources sources;
	struct manifest *m;
	int code;

	sources_load(cli, args, &sources);
	m = sources_check(&sources);
	change_check_host(&sources, m);
	manifest_free(m);
	client = client_open(cli);
	code = change_plan(client, &sources, args, &reply);
	if (code == CODE_OK)
		show(cli, args, &sources, &reply);
	if (code == CODE_OK && args_flag(args, "exit-code") && js_bool(reply.json, "changes"))
		code = CODE_CHANGES;
	cli->dir = NULL;
	sources_done(&sources);
	return code;
}

static const struct option_spec options[] = {
	{'f', "file", "FILE|DIR", "manifest; may be repeated, - is standard input", NULL},
	{0, "prune", NULL, "as apply --prune: what the set no longer holds goes", NULL},
	{0, "exit-code", NULL, "10 when an apply would change something, 0 when not", NULL},
	{0, "no-diff", NULL, "without the changed lines of the manifest", NULL},
	OUTPUT_OPTION,
	{0},
};

const struct command cmd_plan_command = {
	.name = "plan",
	.group = GROUP_MANIFEST,
	.synopsis = "[OPTIONS]",
	.summary = "Show what an apply would do, and why",
	.details =
		"For each service: nothing, live (changed without touching a process), replace,\n"
		"start or stop; the keys that cause it; the replicas that are touched, in order;\n"
		"how long replicas would be missing, by how long their last starts took.\n\n"
		"The daemon decides with the same function in plan and apply. It has to run: exit\n"
		"code 6 when it does not. Values of environment and secrets are shown to those\n"
		"only who may apply.",
	.examples = "aictl plan\n"
		    "aictl plan -f services/ --prune --no-diff\n"
		    "aictl plan --exit-code || aictl apply\n"
		    "aictl plan -o json | jq '.services[] | select(.action != \"none\")'",
	.options = options,
	.run = run,
};
