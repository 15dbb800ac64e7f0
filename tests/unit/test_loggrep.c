/*
 * test_loggrep: patterns held against lines: what matches, bytes that are no UTF-8, and that nobody's
 * pattern takes time or memory without bound.
 *
 * SPDX-License-Identifier: MIT
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>

#include "lib/err.h"
#include "lib/loggrep.h"
#include "lib/mem.h"

static int holds(const char *pattern, bool ignore_case, const char *text, size_t n)
{
	struct loggrep *g = NULL;
	int r;

	assert_int_equal(loggrep_new(pattern, ignore_case, &g, NULL), 0);
	r = loggrep_matches(g, text, n, NULL);
	assert_null(loggrep_free(g));
	return r;
}

#define HOLDS(pattern, text) holds(pattern, false, text, sizeof(text) - 1)
#define HOLDS_I(pattern, text) holds(pattern, true, text, sizeof(text) - 1)

static void what_matches(void **state)
{
	(void)state;
	assert_int_equal(HOLDS("a{3}b\\{", "xaaab{"), 1);
	assert_int_equal(holds("a{3}b\\{", false, "xaaab{", 5), 0); /* only the line counts */
	assert_int_equal(HOLDS("", ""), 1);
	assert_int_equal(HOLDS("^$", ""), 1);
	assert_int_equal(HOLDS("b", "a\0b"), 1);
	assert_int_equal(HOLDS("a.b", "a\0b"), 1);
	assert_int_equal(HOLDS("error|timeout", "a timeout"), 1);
	assert_int_equal(HOLDS("^[[:digit:]]+ .*(GET|POST)$", "17 x GET"), 1);
	assert_int_equal(HOLDS("(\\w+) \\1", "the the"), 1);
	assert_int_equal(HOLDS("^(?!.*health).*GET", "GET /health"), 0);
	assert_int_equal(HOLDS("error", "ERROR"), 0);
	assert_int_equal(HOLDS_I("error", "ERROR"), 1);
	assert_int_equal(HOLDS("x.y$", "x\ry"), 1);
	assert_null(loggrep_free(NULL));
}

static void characters_and_bytes(void **state)
{
	(void)state;
	assert_int_equal(HOLDS("^.$", "\xc3\xa4"), 1); /* one character */
	assert_int_equal(HOLDS("[\xc3\xa4]x", "\xc3\xbcx"), 0);
	assert_int_equal(HOLDS_I("\xc3\x84rger", "\xc3\xa4rger"), 1);
	/* lines that are no UTF-8 */
	assert_int_equal(HOLDS("foo.*bar$", "foo \xff\xfe bar"), 1);
	assert_int_equal(HOLDS("^..$", "\xff\xfe"), 1);
	assert_int_equal(HOLDS("x$", "\xc3x"), 1);
	assert_int_equal(HOLDS("\\xe4$", "\xe4"), 1);
	assert_int_equal(HOLDS_I("bar", "\x80"
					"BAR"),
			 1);
	assert_int_equal(HOLDS("\\x{263a}|bar", "\x80"
						"bar"),
			 1); /* no byte is that */
	assert_int_equal(HOLDS("\\x{263a}", "\xe2\x98\xba"), 1);
	/* a pattern that is none */
	assert_int_equal(HOLDS("\xff.", "a\xff"
					"b"),
			 1);
	assert_int_equal(HOLDS("\xff|b.", "ab\xc3\xa4"), 1);
	assert_int_equal(HOLDS("(*UTF)^.$", "\xc3\xa4"), 1);
}

static void bad_patterns(void **state)
{
	static const char *const bad[] = {"(", "[a", "a{70000}", "*a", "\\C+", "(?<=a+)b"};
	struct loggrep *g = NULL;
	char text[LOGGREP_MAX + 2];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_err_ struct err *e = NULL;

		assert_int_equal(loggrep_new(bad[i], false, &g, &e), -ERR_INVALID);
		assert_non_null(strstr(err_msg(e), bad[i]));
	}
	memset(text, '(', 400);
	memset(text + 400, ')', 400);
	text[800] = '\0';
	assert_int_equal(loggrep_new(text, false, &g, NULL), -ERR_INVALID);
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(loggrep_new(text, false, &g, NULL), -ERR_INVALID);
}

static long used_kib(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_maxrss;
}

#define LINE (64 << 10)

/* Whoever gives such a pattern, or writes such lines, gets an error; and the view goes on. */
static void limits_are_told(void **state)
{
	static const char *const hostile[] = {
		"(a+)+$",	   "(a|a)*$",		"(a*)*b?$",
		"((a?){30}){30}$", "(?:a|b|(c)(d)?)*$", "^(.+)+\\d$",
	};
	char *line = mem_alloc(LINE);
	long before = used_kib();

	(void)state;
	memset(line, 'a', LINE);
	line[LINE - 1] = '!';
	for (size_t i = 0; i < ARRAY_SIZE(hostile); i++) {
		_cleanup_err_ struct err *e = NULL;
		struct loggrep *g = NULL;
		int r;

		assert_int_equal(loggrep_new(hostile[i], false, &g, NULL), 0);
		r = loggrep_matches(g, line, LINE, &e);
		if (r != 0) { /* PCRE2 sees through some of them */
			assert_int_equal(r, -ERR_INVALID);
			assert_non_null(strstr(err_msg(e), hostile[i]));
			assert_non_null(strstr(err_msg(e), "limit"));
		}
		assert_true(i > 0 || r < 0);
		assert_int_equal(loggrep_matches(g, "xa", 2, NULL), i < 5);
		loggrep_free(g);
	}
#ifndef AICTL_SANITIZED
	assert_in_range(used_kib() - before, 0, 48 << 10);
#else
	(void)before;
#endif
	mem_free(line);
}

static void no_memory(void **state)
{
	(void)state;
	for (unsigned long n = 1; n < 40; n++) {
		struct loggrep *g = NULL;
		int r;

		mem_fail_after(n);
		r = loggrep_new("(a|b)+c\\x{263a}", true, &g, NULL);
		if (r == 0)
			r = loggrep_matches(g, "AC", 2, NULL);
		mem_fail_after(0);
		assert_true(r == 0 || r == -ERR_NOMEM);
		loggrep_free(g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_matches), cmocka_unit_test(characters_and_bytes),
		cmocka_unit_test(bad_patterns), cmocka_unit_test(limits_are_told),
		cmocka_unit_test(no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
