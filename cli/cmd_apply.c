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
#include "cli/sources.h"
#include "lib/manifest.h"

static int run(struct cli *cli, const struct args *args)
{
	struct sources sources;
	struct change_opts o = {.wait = args_flag(args, "wait") || args_flag(args, "timeout"),
				.lines = true,
				.timeout_ms = args_duration(args, "timeout", CHANGE_TIMEOUT_MS),
				.sources = &sources};
	_cleanup_client_ struct client *client = NULL;
	cJSON *body;
	int code;

	sources_load(cli, args, &sources);
	manifest_free(sources_check(&sources));
	client = client_open(cli);
	body = change_new("apply");
	sources_to_json(&sources, body);
	code = change_run(cli, client, body, &o);
	cli->dir = NULL;
	sources_done(&sources);
	return code;
}

static const struct option_spec options[] = {
	{'f', "file", "FILE|DIR", "manifest; may be repeated, - is standard input", NULL},
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
		"Services that the set no longer holds are named, not removed.\n\n"
		"With --wait the command ends when every replica is ready (0), when the change\n"
		"failed (1) or when the time is up (5; nothing is undone).",
	.examples = "aictl apply\n"
		    "aictl apply -f services/ --wait --timeout 5m\n"
		    "generate | aictl apply -f -",
	.options = options,
	.run = run,
};
