/* test_compose: the single steps of reading a Compose project: values, ${NAME}, .env, merging, extends
 * and include, without a file system. The whole is in import_golden.py. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "cli/compose.h"
#include "cli/compose_env.h"
#include "cli/compose_interp.h"
#include "cli/compose_value.h"
#include "cli/import_out.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/mem.h"
#include "lib/yamltree.h"

/* ---- values ---- */

static void test_durations(void **state)
{
	static const struct {
		const char *text;
		int64_t ms; /* -1: none */
	} cases[] = {
		{"30s", 30000}, {"1m30s", 90000}, {"500ms", 500}, {"1.5h", 5400000},
		{"0", 0},	{"0s", 0},	  {"1500us", 2},  {"2d", 172800000},
		{"", -1},	{"5", -1},	  {"s", -1},	  {"1x", -1},
		{"1s2", -1},	{"-1s", -1},	  {"1..5s", -1},  {"99999999999999999999s", -1}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int64_t ms = -1;

		assert_int_equal(compose_value_duration(cases[i].text, &ms), cases[i].ms >= 0);
		assert_int_equal(ms < 0 ? -1 : ms, cases[i].ms);
	}
}

static void test_sizes(void **state)
{
	static const struct {
		const char *text;
		int64_t n;
	} cases[] = {{"1024", 1024},	  {"1k", 1024},	      {"1kb", 1024},	   {"1KiB", 1024},
		     {"512m", 512 << 20}, {"1.5gb", 3 << 29}, {"64 MB", 64 << 20}, {"0", 0},
		     {"10b", 10},	  {"", -1},	      {"m", -1},	   {"1mm", -1},
		     {"1x", -1},	  {"-1", -1}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int64_t n = -1;

		assert_int_equal(compose_value_size(cases[i].text, &n), cases[i].n >= 0);
		assert_int_equal(n, cases[i].n);
	}
}

static void test_words(void **state)
{
	static const struct {
		const char *text, *words; /* joined by "|"; NULL: not closed */
	} cases[] = {{"a b  c", "a|b|c"},
		     {" \t", ""},
		     {"sh -c 'a  b; c'", "sh|-c|a  b; c"},
		     {"echo \"it's \\\"so\\\" $X\"", "echo|it's \"so\" $X"},
		     {"a\\ b 'c'\"d\"e", "a b|cde"},
		     {"'' \"\"", "|"},
		     {"line\nbreak", "line|break"},
		     {"a\\", "a\\"},
		     {"'a", NULL},
		     {"a \"b", NULL}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_texts_ struct compose_texts t = {0};
		_cleanup_buf_ struct buf b = {0};
		bool ok = compose_value_words(cases[i].text, &t);

		assert_int_equal(ok, cases[i].words != NULL);
		for (size_t k = 0; k < t.n; k++)
			buf_printf(&b, "%s%s", k ? "|" : "", t.v[k]);
		if (ok)
			assert_string_equal(buf_cstr(&b), cases[i].words);
	}
}

static void test_dollars(void **state)
{
	static const char *const cases[][2] = {
		{"", ""},	   {"a", "a"},	  {"$", "$"},	       {"$a", "$a"},
		{"${a}", "$${a}"}, {"$$", "$$$"}, {"$${a}", "$$$${a}"}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *text = import_out_escape(cases[i][0]);

		assert_string_equal(text, cases[i][1]);
	}
}

/* ---- ${NAME} ---- */

static const char *shell(const char *name)
{
	return strcmp(name, "SHELL_VAR") == 0 ? "from shell"
	       : strcmp(name, "BOTH") == 0    ? "s"
					      : NULL;
}

