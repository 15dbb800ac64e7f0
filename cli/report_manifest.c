/* report_manifest: see report_manifest.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/report_manifest.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/compose_find.h"
#include "cli/js.h"
#include "cli/report.h"
#include "cli/sources.h"
#include "cli/term.h"
#include "cli/x.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/mem.h"

/* The path as the user would type it: relative when it is below the current directory. */
static char *shown_path(const char *path)
{
	_cleanup_free_ char *cwd = x_check(getcwd(NULL, 0));
	size_t n = strlen(cwd);

	if (strncmp(path, cwd, n) == 0 && path[n] == '/')
		path += n + 1;
	return x_strdup(strcmp(path, "-") == 0 ? "<stdin>" : path);
}

typedef int print_fn(struct buf *out, const struct err *e, const char *text, bool colour);

static void print_placed(const struct sources *sources, const struct err *e, print_fn *print)
{
	const struct manifest_source *s = sources_find(sources, e->file);
	_cleanup_free_ char *path = shown_path(e->file);
	_cleanup_buf_ struct buf out = {0};
	struct err shown = *e;

	shown.file = path;
	if (print(&out, &shown, s ? s->text : NULL, term_wants_color(STDERR_FILENO)) < 0)
		x_check(NULL);
	fflush(stdout);
	fputs(buf_cstr(&out), stderr);
}

static void print_one(const struct sources *sources, const struct err *e)
{
	if (e->file)
		print_placed(sources, e, manifest_print_error);
	else
		report_err(e);
}

void report_manifest_errors(const struct sources *sources, const struct manifest_errors *errors)
{
	for (size_t i = 0; i < errors->n; i++)
		print_one(sources, errors->errs[i]);
	if (errors->more)
		report_hint("there are more errors; repair these first");
	for (size_t i = 0; sources && sources->dir && errors->n > 0 && i < sources->n; i++) {
		_cleanup_free_ char *path = shown_path(sources->v[i].path);

		if (compose_find_is_name(path))
			report_hint("a manifest is made of a Compose file by: "
				    "aictl import %s -o aictl.yaml",
				    path);
	}
}

void report_manifest_warnings(const struct sources *sources, const struct manifest_errors *warnings)
{
	for (size_t i = 0; i < warnings->n; i++)
		if (warnings->errs[i]->file)
			print_placed(sources, warnings->errs[i], manifest_print_warning);
	if (warnings->more)
		report_hint("there are more warnings");
}

static enum err_code code_of(const char *token)
{
	for (int c = ERR_INVALID; c < ERR_CODE_MAX_; c++) {
		if (strcmp(err_code_name((enum err_code)c), token) == 0)
			return (enum err_code)c;
	}
	if (strcmp(token, "revision_conflict") == 0)
		return ERR_CONFLICT;
	return ERR_BUSY; /* safe_mode, starting, ...: the operation failed */
}

int report_manifest_to_err(const cJSON *error, int status, struct err **reterr)
{
	const char *file = js_str(error, "file", NULL), *hint = js_str(error, "hint", NULL);

	if (!error)
		return err_set(reterr, ERR_BUSY, "the daemon answered with HTTP status %d", status);
	err_set(reterr, code_of(js_str(error, "code", "")), "%s",
		js_str(error, "message", "unknown error"));
	if (file)
		err_place(reterr, file, (unsigned)js_int(error, "line", 0),
			  (unsigned)js_int(error, "column", 0));
	if (hint)
		err_hint(reterr, "%s", hint);
	return -(int)(*reterr)->code;
}

int report_manifest_json(const struct sources *sources, const cJSON *error)
{
	const char *token = js_str(error, "code", "");
	_cleanup_err_ struct err *e = NULL;

	report_manifest_to_err(error, 0, &e);
	print_one(sources, e);
	if (strcmp(token, "not_running") == 0)
		return CODE_NOT_READY;
	return e->code == ERR_INVALID && e->file ? CODE_MANIFEST : (int)report_code_of(e);
}

void report_manifest_warnings_json(const struct sources *sources, const cJSON *warnings)
{
	const cJSON *w;

	cJSON_ArrayForEach (w, warnings) {
		_cleanup_err_ struct err *e = NULL;

		report_manifest_to_err(w, 0, &e);
		if (e->file)
			print_placed(sources, e, manifest_print_warning);
		else
			report_warning("%s", err_msg(e));
	}
}

int report_manifest_reply(const struct sources *sources, const struct reply *reply)
{
	const cJSON *error = js_get(reply->json, "error"), *e;
	const cJSON *errors = js_get(reply->json, "errors");
	_cleanup_err_ struct err *only = NULL;
	int code;

	if (!errors)
		errors = js_get(error, "errors");
	if (!error) {
		report_manifest_to_err(NULL, reply->status, &only);
		return (int)report_err(only);
	}
	if (cJSON_GetArraySize(errors) == 0) {
		code = report_manifest_json(sources, error);
		return reply->status == 422 ? CODE_MANIFEST : code;
	}
	cJSON_ArrayForEach (e, errors)
		report_manifest_json(sources, e);
	return CODE_MANIFEST;
}
