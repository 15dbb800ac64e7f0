/*
 * cmd_rollout: aictl rollout. status: how a service's update goes, or went, and those before it.
 * undo, pause, resume, promote, abort. history: who applied what to a set, and when; with --revision one of them
 * with its manifests, for those who may apply.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <string.h>

#include "cli/args.h"
#include "cli/change.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/js.h"
#include "cli/output.h"
#include "cli/report.h"
#include "cli/report_manifest.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/x.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/mem.h"

/* "alice", or the uid: the name is only what the client said. */
static char *who(const cJSON *r)
{
	const char *user = js_str(r, "user", NULL);

	return user ? x_strdup(user) : x_printf("uid %lld", (long long)js_int(r, "uid", 0));
}

/* "1a2b3c4d (main, dirty)" */
static char *commit(const cJSON *r)
{
	const cJSON *git = js_get(r, "git");
	const char *branch = js_str(git, "branch", "");
	bool dirty = js_bool(git, "dirty");

	if (!git)
		return x_strdup("-");
	return x_printf("%.8s%s%s%s%s%s", js_str(git, "commit", "?"), *branch || dirty ? " (" : "",
			branch, *branch && dirty ? ", " : "", dirty ? "dirty" : "",
			*branch || dirty ? ")" : "");
}

static char *service_names(const cJSON *r)
{
	struct buf b = {0};
	const cJSON *name;

	cJSON_ArrayForEach (name, js_get(r, "services")) {
		if (cJSON_IsString(name))
			buf_printf(&b, "%s%s", b.len ? ", " : "", name->valuestring);
	}
	buf_str(&b, "");
	return x_check(buf_take(&b));
}

static void print_list(const struct output *out, const cJSON *reply)
{
	struct table t = {.term = &out->cli->term, .drop = "HASH COMMIT BY"};
	int64_t now = clock_wall_ms();
	const cJSON *r;

	if (out->format == OUTPUT_WIDE)
		table_header(&t, "REVISION", "APPLIED", "BY", "COMMIT", "HASH", "SERVICES", NULL);
	else
		table_header(&t, "REVISION", "APPLIED", "BY", "COMMIT", "SERVICES", NULL);
	cJSON_ArrayForEach (r, js_get(reply, "revisions")) {
		_cleanup_free_ char *age = text_age(r, "at", now), *by = who(r), *git = commit(r);
		_cleanup_free_ char *names = service_names(r);

		table_row(&t);
		table_cell(&t, NULL, "%lld", (long long)js_int(r, "number", 0));
		table_cell(&t, NULL, "%s ago", age);
		table_cell(&t, NULL, "%s", by);
		table_cell(&t, NULL, "%s", git);
		if (out->format == OUTPUT_WIDE)
			table_cell(&t, NULL, "%s", js_str(r, "hash", "-"));
		table_cell(&t, NULL, "%s", names);
	}
	table_print(&t);
	table_done(&t);
}

/* The manifests as they were applied; of the files that they name only the names: they are often
 * secret. */
static void print_manifests(const cJSON *r)
{
	const cJSON *m;

	if (!js_get(r, "manifests"))
		printf("\nIts manifests are shown to those only who may apply.\n");
	cJSON_ArrayForEach (m, js_get(r, "manifests")) {
		const char *text = js_str(m, "text", NULL);

		printf("\n# %s%s\n", js_str(m, "path", "?"), text ? "" : " (content not shown)");
		if (text)
			printf("%s%s", text, *text && text[strlen(text) - 1] == '\n' ? "" : "\n");
	}
}

