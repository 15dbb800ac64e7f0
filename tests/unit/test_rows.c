/*
 * Every row of the schema through a whole parse: the default is what leaving the key out means, the
 * range is exact at both ends, a value of another kind is an error at its very place, and a change
 * has the row's class and is called by the key's name. Values are derived from the row; where they
 * cannot be, texts[] has them, and a row that is missing there fails the test.
 */
/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/buf.h"
#include "lib/err.h"
#include "lib/manifest.h"
#include "lib/mem.h"
#include "lib/schema.h"
#include "tests/unit/manifest_case.h"

#define SVC "services.*"

/* Of each STRING row: a value other than the default, and one that is refused (NULL: any text). */
static const struct {
	const char *path, *good, *bad;
} texts[] = {
	{"name", "shop", "Shop"},
	{SVC ".description", "\"some text: here\"", NULL},
	{SVC ".working_dir", "/srv", "\"\""},
	{SVC ".image", "nginx:1.27", "Nginx"},
	{SVC ".runtime", "podman", "Podman"},
	{SVC ".volumes.*.source", "vol", "\"\""},
	{SVC ".volumes.*.target", "/x", "x"},
	{SVC ".network", "web-net", "\"a b\""},
	{SVC ".hostname", "\"my_h-${REPLICA}\"", "\"a b\""},
	{SVC ".devices.*.source", "/dev/x", "x"},
	{SVC ".devices.*.target", "/dev/x", "x"},
	{SVC ".devices.*.permissions", "r", "x"},
	{SVC ".gpus.driver", "nvidia", "\"\""},
	{SVC ".user", "ann", "\"a/b\""},
	{SVC ".group", "staff", "-x"},
	{SVC ".resources.limits.cpuset", "\"0-3,8\"", "3-0"},
	{SVC ".secrets.*.file", "path", "\"\""},
	{SVC ".secrets.*.env", "NAME", "\"\""},
	{SVC ".ports.*.listen", "0.0.0.0", "localhost"},
	{SVC ".probes.startup.grpc.service", "a.B", NULL},
	{SVC ".probes.startup.grpc.host", "\"::1\"", "localhost"},
	{SVC ".probes.startup.file.path", "/x", "\"\""},
	{SVC ".probes.startup.log.pattern", "\"^up$\"", "\"(\""},
	{SVC ".probes.readiness.grpc.service", "a.B", NULL},
	{SVC ".probes.readiness.grpc.host", "\"::1\"", "localhost"},
	{SVC ".probes.readiness.file.path", "/x", "\"\""},
	{SVC ".probes.readiness.log.pattern", "\"^up$\"", "\"(\""},
	{SVC ".probes.liveness.grpc.service", "a.B", NULL},
	{SVC ".probes.liveness.grpc.host", "\"::1\"", "localhost"},
	{SVC ".probes.liveness.file.path", "/x", "\"\""},
	{SVC ".probes.liveness.progress.path", "/x", "x"},
	{SVC ".probes.liveness.progress.host", "\"::1\"", "localhost"},
	{SVC ".probes.liveness.progress.metric", "a:b_total", "\"a{b}\""},
	{SVC ".probes.liveness.progress.pending", "w", "9w"},
	{SVC ".warmup.*.http.path", "/x", "x"},
	{SVC ".warmup.*.http.host", "\"::1\"", "localhost"},
	{SVC ".warmup.*.http.body", "\"a: {b}\"", NULL},
	{SVC ".probes.startup.http.path", "/x", "x"},
	{SVC ".probes.startup.http.host", "\"::1\"", "localhost"},
	{SVC ".probes.startup.http.body", "\"a: {b}\"", NULL},
	{SVC ".probes.startup.tcp.host", "\"::1\"", "localhost"},
	{SVC ".probes.readiness.http.path", "/x", "x"},
	{SVC ".probes.readiness.http.host", "\"::1\"", "localhost"},
	{SVC ".probes.readiness.http.body", "\"a: {b}\"", NULL},
	{SVC ".probes.readiness.tcp.host", "\"::1\"", "localhost"},
	{SVC ".probes.liveness.http.path", "/x", "x"},
	{SVC ".probes.liveness.http.host", "\"::1\"", "localhost"},
	{SVC ".probes.liveness.http.body", "\"a: {b}\"", NULL},
	{SVC ".probes.liveness.tcp.host", "\"::1\"", "localhost"},
	{SVC ".reload.http.path", "/x", "x"},
	{SVC ".reload.http.host", "\"::1\"", "localhost"},
	{SVC ".reload.http.body", "\"a: {b}\"", NULL},
	{SVC ".hooks.pre_start.*.http.path", "/x", "x"},
	{SVC ".hooks.pre_start.*.http.host", "\"::1\"", "localhost"},
	{SVC ".hooks.pre_start.*.http.body", "\"a: {b}\"", NULL},
	{SVC ".hooks.post_start.*.http.path", "/x", "x"},
	{SVC ".hooks.post_start.*.http.host", "\"::1\"", "localhost"},
	{SVC ".hooks.post_start.*.http.body", "\"a: {b}\"", NULL},
	{SVC ".hooks.pre_stop.*.http.path", "/x", "x"},
	{SVC ".hooks.pre_stop.*.http.host", "\"::1\"", "localhost"},
	{SVC ".hooks.pre_stop.*.http.body", "\"a: {b}\"", NULL},
	{SVC ".hooks.post_stop.*.http.path", "/x", "x"},
	{SVC ".hooks.post_stop.*.http.host", "\"::1\"", "localhost"},
	{SVC ".hooks.post_stop.*.http.body", "\"a: {b}\"", NULL},
	{SVC ".schedule.cron", "\"0 3 * * *\"", "\"0 25 * * *\""},
	{SVC ".schedule.timezone", "Europe/Vienna", "../etc"},
	{SVC ".autoscale.name", "a:b_total", "\"a{b}\""},
	{SVC ".autoscale.path", "/x", "x"},
	{SVC ".autoscale.metrics.*.name", "a:b_total", "\"a{b}\""},
	{SVC ".autoscale.metrics.*.path", "/x", "x"},
	{SVC ".autoscale.schedule.*.cron", "\"0 3 * * *\"", "\"\""},
	{SVC ".autoscale.schedule.*.timezone", "Europe/Vienna", "../etc"},
	{SVC ".affinity.header", "X-Session", "\"a b\""},
};

