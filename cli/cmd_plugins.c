/*
 * cmd_plugins: aictl plugins, what there is to run services with besides processes.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/js.h"
#include "cli/output.h"
#include "cli/report.h"
#include "cli/table.h"
#include "cli/term.h"
#include "cli/text.h"
#include "cli/x.h"
#include "lib/mem.h"

static const char *color_of(const char *state)
{
	if (strcmp(state, "loaded") == 0)
		return TERM_GREEN;
	if (strcmp(state, "refused") == 0 || strcmp(state, "down") == 0)
		return TERM_RED;
	return strcmp(state, "starting") == 0 ? TERM_YELLOW : "";
}

/* What a person should know of it, the worst first. Caller frees. */
static char *message_of(const cJSON *p)
{
	const char *state = js_str(p, "state", ""), *error = js_str(p, "error", NULL);
	const char *end = js_str(p, "last_end", NULL);
	long long faults = js_int(p, "faults", 0);
	_cleanup_free_ char *many = text_count(faults, "fault");

	if (error)
		return x_strdup(error);
	if (faults)
		return x_printf("%s, the last: %s", many, js_str(p, "last_fault", "?"));
	if (end)
		return x_printf("last end of its process: %s", end);
	if (strcmp(state, "not_enabled") == 0)
		return x_printf("aictld --runtime %s enables it", js_str(p, "name", "NAME"));
	return x_strdup(js_str(p, "engine", js_str(p, "description", "")));
}

static void number(struct table *t, const char *color, const cJSON *p, const char *key)
{
	if (js_str(p, "runtime", NULL))
		table_cell(t, js_int(p, key, 0) ? color : "", "%lld", (long long)js_int(p, key, 0));
	else
		table_cell(t, "", "-");
}

static void row(struct table *t, const cJSON *p, bool wide)
{
	_cleanup_free_ char *message = message_of(p);
	const char *state = js_str(p, "state", "?");

	table_row(t);
	table_cell(t, "", "%s", js_str(p, "name", "?"));
	table_cell(t, "", "%s", js_str(p, "kind", "-"));
	table_cell(t, "", "%s", js_str(p, "version", "-"));
	if (js_int(p, "abi", 0))
		table_cell(t, "", "%lld", (long long)js_int(p, "abi", 0));
	else
		table_cell(t, "", "-");
	table_cell(t, color_of(state), "%s", state);
	table_cell(t, "", "%s", js_str(p, "runtime", "-"));
	number(t, TERM_YELLOW, p, "restarts");
	number(t, TERM_RED, p, "faults");
	if (wide) {
		number(t, "", p, "pid");
		table_cell(t, "", "%s", js_str(p, "file", "-"));
		table_cell(t, "", "%s", js_str(p, "endpoint", "-"));
	}
	table_cell(t, "", "%s", message);
}

/* A terminal may have no room for what matters most. */
static void complain(const cJSON *plugins)
{
	const cJSON *p;

	cJSON_ArrayForEach (p, plugins)
		if (strcmp(color_of(js_str(p, "state", "")), TERM_RED) == 0)
			report_warning("%s: %s", js_str(p, "name", "?"), js_str(p, "error", "?"));
}

static void page(const struct output *out, const cJSON *reply)
{
	const struct cli *cli = out->cli;
	const char *dir = js_str(reply, "directory", "?"), *error = js_str(reply, "error", NULL);
	struct table t = {.term = &cli->term, .drop = "FILE ENDPOINT PID FAULTS RESTARTS ABI KIND"};
	bool wide = out->format == OUTPUT_WIDE;
	const cJSON *p;

	if (wide)
		table_header(&t, "NAME", "KIND", "VERSION", "ABI", "STATE", "RUNTIME", "RESTARTS",
			     "FAULTS", "PID", "FILE", "ENDPOINT", "MESSAGE", NULL);
	else
		table_header(&t, "NAME", "KIND", "VERSION", "ABI", "STATE", "RUNTIME", "RESTARTS",
			     "FAULTS", "MESSAGE", NULL);
	cJSON_ArrayForEach (p, js_get(reply, "plugins"))
		row(&t, p, wide);
	if (error)
		report_warning("%s cannot be read: %s", dir, error);
	if (t.n_rows > 0)
		table_print(&t);
	else if (!error)
		printf("no plugins in %s\n", dir);
	table_done(&t);
	fflush(stdout);
	if (term_columns(STDOUT_FILENO))
		complain(js_get(reply, "plugins"));
}

static int run(struct cli *cli, const struct args *args)
{
	static const struct output_view view = {.table = page, .list = "plugins", .id = "name"};
	_cleanup_client_ struct client *client = NULL;
	_cleanup_reply_ struct reply reply = {0};
	struct output out;

	output_begin(&out, cli, args);
	client = client_open(cli);
	client_get(client, "/v1/plugins", &reply);
	output_reply(&out, &view, &reply);
	return CODE_OK;
}

static const struct option_spec options[] = {
	OUTPUT_OPTION,
	{0},
};

const struct command cmd_plugins_command = {
	.name = "plugins",
	.group = GROUP_OTHER,
	.synopsis = "[OPTIONS]",
	.summary = "List the daemon's plugins, and whether they work",
	.details =
		"Each module of the plugin directory, enabled by aictld --runtime or not. loaded: its\n"
		"process has it (whether its engine answers, the message says); refused: it has not,\n"
		"and why; down: its process does not run; not_enabled: only its file is known.\n"
		"Faults are breaches of the rules of aictl-plugin(3).",
	.examples = "aictl plugins\n"
		    "aictl plugins -o wide",
	.options = options,
	.run = run,
};
