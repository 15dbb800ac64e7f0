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
#include "cli/output.h"
#include "cli/report.h"
#include "cli/table.h"
#include "cli/term.h"
#include "cli/x.h"
#include "lib/clock.h"
#include "lib/mem.h"

#define STEP_MS 10000

struct wait {
	struct client *client;
	const char *what;
	int64_t deadline_mono_ms;
	cJSON *seen; /* "services": what each was when its wait ended */
};

/* Keeps {"name","state","met"} for the output. */
static void keep(const struct wait *w, const char *name, const cJSON *reply)
{
	cJSON *o = x_check(cJSON_CreateObject());

	x_check(cJSON_AddStringToObject(o, "name", name));
	x_check(cJSON_AddStringToObject(o, "state", js_str(reply, "state", "unknown")));
	x_check(cJSON_AddBoolToObject(o, "met", js_bool(reply, "met")));
	cJSON_AddItemToArray(w->seen, o);
}

/* An exit code once the wait for one service is over, else -1. */
static int verdict(const struct wait *w, const char *name, const cJSON *reply, bool last)
{
	const char *state = js_str(reply, "state", "?");

	if (js_bool(reply, "met"))
		return CODE_OK;
	if (js_bool(reply, "failed")) {
		report_plain("%s is %s and will not become %s", name, state, w->what);
		report_hint("see: aictl describe %s", name);
		return CODE_FAILED;
	}
	if (!last)
		return -1;
	report_plain("timed out: %s is %s", name, state);
	report_hint("see: aictl describe %s", name);
	return CODE_TIMEOUT;
}

/* One service until the deadline; an exit code. */
static int wait_one(const struct wait *w, const char *name)
{
	_cleanup_free_ char *escaped = client_escape(name);

	for (;;) {
		int64_t left = w->deadline_mono_ms - clock_mono_ms(), step;
		_cleanup_reply_ struct reply r = {0};
		_cleanup_free_ char *path = NULL;
		int code;

		step = left < 0 ? 0 : left < STEP_MS ? left : STEP_MS;
		path = x_printf("/v1/services/%s/wait?for=%s&timeout_ms=%lld", escaped, w->what,
				(long long)step);
		client_get_wait(w->client, path, step, &r);
		code = verdict(w, name, r.json, left <= step);
		if (code >= 0) {
			keep(w, name, r.json);
			return code;
		}
	}
}

static void table(const struct output *out, const cJSON *reply)
{
	struct table t = {.term = &out->cli->term};
	const cJSON *s;

	table_plain(&t, 2);
	cJSON_ArrayForEach (s, js_get(reply, "services")) {
		const char *state = js_str(s, "state", "?");

		table_row(&t);
		table_cell(&t, NULL, "%s", js_str(s, "name", "?"));
		table_cell(&t, term_state_color(t.term, state), "%s", state);
	}
	table_print(&t);
	table_done(&t);
}

static int run(struct cli *cli, const struct args *args)
{
	static const struct output_view view = {table, "services", "name"};
	_cleanup_js_ cJSON *result = x_check(cJSON_CreateObject());
	struct wait w = {.what = args_value(args, "for", "ready")};
	_cleanup_client_ struct client *client = NULL;
	struct output out;
	int code = CODE_OK;

	output_begin(&out, cli, args);
	w.deadline_mono_ms =
		clock_add(clock_mono_ms(), args_duration(args, "timeout", CHANGE_TIMEOUT_MS));
	w.seen = x_check(cJSON_AddArrayToObject(result, "services"));
	w.client = client = client_open(cli);
	intr_quiet();
	for (size_t i = 0; i < args->n_operands && code == CODE_OK; i++)
		code = wait_one(&w, args->operands[i]);
	output_json(&out, &view, result);
	return code;
}

static const struct option_spec options[] = {
	OUTPUT_OPTION,
	{0, "for", "STATE", "ready or stopped (default ready)", "ready|stopped"},
	{0, "timeout", "TIME", "wait at most so long (default 10m); exit code 5", NULL},
	{0},
};

const struct command cmd_wait_command = {
	.name = "wait",
	.group = GROUP_LOOK,
	.synopsis = "[OPTIONS] SERVICE...",
	.summary = "Wait until services are ready, or stopped",
	.details =
		"Prints what each of them is when its wait ends. One that has succeeded counts as\n"
		"ready, and as stopped; so does one that is idle, at zero replicas until a request\n"
		"comes. Stopped is one of which nothing runs and nothing starts by itself: after\n"
		"`aictl stop`, scale to 0 or delete, and when it has succeeded or failed for good.\n"
		"A task with a schedule is ready when it has succeeded or not run yet.\n\n"
		"Exits 0 when all of them are, 1 when one of them never will be (it failed for\n"
		"good), 5 when the time is up, 4 when there is no such service.",
	.examples = "aictl wait sentiment && curl http://127.0.0.1:8000/\n"
		    "aictl wait --for stopped --timeout 30s sentiment",
	.options = options,
	.args_min = 1,
	.args_max = ARGS_MANY,
	.run = run,
};