static void test_interpolation(void **state)
{
	static const struct {
		const char *text, *result; /* result NULL: an error that says error */
		const char *error;
	} cases[] = {
		{"plain", "plain", NULL},
		{"$A-${A}", "a-a", NULL},
		{"$$A $${A}", "$A ${A}", NULL},
		{"${A:-x}${A-x}${A:+y}${A+y}", "aayy", NULL},
		{"[${EMPTY:-x}][${EMPTY-x}][${EMPTY:+y}][${EMPTY+y}]", "[x][][][y]", NULL},
		{"[${NONE:-x}][${NONE-x}][${NONE:+y}][${NONE+y}][$NONE]", "[x][x][][][]", NULL},
		{"${NONE:-${NONE-${A}}-b}", "a-b", NULL},
		{"${NONE:-a:b-c?d}", "a:b-c?d", NULL},
		{"${NONE:-$$}", "$", NULL},
		{"$SHELL_VAR ${BOTH}", "from shell s", NULL},
		{"${NONE:?no $A here}", NULL, "${NONE} is needed and not set: no a here"},
		{"${EMPTY:?}", NULL, "${EMPTY} is needed and not set"},
		{"${EMPTY?x}", "", NULL},
		{"$", NULL, "begins no variable"},
		{"a $1", NULL, "begins no variable"},
		{"${A", NULL, "without \"}\""},
		{"${}", NULL, "is not a variable"},
		{"${A:}", NULL, "is not a variable"},
		{"${A B}", NULL, "is not a variable"},
	};
	struct compose_env env = {.shell = shell};
	struct manifest_errors errors = {0};
	static const char file[] = "A=a\nEMPTY=\nBOTH=file\n";

	(void)state;
	compose_env_parse(&env, "/.env", file, strlen(file), &errors);
	assert_int_equal(errors.n, 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct compose_interp in = {.env = &env};
		_cleanup_buf_ struct buf out = {0};
		bool ok = compose_interp_text(&in, cases[i].text, &out);

		assert_int_equal(ok, cases[i].result != NULL);
		if (ok)
			assert_string_equal(buf_cstr(&out), cases[i].result);
		else
			assert_non_null(strstr(in.error, cases[i].error));
		mem_free(in.error);
	}
	compose_env_done(&env);
}

static void test_env_file(void **state)
{
	static const char file[] = "\xef\xbb\xbf# comment\r\n"
				   "A=1 # one\n"
				   "export B = two words  \n"
				   "C: three\n"
				   "D='$A ''\n"
				   "E=\"$A\\n\\$A \\\"q\\\"\"\n"
				   "F=a#b\n"
				   "LONE\n"
				   "G=${A}${B}\n"
				   "H=\"two\nlines\"\n"
				   "A=again\n"
				   "1$=x\n"
				   "I=\"open\n";
	static const char *const want[][2] = {
		{"A", "again"},	      {"B", "two words"}, {"C", "three"}, {"D", "$A "},
		{"E", "1\n$A \"q\""}, {"F", "a#b"},	  {"LONE", NULL}, {"G", "1two words"},
		{"H", "two\nlines"},  {"I", NULL}};
	struct manifest_errors errors = {0};
	struct compose_env env = {0};

	(void)state;
	compose_env_parse(&env, "/.env", file, strlen(file), &errors);
	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		const char *value = compose_env_get(&env, want[i][0]);

		if (want[i][1])
			assert_string_equal(value, want[i][1]);
		else
			assert_null(value);
	}
	assert_int_equal(errors.n, 2);
	assert_int_equal(errors.errs[0]->line, 13);
	assert_int_equal(errors.errs[1]->line, 14);
	manifest_errors_done(&errors);
	compose_env_done(&env);
}

/* ---- projects ---- */

struct file {
	const char *path, *text;
};

static int read_one(void *user, const char *path, char **ret_data, size_t *ret_len,
		    struct err **reterr)
{
	for (const struct file *f = user; f->path; f++) {
		if (strcmp(f->path, path) != 0)
			continue;
		*ret_data = mem_strdup(f->text);
		*ret_len = strlen(f->text);
		return 0;
	}
	return err_set(reterr, ERR_NOTFOUND, "%s: not there", path);
}

