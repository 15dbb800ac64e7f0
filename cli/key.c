/* key: see key.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/key.h"

#include <stdbool.h>
#include <string.h>

#include "cli/suggest.h"
#include "cli/x.h"
#include "lib/buf.h"
#include "lib/manifest_write.h"
#include "lib/mem.h"
#include "lib/schema.h"

/* Examples where the default, or the first of the keys inside, would say little. */
static const struct {
	const char *path, *value;
} examples[] = {
	{"name", "shop"},
	{"defaults", "{ restart: { policy: on-failure } }"},
	{"services", "{ chat: { command: [python3, app.py] } }"},
	{"x-*", "{ anything: goes }"},
	{"services.*", "{ command: [python3, app.py] }"},
	{"services.*.description", "Sentiment of a sentence"},
	{"services.*.command", "[python3, app.py, --port, \"${PORT}\"]"},
	{"services.*.working_dir", "./sentiment"},
	{"services.*.user", "nobody"},
	{"services.*.group", "nogroup"},
	{"services.*.umask", "027"},
	{"services.*.nice", "5"},
	{"services.*.oom_score", "500"},
	{"services.*.ulimits", "{ nofile: 1024, core: 0 }"},
	{"services.*.ulimits.nofile", "\"1024:4096\""},
	{"services.*.resources", "{ limits: { memory: 2GiB, cpus: 1.5, pids: 512 } }"},
	{"services.*.resources.limits", "{ memory: 2GiB, cpus: 1.5, pids: 512 }"},
	{"services.*.resources.limits.memory", "2GiB"},
	{"services.*.resources.limits.memory_high", "1536MiB"},
	{"services.*.resources.limits.swap", "0"},
	{"services.*.resources.limits.cpus", "1.5"},
	{"services.*.resources.limits.cpu_weight", "50"},
	{"services.*.resources.limits.io_weight", "50"},
	{"services.*.resources.limits.pids", "512"},
	{"services.*.resources.limits.cpuset", "\"0-3\""},
	{"services.*.resources.limits.oom_group", "false"},
	{"services.*.resources.required", "true"},
	{"services.*.env_file", "[.env]"},
	{"services.*.environment", "{ MODEL: models/v3.joblib, OMP_NUM_THREADS: \"2\" }"},
	{"services.*.secrets", "{ hf-token: { file: ~/.secrets/hf } }"},
	{"services.*.secrets.*", "{ file: ~/.secrets/hf }"},
	{"services.*.secrets.*.file", "~/.secrets/hf"},
	{"services.*.secrets.*.env", "HF_TOKEN"},
	{"services.*.labels", "{ team: nlp }"},
	{"services.*.replicas", "2"},
	{"services.*.port", "8000"},
	{"services.*.ports", "{ http: { port: 8000 }, metrics: {} }"},
	{"services.*.ports.*", "{ port: 8000 }"},
	{"services.*.ports.*.port", "8000"},
	{"services.*.ports.*.listen", "0.0.0.0"},
	{"services.*.probes", "{ readiness: { http: { path: /ready, port: 8000 } } }"},
	{"services.*.probes.startup", "{ http: { path: /healthz, port: 8000 }, stall: 5m }"},
	{"services.*.probes.readiness", "{ http: { path: /ready, port: 8000 }, period: 5s }"},
	{"services.*.probes.liveness", "{ http: { path: /healthz, port: 8000 }, period: 10s }"},
	{".http", "{ path: /healthz, port: 8000 }"},
	{".http.path", "/healthz"},
	{".tcp", "{ port: 6379 }"},
	{".http.port", "8000"},
	{".tcp.port", "6379"},
	{".exec", "{ command: [sh, -c, test -e ready] }"},
	{".exec.command", "[sh, -c, test -e ready]"},
	{"services.*.restart", "{ policy: on-failure, budget: { restarts: 5, window: 10m } }"},
	{"services.*.restart.policy", "on-failure"},
	{"services.*.restart.success_exit_codes", "[0, 143]"},
	{"services.*.restart.rules", "[{ exit: [125], then: fail }]"},
	{"services.*.restart.rules.*", "{ exit: [125], then: fail }"},
	{"services.*.restart.rules.*.exit", "[125, 126]"},
	{"services.*.restart.rules.*.then", "fail"},
};