/* What must stand beside a key, in the object at path, for the manifest to be valid. */
static const struct {
	const char *path, *text;
	const char *without; /* not beside these keys: "|a|b|" */
} beside[] = {
	{SVC, "command: [server]", "|command|"},
	{SVC, "type: task", "|type|restart|replicas|"},
	{SVC, "port: 1000", "|port|ports|command|"},
	{SVC ".ports.*", "port: 1001", "|port|"},
	{SVC, "resources: { limits: { memory: 1GiB } }", "|resources|command|"},
	{SVC ".replicas", "max: 1000", "|count|max|"},
	{SVC ".autoscale", "window: 1h", "|window|"},
	{SVC ".autoscale", "metric: cpu", "|metric|metrics|"},
	{SVC ".autoscale", "name: m", "|name|metrics|"},
	{SVC ".autoscale", "target: 7", "|target|metrics|"},
	{SVC ".autoscale.metrics.*", "metric: cpu", "|metric|"},
	{SVC ".autoscale.metrics.*", "name: m", "|name|"},
	{SVC ".autoscale.metrics.*", "target: 7", "|target|"},
	{SVC ".autoscale.schedule.*", "cron: \"@daily\"", "|cron|"},
	{SVC ".autoscale.schedule.*", "for: 1h", "|for|"},
	{SVC ".secrets.*", "file: f", "|file|env|"},
	{SVC ".secrets.*", "env: E", "|file|"}, /* what file is changed from */
	{SVC ".restart.rules.*", "exit: [9]", "|exit|"},
	{SVC ".restart.rules.*", "then: fail", "|then|"},
	{SVC ".probes.startup.http", "method: PUT", "|method|"},
	{SVC ".probes.readiness.http", "method: PUT", "|method|"},
	{SVC ".probes.liveness.http", "method: PUT", "|method|"},
	{SVC ".reload.http", "method: PUT", "|method|"},
	{SVC, "reload: { signal: SIGHUP }", "|reload|"},
	{SVC ".hooks.pre_start.*.http", "method: PUT", "|method|"},
	{SVC ".hooks.pre_start.*.http", "port: 98", "|port|"},
	{SVC ".hooks.post_start.*.http", "method: PUT", "|method|"},
	{SVC ".hooks.pre_stop.*.http", "method: PUT", "|method|"},
	{SVC ".hooks.post_stop.*.http", "method: PUT", "|method|"},
	{SVC ".hooks.post_stop.*.http", "port: 98", "|port|"},
	{SVC ".warmup.*", "http: {}", "|http|"},
	{SVC ".warmup.*.http", "method: PUT", "|method|"},
	{SVC ".probes.startup.file", "path: f", "|path|"},
	{SVC ".probes.readiness.file", "path: f", "|path|"},
	{SVC ".probes.liveness.file", "path: f", "|path|"},
	{SVC ".probes.liveness.progress", "metric: m", "|metric|"},
	{SVC ".probes.liveness.progress", "pending: w", "|pending|"},
	{SVC ".volumes.*", "type: tmpfs", "|type|source|read_only|"},
	{SVC ".volumes.*", "type: volume", "|type|size|target|"},
	{SVC ".volumes.*", "target: /t", "|target|"},
	{SVC ".devices.*", "source: /dev/s", "|source|"},
	{SVC ".restart.backoff", "max: 1d", "|max|factor|jitter|"},
	{SVC ".restart.backoff", "initial: 0s", "|initial|factor|jitter|"},
};