/* A tree in one line: {a: [b, c], d: ~}. */
static void flatten(const struct ynode *node, struct buf *out)
{
	bool map = node->kind == YNODE_MAP;

	if (node->kind == YNODE_SCALAR) {
		buf_str(out, yamltree_is_null(node) ? "~" : node->text);
		return;
	}
	buf_str(out, map ? "{" : "[");
	for (size_t i = 0; i < node->n; i++) {
		buf_printf(out, "%s%s%s", i ? ", " : "", map ? node->items[i].key->text : "",
			   map ? ": " : "");
		flatten(node->items[i].value, out);
	}
	buf_str(out, map ? "}" : "]");
}

/* services.web of the files (the first n_main of them given by name) as flatten has it. */
static void check_web(const struct file *files, size_t n_main, const char *want)
{
	struct compose c = {.reader = {read_one, NULL, (void *)(uintptr_t)files},
			    .dir = mem_strdup("/p"),
			    .paths = mem_array(n_main, sizeof(char *)),
			    .n_paths = n_main};
	_cleanup_buf_ struct buf out = {0};

	for (size_t i = 0; i < n_main; i++)
		c.paths[i] = mem_strdup(files[i].path);
	compose_load(&c);
	for (size_t i = 0; i < c.errors.n; i++)
		buf_printf(&out, "%s\n", err_msg(c.errors.errs[i]));
	if (c.root)
		flatten(yamltree_get(yamltree_get(c.root, "services"), "web"), &out);
	assert_string_equal(buf_cstr(&out), want);
	compose_done(&c);
}

#define WEB(text) "services:\n  web: " text "\n"

