/* Tests of cli/log_pretty: lines for people, with and without colours. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/cli.h"
#include "cli/log_pretty.h"
#include "cli/log_safe.h"
#include "lib/buf.h"
#include "lib/mem.h"

static void expect(bool color, const char *line, const char *want)
{
	const struct term term = {.color = color};
	_cleanup_buf_ struct buf out = {0};

	log_pretty(&out, &term, line, strlen(line), "a/0 | ", 6);
	assert_false(out.failed);
	assert_string_equal(buf_cstr(&out), want);
}

static void json(void **state)
{
	(void)state;
	expect(false, "{\"level\":\"info\",\"ts\":1,\"msg\":\"up\",\"port\":80}",
	       "INFO  up port=80");
	expect(false, "{\"level\":\"critical\",\"event\":\"gone\"}", "CRITICAL gone");
	expect(false, "{\"level\":\"error\",\"code\":7}", "ERROR code=7");
	expect(false, "{\"msg\":\"up\",\"a\":\"b c\"}", "up a=\"b c\"");
	expect(false, "{\"level\":\"info\",\"msg\":\"\"}", "INFO ");
	expect(true, "{\"level\":\"error\",\"msg\":\"no\",\"a\":1}",
	       "\033[31mERROR\033[0m no\033[2m a=1\033[0m");
}

static void several_lines(void **state)
{
	(void)state;
	expect(false, "{\"msg\":\"one\\n two\\n\",\"a\":1}", "one\na/0 |  two a=1");
	expect(false,
	       "{\"exc_info\":\"Traceback\\n  x\\nE: y\\n\",\"event\":\"no\",\"level\":\"error\",\"a\":1}",
	       "ERROR no a=1\na/0 | Traceback\na/0 |   x\na/0 | E: y");
}

static void other_lines(void **state)
{
	(void)state;
	expect(false, "ERROR: no", "ERROR: no");
	expect(false, "", "");
	expect(false, "{\"a\":1}", "{\"a\":1}");
	expect(true, "{\"a\":1}", "{\"a\":1}");
	expect(true, "hello", "hello");
	expect(true, "INFO: hello", "INFO: hello");
	expect(true, "ERROR: no", "\033[31mERROR: no\033[0m");
	expect(true, "[warning] low", "\033[33m[warning] low\033[0m");
	expect(true, "<2>hot", "\033[1;31m<2>hot\033[0m");
	expect(true, "DEBUG x", "\033[2mDEBUG x\033[0m");
	expect(true, "\033[34mERROR\033[0m: no", "\033[34mERROR\033[0m: no");
}

static void expect_safe(bool color, const char *line, size_t n, const char *want)
{
	_cleanup_buf_ struct buf scratch = {0};
	const char *got = log_safe(&scratch, line, &n, color);

	assert_int_equal(n, strlen(want));
	assert_memory_equal(got, want, n);
}

#define SAFE(color, line, want) expect_safe(color, line, sizeof(line) - 1, want)

static void safe_on_a_terminal(void **state)
{
	(void)state;
	SAFE(true, "", "");
	SAFE(true, "h\xc3\xa9llo\tw\xe2\x82\xac\xff", "h\xc3\xa9llo\tw\xe2\x82\xac\xff");
	SAFE(true, "a\033]0;title\007b", "a^[]0;title^Gb");
	SAFE(true, "a\033[2J\0b\x7f", "a^[[2J^@b^?");
	SAFE(true,
	     "a\xc2\x9b"
	     "2Jb\xc2\xa0",
	     "a\\u009b2Jb\xc2\xa0");
	SAFE(true, "\033[1;31mred", "\033[1;31mred\033[0m");
	SAFE(false, "\033[38:5:1mred\033[m.", "red.");
	SAFE(true, "\033[31", "^[[31");
	SAFE(true, "\033[", "^[[");
	SAFE(true, "\033", "^[");
	SAFE(true, "\033[1?m", "^[[1?m");
	SAFE(true, "dos\r", "dos");
	SAFE(true, "\r 10%\r100%\r\r", "100%");
	SAFE(true, "\r", "");
	SAFE(true, "\xc2", "\xc2");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json),
		cmocka_unit_test(several_lines),
		cmocka_unit_test(other_lines),
		cmocka_unit_test(safe_on_a_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
