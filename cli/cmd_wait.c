/*
 * cmd_wait: aictl wait, waits for a state of services, one after the other, until a common
 * deadline.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <string.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/change.h"
#include "cli/intr.h"
#include "cli/js.h"
#include "cli/report.h"
#include "cli/x.h"
#include "lib/clock.h"
#include "lib/mem.h"

#define STEP_MS 10000

/* One service until the deadline; an exit code. */
static int wait_one(struct client *client, const char *name, const char *what, int64_t deadline)
{
	_cleanup_free_ char *escaped = client_escape(name);

	for (;;) {
		int64_t left = deadline - clock_mono_ms(), step;
		_cleanup_reply_ struct reply r = {0};
		_cleanup_free_ char *path = NULL;

		step = left < 0 ? 0 : left < STEP_MS ? left : STEP_MS;
		path = x_printf("/v1/services/%s/wait?for=%s&timeout_ms=%lld", escaped, what,
				(long long)step);
		client_get_wait(client, path, step, &r);
		if (js_bool(r.json, "met"))
			return CODE_OK;
		if (js_bool(r.json, "failed")) {
			report_plain("%s is %s and will not become %s", name,
				     js_str(r.json, "state", "?"), what);
			report_hint("see: aictl describe %s", name);
			return CODE_FAILED;
		}
		if (left <= step) {
			report_plain("timed out: %s is %s", name, js_str(r.json, "state", "?"));
			return CODE_TIMEOUT;
		}
	}
}

static int run(struct cli *cli, const struct args *args)
{
	const char *what = args_value(args, "for", "ready");
	int64_t deadline =
		clock_add(clock_mono_ms(), args_duration(args, "timeout", CHANGE_TIMEOUT_MS));
	_cleanup_client_ struct client *client = client_open(cli);
	int code = CODE_OK;

	intr_quiet();
	for (size_t i = 0; i < args->n_operands && code == CODE_OK; i++)
		code = wait_one(client, args->operands[i], what, deadline);
	return code;
}

static const struct option_spec options[] = {
	{0, "for", "STATE", "ready or stopped (default ready)", "ready|stopped"},
	{0, "timeout", "TIME", "wait at most so long (default 10m); exit code 5", NULL},
	{0},
};

const struct command cmd_wait_command = {
	.name = "wait",
	.group = GROUP_LOOK,
	.synopsis = "[OPTIONS] SERVICE...",
	.summary = "Wait until services are ready, or stopped",
	.details = "Exits 0 when all of them are, 1 when one of them never will be (it failed for\n"
		   "good), 5 when the time is up, 4 when there is no such service.",
	.examples = "aictl wait sentiment && curl http://127.0.0.1:8000/\n"
		    "aictl wait --for stopped --timeout 30s sentiment",
	.options = options,
	.args_min = 1,
	.args_max = ARGS_MANY,
	.run = run,
};