static void print_one(const struct output *out, const cJSON *reply)
{
	const cJSON *r = cJSON_GetArrayItem(js_get(reply, "revisions"), 0);
	_cleanup_free_ char *by = who(r), *git = commit(r), *names = service_names(r);

	(void)out;
	printf("%-10s %lld of set %s\n", "Revision", (long long)js_int(r, "number", 0),
	       js_str(reply, "set", "?"));
	printf("%-10s %s\n", "Applied", js_str(r, "at", "?"));
	printf("%-10s %s (uid %lld)\n", "By", by, (long long)js_int(r, "uid", 0));
	printf("%-10s %s\n", "Commit", git);
	printf("%-10s %s\n", "Hash", js_str(r, "hash", "-"));
	printf("%-10s %s\n", "Services", names);
	print_manifests(r);
}

static char *history_path(const struct args *args, int64_t number)
{
	_cleanup_free_ char *set =
		args->n_operands > 1 ? client_escape(args->operands[1]) : x_strdup("");
	_cleanup_free_ char *query = x_printf("%s%s", *set ? "set=" : "", set);

	if (number)
		return x_printf("/v1/revisions?%s%snumber=%lld", query, *set ? "&" : "",
				(long long)number);
	return x_printf("/v1/revisions%s%s", *set ? "?" : "", query);
}

/* "hint: one of: shop, tools" */
static void hint_sets(struct client *client)
{
	_cleanup_reply_ struct reply reply = {0};
	_cleanup_buf_ struct buf names = {0};
	const cJSON *s;

	client_get(client, "/v1/sets", &reply);
	cJSON_ArrayForEach (s, js_get(reply.json, "sets"))
		buf_printf(&names, "%s%s", names.len ? ", " : "", js_str(s, "name", "?"));
	report_hint("write aictl rollout history SET, one of: %s", buf_cstr(&names));
}

static int history(struct cli *cli, const struct args *args)
{
	static const struct output_view list = {
		.table = print_list, .list = "revisions", .id = "number"};
	static const struct output_view one = {
		.table = print_one, .list = "revisions", .id = "number"};
	int64_t number = args_number(args, "revision", 1, INT64_C(1) << 53, 0);
	_cleanup_free_ char *path = history_path(args, number);
	_cleanup_client_ struct client *client = NULL;
	_cleanup_reply_ struct reply reply = {0};
	struct output out;

	output_begin(&out, cli, args);
	client = client_open(cli);
	if (client_send(client, "GET", path, NULL, &reply) == 400 && args->n_operands < 2) {
		int code = report_manifest_reply(NULL, &reply);

		hint_sets(client);
		return code;
	}
	client_check(&reply);
	output_reply(&out, number ? &one : &list, &reply);
	return CODE_OK;
}

/* ---- status ---- */

/* "rolled_back" as people say it. */
static char *words(const char *state)
{
	char *s = x_strdup(state);

	for (char *p = s; *p; p++)
		if (*p == '_')
			*p = ' ';
	return s;
}

static void print_past(const struct output *out, const cJSON *rollout)
{
	struct table t = {.term = &out->cli->term, .drop = "CHANGED REASON"};
	int64_t now = clock_wall_ms();
	const cJSON *r;

	if (cJSON_GetArraySize(js_get(rollout, "history")) == 0)
		return;
	printf("\n");
	table_header(&t, "BEFORE", "ENDED", "STATE", "CHANGED", "REASON", NULL);
	cJSON_ArrayForEach (r, js_get(rollout, "history")) {
		_cleanup_free_ char *age = text_age(r, "ended_at", now);
		_cleanup_free_ char *state = words(js_str(r, "state", "?"));

		table_row(&t);
		table_cell(&t, NULL, "revision %lld", (long long)js_int(r, "revision", 0));
		table_cell(&t, NULL, "%s ago", age);
		table_cell(&t, NULL, "%s", state);
		table_cell(&t, NULL, "%s", js_str(r, "keys", ""));
		table_cell(&t, NULL, "%s", js_str(r, "reason", ""));
	}
	table_print(&t);
	table_done(&t);
}

static double number(const cJSON *o, const char *name)
{
	const cJSON *v = js_get(o, name);

	return cJSON_IsNumber(v) ? v->valuedouble : -1;
}

