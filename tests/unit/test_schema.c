/*
 * The schema table itself: every row is well formed, every default is valid and inside its range,
 * every range is exact at both ends; hints find what was meant.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <cmocka.h>

#include "lib/err.h"
#include "lib/mem.h"
#include "lib/schema.h"
#include "lib/schema_hint.h"

static bool in_service(const struct schema_row *row)
{
	return strncmp(row->path, "services.*.", strlen("services.*.")) == 0;
}

static void test_rows(void **state)
{
	size_t n;
	const struct schema_row *rows = schema_rows(&n);

	(void)state;
	assert_true(n > 40);
	for (size_t i = 0; i < n; i++) {
		const struct schema_row *row = &rows[i];
		bool scalar = row->type != SCHEMA_OBJECT && row->type != SCHEMA_SERVICES &&
			      row->type != SCHEMA_DEFAULTS && row->type != SCHEMA_ANY;

		assert_ptr_equal(schema_find(row->path), row); /* once */
		assert_non_null(row->doc);
		assert_true(row->doc[0] >= 'A' && row->doc[0] <= 'Z');
		assert_true(strlen(row->doc) <= 80 && row->doc[strlen(row->doc) - 1] != '.');
		if (in_service(row))
			assert_int_not_equal(row->change, CHANGE_NONE);
		if (in_service(row) && scalar)
			assert_true(row->offset < sizeof(struct service_spec));
		if (scalar && !(row->flags & SCHEMA_REQUIRED))
			assert_true((row->def != NULL) != (row->def_note != NULL));
		assert_int_equal(row->type == SCHEMA_ENUM, row->names != NULL);
	}
}

static void test_parents_come_first(void **state)
{
	size_t n;
	const struct schema_row *rows = schema_rows(&n);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		const char *dot = strrchr(rows[i].path, '.');
		_cleanup_free_ char *parent = NULL;
		const struct schema_row *p = NULL;

		if (dot) {
			parent = mem_strndup(rows[i].path, (size_t)(dot - rows[i].path));
			p = schema_find(parent);
			assert_non_null(p);
			assert_true(p < &rows[i]);
			assert_true(schema_below(&rows[i], p));
		}
		assert_ptr_equal(schema_child(p, schema_key(&rows[i])),
				 rows[i].flags & SCHEMA_HIDDEN ? NULL : &rows[i]);
		for (size_t k = i + 1; k < n; k++) /* what is below stands together */
			assert_int_equal(&rows[k] < schema_end(&rows[i]),
					 schema_below(&rows[k], &rows[i]));
	}
	assert_false(
		schema_below(schema_find("services.*.port"), schema_find("services.*.probes")));
	assert_ptr_equal(schema_child(NULL, "x-anything"), schema_find("x-*"));
	assert_null(schema_child(NULL, "x"));
	assert_ptr_equal(schema_child(schema_find("defaults"), "user"),
			 schema_find("services.*.user"));
	assert_null(schema_child(schema_find("defaults"), "version"));
	assert_null(schema_child(NULL, "nothing"));
	assert_null(schema_find("services.*.restar"));
}

/* Text of a value of the row's type. */
static char *text_of(const struct schema_row *row, int64_t v)
{
	if (row->type == SCHEMA_NUMBER)
		return mem_printf("%s%lld.%03lld", v < 0 ? "-" : "",
				  (long long)(v < 0 ? -v : v) / 1000,
				  (long long)(v < 0 ? -v : v) % 1000);
	return mem_printf("%lld%s", (long long)v, row->type == SCHEMA_DURATION ? "ms" : "");
}

/* Room for any row's structure: stores text there. */
static bool row_accepts(const struct schema_row *row, const char *text)
{
	union {
		struct service_spec s;
		struct schema_head h;
		struct port_spec p;
		struct secret_spec e;
		struct restart_rule r;
	} base;
	bool good;

	memset(&base, 0, sizeof(base));
	good = schema_store(row, &base, text, NULL) == 0;
	if (row->type == SCHEMA_STRING || row->type == SCHEMA_PORTREF)
		mem_free(*(char **)((char *)&base + row->offset));
	if (row->type == SCHEMA_INTS)
		mem_free(((struct spec_ints *)(void *)((char *)&base + row->offset))->v);
	return good;
}