static void test_merge(void **state)
{
	static const struct {
		const char *base, *over, *want;
	} cases[] = {
		{"{image: a, x-y: 1}", "{image: b}", "{image: b, x-y: 1}"},
		{"{command: [a, b]}", "{command: c}", "{command: c}"},
		{"{environment: {A: 1, B: 2}}", "{environment: [B=3, C]}",
		 "{environment: {A: 1, B: 3, C: ~}}"},
		{"{environment: [A=1=2]}", "{environment: {B: }}", "{environment: {A: 1=2, B: ~}}"},
		{"{ports: [\"1:1\"]}", "{ports: [\"2:2\", \"1:1\"]}", "{ports: [1:1, 2:2]}"},
		{"{volumes: [a:/a, b:/b]}", "{volumes: [\"c:/a:ro\", {source: d, target: /b}, /e]}",
		 "{volumes: [c:/a:ro, {source: d, target: /b}, /e]}"},
		{"{depends_on: [a]}", "{depends_on: {b: {condition: c}}}",
		 "{depends_on: {a: ~, b: {condition: c}}}"},
		{"{healthcheck: {test: [CMD, a], retries: 1}}", "{healthcheck: {test: b}}",
		 "{healthcheck: {test: b, retries: 1}}"},
		{"{env_file: a, dns: [b]}", "{env_file: [c], dns: d}",
		 "{env_file: [a, c], dns: [b, d]}"},
		{"{ports: [1], image: a}", "{ports: !reset [], image: !reset null}", "{}"},
		{"{ports: [1], labels: {a: b}}", "{ports: !override [2], labels: !override [c=d]}",
		 "{ports: [2], labels: [c=d]}"},
		{"{deploy: {replicas: 1, labels: [a=b]}}", "{deploy: {labels: {a: c}}}",
		 "{deploy: {replicas: 1, labels: {a: c}}}"},
		{"{networks: [a]}", "{networks: {b: {aliases: [x]}}}",
		 "{networks: {a: ~, b: {aliases: [x]}}}"},
		{"{extra_hosts: [\"a:1\", b=2]}", "{extra_hosts: {a: 3}}",
		 "{extra_hosts: {a: 3, b: 2}}"},
		{"{environment: {A: 1}}", "{environment: }", "{environment: {A: 1}}"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *base = mem_printf(WEB("%s"), cases[i].base);
		_cleanup_free_ char *over = mem_printf(WEB("%s"), cases[i].over);

		check_web((struct file[]){{"/p/a", base}, {"/p/b", over}, {0}}, 2, cases[i].want);
	}
}

static void test_extends(void **state)
{
	(void)state;
	check_web(
		(struct file[]){{"/p/a", "services:\n"
					 "  web: {extends: {service: b}, image: w, cap_add: [W]}\n"
					 "  b: {extends: c, command: b, image: b}\n"
					 "  c: {image: c, cap_add: [C], user: u}\n"},
				{0}},
		1, "{image: w, cap_add: [C, W], user: u, command: b}");
	check_web((struct file[]){{"/p/a", WEB("{extends: {file: d/x.yaml, service: s}}")},
				  {"/p/d/x.yaml",
				   "services:\n"
				   "  s: {extends: {file: y.yaml, service: t}, tty: 1}\n"},
				  {"/p/d/y.yaml", "services:\n  t: {image: \"${NONE:-t}\"}\n"},
				  {0}},
		  1, "{image: t, tty: 1}");
	check_web((struct file[]){{"/p/a", WEB("{image: a}")},
				  {"/p/b", "services:\n  web: {user: u}\n  x: {extends: web}\n"},
				  {0}},
		  2, "{image: a, user: u}");
	check_web((struct file[]){{"/p/a", WEB("{extends: {service: b}}") "  b: {extends: web}\n"},
				  {0}},
		  1,
		  "extends: more than 16 levels deep, or in a circle\n"
		  "extends: more than 16 levels deep, or in a circle\n");
	check_web((struct file[]){{"/p/a", WEB("{extends: {file: none, service: b}}")}, {0}}, 1,
		  "/p/none: not there\n");
}

static void test_include(void **state)
{
	(void)state;
	check_web((struct file[]){{"/p/a", "include: [d/x.yaml]\n"},
				  {"/p/d/x.yaml", WEB("{image: \"i${V}\", user: i}")},
				  {"/p/d/.env", "V=1\n"},
				  {0}},
		  1, "{image: i1, user: i}");
	check_web((struct file[]){{"/p/a", "include: [x, y]\n" WEB("{image: i}")},
				  {"/p/x", WEB("{image: i}")},
				  {"/p/y", WEB("{image: i}")},
				  {0}},
		  1, "{image: i}");
	check_web((struct file[]){{"/p/a", "include: [x]\n" WEB("{user: u}")},
				  {"/p/x", WEB("{image: i, user: i}")},
				  {0}},
		  1, "services.web: an included file has another one\n");
	check_web((struct file[]){{"/p/a", "include: [x, y]\n"},
				  {"/p/x", WEB("{image: i}")},
				  {"/p/y", WEB("{image: j}")},
				  {0}},
		  1, "services.web: an included file has another one\n");
	check_web((struct file[]){{"/p/a", "include:\n"
					   "  - {path: [x, y], project_directory: q, env_file: e}\n"
					   "services: {other: {image: o}}\n"},
				  {"/p/x", WEB("{image: \"$V\"}")},
				  {"/p/y", WEB("{user: \"$W\"}")},
				  {"/p/e", "V=e\nW=e\n"},
				  {"/p/.env", "W=outer\n"},
				  {0}},
		  1, "{image: e, user: outer}");
	check_web((struct file[]){{"/p/a", "include: [a]\n" WEB("{}")}, {0}}, 1,
		  "include: too deep, or in a circle\n");
	check_web((struct file[]){{"/p/a", "include: a\n" WEB("{}")}, {0}}, 1,
		  "include: expected a list, this is text\n");
}

static void test_tags_elsewhere(void **state)
{
	static const char text[] = "a: !reset b\n";
	struct manifest_errors errors = {0};
	struct yamltree *t = NULL;

	(void)state;
	assert_int_equal(yamltree_parse("/f", text, strlen(text), &t, &errors), -ERR_INVALID);
	assert_int_equal(errors.n, 1);
	manifest_errors_done(&errors);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_durations),     cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_words),	      cmocka_unit_test(test_dollars),
		cmocka_unit_test(test_interpolation), cmocka_unit_test(test_env_file),
		cmocka_unit_test(test_merge),	      cmocka_unit_test(test_extends),
		cmocka_unit_test(test_include),	      cmocka_unit_test(test_tags_elsewhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
