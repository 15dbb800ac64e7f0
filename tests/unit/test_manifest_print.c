/* manifest_print_error: the caret stands under the very character, and nothing unsafe is printed.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <cmocka.h>

#include "lib/buf.h"
#include "lib/err.h"
#include "lib/manifest.h"
#include "lib/mem.h"

/* Prints "oops" at line:column of text and compares what follows the first line. */
static void expect(const char *text, unsigned line, unsigned column, const char *want)
{
	struct err e = {
		.code = ERR_INVALID, .msg = (char[]){"oops"}, .line = line, .column = column};
	_cleanup_buf_ struct buf out = {0};
	const char *rest;

	assert_int_equal(manifest_print_error(&out, &e, text, false), 0);
	rest = strchr(buf_cstr(&out), '\n');
	assert_non_null(rest);
	assert_string_equal(rest + 1, want);
}

static void test_caret(void **state)
{
	(void)state;
	expect("a: 1\nb: 2\nc: 3\n", 2, 4, "    2 | b: 2\n      |    ^\n");
	expect("a: 1", 1, 1, "    1 | a: 1\n      | ^\n");
	expect("a: 1", 1, 5, "    1 | a: 1\n      |     ^\n"); /* just behind the end */
	expect("a: 1\r\nb: 2\r\n", 2, 1, "    2 | b: 2\n      | ^\n");
	expect("a: 1\rb: 2", 2, 1, "    2 | b: 2\n      | ^\n");
	expect("a: \"\xe2\x80\xa8 x\"\n", 2, 2, "    2 |  x\"\n      |  ^~\n");
}

