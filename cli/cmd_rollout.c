/*
 * cmd_rollout: aictl rollout history, who applied what to a set, and when; with --revision one of
 * them with its manifests, for those who may apply.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <string.h>

#include "cli/args.h"
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

static int run(struct cli *cli, const struct args *args)
{
	if (strcmp(args->operands[0], "history") == 0)
		return history(cli, args);
	report_usage(args->command, "rollout %s: unknown; there is: history", args->operands[0]);
}

static const struct option_spec options[] = {
	{0, "revision", "N", "this one, with its manifests", NULL},
	OUTPUT_OPTION,
	{0},
};

const struct command cmd_rollout_command = {
	.name = "rollout",
	.group = GROUP_LOOK,
	.synopsis = "history [OPTIONS] [SET]",
	.summary = "Show the revisions of an apply set",
	.details = "Who applied what, when, and from which git commit; the last ten of each set.\n"
		   "SET may be left out when there is only one. BY is what the client said of\n"
		   "itself; the uid beside it in -o json is what the kernel said.\n\n"
		   "With --revision its manifests are printed as they were applied, to those who\n"
		   "may apply.",
	.examples = "aictl rollout history\n"
		    "aictl rollout history shop -o wide\n"
		    "aictl rollout history shop --revision 3",
	.options = options,
	.args_min = 1,
	.args_max = 2,
	.run = run,
};