static bool ends_in(const char *path, const char *end)
{
	size_t n = strlen(path), len = strlen(end);

	return n > len && strcmp(path + n - len, end) == 0;
}

/* --- finding ---------------------------------------------------------------------------- */

static bool is_index(const char *part)
{
	return part[0] && part[strspn(part, "0123456789")] == '\0';
}

/* The row of one part below row (NULL = the top). */
static const struct schema_row *step(const struct schema_row *row, const char *part)
{
	const struct schema_row *r;

	if (!row)
		return schema_child(NULL, part);
	if (row->type == SCHEMA_MAP || row->type == SCHEMA_ANY)
		return row; /* the user's own names */
	if ((row->type == SCHEMA_LIST || row->type == SCHEMA_INTS) && is_index(part))
		return row;
	r = schema_child(row, part);
	if (!r && (row->type == SCHEMA_SERVICES || row->type == SCHEMA_TABLE))
		r = schema_next(row, NULL);
	return r;
}

/* Follows the parts of text from row; NULL with the row where it ended and the part it lacks. */
static const struct schema_row *follow(const struct schema_row *row, const char *text,
				       const struct schema_row **ret_at, char **ret_part)
{
	for (const char *p = text; *p;) {
		size_t n = strcspn(p, ".");
		_cleanup_free_ char *part = x_strndup(p, n);
		const struct schema_row *next = step(row, part);

		if (!next) {
			*ret_at = row;
			*ret_part = TAKE_PTR(part);
			return NULL;
		}
		row = next;
		p += n + (p[n] == '.');
	}
	return row;
}

/* Rows whose path ends in ".text"; the last of them. */
static size_t count_ending(const char *text, const struct schema_row **ret)
{
	_cleanup_free_ char *end = x_printf(".%s", text);
	const struct schema_row *rows;
	size_t n, found = 0;

	rows = schema_rows(&n);
	for (size_t i = 0; i < n; i++) {
		if ((rows[i].flags & SCHEMA_HIDDEN) || !ends_in(rows[i].path, end))
			continue;
		*ret = &rows[i];
		found++;
	}
	return found;
}

/* "meant: a.period, b.period, ..." */
static char *list_ending(const char *text)
{
	_cleanup_free_ char *end = x_printf(".%s", text);
	const struct schema_row *rows;
	struct buf b = {0};
	size_t n;

	rows = schema_rows(&n);
	for (size_t i = 0; i < n; i++)
		if (!(rows[i].flags & SCHEMA_HIDDEN) && ends_in(rows[i].path, end))
			buf_printf(&b, "%s%s", b.len ? ", " : "one of ", schema_shown(&rows[i]));
	return x_check(buf_take(&b));
}

static void offer_children(struct suggest *s, const struct schema_row *at)
{
	const struct schema_row *r = NULL;

	while ((r = schema_next(at, r)) != NULL)
		suggest_offer(s, schema_key(r));
}

/* The nearest key where text leaves the table; the whole path of it. */
static char *nearest(const struct schema_row *at, const char *part)
{
	const struct schema_row *service = schema_find("services.*"), *rows;
	struct suggest s = {.wanted = part};
	size_t n;

	offer_children(&s, at);
	if (!at || at == service) {
		offer_children(&s, NULL);
		offer_children(&s, service);
	}
	if (s.best) {
		const struct schema_row *r = at ? schema_child(at, s.best) : NULL;

		r = r ? r : schema_child(NULL, s.best);
		r = r ? r : schema_child(service, s.best);
		return x_printf("did you mean %s?", schema_shown(r));
	}
	rows = schema_rows(&n);
	for (size_t i = 0; i < n; i++)
		suggest_offer(&s, schema_key(&rows[i]));
	return s.best ? x_printf("did you mean %s?", s.best) : NULL;
}

