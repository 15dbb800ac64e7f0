/* change: see change.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/change.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/intr.h"
#include "cli/js.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/report_manifest.h"
#include "cli/table.h"
#include "cli/term.h"
#include "cli/x.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/mem.h"

const struct option_spec change_wait_options[] = {
	{0, "no-wait", NULL, "return when the daemon has accepted it", NULL},
	{0, "timeout", "TIME", "wait at most so long (default 10m); exit code 5", NULL},
	{0},
};

cJSON *change_new(const char *kind)
{
	cJSON *body = x_check(cJSON_CreateObject());
	unsigned char raw[16];
	char id[33];

	if (getrandom(raw, sizeof(raw), 0) != (ssize_t)sizeof(raw)) {
		report_plain("cannot get random bytes");
		exit(CODE_FAILED);
	}
	for (size_t i = 0; i < sizeof(raw); i++)
		snprintf(id + 2 * i, 3, "%02x", raw[i]);
	x_check(cJSON_AddStringToObject(body, "id", id));
	x_check(cJSON_AddStringToObject(body, "kind", kind));
	return body;
}

/* "created", "live" ... as people say it. */
static const char *action_word(const char *action)
{
	return strcmp(action, "live") == 0 ? "updated without a restart" : action;
}

static void print_service(const struct cli *cli, struct table *t, const cJSON *s)
{
	const char *state = js_str(s, "state", ""), *action = js_str(s, "action", "");
	long long desired = js_int(s, "desired", 0), ready = js_int(s, "ready", 0);

	table_row(t);
	table_cell(t, NULL, "%s", js_str(s, "name", "?"));
	table_cell(t, NULL, "%s", action_word(action));
	table_cell(t, term_state_color(&cli->term, state), "%s",
		   strcmp(action, "removed") == 0 || strcmp(action, state) == 0 ? "" : state);
	if (desired > 0 && strcmp(state, "stopped") != 0 && strcmp(action, "removed") != 0)
		table_cell(t, NULL, "%lld/%lld ready", ready, desired);
	else
		table_cell(t, NULL, "%s", "");
}

static void print_services(const struct cli *cli, const cJSON *change)
{
	struct table t = {.term = &cli->term};
	const cJSON *s;

	table_plain(&t, 4);
	cJSON_ArrayForEach(s, js_get(change, "services")) print_service(cli, &t, s);
	table_print(&t);
	table_done(&t);
}

static void print_leftovers(const cJSON *change)
{
	const cJSON *name;

	cJSON_ArrayForEach(name, js_get(change, "not_in_manifest"))
	{
		if (!cJSON_IsString(name))
			continue;
		report_warning("%s is in set %s but no longer in the manifest; it is left as it is",
			       name->valuestring, js_str(change, "set", "?"));
		report_hint("remove it with: aictl delete %s", name->valuestring);
	}
}

/* A change that is over, or was not waited for. */
static int print_outcome(const struct cli *cli, const cJSON *change, const struct change_opts *o)
{
	const char *state = js_str(change, "state", "");
	const cJSON *error = js_get(change, "error");

	print_services(cli, change);
	print_leftovers(change);
	fflush(stdout);
	if (strcmp(state, "failed") == 0 || error)
		return error ? report_manifest_json(o->sources, error)
			     : (report_plain("the change failed"), CODE_FAILED);
	if (strcmp(state, "running") == 0)
		printf("accepted; it goes on in the daemon (see: aictl ps)\n");
	return CODE_OK;
}

static void print_timeout(const cJSON *change, int64_t timeout_ms)
{
	const cJSON *s;
	char human[32];

	report_plain("timed out after %s; the change goes on, nothing is undone",
		     clock_human(timeout_ms, human, sizeof(human)));
	cJSON_ArrayForEach(s, js_get(change, "services"))
	{
		if (js_int(s, "ready", 0) < js_int(s, "desired", 0))
			report_hint("%s is %s (%lld/%lld ready), see: aictl describe %s",
				    js_str(s, "name", "?"), js_str(s, "state", "?"),
				    (long long)js_int(s, "ready", 0),
				    (long long)js_int(s, "desired", 0), js_str(s, "name", "?"));
	}
}

/* Waits until the change is over or the time is up; *change is the last that was seen. */
static bool wait_over(struct client *client, struct progress *progress, int64_t timeout_ms,
		      struct reply *change)
{
	int64_t deadline = clock_add(clock_mono_ms(), timeout_ms), left, step;
	_cleanup_free_ char *id = x_strdup(js_str(change->json, "id", ""));

	while (strcmp(js_str(change->json, "state", ""), "running") == 0) {
		_cleanup_free_ char *path = NULL;

		left = deadline - clock_mono_ms();
		if (left <= 0)
			return false;
		step = progress_step_ms(progress);
		path = x_printf("/v1/changes/%s/wait?timeout_ms=%lld", id,
				(long long)(left < step ? left : step));
		client_reply_done(change);
		client_get_wait(client, path, left < step ? left : step, change);
		progress_update(progress, change->json);
	}
	return true;
}

int change_run(struct cli *cli, struct client *client, cJSON *body, const struct change_opts *o)
{
	_cleanup_free_ char *text = x_check(cJSON_PrintUnformatted(body));
	_cleanup_reply_ struct reply change = {0};
	struct progress progress = {0};
	bool over;
	int code;

	cJSON_Delete(body);
	if (o->wait)
		progress_begin(&progress, cli, client, o->lines);
	if (client_send(client, "POST", "/v1/changes", text, &change) / 100 != 2)
		return report_manifest_reply(o->sources, &change);
	if (!o->wait)
		return print_outcome(cli, change.json, o);
	intr_change();
	over = wait_over(client, &progress, o->timeout_ms, &change);
	progress_end(&progress, change.json);
	code = over ? print_outcome(cli, change.json, o) : CODE_TIMEOUT;
	if (!over) {
		print_services(cli, change.json);
		print_timeout(change.json, o->timeout_ms);
	}
	return code;
}

int change_services(struct cli *cli, const struct args *args, const char *kind)
{
	struct change_opts o = {.wait = !args_flag(args, "no-wait"),
				.timeout_ms = args_duration(args, "timeout", CHANGE_TIMEOUT_MS)};
	_cleanup_client_ struct client *client = client_open(cli);
	cJSON *body = change_new(kind);
	cJSON *list = x_check(cJSON_AddArrayToObject(body, "services"));

	for (size_t i = 0; i < args->n_operands; i++)
		cJSON_AddItemToArray(list, x_check(cJSON_CreateString(args->operands[i])));
	return change_run(cli, client, body, &o);
}
