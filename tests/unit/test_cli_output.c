/*
 * test_cli_output: JSON as YAML gives the same document back, whatever stands in it; the diff of
 * lines is a true one; wrapped texts and narrow tables keep within their columns.
 *
 * SPDX-License-Identifier: MIT
 */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "cli/cli.h"
#include "cli/js.h"
#include "cli/linediff.h"
#include "cli/table.h"
#include "cli/term.h"
#include "cli/yaml_out.h"
#include "lib/buf.h"
#include "lib/manifest.h"
#include "lib/mem.h"
#include "lib/yamltree.h"

/* ---- YAML ---- */

/* Plain text that some reader of YAML takes for another type: the test's own list. */
static bool is_typed(const char *s)
{
	static const char *const words[] = {"null", "true", "false", "yes", "no", "on",
					    "off",  "y",    "n",     "~",   "=",  "<<"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcasecmp(words[i], s) == 0)
			return true;
	return *s == '\0' || strchr("0123456789+-.&*!|>'\"%@`#,[]{}?: ", *s) != NULL;
}

static void assert_same(const struct ynode *y, const cJSON *j)
{
	const cJSON *m;
	size_t i = 0;

	if (cJSON_IsObject(j) || cJSON_IsArray(j)) {
		assert_int_equal(y->kind, cJSON_IsObject(j) ? YNODE_MAP : YNODE_LIST);
		assert_int_equal(y->n, cJSON_GetArraySize(j));
		cJSON_ArrayForEach (m, j) {
			if (cJSON_IsObject(j))
				assert_string_equal(y->items[i].key->text, m->string);
			assert_same(y->items[i++].value, m);
		}
		return;
	}
	assert_int_equal(y->kind, YNODE_SCALAR);
	if (cJSON_IsString(j)) {
		assert_string_equal(y->text, j->valuestring);
		assert_true(y->quoted || !is_typed(y->text));
		return;
	}
	assert_false(y->quoted);
	if (cJSON_IsNumber(j)) {
		_cleanup_js_ cJSON *n = js_parse(y->text, strlen(y->text));

		assert_true(cJSON_IsNumber(n) && n->valuedouble == j->valuedouble);
		return;
	}
	assert_string_equal(y->text, cJSON_IsNull(j) ? "null" : cJSON_IsTrue(j) ? "true" : "false");
}

static void round_trip(const char *json)
{
	_cleanup_js_ cJSON *j = js_parse(json, strlen(json));
	struct manifest_errors errors = {0};
	_cleanup_buf_ struct buf out = {0};
	struct yamltree *tree = NULL;

	assert_non_null(j);
	yaml_out_json(json, strlen(json), &out);
	if (yamltree_parse("out.yaml", buf_cstr(&out), out.len, &tree, &errors) < 0)
		fail_msg("not YAML:\n%s\nof %s", buf_cstr(&out), json);
	assert_int_equal(errors.n, 0);
	assert_same(yamltree_root(tree), j);
	yamltree_free(tree);
	manifest_errors_done(&errors);
}

static void yaml_by_hand(void **state)
{
	static const char json[] =
		"{\"a\":{\"b\":[1,{\"c\":null,\"d\":[]},[true,{}]],\"num\":12345678901234567890},"
		"\"s\":\"plain text\",\"t\":\"10:20\",\"u\":\"x\\ny\\n\",\"v\":\"a: b\",\"w\":\"no\"}";
	static const char want[] = "a:\n"
				   "  b:\n"
				   "    - 1\n"
				   "    - c: null\n"
				   "      d: []\n"
				   "    - - true\n"
				   "      - {}\n"
				   "  num: 12345678901234567890\n"
				   "s: plain text\n"
				   "t: \"10:20\"\n"
				   "u: |\n"
				   "  x\n"
				   "  y\n"
				   "v: \"a: b\"\n"
				   "w: \"no\"\n";
	_cleanup_buf_ struct buf out = {0};

	(void)state;
	yaml_out_json(json, strlen(json), &out);
	assert_string_equal(buf_cstr(&out), want);
	round_trip(json);
}