/* keys: "|a|b|" */
static bool is_among(const char *keys, const char *key)
{
	_cleanup_free_ char *want = mem_printf("|%s|", key);

	return strstr(keys, want) != NULL;
}

static bool is_probe(const char *path)
{
	static const char start[] = SVC ".probes.";

	return strncmp(path, start, strlen(start)) == 0 && !strchr(path + strlen(start), '.');
}

/* One step of a hook. */
static bool is_hook(const char *path)
{
	size_t n = strlen(path);

	return strncmp(path, SVC ".hooks.", strlen(SVC ".hooks.")) == 0 && n > 2 &&
	       strcmp(path + n - 2, ".*") == 0;
}

/* The neighbours of key in the object at path; has_key: key itself follows. */
static void put_beside(struct buf *b, const char *path, const char *key, bool has_key)
{
	bool choice = is_among("|http|tcp|grpc|exec|file|log|progress|", key);

	if (is_probe(path) && (!choice || !has_key))
		buf_str(b, strcmp(key, "http") == 0 ? "tcp: {}, " : "http: {}, ");
	if (is_hook(path) && (!choice || !has_key))
		buf_str(b,
			strcmp(key, "exec") == 0 ? "http: {port: 97}, " : "exec: {command: [a]}, ");
	if (strcmp(path, SVC ".reload") == 0 && !(has_key && is_among("|signal|http|", key)))
		buf_str(b, strcmp(key, "signal") == 0 ? "http: {}, " : "signal: SIGHUP, ");
	if (strcmp(path, SVC ".secrets.*") == 0) {
		if (!has_key)
			buf_str(b, strcmp(key, "file") == 0 ? "env: E, " : "file: f, ");
		return;
	}
	if (strcmp(path, SVC ".autoscale") == 0 && !has_key && is_among("|metric|metrics|", key))
		buf_str(b, strcmp(key, "metric") == 0 ? "metrics: [{ metric: rps }], "
						      : "metric: rps, ");
	if (strcmp(path, SVC ".schedule") == 0 && strcmp(key, "every") != 0 &&
	    (!has_key || strcmp(key, "cron") != 0))
		buf_str(b, "every: 9s, ");
	if (strcmp(path, SVC ".schedule") == 0 && strcmp(key, "every") == 0 && !has_key)
		buf_str(b, "cron: \"@daily\", ");
	for (size_t i = 0; i < ARRAY_SIZE(beside); i++)
		if (strcmp(beside[i].path, path) == 0 && !is_among(beside[i].without, key))
			buf_printf(b, "%s, ", beside[i].text);
}

