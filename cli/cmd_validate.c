/*
 * cmd_validate: aictl validate, checks a manifest with the function that the daemon uses, and what
 * this machine has of it: users, programs, directories, limits. No daemon is needed.
 *
 * Errors and warnings go to stderr, each with its line; -o json and yaml make one document of them
 * on stdout instead, whatever came out.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <string.h>
#include <cjson/cJSON.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/cmd.h"
#include "cli/output.h"
#include "cli/report.h"
#include "cli/report_manifest.h"
#include "cli/sources.h"
#include "cli/text.h"
#include "cli/x.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/manifest.h"
#include "lib/manifest_host.h"
#include "lib/mem.h"

struct verdict {
	const struct sources *sources;
	const struct manifest *m; /* NULL: invalid */
	struct manifest_errors errors;
	struct manifest_errors host; /* what this machine lacks */
	bool strict;
};

static size_t count_warnings(const struct verdict *v)
{
	return (v->m ? v->m->warnings.n : 0) + v->host.n;
}

static bool is_valid(const struct verdict *v)
{
	return v->m && !(v->strict && count_warnings(v) > 0);
}

/* --- JSON ------------------------------------------------------------------------------- */

static void add_number(cJSON *o, const char *name, unsigned value)
{
	x_check(value ? cJSON_AddNumberToObject(o, name, value) : cJSON_AddNullToObject(o, name));
}

static void add_text(cJSON *o, const char *name, const char *text)
{
	x_check(text ? cJSON_AddStringToObject(o, name, text) : cJSON_AddNullToObject(o, name));
}

/* The error objects of the API. */
static void add_errors(cJSON *list, const struct manifest_errors *errors)
{
	for (size_t i = 0; errors && i < errors->n; i++) {
		const struct err *e = errors->errs[i];
		cJSON *o = x_check(cJSON_CreateObject());

		add_text(o, "code", err_code_name(e->code));
		add_text(o, "message", err_msg(e));
		add_text(o, "file", e->file);
		add_number(o, "line", e->line);
		add_number(o, "column", e->column);
		add_text(o, "hint", e->hint);
		cJSON_AddItemToArray(list, o);
	}
}

static cJSON *to_json(const struct verdict *v)
{
	cJSON *o = x_check(cJSON_CreateObject()), *list;

	x_check(cJSON_AddBoolToObject(o, "valid", is_valid(v)));
	add_text(o, "set", v->m ? v->m->name : NULL);
	list = x_check(cJSON_AddArrayToObject(o, "services"));
	for (size_t i = 0; v->m && i < v->m->n_services; i++) {
		cJSON *s = x_check(cJSON_CreateObject());

		add_text(s, "name", v->m->services[i]->name);
		cJSON_AddItemToArray(list, s);
	}
	add_errors(x_check(cJSON_AddArrayToObject(o, "errors")), &v->errors);
	x_check(cJSON_AddBoolToObject(o, "more_errors", v->errors.more));
	list = x_check(cJSON_AddArrayToObject(o, "warnings"));
	add_errors(list, v->m ? &v->m->warnings : NULL);
	add_errors(list, &v->host);
	return o;
}

/* --- for people ------------------------------------------------------------------------- */

/* "aictl.yaml", "services/", "a.yaml, b.yaml", as they were named. */
static char *shown_files(const struct verdict *v, const struct args *args)
{
	const char *path = args_nth(args, "file", 0), *slash;
	struct buf b = {0};

	if (!path) {
		slash = strrchr(v->sources->v[0].path, '/');
		buf_str(&b, slash ? slash + 1 : v->sources->v[0].path);
	}
	for (size_t i = 0; (path = args_nth(args, "file", i)) != NULL; i++)
		buf_printf(&b, "%s%s", i ? ", " : "", strcmp(path, "-") == 0 ? "<stdin>" : path);
	return x_check(buf_take(&b));
}

static void report(const struct verdict *v, const struct args *args)
{
	_cleanup_free_ char *files = shown_files(v, args), *services = NULL, *warnings = NULL;
	size_t n = count_warnings(v);

	report_manifest_errors(v->sources, &v->errors);
	if (!v->m)
		return;
	report_manifest_warnings(v->sources, &v->m->warnings);
	report_manifest_warnings(v->sources, &v->host);
	services = text_count((int64_t)v->m->n_services, "service");
	warnings = text_count((int64_t)n, "warning");
	if (is_valid(v))
		printf("%s: %s, valid%s%s\n", files, services, n ? ", " : "", n ? warnings : "");
	else
		report_plain("%s: %s, and --strict makes errors of them", files, warnings);
}

static void show(const struct cli *cli, const struct args *args, const struct verdict *v)
{
	static const struct output_view view = {.list = "services", .id = "name"};
	struct output out;
	cJSON *json;

	output_begin(&out, cli, args);
	if (out.format == OUTPUT_TABLE || out.format == OUTPUT_WIDE) {
		report(v, args);
		return;
	}
	if (out.format == OUTPUT_NAME) {
		report_manifest_errors(v->sources, &v->errors);
		if (v->m)
			report_manifest_warnings(v->sources, &v->m->warnings);
		report_manifest_warnings(v->sources, &v->host);
	}
	json = to_json(v);
	output_json(&out, &view, json);
	cJSON_Delete(json);
}

static int run(struct cli *cli, const struct args *args)
{
	struct verdict v = {.strict = args_flag(args, "strict")};
	struct sources sources;
	struct manifest *m;
	int code;

	sources_load(cli, args, &sources);
	v.sources = &sources;
	v.m = m = sources_parse(&sources, &v.errors);
	if (m)
		manifest_host_check(m, HOST_WARN, &v.host);
	show(cli, args, &v);
	code = is_valid(&v) ? CODE_OK : CODE_MANIFEST;
	manifest_errors_done(&v.errors);
	manifest_errors_done(&v.host);
	manifest_free(m);
	cli->dir = NULL;
	sources_done(&sources);
	return code;
}

static const struct option_spec options[] = {
	{'f', "file", "FILE|DIR", "manifest; may be repeated, - is standard input", NULL},
	OUTPUT_OPTION,
	{0, "strict", NULL, "warnings are errors, too", NULL},
	{0},
};

const struct command cmd_validate_command = {
	.name = "validate",
	.group = GROUP_MANIFEST,
	.synopsis = "[OPTIONS]",
	.summary = "Check a manifest without applying it",
	.details =
		"Needs no daemon. Shows all errors at once, each with its line and a caret under\n"
		"the value; exit code 9 when there are any. What this machine lacks (a user, a\n"
		"program, a directory, a limit that is too low) is a warning here, since the\n"
		"manifest may be for another one.\n\n"
		"-o json and yaml print errors and warnings as a document with the same objects\n"
		"that the daemon's API has; the exit code is the same.",
	.examples = "aictl validate\n"
		    "aictl validate -f services/ --strict\n"
		    "aictl validate -f aictl.yaml -f production.yaml -o json",
	.options = options,
	.run = run,
};
