/*
 * env_file: what docker compose writes in a .env, line by line; errors name the line and never the
 * text; every allocation fails once.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "lib/buf.h"
#include "lib/env_file.h"
#include "lib/err.h"
#include "lib/manifest_errors.h"
#include "lib/mem.h"

static void show(struct buf *out, const char *word, const struct manifest_errors *list)
{
	for (size_t i = 0; i < list->n; i++)
		buf_printf(out, "%s %s:%u: %s\n", word, list->errs[i]->file, list->errs[i]->line,
			   list->errs[i]->msg);
}

/* Variables as <NAME=value>, then errors and warnings. */
static char *parse(const char *text, size_t len)
{
	struct manifest_errors errors = {0}, warnings = {0};
	const struct env_file_log log = {&errors, &warnings, "here"};
	struct env_file_list list = {0};
	struct buf out = {0};

	env_file_parse("/e", text, len, &list, &log);
	for (size_t i = 0; i < list.n; i++)
		buf_printf(&out, "<%s>", list.v[i]);
	show(&out, "error", &errors);
	show(&out, "warning", &warnings);
	buf_str(&out, errors.nomem ? "out of memory" : "");
	env_file_done(&list);
	manifest_errors_done(&errors);
	manifest_errors_done(&warnings);
	return buf_take(&out);
}

static void check(const char *text, const char *want)
{
	_cleanup_free_ char *got = parse(text, strlen(text));

	assert_string_equal(got ? got : "", want);
}

static void test_lines(void **state)
{
	static const char *const cases[][2] = {
		{"", ""},
		{"\n\n  \n\t\n", ""},
		{"# A=1\n  # B=2\n", ""},
		{"A=1", "<A=1>"},
		{"A=1\nB=2\n", "<A=1><B=2>"},
		{"A=1\r\nB=2\r\n", "<A=1><B=2>"},
		{"A=\nB= \nC=\"\"\nD=''", "<A=><B=><C=><D=>"},
		{"  A = 1  \n", "<A=1>"},
		{"export A=1\nexport\tB=2\nexport=3\n", "<A=1><B=2><export=3>"},
		{"A=1 # one\nB=1#one\nC= # none\nD=\t#\n", "<A=1><B=1#one><C=><D=>"},
		{"A=#fff\nB=#\nC=x #y\n", "<A=#fff><B=#><C=x>"},
		{"A=a b  c \n", "<A=a b  c>"},
		{"A=x=y=z\n", "<A=x=y=z>"},
		{"A='x # y' # z\nB=\"x # y\"# z\n", "<A=x # y><B=x # y>"},
		{"A='\\n\"$B'\n", "<A=\\n\"$$B>"},
		{"A=\"a\\nb\\tc\\r\\\\\\\"\\$ \\x\"\n", "<A=a\nb\tc\r\\\"$$ \\x>"},
		{"A=\\n\n", "<A=\\n>"},
		{"A=$B ${C} $$\n", "<A=$$B $${C} $$$$>"},
		{"A=it's\nB=x\"y\"\n", "<A=it's><B=x\"y\">"},
		{"A=\"one\ntwo\"\nB=3\n", "<A=one\ntwo><B=3>"},
		{"A='one\r\ntwo'\r\nB=3\n", "<A=one\ntwo><B=3>"},
		{"\xef\xbb\xbf"
		 "A=1\n",
		 "<A=1>"},
		{"A=\xc3\xbc\n_B9=x\n", "<A=\xc3\xbc><_B9=x>"},
		{"A=1\nA=2\n", "<A=1><A=2>"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		check(cases[i][0], cases[i][1]);
}

#define EXPECTED "expected NAME=value, a comment or nothing\n"

static void test_errors(void **state)
{
	static const char *const cases[][2] = {
		{"root:$6$hash:19000:0:99999:7:::\n", "error /e:1: " EXPECTED},
		{"A=1\nB\nC=3\n", "<A=1><C=3>error /e:2: " EXPECTED},
		{"=1\n", "error /e:1: " EXPECTED},
		{"1A=1\n", "error /e:1: " EXPECTED},
		{"A-B=1\n", "error /e:1: " EXPECTED},
		{"A B=1\n", "error /e:1: " EXPECTED},
		{"export\n", "error /e:1: " EXPECTED},
		{"{\"A\":1}\n", "error /e:1: " EXPECTED},
		{"\n\nA=\"x\n\ny", "error /e:3: the quotes are not closed\n"},
		{"A='x' y\n", "error /e:1: something stands behind the closing quote\n"},
		{"A=\"x\ny\"z\n", "error /e:2: something stands behind the closing quote\n"},
		{"A=\"x\ny\"\n?\n", "<A=x\ny>error /e:3: " EXPECTED},
		{"A=1\nB=\xff\n", "error /e:2: not UTF-8\n"},
		{"PORT=1\nAICTL_X=2\nPORTS=3\n",
		 "<PORTS=3>warning /e:1: PORT is set by aictl itself, this line is ignored\n"
		 "warning /e:2: AICTL_... is set by aictl itself, this line is ignored\n"},
	};
	_cleanup_free_ char *nul = parse("A=1\nB=\0", 7);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		check(cases[i][0], cases[i][1]);
	assert_string_equal(nul, "error /e:2: a NUL byte is not allowed\n");
}

/* Whatever it holds, a message is one of ours. */
static void test_never_quotes(void **state)
{
	static const char secret[] = "Hunter2";

	(void)state;
	for (unsigned i = 0; i < 256; i++) {
		char text[64];
		_cleanup_free_ char *got = NULL;
		const char *at;

		snprintf(text, sizeof(text), "%s%c%s", secret, (char)i, secret);
		got = parse(text, 2 * strlen(secret) + 1);
		at = strstr(got, "error");
		assert_true(i == '=' || at != NULL);
		assert_null(at ? strstr(at, secret) : NULL);
	}
}

static void test_limit(void **state)
{
	_cleanup_buf_ struct buf text = {0};
	_cleanup_free_ char *got = NULL;

	(void)state;
	for (unsigned i = 0; i < ENV_FILE_VARIABLES_MAX + 2; i++)
		buf_printf(&text, "A%u=1\n", i);
	got = parse(buf_cstr(&text), text.len);
	assert_non_null(strstr(got, "<A4095=1>error /e:4097: more than 4096 variables\n"));
}

static void test_out_of_memory(void **state)
{
	static const char text[] = "A=\"x $y\"\nPORT=1\nexport B=2\nbad\n";
	bool failed = true;

	(void)state;
	for (unsigned long i = 1; failed; i++) {
		struct manifest_errors errors = {0}, warnings = {0};
		const struct env_file_log log = {&errors, &warnings, NULL};
		struct env_file_list list = {0};

		mem_fail_after(i);
		env_file_parse("/e", text, strlen(text), &list, &log);
		mem_fail_after(0);
		failed = errors.nomem || warnings.nomem;
		assert_true(failed || (list.n == 2 && errors.n == 1 && warnings.n == 1));
		env_file_done(&list);
		manifest_errors_done(&errors);
		manifest_errors_done(&warnings);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),	      cmocka_unit_test(test_errors),
		cmocka_unit_test(test_never_quotes),  cmocka_unit_test(test_limit),
		cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
