/*
 * cmd_explain: aictl explain, a key of the manifest in words, and `--schema`, the JSON Schema for
 * editors. All of it comes from the table in lib/schema_table.c, so no key can be missing; no daemon is
 * needed.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <string.h>
#include <cjson/cJSON.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/cmd.h"
#include "cli/key.h"
#include "cli/output.h"
#include "cli/pretty.h"
#include "cli/report.h"
#include "cli/table.h"
#include "cli/term.h"
#include "cli/x.h"
#include "lib/buf.h"
#include "lib/jsonw.h"
#include "lib/mem.h"
#include "lib/schema.h"
#include "lib/schema_json.h"

#define NARROW 100 /* columns: what a key means is worth more than its type */

static int print_schema(const char *kind)
{
	_cleanup_buf_ struct buf compact = {0}, text = {0};
	struct jsonw w = {.out = &compact};

	schema_json_write(strcmp(kind, "overlay") == 0 ? SCHEMA_JSON_OVERLAY : SCHEMA_JSON_MANIFEST,
			  &w);
	if (compact.failed)
		x_check(NULL);
	pretty_json(compact.data, compact.len, &text);
	if (text.failed)
		x_check(NULL);
	fwrite(text.data, 1, text.len, stdout);
	return CODE_OK;
}

static void add_text(cJSON *o, const char *name, const char *text)
{
	x_check(*text ? cJSON_AddStringToObject(o, name, text) : cJSON_AddNullToObject(o, name));
}

/* Who alone has it, or "". */
static const char *only_of(const struct schema_row *row)
{
	unsigned only = schema_only(row);

	return only == SCHEMA_CONTAINER ? "container" : only == SCHEMA_PROCESS ? "process" : "";
}

static void add_row(cJSON *list, const struct schema_row *row)
{
	_cleanup_free_ char *range = key_range(row), *example = key_example(row);
	cJSON *o = x_check(cJSON_CreateObject());

	add_text(o, "key", schema_shown(row));
	add_text(o, "path", row->path);
	add_text(o, "type", key_type(row));
	x_check(cJSON_AddBoolToObject(o, "required", (row->flags & SCHEMA_REQUIRED) != 0));
	add_text(o, "default", row->def ? row->def : "");
	add_text(o, "default_note", row->def_note ? row->def_note : "");
	add_text(o, "range", range);
	add_text(o, "change", key_change(row));
	add_text(o, "only", only_of(row));
	add_text(o, "doc", row->doc);
	add_text(o, "example", example);
	cJSON_AddItemToArray(list, o);
}

/* The row and all below it; without one, all rows. */
static cJSON *rows_json(const struct schema_row *only)
{
	cJSON *reply = x_check(cJSON_CreateObject());
	cJSON *list = x_check(cJSON_AddArrayToObject(reply, "keys"));
	const struct schema_row *rows;
	size_t n;

	rows = schema_rows(&n);
	for (size_t i = 0; i < n; i++)
		if (!(rows[i].flags & SCHEMA_HIDDEN) && (!only || schema_below(&rows[i], only)))
			add_row(list, &rows[i]);
	return reply;
}

/* --- the tree --------------------------------------------------------------------------- */

static int depth_of(const char *path)
{
	int depth = 0;

	for (; *path; path++)
		depth += *path == '.';
	return depth;
}

enum tree { TREE_NARROW, TREE_NORMAL, TREE_WIDE };

static void tree_row(struct table *t, const struct schema_row *row, int depth, enum tree how)
{
	table_row(t);
	table_cell(t, TERM_BOLD, "%*s%s", 2 * depth, "", schema_key(row));
	if (how != TREE_NARROW)
		table_cell(t, NULL, "%s", key_type(row));
	if (how == TREE_WIDE) {
		_cleanup_free_ char *range = key_range(row);

		table_cell(t, NULL, "%s", key_default(row));
		table_cell(t, NULL, "%s", range);
		table_cell(t, NULL, "%s", key_change(row));
	}
	table_cell(t, NULL, "%s", row->doc);
}

/* Rows below only; without it, all. */
static void tree(const struct cli *cli, const struct schema_row *only, bool wide)
{
	bool narrow = cli->term.columns > 0 && cli->term.columns < NARROW;
	enum tree how = wide ? TREE_WIDE : narrow ? TREE_NARROW : TREE_NORMAL;
	struct table t = {.term = &cli->term};
	const struct schema_row *rows;
	int base = only ? depth_of(only->path) + 1 : 0;
	size_t n;

	if (wide)
		table_header(&t, "KEY", "TYPE", "DEFAULT", "RANGE", "CHANGE", "WHAT", NULL);
	else if (how == TREE_NORMAL)
		table_header(&t, "KEY", "TYPE", "WHAT", NULL);
	else
		table_header(&t, "KEY", "WHAT", NULL);
	rows = schema_rows(&n);
	for (size_t i = 0; i < n; i++)
		if (!(rows[i].flags & SCHEMA_HIDDEN) &&
		    (!only || (&rows[i] != only && schema_below(&rows[i], only))))
			tree_row(&t, &rows[i], depth_of(rows[i].path) - base, how);
	table_print(&t);
	table_done(&t);
}