/*
 * A manifest in which the row's key has this value; NULL: all is there but the key. *ret_column is
 * where the value begins, on line 3.
 */
static char *compose(const struct schema_row *row, const char *value, unsigned *ret_column)
{
	_cleanup_free_ char *path = mem_strdup(SVC);
	struct buf b = {0}, end = {0};
	char *text;

	buf_printf(&b, "  web: { %s", schema_only(row) == SCHEMA_CONTAINER ? "image: i, " : "");
	for (const char *p = row->path + strlen(SVC "."); *p;) {
		size_t n = strcspn(p, ".");
		bool last = !p[n], starred = strncmp(p + n, ".*", 2) == 0;
		_cleanup_free_ char *key = mem_strndup(p, n);
		_cleanup_free_ char *inner = mem_printf("%s.%s%s", path, key, starred ? ".*" : "");
		_cleanup_free_ char *table = mem_printf("%s.%s", path, key);
		bool listed = schema_find(table)->flags & SCHEMA_LISTED;

		if (starred && !p[n + 2]) { /* the element itself */
			last = true;
			put_beside(&b, path, key, true);
			buf_printf(&b, "%s: %s", key, listed ? "[" : "{ m: ");
		} else if (!last) {
			put_beside(&b, path, key, true);
			buf_printf(&b, "%s: %s", key, !starred ? "{ " : listed ? "[{ " : "{ m: { ");
		} else {
			put_beside(&b, path, key, value != NULL);
			if (value)
				buf_printf(&b, "%s: ", key);
		}
		*ret_column = (unsigned)b.len + 1;
		if (last) {
			buf_str(&b, value ? value : "");
			if (starred)
				buf_str(&b, listed ? "]" : " }");
			break;
		}
		text = mem_printf("%s%s",
				  !starred ? " }"
				  : listed ? " }]"
					   : " } }",
				  buf_cstr(&end));
		buf_clear(&end);
		buf_str(&end, text);
		mem_free(text);
		mem_free(path);
		path = TAKE_PTR(inner);
		p += n + 1 + (starred ? 2 : 0);
	}
	buf_printf(&b, "%s }\n", buf_cstr(&end));
	text = mem_printf("version: 1\nservices:\n%s", buf_cstr(&b));
	buf_done(&b);
	buf_done(&end);
	return text;
}

/* The same for a key at the top. */
static char *compose_top(const struct schema_row *row, const char *value, unsigned *ret_column)
{
	const char *key = row->type == SCHEMA_ANY ? "x-any" : row->path;

	*ret_column = (unsigned)strlen(key) + 3;
	return mem_printf(
		"%s: %s\n%s%s", key, value, strcmp(key, "version") == 0 ? "" : "version: 1\n",
		row->type == SCHEMA_SERVICES ? "" : "services: { web: { command: [server] } }\n");
}

static bool in_service(const struct schema_row *row)
{
	return strncmp(row->path, SVC ".", strlen(SVC ".")) == 0;
}

static bool is_key(const struct schema_row *row)
{
	return strcmp(row->path, SVC) != 0 && !(row->flags & SCHEMA_HIDDEN);
}

static struct manifest *parse(const struct schema_row *row, const char *value)
{
	unsigned column;
	_cleanup_free_ char *text =
		in_service(row) ? compose(row, value, &column) : compose_top(row, value, &column);

	return manifest_case_good(text);
}

/* The value is refused, at its place; the message says what. */
static void expect_error(const struct schema_row *row, const char *value, const char *what)
{
	unsigned column, line = in_service(row) ? 3 : 1;
	_cleanup_free_ char *text =
		in_service(row) ? compose(row, value, &column) : compose_top(row, value, &column);
	_cleanup_free_ char *got = manifest_case_errors(text, strlen(text));
	_cleanup_free_ char *at = mem_printf("%u:%u: ", line, column);
	const char *found = strstr(got, at);

	if (!found || (found > got && found[-1] != '\n') || !strstr(found, what))
		fail_msg("%s: expected an error at %s with \"%s\", got \"%s\" for\n%s", row->path,
			 at, what, got, text);
}