/* "84 ms", "1.91 s" */
static char *time_of(const cJSON *side)
{
	double ms = number(side, "p95_ms");

	if (ms < 0)
		return x_strdup("-");
	if (ms < 1000)
		return x_printf("%.*f ms", ms < 10 ? 1 : 0, ms);
	return x_printf("%.2f s", ms / 1000);
}

static void side_row(struct table *t, const char *name, int64_t revision, int64_t share,
		     const cJSON *side)
{
	_cleanup_free_ char *p95 = time_of(side);
	double rate = number(side, "error_rate");

	table_row(t);
	table_cell(t, NULL, "%s", name);
	table_cell(t, NULL, "%lld", (long long)revision);
	table_cell(t, NULL, "%lld %%", (long long)share);
	table_cell(t, NULL, "%lld", (long long)js_int(side, "requests", 0));
	if (rate < 0)
		table_cell(t, NULL, "-");
	else
		table_cell(t, NULL, "%.1f %%", rate * 100);
	table_cell(t, NULL, "%s", p95);
}

/* Both revisions, as they are counted since the step began. */
static void print_canary(const struct output *out, const cJSON *rollout)
{
	const cJSON *c = js_get(rollout, "canary");
	int64_t share = js_int(c, "share_percent", 0);
	struct table t = {.term = &out->cli->term};

	if (!js_str(c, "verdict", NULL))
		return;
	printf("%-10s %lld of %lld: %lld %%", "Step", (long long)js_int(c, "step", 0),
	       (long long)js_int(c, "steps", 0), (long long)js_int(c, "step_percent", 0));
	if (js_str(c, "until", NULL)) {
		int64_t left = js_time(c, "until") - clock_wall_ms();
		char human[24];

		printf(left > 0 ? ", for %s more" : ", its time is over",
		       clock_human(left, human, sizeof(human)));
	} else {
		printf(", when %lld replicas are available", (long long)js_int(c, "replicas", 0));
	}
	printf("\n%-10s %s: %s\n\n", "Verdict", js_str(c, "verdict", "?"),
	       js_str(c, "message", ""));
	table_header(&t, "", "REVISION", "SHARE", "REQUESTS", "ERRORS", "P95", NULL);
	side_row(&t, "canary", js_int(rollout, "revision", 0), share, js_get(c, "new"));
	side_row(&t, "stable", js_int(rollout, "good_revision", 0), 100 - share,
		 js_get(c, "stable"));
	table_print(&t);
	table_done(&t);
}

static void print_status(const struct output *out, const cJSON *service)
{
	const cJSON *r = js_get(service, "rollout");
	_cleanup_free_ char *state = words(js_str(r, "state", "never updated"));

	printf("%-10s %s\n", "Service", js_str(service, "name", "?"));
	printf("%-10s %s\n", "State", state);
	if (!r)
		return;
	if (js_str(r, "reason", "")[0])
		printf("%-10s %s\n", "Reason", js_str(r, "reason", ""));
	printf("%-10s %lld%s%s\n", "Revision", (long long)js_int(r, "revision", 0),
	       js_str(r, "keys", "")[0] ? ", changed: " : "", js_str(r, "keys", ""));
	if (js_int(r, "good_revision", 0))
		printf("%-10s %lld\n", "Last good", (long long)js_int(r, "good_revision", 0));
	printf("%-10s %lld of %lld\n", "Available", (long long)js_int(r, "available", 0),
	       (long long)js_int(r, "desired", 0));
	print_canary(out, r);
	print_past(out, r);
}

static void need_service(const struct args *args)
{
	if (args->n_operands < 2)
		report_usage(args->command, "rollout %s: name a service", args->operands[0]);
}