/* --- one key ---------------------------------------------------------------------------- */

static void line(const struct cli *cli, const char *label, const char *text)
{
	if (*text)
		printf("  %s%-9s%s %s\n", term_paint(&cli->term, TERM_DIM), label,
		       term_paint(&cli->term, TERM_RESET), text);
}

static void page(const struct cli *cli, const struct schema_row *row, bool wide)
{
	_cleanup_free_ char *range = key_range(row), *example = key_example(row);

	printf("%s%s%s: %s\n\n  %s.\n\n", term_paint(&cli->term, TERM_BOLD), schema_shown(row),
	       term_paint(&cli->term, TERM_RESET), key_type(row), row->doc);
	line(cli, "Default", key_default(row));
	line(cli, row->type == SCHEMA_ENUM ? "Words" : "Range", range);
	line(cli, "Change", key_change_text(row));
	line(cli, "Only", schema_only(row) == SCHEMA_PROCESS ? "where there is no image" : "");
	line(cli, "Only", schema_only(row) == SCHEMA_CONTAINER ? "where there is an image" : "");
	if (row->flags & SCHEMA_EXPANDED)
		line(cli, "Text", "${PORT}, ${REPLICA}, ${SERVICE}, ${env:NAME} ... are replaced");
	if (row->flags & SCHEMA_ONE_OR_MANY)
		line(cli, "Short", "a list of one may be written without the brackets");
	if (row->flags & SCHEMA_SHORTHAND)
		line(cli, "Short", "a bare value is that of its first key");
	line(cli, "Example", example);
	if (schema_next(row, NULL)) {
		printf("\n");
		tree(cli, row, wide);
	}
}

static int show(const struct cli *cli, const struct args *args, const struct schema_row *row)
{
	static const struct output_view view = {.list = "keys", .id = "key"};
	struct output out;
	cJSON *json;

	output_begin(&out, cli, args);
	if (out.format == OUTPUT_TABLE || out.format == OUTPUT_WIDE) {
		bool wide = out.format == OUTPUT_WIDE;

		if (row)
			page(cli, row, wide);
		else
			tree(cli, NULL, wide);
		return CODE_OK;
	}
	json = rows_json(row);
	output_json(&out, &view, json);
	cJSON_Delete(json);
	return CODE_OK;
}

static int run(struct cli *cli, const struct args *args)
{
	const char *key = args->n_operands ? args->operands[0] : NULL;
	const struct schema_row *row = NULL;
	_cleanup_free_ char *hint = NULL;

	if (args_flag(args, "schema") || args_flag(args, "overlay-schema")) {
		if (key)
			report_usage(args->command, "--schema: the schema is that of all keys");
		return print_schema(args_flag(args, "schema") ? "manifest" : "overlay");
	}
	if (key) {
		row = key_find(key, &hint);
		if (!row) {
			report_plain("no such key: %s", key);
			if (hint)
				report_hint("%s", hint);
			else
				report_hint("all keys: aictl explain");
			return CODE_UNKNOWN;
		}
	}
	return show(cli, args, row);
}

static const struct option_spec options[] = {
	OUTPUT_OPTION,
	{0, "schema", NULL, "print the JSON Schema of a manifest, for editors", NULL},
	{0, "overlay-schema", NULL, "print the JSON Schema of overlays (later -f files)", NULL},
	{0},
};

const struct command cmd_explain_command = {
	.name = "explain",
	.group = GROUP_MANIFEST,
	.synopsis = "[OPTIONS] [KEY]",
	.summary = "Explain a key of the manifest, or list all of them",
	.details =
		"Shows type, default, range, what a change of the key does to running replicas, an\n"
		"example and the keys inside. KEY is written from the service or from the top of\n"
		"the file; its last parts are enough when no other key ends in them. Exits 4 when\n"
		"there is no such key.\n\n"
		"The schema is installed, too; examples and `aictl init` name it in a comment that\n"
		"editors with a YAML language server understand.",
	.examples = "aictl explain\n"
		    "aictl explain restart.backoff\n"
		    "aictl explain services.chat.ports -o json\n"
		    "aictl explain --schema > aictl-manifest.schema.json",
	.options = options,
	.args_max = 1,
	.run = run,
};
