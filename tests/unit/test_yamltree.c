/*
 * yamltree: places of keys and values, what a scalar keeps, aliases and merge keys, the limits.
 * Refused texts are in test_manifest_files.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/buf.h"
#include "lib/err.h"
#include "lib/manifest_errors.h"
#include "lib/mem.h"
#include "lib/yamltree.h"

/* "{a@1:1=x@1:4, ...}": the whole tree with its places; an alias' line of origin after "<". */
static void show(struct buf *out, const struct ynode *node)
{
	if (node->kind == YNODE_SCALAR)
		buf_printf(out, "%s%s%s", node->quoted ? "'" : "", node->text,
			   node->quoted ? "'" : "");
	else
		buf_char(out, node->kind == YNODE_MAP ? '{' : '[');
	for (size_t i = 0; i < node->n; i++) {
		if (i > 0)
			buf_char(out, ' ');
		if (node->items[i].key) {
			show(out, node->items[i].key);
			buf_char(out, '=');
		}
		show(out, node->items[i].value);
	}
	if (node->kind != YNODE_SCALAR)
		buf_char(out, node->kind == YNODE_MAP ? '}' : ']');
	buf_printf(out, "@%u:%u", node->line, node->column);
	if (node->origin_line)
		buf_printf(out, "<%u", node->origin_line);
}

static void expect(const char *text, const char *want)
{
	struct manifest_errors errors = {0};
	struct yamltree *t = NULL;
	_cleanup_buf_ struct buf out = {0};

	assert_int_equal(yamltree_parse("x.yaml", text, strlen(text), &t, &errors), 0);
	assert_int_equal(errors.n, 0);
	show(&out, yamltree_root(t));
	assert_string_equal(buf_cstr(&out), want);
	yamltree_free(t);
}

static void test_places(void **state)
{
	(void)state;
	expect("a: 1", "{a@1:1=1@1:4}@1:1");
	expect("a:\n  - x\n  -   y\n", "{a@1:1=[x@2:5 y@3:7]@2:3}@1:1");
	expect("a: [x, {b: c}]", "{a@1:1=[x@1:5 {b@1:9=c@1:12}@1:8]@1:4}@1:1");
	expect("\xc3\xa9: 1", "{\xc3\xa9@1:1=1@1:4}@1:1"); /* columns are characters */
	expect("a:\n\n  b: 1\r\n  c: 2", "{a@1:1={b@3:3=1@3:6 c@4:3=2@4:6}@3:3}@1:1");
	expect("? a\n: b", "{a@1:3=b@2:3}@1:1");
	expect("a:\nb: 1", "{a@1:1=@1:3 b@2:1=1@2:4}@1:1");
}

static void test_scalars(void **state)
{
	(void)state;
	expect("[yes, no, on, ~, null, 0755, 1e3, 0x1f, .nan]",
	       "[yes@1:2 no@1:7 on@1:11 ~@1:15 null@1:18 0755@1:24 1e3@1:30 0x1f@1:35 .nan@1:41]@1:1");
	expect("['no', \"a\\tb\", !!str 5]", "['no'@1:2 'a\tb'@1:8 '5'@1:16]@1:1");
	expect("a: |\n  x\n  y\n", "{a@1:1='x\ny\n'@1:4}@1:1");
	expect("a: >-\n  x\n  y\n", "{a@1:1='x y'@1:4}@1:1");
	expect("a: b\n  c\n", "{a@1:1=b c@1:4}@1:1");
	expect("# c\n%YAML 1.1\n---\n# d\nx # e\n...\n", "x@5:1");
}

static void test_aliases(void **state)
{
	(void)state;
	expect("- &a x\n- *a", "[x@1:3 x@2:3<1]@1:1");
	expect("- &a { k: v }\n- *a", "[{k@1:8=v@1:11}@1:3 {k@2:3<1=v@2:3<1}@2:3<1]@1:1");
	expect("- &a 1\n- &b [*a]\n- *b", "[1@1:3 [1@2:7<1]@2:3 [1@3:3<1]@3:3<2]@1:1");
	expect("- &a 1\n- *a\n- &a 2\n- *a", "[1@1:3 1@2:3<1 2@3:3 2@4:3<3]@1:1");
}

static void test_merge(void **state)
{
	(void)state;
	expect("- &a {x: 1, y: 2}\n- {<<: *a, y: 3}",
	       "[{x@1:7=1@1:10 y@1:13=2@1:16}@1:3 {y@2:12=3@2:15 x@2:8<1=1@2:8<1}@2:3]@1:1");
	expect("{<<: [{a: 1}, {a: 2, b: 3}], c: 4}",
	       "{c@1:30=4@1:33 a@1:8=1@1:11 b@1:22=3@1:25}@1:1");
	expect("{\"<<\": x}", "{'<<'@1:2=x@1:8}@1:1"); /* in quotes it is a key like any other */
}

