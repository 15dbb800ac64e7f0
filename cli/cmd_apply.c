/*
 * cmd_apply: aictl apply, the manifest is read and checked here, with the caller's rights, and sent
 * as text. All errors are shown at once; nothing is sent when there are any.
 *
 * SPDX-License-Identifier: MIT
 */
#include "cli/args.h"
#include "cli/change.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/git.h"
#include "cli/sources.h"
#include "lib/manifest.h"

static int dry_run(struct cli *cli, const struct args *args, const struct sources *sources)
{
	_cleanup_client_ struct client *client = client_open(cli);
	_cleanup_reply_ struct reply reply = {0};
	int code = change_plan(client, sources, args, &reply);

	if (code == CODE_OK)
		change_show_plan(cli, sources, &reply, true);
	return code;
}

static int apply(struct cli *cli, const struct args *args, const struct sources *sources)
{
	struct change_opts o = {.wait = args_flag(args, "wait") || args_flag(args, "timeout"),
				.lines = true,
				.timeout_ms = args_duration(args, "timeout", CHANGE_TIMEOUT_MS),
				.sources = sources};
	_cleanup_client_ struct client *client = client_open(cli);
	cJSON *body = change_new("apply");

	sources_to_json(sources, body);
	change_add_conditions(body, args);
	git_add_origin(sources->dir, body);
	return change_run(cli, client, body, &o);
}

static int run(struct cli *cli, const struct args *args)
{
	struct sources sources;
	struct manifest *m;
	int code;

	sources_load(cli, args, &sources);
	m = sources_check(&sources);
	change_check_host(&sources, m);
	manifest_free(m);
	code = args_flag(args, "dry-run") ? dry_run(cli, args, &sources)
					  : apply(cli, args, &sources);
	cli->dir = NULL;
	sources_done(&sources);
	return code;
}

static const struct option_spec options[] = {
	{'f', "file", "FILE|DIR", "manifest; may be repeated, - is standard input", NULL},
	{0, "prune", NULL, "also remove services that the set no longer holds", NULL},
	{0, "dry-run", NULL, "change nothing, show what would be done (aictl plan)", NULL},
	{0, "if-revision", "N", "only when the set is at revision N (0: new); else exit code 8",
	 NULL},
	{0, "wait", NULL, "wait until all of it is ready", NULL},
	{0, "timeout", "TIME", "wait at most so long (default 10m); exit code 5", NULL},
	{0},
};

const struct command cmd_apply_command = {
	.name = "apply",
	.group = GROUP_MANIFEST,
	.synopsis = "[OPTIONS]",
	.summary = "Make the daemon run what a manifest says",
	.details =
		"Without -f: ./aictl.yaml, else ./aictl.yml. A directory stands for its *.yaml and\n"
		"*.yml files. All files are one set; if anything in them is wrong, nothing is\n"
		"applied (exit code 9).\n\n"
		"An edit touches only what it names: services that did not change keep running.\n"
		"Services that the set no longer holds are named; --prune removes them. What the\n"
		"user has stopped stays stopped, a scaled number stays until the manifest's own\n"
		"number changes.\n\n"
		"With --wait the command ends when every replica is ready (0), when the change\n"
		"failed (1) or when the time is up (5; nothing is undone).",
	.examples = "aictl apply\n"
		    "aictl apply -f services/ --wait --timeout 5m\n"
		    "aictl apply --prune --if-revision 7\n"
		    "generate | aictl apply -f -",
	.options = options,
	.run = run,
};