/* ---- values ---- */

static const char *text_of(const struct schema_row *row, bool good)
{
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (strcmp(texts[i].path, row->path) == 0)
			return good ? texts[i].good : texts[i].bad;
	fail_msg("%s: a value for it is missing in texts[]", row->path);
	return NULL;
}

static char *number_text(const struct schema_row *row, int64_t v)
{
	int64_t positive = v < 0 ? -v : v;

	if (row->type == SCHEMA_NUMBER)
		return mem_printf("%s%" PRId64 ".%03" PRId64, v < 0 ? "-" : "", positive / 1000,
				  positive % 1000);
	if (row->type == SCHEMA_UMASK)
		return mem_printf("%s0%" PRIo64, v < 0 ? "-" : "", (uint64_t)positive);
	if (row->type == SCHEMA_LIMIT && v == INT64_MAX)
		return mem_strdup("9223372036854775807");
	return mem_printf("%" PRId64 "%s", v, row->type == SCHEMA_DURATION ? "ms" : "");
}

static bool is_number(const struct schema_row *row)
{
	switch ((int)row->type) {
	case SCHEMA_INT:
	case SCHEMA_NUMBER:
	case SCHEMA_DURATION:
	case SCHEMA_SIZE:
	case SCHEMA_UMASK:
	case SCHEMA_LIMIT:
	case SCHEMA_SHARE:
	case SCHEMA_INTS:
	case SCHEMA_PORTREF:
		return true;
	default:
		return false;
	}
}

/* An element of a table. */
static const char *element(const struct schema_row *row)
{
	if (strstr(row->path, ".hooks."))
		return "{ exec: { command: [a] } }";
	return strcmp(schema_key(row), "volumes") == 0	  ? "\"vol:/t\""
	       : strcmp(schema_key(row), "devices") == 0  ? "/dev/t"
	       : strcmp(schema_key(row), "secrets") == 0  ? "{ file: f }"
	       : strcmp(schema_key(row), "warmup") == 0	  ? "{ http: {} }"
	       : strcmp(schema_key(row), "metrics") == 0  ? "{ metric: cpu }"
	       : strcmp(schema_key(row), "schedule") == 0 ? "{ cron: \"@daily\", for: 1h }"
	       : row->flags & SCHEMA_LISTED		  ? "{ exit: 1, then: fail }"
							  : "{}";
}

static char *word(const struct schema_row *row, size_t index)
{
	const char *p = row->names;

	for (; index > 0; index--) {
		p += strcspn(p, "|");
		if (!*p++)
			return NULL;
	}
	return mem_strndup(p, strcspn(p, "|"));
}

/* An entry of a LIST; with i = 0 another one. */
static const char *entry(const struct schema_row *row, unsigned i)
{
	static const struct {
		const char *key, *values[2];
	} entries[] = {{"status", {"201-202", "200"}},	{"cap_add", {"SERVER", "OTHER"}},
		       {"cap_drop", {"SERVER", "ALL"}}, {"security_opt", {"label=a", "label=b"}},
		       {"cdi", {"a/b=0", "a/b=1"}},	{"to", {"file", "file"}}};

	for (size_t k = 0; k < ARRAY_SIZE(entries); k++)
		if (strcmp(entries[k].key, schema_key(row)) == 0)
			return entries[k].values[i];
	return i ? "other" : "server";
}

