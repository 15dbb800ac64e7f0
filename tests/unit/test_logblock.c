/* Tests of lib/logblock: lines that belong together, and when that ends. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/logblock.h"
#include "lib/mem.h"

#define HEAD "Traceback (most recent call last):"

static bool next_at(struct logblock *b, uint32_t stream, const char *text, int64_t ms)
{
	return logblock_next(b, stream, text, strlen(text), ms);
}

/* '+' before each line that must belong to the one before it, '-' before others. */
static void expect(const char *const *lines, size_t n)
{
	struct logblock b = {0};

	for (size_t i = 0; i < n; i++)
		if (next_at(&b, 2, lines[i] + 1, 1000 + (int64_t)i) != (lines[i][0] == '+'))
			fail_msg("line %zu: %s", i, lines[i]);
}

static void a_traceback(void **state)
{
	static const char *const lines[] = {
		"-before",	    "-" HEAD,	"+  File \"a.py\", line 1, in <module>",
		"+    f()",	    "+    ~^^", "+",
		"+ValueError: bad", "-after",
	};

	(void)state;
	expect(lines, ARRAY_SIZE(lines));
}

static void chained_ones(void **state)
{
	static const char *const lines[] = {
		"-" HEAD,
		"+  File \"a.py\", line 1",
		"+KeyError: 'a'",
		"+",
		"+During handling of the above exception, another exception occurred:",
		"+",
		"+" HEAD,
		"+  File \"a.py\", line 3",
		"+ValueError: bad",
		"+",
		"+The above exception was the direct cause of the following exception:",
		"+",
		"+" HEAD,
		"+  File \"a.py\", line 4",
		"+RuntimeError: no",
		"+  a note on it",
		"-after",
		"-" HEAD,
	};

	(void)state;
	expect(lines, ARRAY_SIZE(lines));
}

static void a_group(void **state)
{
	static const char *const lines[] = {
		"-  + Exception Group " HEAD,
		"+  |   File \"a.py\", line 1, in <module>",
		"+  | ExceptionGroup: all (2 sub-exceptions)",
		"+  +-+---------------- 1 ----------------",
		"+    | ValueError: bad",
		"+    +------------------------------------",
		"-after",
	};

	(void)state;
	expect(lines, ARRAY_SIZE(lines));
}

/* vLLM writes each line of one through its logger. */
static void one_with_prefixes(void **state)
{
	static const char *const lines[] = {
		"-(Core pid=7) ERROR 01-02 03:04:05 [core.py:712] EngineCore failed",
		"-(Core pid=7) ERROR 01-02 03:04:05 [core.py:712] " HEAD,
		"+(Core pid=7) ERROR 01-02 03:04:06 [core.py:712]   File \"x.py\", line 1",
		"+(Core pid=7) ERROR 01-02 03:04:06 [core.py:712]     f()",
		"+(Core pid=7) ERROR 01-02 03:04:06 [core.py:712] RuntimeError: no",
		"-(Core pid=7) ERROR 01-02 03:04:06 [core.py:713] and then",
		"-(Core pid=7) ERROR 01-02 03:04:05 [core.py:712] " HEAD,
		"-INFO: something else",
	};

	(void)state;
	expect(lines, ARRAY_SIZE(lines));
}

static void indented_lines(void **state)
{
	static const char *const lines[] = {"-Exception in thread \"main\" java.lang.Error: no",
					    "+\tat a.B.c(B.java:1)",
					    "+\tat a.B.d(B.java:2)",
					    "-after",
					    "-",
					    "+ indented",
					    "-"};
	static const char *const first[] = {"- indented", "+ as well"};

	(void)state;
	expect(lines, ARRAY_SIZE(lines));
	expect(first, ARRAY_SIZE(first));
}

static void time_ends_it(void **state)
{
	struct logblock b = {0};
	int64_t last;

	(void)state;
	next_at(&b, 1, HEAD, 1000);
	assert_true(logblock_expects(&b, &last));
	assert_int_equal(last, 1000);
	assert_true(next_at(&b, 1, "  a", 1000 + LOGBLOCK_GAP_MS));
	assert_false(next_at(&b, 1, "  b", 1001 + 2 * LOGBLOCK_GAP_MS));
	assert_false(logblock_expects(&b, &last));
	assert_true(next_at(&b, 1, "  c", 1001 + 2 * LOGBLOCK_GAP_MS + LOGBLOCK_NEAR_MS));
	assert_false(next_at(&b, 1, "  c", 1002 + 2 * LOGBLOCK_GAP_MS + 2 * LOGBLOCK_NEAR_MS));
	assert_false(next_at(&b, 1, "  the clock was set back", 10));
}

static void length_ends_it(void **state)
{
	struct logblock b = {0};

	(void)state;
	next_at(&b, 1, HEAD, 1000);
	for (unsigned i = 1; i < LOGBLOCK_LINES; i++)
		assert_true(next_at(&b, 1, "  a", 1000));
	assert_false(next_at(&b, 1, "  a", 1000));
	for (int64_t ms = 2000; ms <= 2000 + LOGBLOCK_MS; ms += LOGBLOCK_NEAR_MS)
		assert_int_equal(next_at(&b, 2, "  a", ms), ms > 2000);
	assert_false(next_at(&b, 2, "  a", 2001 + LOGBLOCK_MS));
}

static void the_other_stream_amid(void **state)
{
	struct logblock b = {0};

	(void)state;
	assert_false(next_at(&b, 1, "out", 1000));
	assert_false(next_at(&b, 2, HEAD, 1001));
	assert_true(next_at(&b, 1, "out", 1002));
	assert_true(next_at(&b, 3, "[aictl: a note]", 1002));
	assert_true(next_at(&b, 2, "  File", 1003));
	assert_true(next_at(&b, 2, "ValueError", 1003));
	assert_false(next_at(&b, 1, "out", 1004));
	assert_false(next_at(&b, 0, "", 1004));
}

static void long_prefixes_are_none(void **state)
{
	char line[LOGBLOCK_PREFIX + 64];
	struct logblock b = {0};
	int64_t last;

	(void)state;
	memset(line, 'x', sizeof(line));
	memcpy(line + LOGBLOCK_PREFIX, HEAD, strlen(HEAD));
	logblock_next(&b, 1, line, LOGBLOCK_PREFIX + strlen(HEAD), 1);
	assert_true(logblock_expects(&b, &last));
	b = (struct logblock){0};
	memcpy(line + LOGBLOCK_PREFIX + 1, HEAD, strlen(HEAD));
	logblock_next(&b, 1, line, LOGBLOCK_PREFIX + 1 + strlen(HEAD), 1);
	assert_false(logblock_expects(&b, &last));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_traceback),
		cmocka_unit_test(chained_ones),
		cmocka_unit_test(a_group),
		cmocka_unit_test(one_with_prefixes),
		cmocka_unit_test(indented_lines),
		cmocka_unit_test(time_ends_it),
		cmocka_unit_test(length_ends_it),
		cmocka_unit_test(the_other_stream_amid),
		cmocka_unit_test(long_prefixes_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
