/*
 * test_cli_screen: texts cut and made safe, tables that never wrap, with and without UTF-8.
 *
 * SPDX-License-Identifier: MIT
 */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "cli/cli.h"
#include "cli/table.h"
#include "cli/term.h"
#include "cli/view.h"
#include "lib/buf.h"

static const struct term plain = {0};
static const struct term utf8 = {.utf8 = true};

static const char *put(const struct term *t, struct buf *out, const char *text, size_t max)
{
	buf_clear(out);
	assert_true(term_put(t, out, text, max) <= (max ? max : 1000));
	return buf_cstr(out);
}

static void cutting(void **state)
{
	_cleanup_buf_ struct buf b = {0};

	(void)state;
	assert_string_equal(put(&utf8, &b, "abcdef", 6), "abcdef");
	assert_string_equal(put(&utf8, &b, "abcdef", 5), "abcd\xe2\x80\xa6");
	assert_string_equal(put(&plain, &b, "abcdef", 5), "ab...");
	assert_string_equal(put(&plain, &b, "abcdef", 2), "ab");
	assert_string_equal(put(&utf8, &b, "abcdef", 1), "a");
	assert_string_equal(put(&utf8, &b, "", 3), "");
}

static void control_characters(void **state)
{
	_cleanup_buf_ struct buf b = {0};

	(void)state;
	assert_string_equal(put(&utf8, &b, "a\033[31mb\x7f", 0), "a?[31mb?");
	assert_string_equal(put(&utf8, &b, "two\nlines\there", 0), "two lines here");
	assert_string_equal(put(&utf8, &b, "c1 \xc2\x9b end", 0), "c1 ? end");
}

static void broken_and_wide_utf8(void **state)
{
	_cleanup_buf_ struct buf b = {0};

	(void)state;
	assert_string_equal(put(&utf8, &b, "a\xff\xe2\x80", 0), "a???");
	assert_string_equal(put(&utf8, &b, "gr\xc3\xbc\xc3\x9f", 0), "gr\xc3\xbc\xc3\x9f");
	assert_int_equal(term_width(&utf8, "gr\xc3\xbc\xc3\x9f"), 4);
	assert_int_equal(term_width(&utf8, "\xe6\x97\xa5\xe6\x9c\xac"), 4);
	/* a character of two columns is not cut in half */
	assert_string_equal(put(&utf8, &b, "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", 4),
			    "\xe6\x97\xa5\xe2\x80\xa6");
}

static void without_utf8_others_are_marks(void **state)
{
	_cleanup_buf_ struct buf b = {0};

	(void)state;
	assert_string_equal(put(&plain, &b, "gr\xc3\xbc\xc3\x9f \xe2\x80\x94 ok", 0), "gr?? ? ok");
	assert_int_equal(term_width(&plain, "gr\xc3\xbc\xc3\x9f"), 4);
}

static const char *render(struct table *t, struct buf *out)
{
	buf_clear(out);
	table_render(t, "\n", out);
	return buf_cstr(out);
}

static void fill(struct table *t, const struct term *term)
{
	*t = (struct table){.term = term};
	table_header(t, "NAME", "N", "MESSAGE", NULL);
	table_row(t);
	table_cell(t, TERM_GREEN, "sentiment/0");
	table_cell(t, NULL, "%d", 1);
	table_cell(t, NULL, "a message of some length");
	table_row(t);
	table_cell(t, NULL, "b");
	table_cell(t, NULL, "%d", 12);
	table_cell(t, NULL, "%s", "");
}

static void table_columns(void **state)
{
	_cleanup_buf_ struct buf b = {0};
	struct table t;

	(void)state;
	fill(&t, &plain);
	assert_string_equal(render(&t, &b), "NAME         N   MESSAGE\n"
					    "sentiment/0  1   a message of some length\n"
					    "b            12\n");
	table_done(&t);
}

static void narrow_table(void **state)
{
	_cleanup_buf_ struct buf b = {0};
	struct term term = {.columns = 24};
	struct table t;

	(void)state;
	fill(&t, &term);
	assert_string_equal(render(&t, &b), "NAME         N   MESSAGE\n"
					    "sentiment/0  1   a me...\n"
					    "b            12\n");
	for (term.columns = 1; term.columns < 60; term.columns++) {
		char *line, *rest = NULL;

		render(&t, &b);
		for (line = strtok_r(b.data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
			assert_true(strlen(line) <= term.columns);
	}
	table_done(&t);
}

static void coloured_table(void **state)
{
	_cleanup_buf_ struct buf b = {0};
	struct term term = {.color = true};
	struct table t;

	(void)state;
	fill(&t, &term);
	assert_non_null(strstr(render(&t, &b), "\033[32msentiment/0\033[0m  1 "));
	table_done(&t);
}

/* The prefix of a replica's lines in a view of its own; returns its colour. */
static void color_of(const struct term *term, const char *service, int64_t replica, char ret[8])
{
	struct view v = {.term = term, .prefix = true};
	size_t n;
	const char *prefix;

	view_expect(&v, "another/0"); /* who came before makes no difference */
	prefix = view_prefix(&v, service, replica, &n);
	assert_true(n > 8 && *prefix == '\033');
	memccpy(ret, prefix, 'm', 7);
	ret[7] = '\0';
	*(strchr(ret, 'm') + 1) = '\0';
	assert_string_equal(prefix + n - 5, "\033[0m ");
	view_done(&v);
}

static void colours_of_replicas(void **state)
{
	static const struct term term = {.color = true};
	char first[8], again[8], next[8];
	struct view v = {.term = &plain, .prefix = true};
	size_t n;

	(void)state;
	for (int64_t i = 0; i < 20; i++) {
		color_of(&term, "sentiment", i, first);
		color_of(&term, "sentiment", i, again);
		color_of(&term, "sentiment", i + 1, next);
		assert_string_equal(first, again);
		assert_string_not_equal(first, next);
	}
	assert_string_equal(view_prefix(&v, "a", 1, &n), "a/1 | ");
	assert_string_equal(view_prefix(&v, "longer", 1, &n), "longer/1 | ");
	assert_string_equal(view_prefix(&v, "a", 1, &n), "a/1      | ");
	view_done(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cutting),
		cmocka_unit_test(control_characters),
		cmocka_unit_test(broken_and_wide_utf8),
		cmocka_unit_test(without_utf8_others_are_marks),
		cmocka_unit_test(table_columns),
		cmocka_unit_test(narrow_table),
		cmocka_unit_test(coloured_table),
		cmocka_unit_test(colours_of_replicas),
	};

	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		return 77; /* no UTF-8 locale here */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