/* A value other than the default (and, with i = 0, another one still); NULL: there is none. */
static char *other_value(const struct schema_row *row, unsigned i)
{
	_cleanup_free_ char *first = NULL;

	if (strcmp(row->path, SVC ".volumes.*.type") == 0)
		return mem_strdup(i ? "tmpfs" : "volume"); /* bind needs a source */
	if (row->type == SCHEMA_ENUM) {
		first = word(row, 0);
		return word(row, (row->def && strcmp(first, row->def) == 0) ? 1 : i);
	}
	if (strcmp(row->path, SVC ".update.steps") == 0)
		return mem_strdup(i ? "[100%]" : "[9%/1m, 100%]");
	if (strcmp(row->path, SVC ".autoscale") == 0)
		return mem_strdup("{ metric: cpu }");
	if (strcmp(row->path, SVC ".affinity") == 0)
		return mem_strdup("{ header: X-Session }");
	if (strcmp(schema_key(row), "cron") == 0)
		return mem_strdup(i ? text_of(row, true) : "\"@daily\"");
	if (row->type == SCHEMA_STRING)
		return mem_strdup(i				 ? text_of(row, true)
				  : text_of(row, true)[0] == '/' ? "/another"
								 : "another");
	if (row->type == SCHEMA_BOOL)
		return mem_strdup(strcmp(row->def, "true") == 0 ? "false" : "true");
	if (row->type == SCHEMA_SIGNAL)
		return mem_strdup("SIGUSR1");
	if (strcmp(row->path, SVC ".logs.to") == 0)
		return mem_strdup(i ? "[file, journald]" : "[file]");
	if (row->type == SCHEMA_LIST)
		return mem_printf("[%s]", entry(row, i));
	if (row->type == SCHEMA_TREE)
		return mem_strdup(i ? "{ a: [1, { b: null }] }" : "{}");
	if (row->type == SCHEMA_MAP)
		return mem_strdup("{ NEW: x }");
	if (row->type == SCHEMA_TABLE)
		return mem_printf(row->flags & SCHEMA_LISTED ? "[%s]" : "{ new: %s }",
				  element(row));
	if (is_hook(row->path))
		return mem_strdup(element(row));
	if (row->type == SCHEMA_OBJECT && strstr(row->path, ".hooks.") &&
	    strcmp(schema_key(row), "http") == 0)
		return mem_strdup("{ port: 98 }");
	if (strcmp(row->path, SVC ".schedule") == 0)
		return mem_strdup("{ every: 9s }");
	if (row->type == SCHEMA_OBJECT)
		return mem_strdup(row->flags & SCHEMA_ONE_OF		 ? "{ http: {} }"
				  : (row->flags & SCHEMA_REQUIRED) && !i ? "{ path: /other }"
				  : strcmp(schema_key(row), "exec") == 0 ? "{ command: [a] }"
				  : strcmp(schema_key(row), "file") == 0 ? "{ path: f }"
				  : strcmp(schema_key(row), "log") == 0	 ? "{ pattern: x }"
				  : strcmp(schema_key(row), "progress") == 0
					  ? "{ metric: m, pending: w }"
					  : "{}");
	if (row->min == row->max)
		return NULL;
	return number_text(row, i ? row->max : row->min); /* no default is its maximum */
}

/* ---- the tests ---- */

static const struct schema_row *next_row(const struct schema_row *row)
{
	size_t n;
	const struct schema_row *rows = schema_rows(&n);

	for (row = row ? row + 1 : rows; row < rows + n; row++)
		if (is_key(row))
			return row;
	return NULL;
}

static void test_wrong_kind(void **state)
{
	const struct schema_row *row = NULL;

	(void)state;
	while ((row = next_row(row)) != NULL) {
		bool takes_list = row->type == SCHEMA_LIST || row->type == SCHEMA_INTS ||
				  (row->flags & SCHEMA_LISTED);

		if (row->flags & SCHEMA_NAMES) {
			expect_error(row, "word", "expected ");
			continue;
		}
		if (row->type != SCHEMA_ANY)
			expect_error(row, takes_list ? "{ a: b }" : "[1]", "expected ");
		if (in_service(row) && strcmp(schema_key(row), "*") != 0 &&
		    row->type != SCHEMA_LIMIT)
			expect_error(row, "null", ""); /* deletes nothing: no key takes it */
	}
}

static void expect_good(const struct schema_row *row, const char *value)
{
	manifest_free(parse(row, value));
}