static void expect_store(const struct schema_row *row, int64_t v, bool good)
{
	struct service_spec s = {0};
	struct schema_head head = {0};
	_cleanup_free_ char *text = text_of(row, v);
	struct err *e = NULL;
	int r = schema_store(row, in_service(row) ? (void *)&s : (void *)&head, text, &e);

	if ((r == 0) != good)
		fail_msg("%s: %s is %s", row->path, text, r == 0 ? "accepted" : err_msg(e));
	if (good && row->type != SCHEMA_NUMBER && in_service(row))
		assert_true(*(int64_t *)((char *)&s + row->offset) == v);
	err_free(e);
}

static void test_ranges(void **state)
{
	size_t n, seen = 0;
	const struct schema_row *rows = schema_rows(&n);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		const struct schema_row *row = &rows[i];

		if (row->type != SCHEMA_INT && row->type != SCHEMA_DURATION &&
		    row->type != SCHEMA_SIZE && row->type != SCHEMA_NUMBER)
			continue;
		assert_true(row->min <= row->max);
		expect_store(row, row->min, true);
		expect_store(row, row->max, true);
		expect_store(row, row->min - 1, false);
		expect_store(row, row->max + 1, false);
		seen++;
	}
	assert_true(seen >= 25);
}

static void test_defaults(void **state)
{
	struct service_spec *s = mem_alloc(sizeof(*s));
	size_t n;
	const struct schema_row *rows = schema_rows(&n);

	(void)state;
	assert_int_equal(schema_defaults(s), 0);
	assert_true(s->oom_score == SPEC_UNSET);
	assert_true(s->ulimits[SPEC_RLIMIT_STACK].hard == SPEC_UNSET);
	assert_int_equal(s->umask, 022);
	assert_int_equal(s->restart.success_exit_codes.n, 1);
	for (size_t i = 0; i < n; i++)
		if (rows[i].def && in_service(&rows[i]))
			assert_true(row_accepts(&rows[i], rows[i].def));
	for (unsigned long k = 1; k <= 17; k++) { /* so many of the defaults are allocated */
		struct service_spec *t = mem_alloc(sizeof(*t));

		mem_fail_after(k);
		assert_int_equal(schema_defaults(t), -ERR_NOMEM);
		mem_fail_after(0);
		service_spec_free(t);
	}
	service_spec_free(s);
}

static void test_labels(void **state)
{
	static const char *const good[] = {"a", "0", "a-b", "a--b", "x1"};
	static const char *const bad[] = {"",	 "-",	"-a",  "a-",	  "A",
					  "a_b", "a.b", "a b", "\xc3\xa9"};
	char longest[66];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(schema_is_label(good[i]));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(schema_is_label(bad[i]));
	memset(longest, 'a', sizeof(longest));
	longest[63] = '\0';
	assert_true(schema_is_label(longest));
	longest[63] = 'a';
	longest[64] = '\0';
	assert_false(schema_is_label(longest));
}

static void expect_hint(const char *parent, const char *key, const char *want)
{
	_cleanup_free_ char *hint = schema_hint_key(parent ? schema_find(parent) : NULL, key);

	assert_string_equal(hint, want);
}

