/* manifest_expand: each name, the literal dollar, and every way to get it wrong. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <cmocka.h>

#include "lib/err.h"
#include "lib/manifest.h"
#include "lib/mem.h"

static char home[] = "HOME=/home/x", homer[] = "HOMER=no", empty[] = "EMPTY=", eq[] = "EQ=a=b";
static char *const environ_of_caller[] = {home, homer, empty, eq, NULL};

static const struct expand_vars vars = {.service = "web",
					.replica = 3,
					.port = 20001,
					.revision = 18446744073709551615U,
					.environ = environ_of_caller};

static void test_good(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{"", ""},
		{"plain", "plain"},
		{"${PORT}", "20001"},
		{"${SERVICE}-${REPLICA}.log", "web-3.log"},
		{"r${REVISION}r", "r18446744073709551615r"},
		{"${env:HOME}/x", "/home/x/x"},
		{"[${env:EMPTY}]", "[]"},
		{"${env:EQ}", "a=b"},
		{"$$", "$"},
		{"$${PORT}", "${PORT}"},
		{"$$$${x}", "$${x}"},
		{"$$${PORT}", "$20001"},
		{"$", "$"},
		{"$HOME $1 5$", "$HOME $1 5$"},
		{"}{$}", "}{$}"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *got = NULL;

		assert_int_equal(manifest_expand(cases[i].text, &vars, &got, NULL), 0);
		assert_string_equal(got, cases[i].want);
		assert_int_equal(manifest_expand_check(cases[i].text, true, NULL), 0);
	}
}

static void test_bad(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{"${}", "${} is not known"},
		{"${port}", "${port} is not known"},
		{"${PORT }", "${PORT } is not known"},
		{"${PORT", "\"${\" without \"}\""},
		{"a${", "\"${\" without \"}\""},
		{"${env:}", "${env:} lacks a variable's name"},
		{"${secret:x}", "${secret:...} is not supported yet in this version"},
		{"${${PORT}}", "${${PORT} is not known"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char untouched = 0, *got = &untouched;
		_cleanup_err_ struct err *e = NULL, *again = NULL;

		assert_int_equal(manifest_expand(cases[i].text, &vars, &got, &e), -ERR_INVALID);
		assert_string_equal(e->msg, cases[i].want);
		assert_ptr_equal(got, &untouched);
		assert_int_equal(manifest_expand_check(cases[i].text, true, &again), -ERR_INVALID);
		assert_string_equal(again->msg, cases[i].want);
	}
}

/* What only a real start can know. */
static void test_missing(void **state)
{
	struct expand_vars none = {.service = "web"};
	char *got = NULL;
	struct err *e = NULL;

	(void)state;
	assert_int_equal(manifest_expand("${env:NOPE}", &vars, &got, &e), -ERR_INVALID);
	assert_string_equal(e->msg, "${env:NOPE}: this variable is not set");
	e = err_free(e);
	assert_int_equal(manifest_expand("${env:HOM}", &vars, &got, NULL), -ERR_INVALID);
	assert_int_equal(manifest_expand("${env:HOME}", &none, &got, NULL), -ERR_INVALID);
	assert_int_equal(manifest_expand_check("${env:NOPE}", false, NULL), 0);
	assert_int_equal(manifest_expand("${PORT}", &none, &got, &e), -ERR_INVALID);
	assert_string_equal(e->msg, "${PORT}: the service has no port");
	assert_non_null(e->hint);
	e = err_free(e);
	assert_int_equal(manifest_expand_check("${PORT}", false, NULL), -ERR_INVALID);
	assert_int_equal(manifest_expand_check("$${PORT}", false, NULL), 0);
	assert_null(got);
}

static void test_out_of_memory(void **state)
{
	static const char *const texts[] = {"${SERVICE} and ${env:HOME}", "${WRONG}"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		int want = i == 0 ? 0 : -ERR_INVALID, r = -ERR_NOMEM;

		for (unsigned long n = 1; n < 20; n++) {
			_cleanup_err_ struct err *e = NULL;
			char *got = NULL;

			mem_fail_after(n);
			r = manifest_expand(texts[i], &vars, &got, &e);
			mem_fail_after(0);
			assert_true(r == want || r == -ERR_NOMEM);
			assert_int_equal(r == 0, got != NULL);
			mem_free(got);
		}
		assert_int_equal(r, want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