/* "restart.rules[0].exit", as errors name it, with points alone. */
static char *without_brackets(const char *key)
{
	char *text = x_strdup(key), *to = text;

	for (; *key; key++)
		if (*key != ']')
			*to++ = *key == '[' ? '.' : *key;
	*to = '\0';
	return text;
}

const struct schema_row *key_find(const char *key, char **ret_hint)
{
	const struct schema_row *at = NULL, *top_at = NULL, *row;
	_cleanup_free_ char *part = NULL, *top_part = NULL, *text = without_brackets(key);

	*ret_hint = NULL;
	row = follow(NULL, text, &top_at, &top_part);
	if (!row && *text)
		row = follow(schema_find("services.*"), text, &at, &part);
	if (row || !*text)
		return row;
	switch (count_ending(text, &row)) {
	case 0:
		/* What went further is what was meant. */
		*ret_hint = top_at ? nearest(top_at, top_part) : nearest(at, part);
		return NULL;
	case 1:
		return row;
	default:
		*ret_hint = list_ending(text);
		return NULL;
	}
}

/* --- words ------------------------------------------------------------------------------ */

const char *key_type(const struct schema_row *row)
{
	static const char *const names[SCHEMA_TYPE_MAX_] = {
		[SCHEMA_OBJECT] = "map",
		[SCHEMA_SERVICES] = "map of services",
		[SCHEMA_STRING] = "text",
		[SCHEMA_INT] = "whole number",
		[SCHEMA_NUMBER] = "number",
		[SCHEMA_DURATION] = "duration",
		[SCHEMA_SIZE] = "size",
		[SCHEMA_ENUM] = "word",
		[SCHEMA_SIGNAL] = "signal",
		[SCHEMA_LIST] = "list of texts",
		[SCHEMA_MAP] = "map of texts",
		[SCHEMA_UMASK] = "octal number",
		[SCHEMA_LIMIT] = "limit",
		[SCHEMA_INTS] = "list of whole numbers",
		[SCHEMA_PORTREF] = "port or its name",
		[SCHEMA_TABLE] = "map of maps",
		[SCHEMA_DEFAULTS] = "map",
		[SCHEMA_BOOL] = "true or false",
		[SCHEMA_ANY] = "anything",
	};

	if (row->type == SCHEMA_TABLE && (row->flags & SCHEMA_LISTED))
		return "list of maps";
	return names[row->type];
}

static char *words(const struct schema_row *row)
{
	struct buf b = {0};

	for (const char *p = row->names; *p;) {
		size_t n = strcspn(p, "|");
		bool last = !p[n];

		buf_printf(&b, "%s%.*s", p == row->names ? "" : last ? " or " : ", ", (int)n, p);
		p += n + !last;
	}
	return x_check(buf_take(&b));
}

/* "unlimited", or 9223372036854775806 would stand there. */
static bool is_endless(const struct schema_row *row)
{
	return row->max >= INT64_MAX - 1;
}

char *key_range(const struct schema_row *row)
{
	char lo[MANIFEST_WRITE_NUMBER_SIZE], hi[MANIFEST_WRITE_NUMBER_SIZE];

	switch (row->type) {
	case SCHEMA_ENUM:
		return words(row);
	case SCHEMA_LIMIT:
		if (is_endless(row))
			return x_strdup("a number, unlimited, \"SOFT:HARD\" or { soft, hard }");
		return x_printf("0 to %s, unlimited, \"SOFT:HARD\" or { soft, hard }",
				manifest_write_number(row, row->max, hi));
	case SCHEMA_LIST:
	case SCHEMA_MAP:
	case SCHEMA_TABLE:
		if (row->max == 0)
			return x_strdup("");
		return x_printf("%s to %lld entries", row->min ? "1" : "0", (long long)row->max);
	default:
		if (row->min == row->max && row->max == 0)
			return x_strdup("");
		if (row->min == row->max)
			return x_strdup(manifest_write_number(row, row->min, lo));
		return x_printf("%s to %s", manifest_write_number(row, row->min, lo),
				manifest_write_number(row, row->max, hi));
	}
}