static void test_numbers(void **state)
{
	const struct schema_row *row = NULL;
	size_t seen = 0;

	(void)state;
	while ((row = next_row(row)) != NULL) {
		_cleanup_free_ char *min = NULL, *max = NULL, *below = NULL, *above = NULL;

		if (!is_number(row))
			continue;
		min = number_text(row, row->min);
		max = number_text(row, row->max);
		below = number_text(row, row->min - 1);
		above = number_text(row, row->max + 1);
		expect_good(row, min);
		expect_good(row, max);
		expect_error(row, below, "");
		expect_error(row, above, "");
		expect_error(row, "\"x y\"", "");
		seen++;
	}
	assert_true(seen >= 50);
}

static void test_words(void **state)
{
	const struct schema_row *row = NULL;

	(void)state;
	while ((row = next_row(row)) != NULL) {
		if (row->type == SCHEMA_ENUM) {
			char *w;

			for (size_t i = 0; (w = word(row, i)) != NULL; i++) {
				bool bind = strcmp(w, "bind") == 0;

				expect_good(row, bind ? "bind, source: /s" : w);
				mem_free(w);
			}
			expect_error(row, "sometimes", "is not one of");
		} else if (row->type == SCHEMA_BOOL) {
			expect_good(row, "true");
			expect_good(row, "False");
			expect_error(row, "yes", "\"yes\" is neither true nor false");
			expect_error(row, "\"true\"", "expected true or false");
		} else if (row->type == SCHEMA_SIGNAL) {
			expect_good(row, "64");
			expect_error(row, "65", "is not a signal");
			expect_error(row, "0", "is not a signal");
		} else if (row->type == SCHEMA_STRING) {
			expect_good(row, text_of(row, true));
			if (text_of(row, false))
				expect_error(row, text_of(row, false), "");
		} else if (row->type == SCHEMA_ANY) {
			expect_good(row, "[1, { a: b }]");
			expect_good(row, "null");
		}
	}
}

/* n entries. */
static char *entries(const struct schema_row *row, int64_t n)
{
	bool named = row->type == SCHEMA_MAP ||
		     (row->type == SCHEMA_TABLE && !(row->flags & SCHEMA_LISTED));
	struct buf b = {0};

	buf_char(&b, named ? '{' : '[');
	for (int64_t i = 0; i < n; i++) {
		if (named)
			buf_printf(&b, "k%" PRId64 ": ", i);
		if (strcmp(row->path, SVC ".update.steps") == 0) {
			buf_printf(&b, i < n - 1 ? "%d%%/1m, " : "100%%", (int)i + 1);
			continue;
		}
		if (row->type == SCHEMA_TABLE && row[1].brief) /* no two of a target */
			buf_printf(&b, "/t%" PRId64 ", ", i);
		else
			buf_printf(&b, "%s, ",
				   row->type == SCHEMA_TABLE ? element(row) : entry(row, 1));
	}
	buf_char(&b, named ? '}' : ']');
	return buf_take(&b);
}

static void test_lengths(void **state)
{
	const struct schema_row *row = NULL;

	(void)state;
	while ((row = next_row(row)) != NULL) {
		_cleanup_free_ char *most = NULL, *more = NULL;

		if (row->type != SCHEMA_LIST && row->type != SCHEMA_MAP &&
		    row->type != SCHEMA_TABLE)
			continue;
		assert_true(row->max > 0);
		most = entries(row, row->max);
		more = entries(row, row->max + 1);
		expect_good(row, most);
		expect_error(row, more, "more than");
		if (row->min > 0)
			expect_error(row,
				     row->type == SCHEMA_LIST || (row->flags & SCHEMA_LISTED)
					     ? "[]"
					     : "{}",
				     "must not be empty");
		else
			expect_good(row, row->type == SCHEMA_LIST || (row->flags & SCHEMA_LISTED)
						 ? "[]"
						 : "{}");
	}
}

static void test_defaults(void **state)
{
	const struct schema_row *row = NULL;
	size_t seen = 0;

	(void)state;
	while ((row = next_row(row)) != NULL) {
		_cleanup_free_ char *quoted = NULL;
		_cleanup_buf_ struct buf keys = {0};
		struct manifest *with, *without;

		if (!row->def || !in_service(row))
			continue;
		quoted = mem_printf(row->def[0] ? "%s" : "\"%s\"", row->def);
		with = parse(row, quoted);
		without = parse(row, NULL);
		service_spec_diff(with->services[0], without->services[0], &keys);
		if (keys.len)
			fail_msg("%s: %s is not the default: %s", row->path, row->def,
				 buf_cstr(&keys));
		manifest_free(with);
		manifest_free(without);
		seen++;
	}
	assert_true(seen >= 40);
}