static const char *const strings[] = {"",
				      " ",
				      "yes",
				      "No",
				      "NULL",
				      "~",
				      "0",
				      "007",
				      "1e3",
				      "0x1f",
				      "1_000",
				      "12:30:45",
				      "2026-01-02",
				      "2026-01-02T03:04:05Z",
				      ".5",
				      ".inf",
				      ".NaN",
				      "inf",
				      "- a",
				      "-",
				      "--- a",
				      "...",
				      "? a",
				      ": a",
				      "a:",
				      "a: b",
				      "a :b",
				      "a #b",
				      "#a",
				      "a#b",
				      "[a]",
				      "{a}",
				      "&a",
				      "*a",
				      "!a",
				      "|",
				      ">",
				      "'a'",
				      "\\\"a\\\"",
				      "%a",
				      "@a",
				      "`a`",
				      "a, b",
				      "a\\tb",
				      "\\ta",
				      "a\\nb",
				      "a\\nb\\n",
				      "a\\n\\nb",
				      "a\\n\\n",
				      "\\na",
				      " a\\nb",
				      "a\\n b",
				      "a \\nb",
				      "a\\nb ",
				      "a\\r\\nb",
				      "\\u0001",
				      "\\u007f",
				      "\\u0085",
				      "\\u009b31m",
				      "\\u2028",
				      "\\u202e",
				      "\\ufeff",
				      "\\ufffe",
				      "\\u00e9t\\u00e9",
				      "\\ud83d\\ude00",
				      "a\\\\b",
				      "a/b",
				      "=",
				      "<<",
				      "y",
				      "on",
				      "a ",
				      " a",
				      "(x)",
				      "a)",
				      "a;",
				      "a;b",
				      "null # x",
				      "key: |\\n  x",
				      "a\\n- b",
				      "a\\n# b",
				      "a\\n---\\nb",
				      "a\\n...\\n",
				      "+1",
				      "1.2.3",
				      "0o17",
				      "1,000",
				      "e5",
				      "a(b)c",
				      "a =b",
				      "x=",
				      "http://x/y?z#w"};

static void yaml_strings(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(strings); i++) {
		_cleanup_free_ char *json =
			mem_printf("{\"k\":\"%s\",\"l\":[\"%s\",{\"%s\":\"%s\"}]}", strings[i],
				   strings[i], *strings[i] ? strings[i] : "k", strings[i]);
		_cleanup_free_ char *top = mem_printf("\"%s\"", strings[i]);

		assert_non_null(json);
		round_trip(json);
		round_trip(top);
	}
}