const char *key_default(const struct schema_row *row)
{
	if (row->flags & SCHEMA_REQUIRED)
		return "must be given";
	if (row->def && row->def[0])
		return row->def;
	return row->def_note ? row->def_note : "";
}

const char *key_change(const struct schema_row *row)
{
	return row->change == CHANGE_REPLACE ? "replace" : row->change == CHANGE_LIVE ? "live" : "";
}

const char *key_change_text(const struct schema_row *row)
{
	if (row->change == CHANGE_REPLACE)
		return "a change replaces the replicas";
	return row->change == CHANGE_LIVE ? "a change takes effect without touching a process" : "";
}

/* --- examples --------------------------------------------------------------------------- */

static const char *example_of(const struct schema_row *row)
{
	for (size_t i = 0; i < ARRAY_SIZE(examples); i++) {
		const char *path = examples[i].path;

		if (path[0] == '.' ? ends_in(row->path, path) : strcmp(row->path, path) == 0)
			return examples[i].value;
	}
	return row->def && row->def[0] ? row->def : NULL;
}

static const struct schema_row *parent_of(const struct schema_row *row)
{
	const char *dot = strrchr(row->path, '.');
	_cleanup_free_ char *path = dot ? x_strndup(row->path, (size_t)(dot - row->path)) : NULL;

	return path ? schema_find(path) : NULL;
}

static char *value_of(const struct schema_row *row)
{
	const char *given = example_of(row);
	const struct schema_row *first;
	_cleanup_free_ char *inside = NULL;
	char lo[MANIFEST_WRITE_NUMBER_SIZE];

	if (given)
		return x_strdup(given);
	first = schema_next(row, NULL);
	if (!first)
		return x_strdup(manifest_write_number(row, row->min, lo));
	inside = value_of(first);
	return x_printf("{ %s: %s }", schema_key(first), inside);
}

/* What else must stand beside row in its parent for the example to be whole: "http: {}, ". */
static const char *company(const struct schema_row *row, const struct schema_row *parent)
{
	if ((parent->flags & SCHEMA_ONE_OF) && !(row->flags & SCHEMA_CHOICE))
		return "tcp: { port: 8000 }, ";
	if (strcmp(row->path, "services.*.restart.rules.*.exit") == 0)
		return "then: fail, ";
	if (strcmp(row->path, "services.*.restart.rules.*.then") == 0)
		return "exit: [125], ";
	if (ends_in(row->path, ".http.path") || ends_in(row->path, ".http.host") ||
	    ends_in(row->path, ".tcp.host"))
		return "port: 8000, ";
	return "";
}

/* The name of a "*" in an example. */
static const char *shown_key(const struct schema_row *row, const struct schema_row *parent)
{
	if (strcmp(schema_key(row), "*") != 0)
		return strcmp(row->path, "x-*") == 0 ? "x-notes" : schema_key(row);
	if (parent->type == SCHEMA_SERVICES)
		return "chat";
	return strcmp(schema_key(parent), "secrets") == 0 ? "hf-token" : "http";
}

char *key_example(const struct schema_row *row)
{
	const struct schema_row *service = schema_find("services.*"), *parent = parent_of(row);
	char *text = value_of(row), *next;

	for (;; row = parent, parent = parent_of(row)) {
		if (parent && (parent->flags & SCHEMA_LISTED)) {
			next = x_printf("[%s]", text);
			mem_free(text);
			text = next;
			continue;
		}
		next = x_printf("%s: %s", shown_key(row, parent), text);
		mem_free(text);
		text = next;
		if (!parent || parent == service || row == service)
			return text;
		next = x_printf("{ %s%s }", company(row, parent), text);
		mem_free(text);
		text = next;
	}
}