/* What is underlined: what the column begins. */
static void test_tail(void **state)
{
	static const struct {
		const char *text;
		unsigned column;
		const char *want;
	} cases[] = {
		{"port: 99999", 7, "      ^~~~~"},
		{"port: 99999   # why", 7, "      ^~~~~"},
		{"prot: 99999", 1, "^~~~"},
		{"prot:", 1, "^~~~"},
		{"{ prot: 9, b: 1 }", 3, "  ^~~~"},
		{"{ a: one word, b: 1 }", 6, "     ^~~~~~~~"},
		{"a: one, word", 4, "   ^~~~~~~~~"},
		{"a: \"x\\\" y\" # c", 4, "   ^~~~~~~"},
		{"a: 'it''s' b", 4, "   ^~~~~~~"},
		{"a: \"not closed", 4, "   ^"},
		{"a: [b, \"]\", c] # d", 4, "   ^~~~~~~~~~~"},
		{"a: [b, [c]", 4, "   ^"},
		{"a: { b: {} }", 4, "   ^~~~~~~~~"},
		{"a: [\"x ${PROT} y\"]", 8, "       ^~~~~~~"},
		{"a: x ${PROT", 6, "     ^"},
		{"a: &x 5", 4, "   ^~~~"},
		{"a: *x", 4, "   ^~"},
		{"a: b: c", 5, "    ^"},
		{"\ta: 1", 1, "^"},
		{"a: -1", 4, "   ^~"},
		{"a: \xe6\x97\xa5\xe6\x9c\xac", 4, "   ^~~~"}, /* wide */
		{"a: ]", 4, "   ^"},
		{"a: \xff", 4, "   ^"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err e = {.msg = (char[]){"oops"}, .line = 1, .column = cases[i].column};
		_cleanup_buf_ struct buf out = {0};
		char *line, *end;

		assert_int_equal(manifest_print_error(&out, &e, cases[i].text, false), 0);
		line = strstr(buf_cstr(&out), "      | ");
		assert_non_null(line);
		end = strchr(line, '\n');
		*end = '\0';
		if (strcmp(line + 8, cases[i].want) != 0)
			fail_msg("%s: %s, not %s", cases[i].text, line + 8, cases[i].want);
	}
}

static void test_no_line(void **state)
{
	(void)state;
	expect("a: 1\n", 2, 1, "");
	expect("a: 1\n\n\n", 2, 1, "");
	expect("a: 1\n", 99, 1, "");
	expect("", 1, 1, "");
	expect("a: 1\n", 1, 0, "    1 | a: 1\n");
	expect(NULL, 1, 1, "");
	expect("a: 1\n", 0, 0, "");
}

static void test_widths(void **state)
{
	(void)state;
	expect("\ta:\tx\n", 1, 5, "    1 | \ta:\tx\n      | \t  \t^\n");
	expect("\xc3\xa9\xc3\xa9: x", 1, 5, "    1 | \xc3\xa9\xc3\xa9: x\n      |     ^\n");
	expect("\xe6\x97\xa5: x", 1, 4, "    1 | \xe6\x97\xa5: x\n      |     ^\n"); /* two wide */
	expect("e\xcc\x81: x", 1, 5, "    1 | e\xcc\x81: x\n      |    ^\n");	     /* combining */
	expect("\xf0\x9f\x98\x80 x", 1, 3, "    1 | \xf0\x9f\x98\x80 x\n      |    ^\n");
}

static void test_unsafe(void **state)
{
	(void)state;
	expect("a\033[31m: x", 1, 9, "    1 | a?[31m: x\n      |         ^\n");
	expect("a\xff\xfe: x", 1, 6, "    1 | a??: x\n      |      ^\n");
	expect("\xc2\x9b: x", 1, 4, "    1 | ?: x\n      |    ^\n");
	expect("\xe2\x82", 1, 1, "    1 | ??\n      | ^\n");
}

static void test_long_line(void **state)
{
	char text[501] = {0};
	_cleanup_buf_ struct buf want = {0};

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[250] = '!';
	buf_printf(&want, "    1 | ...%.60s!%.60s...\n", text, text);
	buf_printf(&want, "      | %63s^", "");
	for (int i = 0; i < 60; i++)
		buf_char(&want, '~');
	buf_char(&want, '\n');
	expect(text, 1, 251, buf_cstr(&want));
}

static void test_head(void **state)
{
	static char file[] = "/srv/aictl.yaml", msg[] = "port: 0 is not in 1..65535",
		    hint[] = "fix it";
	struct err e = {.code = ERR_INVALID,
			.msg = msg,
			.file = file,
			.line = 1,
			.column = 7,
			.hint = hint};
	_cleanup_buf_ struct buf out = {0};

	(void)state;
	manifest_print_error(&out, &e, "port: 0\n", false);
	assert_string_equal(buf_cstr(&out),
			    "/srv/aictl.yaml:1:7: error: port: 0 is not in 1..65535\n"
			    "    1 | port: 0\n      |       ^\nhint: fix it\n");
	buf_clear(&out);
	manifest_print_error(&out, &e, "port: 0\n", true);
	assert_string_equal(buf_cstr(&out),
			    "\033[1m/srv/aictl.yaml:1:7: \033[1;31merror:\033[0m\033[1m port: 0 is "
			    "not in 1..65535\033[0m\n"
			    "    1 | port: 0\n      |       \033[1;32m^\033[0m\nhint: fix it\n");
	buf_clear(&out);
	manifest_print_warning(&out, &e, NULL, false);
	assert_string_equal(buf_cstr(&out),
			    "/srv/aictl.yaml:1:7: warning: port: 0 is not in 1..65535\n"
			    "hint: fix it\n");
	buf_clear(&out);
	e.file = NULL;
	e.line = 0;
	e.hint = NULL;
	manifest_print_error(&out, &e, NULL, false);
	assert_string_equal(buf_cstr(&out), "error: port: 0 is not in 1..65535\n");
}

static void test_out_of_memory(void **state)
{
	struct err e = {.code = ERR_INVALID, .msg = (char[]){"oops"}, .line = 1, .column = 1};
	int r = -1;

	(void)state;
	for (unsigned long n = 1; n < 12; n++) {
		_cleanup_buf_ struct buf out = {0};

		mem_fail_after(n);
		r = manifest_print_error(&out, &e, "a: 1\n", false);
		mem_fail_after(0);
		assert_true(r == 0 || r == -ERR_NOMEM);
	}
	assert_int_equal(r, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_caret),	cmocka_unit_test(test_tail),
		cmocka_unit_test(test_no_line), cmocka_unit_test(test_widths),
		cmocka_unit_test(test_unsafe),	cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_head),	cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