static int status(struct cli *cli, const struct args *args)
{
	static const struct output_view view = {.table = print_status, .id = "name"};
	_cleanup_client_ struct client *client = NULL;
	_cleanup_reply_ struct reply reply = {0};
	_cleanup_free_ char *name = NULL, *path = NULL;
	struct output out;

	need_service(args);
	name = client_escape(args->operands[1]);
	path = x_printf("/v1/services/%s", name);
	output_begin(&out, cli, args);
	client = client_open(cli);
	client_get(client, path, &reply);
	output_reply(&out, &view, &reply);
	return CODE_OK;
}

/* ---- undo, pause, resume, promote, abort ---- */

static int change(struct cli *cli, const struct args *args)
{
	struct change_opts o = {.wait = !args_flag(args, "no-wait"),
				.timeout_ms = args_duration(args, "timeout", CHANGE_TIMEOUT_MS)};
	_cleanup_free_ char *kind = x_printf("rollout_%s", args->operands[0]);
	int64_t to = args_number(args, "to", 1, INT64_C(1) << 53, 0);
	_cleanup_client_ struct client *client = NULL;
	cJSON *body, *list;

	need_service(args);
	client = client_open(cli);
	body = change_new(kind);
	list = x_check(cJSON_AddArrayToObject(body, "services"));
	cJSON_AddItemToArray(list, x_check(cJSON_CreateString(args->operands[1])));
	if (to)
		x_check(cJSON_AddNumberToObject(body, "revision", (double)to));
	return change_run(cli, client, body, &o);
}

static int run(struct cli *cli, const struct args *args)
{
	static const char *const changes[] = {"undo", "pause", "resume", "promote", "abort"};
	const char *what = args->operands[0];

	for (size_t i = 0; i < ARRAY_SIZE(changes); i++)
		if (strcmp(what, changes[i]) == 0)
			return change(cli, args);
	if (strcmp(what, "history") == 0)
		return history(cli, args);
	if (strcmp(what, "status") == 0)
		return status(cli, args);
	report_usage(
		args->command,
		"rollout %s: unknown; there are: status, history, undo, pause, resume, promote, "
		"abort",
		what);
}

static const struct option_spec options[] = {
	{0, "revision", "N", "history: this one, with its manifests", NULL},
	{0, "to", "N", "undo: to this revision of the set", NULL},
	{0, "no-wait", NULL, "return when the daemon has accepted it", NULL},
	{0, "timeout", "TIME", "wait at most so long (default 10m); exit code 5", NULL},
	OUTPUT_OPTION,
	{0},
};

const struct command cmd_rollout_command = {
	.name = "rollout",
	.group = GROUP_LOOK,
	.synopsis = "status|undo|pause|resume|promote|abort|history [OPTIONS] [SERVICE|SET]",
	.summary = "Follow, pause and undo updates; show what was applied",
	.details =
		"status shows how the update of a service goes, or went, why it failed, and the\n"
		"ones before. pause and resume hold it and let it go on. undo returns to the\n"
		"last good revision while an update is under way, else to the one before;\n"
		"--to names another. What is undone is this service alone.\n\n"
		"Of a canary (update.strategy), status prints its step, what both revisions did\n"
		"since that began, and what is thought of it. promote ends its steps: all get it.\n"
		"abort takes back an update that is under way, at once; there is no other undo.\n\n"
		"history shows who applied what, when, and from which git commit; the last ten of\n"
		"each set. A service's name stands for its set, with the revisions that hold it;\n"
		"SET may be left out when there is only one. BY is what the client said of\n"
		"itself; the uid beside it in -o json is what the kernel said.\n\n"
		"With --revision its manifests are printed as they were applied, to those who\n"
		"may apply.",
	.examples = "aictl rollout status sentiment\n"
		    "aictl rollout undo sentiment --to 3\n"
		    "aictl rollout promote sentiment\n"
		    "aictl rollout history\n"
		    "aictl rollout history sentiment\n"
		    "aictl rollout history shop -o wide\n"
		    "aictl rollout history shop --revision 3",
	.options = options,
	.args_min = 1,
	.args_max = 2,
	.run = run,
};