static void test_get(void **state)
{
	static const char text[] = "a: { b: ~ }\nc: [1]\nd: ''\n";
	struct manifest_errors errors = {0};
	struct yamltree *t = NULL;
	const struct ynode *root;

	(void)state;
	assert_int_equal(yamltree_parse("x", text, strlen(text), &t, &errors), 0);
	root = yamltree_root(t);
	assert_true(yamltree_is_null(yamltree_get(yamltree_get(root, "a"), "b")));
	assert_null(yamltree_get(root, "b"));
	assert_null(yamltree_get(yamltree_get(root, "c"), "1"));
	assert_null(yamltree_get(NULL, "a"));
	assert_false(yamltree_is_null(yamltree_get(root, "c")));
	assert_false(yamltree_is_null(yamltree_get(root, "d")));
	assert_string_equal(yamltree_kind_name(root), "a map");
	assert_string_equal(yamltree_kind_name(yamltree_get(root, "c")), "a list");
	assert_string_equal(yamltree_kind_name(yamltree_get(root, "d")), "text");
	yamltree_free(t);
	yamltree_free(NULL);
}

/* Duplicates are reported, the first counts, and reading goes on. */
static void test_duplicates(void **state)
{
	static const char text[] = "a: 1\na: 2\nb: {c: 1, c: 2, d: 3}\n";
	struct manifest_errors errors = {0};
	struct yamltree *t = NULL;

	(void)state;
	assert_int_equal(yamltree_parse("x", text, strlen(text), &t, &errors), 0);
	assert_int_equal(errors.n, 2);
	assert_int_equal(errors.errs[1]->line, 3);
	assert_int_equal(errors.errs[1]->column, 11);
	assert_string_equal(yamltree_get(yamltree_root(t), "a")->text, "1");
	assert_non_null(yamltree_get(yamltree_get(yamltree_root(t), "b"), "d"));
	yamltree_free(t);
	manifest_errors_done(&errors);
}

static int parse_only(const char *text, size_t len)
{
	struct manifest_errors errors = {0};
	struct yamltree *t = NULL;
	int r = yamltree_parse("x", text, len, &t, &errors);

	assert_int_equal(r == 0, t != NULL);
	assert_int_equal(r == -ERR_INVALID, errors.n > 0);
	yamltree_free(t);
	manifest_errors_done(&errors);
	return r;
}

static void fill(struct buf *b, const char *head, const char *part, size_t n, const char *tail)
{
	buf_clear(b);
	buf_str(b, head);
	for (size_t i = 0; i < n; i++)
		buf_str(b, part);
	buf_str(b, tail);
}

/* The limits, one below and one above. The root is one node, an item each. */
static void test_limits(void **state)
{
	_cleanup_buf_ struct buf b = {0};

	(void)state;
	fill(&b, "", "[", YAMLTREE_DEPTH_MAX - 1, "x");
	for (int i = 1; i < YAMLTREE_DEPTH_MAX; i++)
		buf_char(&b, ']');
	assert_int_equal(parse_only(b.data, b.len), 0);
	fill(&b, "", "[", YAMLTREE_DEPTH_MAX, "x");
	for (int i = 0; i < YAMLTREE_DEPTH_MAX; i++)
		buf_char(&b, ']');
	assert_int_equal(parse_only(b.data, b.len), -ERR_INVALID);
	fill(&b, "[", "x,", YAMLTREE_NODES_MAX - 1, "]");
	assert_int_equal(parse_only(b.data, b.len), 0);
	fill(&b, "[", "x,", YAMLTREE_NODES_MAX, "]");
	assert_int_equal(parse_only(b.data, b.len), -ERR_INVALID);
	fill(&b, "x #", "#", YAMLTREE_BYTES_MAX - 3, "");
	assert_int_equal(parse_only(b.data, b.len), 0);
	buf_char(&b, '#');
	assert_int_equal(parse_only(b.data, b.len), -ERR_INVALID);
	fill(&b, "", "[", 500000, "");
	assert_int_equal(parse_only(b.data, b.len), -ERR_INVALID);
}

/* Every prefix of a text ends in a tree or an error. */
static void test_truncated(void **state)
{
	static const char text[] =
		"a: &x [1, {b: \"c\\n\", <<: {d: 'e'}}]\n\xc3\xa9: *x\nf: |\n  g\n...\n";

	(void)state;
	for (size_t len = 0; len < sizeof(text); len++) {
		char *copy = malloc(len ? len : 1); /* so that a sanitizer sees reads behind it */

		memcpy(copy, text, len);
		parse_only(copy, len);
		free(copy);
	}
}

static void test_out_of_memory(void **state)
{
	static const char text[] = "a: &x [1, {b: 2, b: 3}]\nc: *x\nd: {<<: {e: f}}\n";
	int r = -1;

	(void)state;
	for (unsigned long n = 1; n < 40; n++) {
		struct manifest_errors errors = {0};
		struct yamltree *t = NULL;

		mem_fail_after(n);
		r = yamltree_parse("x", text, strlen(text), &t, &errors);
		mem_fail_after(0);
		assert_true(r == 0 || r == -ERR_NOMEM);
		assert_int_equal(r == 0, t != NULL);
		assert_true(r == 0 || errors.nomem);
		yamltree_free(t);
		manifest_errors_done(&errors);
	}
	assert_int_equal(r, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_places),	      cmocka_unit_test(test_scalars),
		cmocka_unit_test(test_aliases),	      cmocka_unit_test(test_merge),
		cmocka_unit_test(test_get),	      cmocka_unit_test(test_duplicates),
		cmocka_unit_test(test_limits),	      cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