static void test_required(void **state)
{
	const struct schema_row *row = NULL;

	(void)state;
	while ((row = next_row(row)) != NULL) {
		_cleanup_free_ char *text = NULL, *got = NULL, *want = NULL;
		unsigned column;

		if (!(row->flags & SCHEMA_REQUIRED) || !in_service(row))
			continue;
		text = compose(row, NULL, &column);
		got = manifest_case_errors(text, strlen(text));
		want = mem_printf("%s is missing", schema_key(row));
		if (!strstr(got, want))
			fail_msg("%s: is not missed in %s: %s", row->path, text, got);
	}
}

/* As service_spec_diff names a change of it: "ports.m.port". Caller frees. */
static char *shown_key(const struct schema_row *row)
{
	struct buf b = {0};

	if (strcmp(row->path, SVC ".port") == 0)
		return mem_strdup("ports.http");
	if (row->flags & SCHEMA_BARE)
		return mem_strdup(schema_shown(row));
	for (const char *p = row->path + strlen(SVC "."); *p;) {
		size_t n = strcspn(p, ".");
		_cleanup_free_ char *path = mem_strndup(row->path, (size_t)(p - row->path) + n);

		buf_printf(&b, "%s%.*s", b.len ? "." : "", (int)n, *p == '*' ? "m" : p);
		if (schema_find(path)->flags & SCHEMA_LISTED)
			return buf_take(&b); /* compared as a whole */
		p += n + (p[n] == '.');
	}
	if (row->type == SCHEMA_MAP)
		buf_str(&b, ".NEW");
	if (row->type == SCHEMA_TABLE)
		buf_str(&b, ".new");
	return buf_take(&b);
}

static bool names_key(const char *keys, const char *key)
{
	size_t n = strlen(key);

	for (const char *p = keys; (p = strstr(p, key)) != NULL; p += n)
		if ((p == keys || p[-1] == ' ') && (p[n] == '\0' || p[n] == ','))
			return true;
	return false;
}

static void check_change(const struct schema_row *row, const char *a, const char *b)
{
	struct manifest *x = parse(row, a), *y = parse(row, b);
	_cleanup_free_ char *key = shown_key(row);
	_cleanup_buf_ struct buf keys = {0};
	enum change_class want = row->change;
	struct manifest_place at;

	if (strcmp(key, "ports.http") == 0)
		want = CHANGE_REPLACE; /* replicas get a port of their own */
	if (service_spec_diff(x->services[0], y->services[0], &keys) != want ||
	    !names_key(buf_cstr(&keys), key))
		fail_msg("%s: a change of %s from %s to %s is \"%s\"", row->path, key,
			 a ? a : "nothing", b, buf_cstr(&keys));
	assert_true(service_spec_place(y->services[0], key, &at) && at.line == 3);
	manifest_free(x);
	manifest_free(y);
}

static void test_changes(void **state)
{
	const struct schema_row *row = NULL;
	size_t seen = 0;

	(void)state;
	while ((row = next_row(row)) != NULL) {
		_cleanup_free_ char *a = NULL, *b = NULL;

		if (!in_service(row) || row->offset == SCHEMA_NO_FIELD)
			continue;
		b = other_value(row, 1);
		if ((row->flags & (SCHEMA_REQUIRED | SCHEMA_NEEDED)) || row->type == SCHEMA_PORTREF)
			a = other_value(row, 0); /* some hooks need a port */
		if (!b || (row->type == SCHEMA_ENUM && row->def && strcmp(b, row->def) == 0))
			continue; /* there is but one value */
		check_change(row, a, b);
		seen++;
	}
	assert_true(seen >= 90);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wrong_kind), cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_words),	   cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_defaults),   cmocka_unit_test(test_required),
		cmocka_unit_test(test_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