/* xorshift: the same documents on every run. */
static unsigned next(unsigned *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

static void put_string(struct buf *b, unsigned *seed)
{
	static const char *const atoms[] = {"a",       "b ",	  ": ",	  "\\n", " ",	"#",  "-",
					    "\\t",     "\\\"",	  "\\\\", "'",	 "0",	"no", ".",
					    "\\u00e9", "\\u0007", "|",	  ">",	 "\\r", ","};

	buf_char(b, '"');
	for (unsigned n = next(seed) % 7; n > 0; n--)
		buf_str(b, atoms[next(seed) % ARRAY_SIZE(atoms)]);
	buf_char(b, '"');
}

static void put_value(struct buf *b, unsigned *seed, int depth)
{
	static const char *const scalars[] = {"0", "-1", "1.5", "true", "false", "null", "1e300"};
	unsigned what = next(seed) % (depth < 5 ? 4 : 2), n = next(seed) % 4;

	if (what == 0)
		buf_str(b, scalars[next(seed) % ARRAY_SIZE(scalars)]);
	if (what == 1)
		put_string(b, seed);
	if (what < 2)
		return;
	buf_char(b, what == 2 ? '[' : '{');
	for (unsigned i = 0; i < n; i++) {
		buf_str(b, i ? ", " : "");
		if (what == 3)
			buf_printf(b, "\"%u%s\":", i, i % 2 ? "" : " x");
		put_value(b, seed, depth + 1);
	}
	buf_char(b, what == 2 ? ']' : '}');
}

static void yaml_at_random(void **state)
{
	unsigned seed = 2463534242u;

	(void)state;
	for (int i = 0; i < 5000; i++) {
		_cleanup_buf_ struct buf b = {0};

		put_value(&b, &seed, 0);
		round_trip(buf_cstr(&b));
	}
}

static void yaml_of_long_keys_and_deep_lists(void **state)
{
	_cleanup_buf_ struct buf b = {0}, deep = {0}, out = {0};

	(void)state;
	buf_str(&b, "{\"");
	for (int i = 0; i < 3000; i++)
		buf_char(&b, 'k');
	buf_str(&b, "\":{\"a\":1},\"z\":[{\"");
	for (int i = 0; i < 3000; i++)
		buf_char(&b, 'm');
	buf_str(&b, "\":2}]}");
	round_trip(buf_cstr(&b));
	for (int i = 0; i < 200; i++)
		buf_char(&deep, '[');
	buf_str(&deep, "\"]\"");
	for (int i = 0; i < 200; i++)
		buf_char(&deep, ']');
	yaml_out_json(deep.data, deep.len, &out);
	assert_non_null(strstr(buf_cstr(&out), "[[[[\"]\"]]]]"));
	buf_clear(&out);
	yaml_out_json("{oops", 5, &out);
	assert_string_equal(buf_cstr(&out), "\"{oops\"\n");
}

/* ---- the diff ---- */

static void put_line(void *user, char sign, const char *text, size_t n)
{
	struct buf *out = user;

	if (sign != '@')
		buf_char(out, sign);
	buf_append(out, text, n);
	buf_char(out, '\n');
}

static void check_diff(const char *before, const char *after, const char *want)
{
	_cleanup_buf_ struct buf out = {0};

	assert_int_equal(linediff_run(before, after, put_line, &out), *want != '\0');
	assert_string_equal(buf_cstr(&out), want);
}

static void diffs_by_hand(void **state)
{
	(void)state;
	check_diff("", "", "");
	check_diff("a\nb\n", "a\nb", "");
	check_diff("", "a\n", "@@ -0,0 +1,1 @@\n+a\n");
	check_diff("a\n", "", "@@ -1,1 +0,0 @@\n-a\n");
	check_diff("a\nb\nc\n", "a\nx\nc\n", "@@ -1,3 +1,3 @@\n a\n-b\n+x\n c\n");
	check_diff("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nx\n6\n7\n8\n9\n",
		   "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+x\n 6\n 7\n 8\n");
	/* seven equal lines part two groups, six do not */
	check_diff("a\n1\n2\n3\n4\n5\n6\n7\nb\n", "x\n1\n2\n3\n4\n5\n6\n7\ny\n",
		   "@@ -1,4 +1,4 @@\n-a\n+x\n 1\n 2\n 3\n@@ -6,4 +6,4 @@\n 5\n 6\n 7\n-b\n+y\n");
	check_diff("a\n1\n2\n3\n4\n5\n6\nb\n", "x\n1\n2\n3\n4\n5\n6\ny\n",
		   "@@ -1,8 +1,8 @@\n-a\n+x\n 1\n 2\n 3\n 4\n 5\n 6\n-b\n+y\n");
}

struct patch {
	const char *before;
	struct buf after; /* what the diff makes of it */
	bool wrong;
};

static void copy_line(struct patch *p)
{
	size_t n = strcspn(p->before, "\n");

	buf_append(&p->after, p->before, n + 1);
	p->before += n + 1;
}

/* Applies the diff; lines between the groups stay as they are. */
static void patch_line(void *user, char sign, const char *text, size_t n)
{
	struct patch *p = user;

	if (sign == '@')
		return;
	if (sign == '+') {
		buf_append(&p->after, text, n);
		buf_char(&p->after, '\n');
		return;
	}
	while (*p->before && (strncmp(p->before, text, n) != 0 || p->before[n] != '\n'))
		copy_line(p);
	if (!*p->before)
		p->wrong = true;
	else if (sign == ' ')
		copy_line(p);
	else
		p->before += n + 1;
}

/* Every line of the texts is another one, so that patching is unambiguous. */
static void diffs_at_random(void **state)
{
	unsigned seed = 88675123u;

	(void)state;
	for (int round = 0; round < 500; round++) {
		_cleanup_buf_ struct buf a = {0}, b = {0};
		struct patch p = {0};

		for (int i = 0; i < 60; i++) {
			unsigned r = next(&seed) % 10;

			if (r != 0)
				buf_printf(&a, "line %d\n", i);
			if (r > 1)
				buf_printf(&b, "line %d\n", i);
			if (r == 2)
				buf_printf(&b, "new %d\n", i);
		}
		p.before = buf_cstr(&a);
		linediff_run(buf_cstr(&a), buf_cstr(&b), patch_line, &p);
		buf_str(&p.after, p.before);
		assert_false(p.wrong);
		assert_string_equal(buf_cstr(&p.after), buf_cstr(&b));
		buf_done(&p.after);
	}
}

static void count_line(void *user, char sign, const char *text, size_t n)
{
	size_t *counts = user;

	(void)text;
	(void)n;
	counts[sign == '-' ? 0 : sign == '+' ? 1 : 2]++;
}

static void huge_texts_are_bounded(void **state)
{
	_cleanup_buf_ struct buf a = {0}, b = {0};
	size_t counts[3] = {0};

	(void)state;
	for (int i = 0; i < 20000; i++) {
		buf_printf(&a, "a%d\n", i);
		buf_printf(&b, "b%d\n", i);
	}
	assert_true(linediff_run(buf_cstr(&a), buf_cstr(&b), count_line, counts));
	assert_int_equal(counts[0], 20000);
	assert_int_equal(counts[1], 20000);
	assert_int_equal(counts[2], 1);
}

/* ---- width ---- */

static void wraps(void **state)
{
	static const char text[] =
		"a few words and averyveryverylongwordthatneverends \xc3\xa9t\xc3\xa9 \xe4\xb8\x96\xe7\x95\x8c";
	struct term t = {.utf8 = true};

	(void)state;
	for (t.columns = 1; t.columns < 90; t.columns++) {
		for (size_t indent = 0; indent < 30; indent += 6) {
			_cleanup_buf_ struct buf out = {0};
			size_t letters = 0;
			bool first = true;

			term_wrap(&t, &out, text, indent);
			for (char *line = out.data, *end; line;
			     line = end ? end + 1 : NULL, first = false) {
				end = strchr(line, '\n');
				if (end)
					*end = '\0';
				/* a glyph of two columns cannot fit in one */
				if (t.columns > 1 && !(first && indent >= t.columns))
					assert_true(term_width(&t, line) + (first ? indent : 0) <=
						    t.columns);
				for (char *p = line; *p; p++)
					letters += *p != ' ';
			}
			for (const char *p = text; *p; p++)
				letters -= *p != ' ';
			assert_int_equal(letters, 0);
		}
	}
}

static void columns_give_way(void **state)
{
	struct term term = {.utf8 = true};
	struct table t = {.term = &term, .drop = "C B"};

	(void)state;
	table_header(&t, "A", "B", "C", "MESSAGE", NULL);
	table_row(&t);
	for (const char *const *p = (const char *const[]){"aaaaa", "bbbbb", "ccccc",
							  "a long message, really", NULL};
	     *p; p++)
		table_cell(&t, NULL, "%s", *p);
	for (term.columns = 5; term.columns < 60; term.columns++) {
		_cleanup_buf_ struct buf out = {0};
		bool c = term.columns >= 7 + 7 + 7 + TABLE_LAST_MIN;
		bool b = term.columns >= 7 + 7 + TABLE_LAST_MIN;

		table_render(&t, "\n", &out);
		assert_int_equal(strstr(buf_cstr(&out), "ccccc") != NULL, c);
		assert_int_equal(strstr(buf_cstr(&out), "bbbbb") != NULL, b);
		assert_non_null(strstr(buf_cstr(&out), "aaaaa"));
		for (char *p = out.data, *end; (end = strchr(p, '\n')); p = end + 1) {
			*end = '\0';
			assert_true(term_width(&term, p) <= term.columns);
		}
	}
	table_done(&t);
}

/* Rows printed one by one lose the columns that their header lost. */
static void later_rows_fit_the_header(void **state)
{
	struct term term = {.columns = 7 + 7 + 7 + strlen("MESSAGE") - 1};
	size_t widths[4] = {5, 5, 5, 0};

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct table t = {
			.term = &term, .drop = "C B", .widths = widths, .header_shown = i > 0};
		_cleanup_buf_ struct buf out = {0};

		table_header(&t, "A", "B", "C", "MESSAGE", NULL);
		table_row(&t);
		for (int c = 0; c < 4; c++)
			table_cell(&t, NULL, "%d", c);
		table_render(&t, "\n", &out);
		assert_string_equal(buf_cstr(&out), i ? "0      1      3\n"
						      : "A      B      MESSAGE\n"
							"0      1      3\n");
		table_done(&t);
	}
}

static int set_up(void **state)
{
	(void)state;
	return setlocale(LC_CTYPE, "C.UTF-8") ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(yaml_by_hand),
		cmocka_unit_test(yaml_strings),
		cmocka_unit_test(yaml_at_random),
		cmocka_unit_test(yaml_of_long_keys_and_deep_lists),
		cmocka_unit_test(diffs_by_hand),
		cmocka_unit_test(diffs_at_random),
		cmocka_unit_test(huge_texts_are_bounded),
		cmocka_unit_test(wraps),
		cmocka_unit_test(columns_give_way),
		cmocka_unit_test(later_rows_fit_the_header),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