static void test_hints(void **state)
{
	char words[SCHEMA_WORDS_SIZE];
	size_t len = 0;

	(void)state;
	expect_hint(NULL, "srevices", "did you mean \"services\"?");
	expect_hint(NULL, "replicas", "\"replicas\" belongs to a service");
	expect_hint(NULL, "signal", "\"signal\" belongs to a service, as stop.signal");
	expect_hint(NULL, "zzz", "known keys are version, name, defaults, x-*, services");
	expect_hint("services.*", "erplicas", "did you mean \"replicas\"?");
	expect_hint("services.*", "cmd", "write command");
	expect_hint("services.*", "mem_limit", "write resources: { limits: { memory: ... } }");
	expect_hint("services.*", "memory", "did you mean resources.limits.memory?");
	expect_hint("services.*.resources", "memory", "did you mean resources.limits.memory?");
	expect_hint("services.*.resources.limits", "cpu", "write cpus");
	expect_hint("services.*.stop", "sginal", "did you mean \"signal\"?");
	expect_hint(
		"services.*.logs", "x",
		"known keys are max_size, max_files, max_age, max_total, rotate_every, compress, on_full, to");
	assert_true(schema_hint_unbuilt(schema_find("services.*"), "models"));
	assert_false(schema_hint_unbuilt(NULL, "defaults"));
	expect_hint("services.*", "x-note", "x-... stands at the top of the file");
	expect_hint("services.*.probes.liveness", "test", "write exec: { command: [...] }");
	expect_hint("services.*.ports.*", "prot", "did you mean \"port\"?");
	expect_hint("defaults", "usr", "did you mean \"user\"?");
	assert_non_null(schema_hint_nearest(schema_hint_signals, "sigtrem", &len));
	assert_int_equal(len, strlen("SIGTERM"));
	assert_false(schema_hint_unbuilt(schema_find("services.*"), "model"));
	assert_false(schema_hint_unbuilt(NULL, "models"));
	assert_non_null(schema_hint_nearest("slow|fail", "fial", &len));
	assert_int_equal(len, 4);
	assert_null(schema_hint_nearest("slow|fail", "never", &len));
	assert_null(schema_hint_nearest("a|b", "x", &len)); /* nothing of it would be left */
	schema_words(schema_find("services.*.restart.policy"), words, sizeof(words));
	assert_string_equal(words, "always, on-failure, never");
	schema_words(schema_find("services.*.restart.policy"), words, 10);
	assert_true(strlen(words) < 10);
}

static void test_units(void **state)
{
	static const struct {
		const char *path, *text, *want;
	} cases[] = {
		{"services.*.stop.drain", "10", "10s"},
		{"services.*.stop.drain", "1.5 Hours", "1.5h"},
		{"services.*.stop.drain", "5 min", "5m"},
		{"services.*.stop.drain", "5 fortnights", NULL},
		{"services.*.stop.drain", "soon", NULL},
		{"services.*.stop.drain", ".5s", NULL},
		{"services.*.stop.drain", "20MiB", NULL},
		{"services.*.logs.max_size", "20M", "20MiB"},
		{"services.*.logs.max_size", "20Gi", "20GiB"},
		{"services.*.logs.max_size", "20 megabytes", "20MB"},
		{"services.*.logs.max_size", "20 of these whatever", NULL},
		{"services.*.logs.max_size", "20 b", NULL}, /* too few, whatever the unit */
		{"services.*.replicas", "20M", NULL},
		{"services.*.resources.limits.memory", "512", "512MiB"},
		{"services.*.resources.limits.memory", "512Mi", "512MiB"},
		{"services.*.resources.limits.cpus", "500m", "0.5"},
		{"services.*.resources.limits.cpus", "150%", "1.5"},
		{"services.*.resources.limits.cpus", "5m", NULL}, /* too little */
		{"services.*.resources.limits.cpus", "m", NULL},
		{"services.*.resources.limits.cpus", "", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *got =
			schema_hint_units(schema_find(cases[i].path), cases[i].text);
		_cleanup_free_ char *want =
			cases[i].want ? mem_printf("did you mean %s?", cases[i].want) : NULL;

		assert_int_equal(got != NULL, want != NULL);
		if (want)
			assert_string_equal(got, want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),   cmocka_unit_test(test_parents_come_first),
		cmocka_unit_test(test_ranges), cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_labels), cmocka_unit_test(test_hints),
		cmocka_unit_test(test_units),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
