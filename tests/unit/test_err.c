/* err: the contract of fallible functions, also when memory runs out. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <cmocka.h>

#include "lib/err.h"
#include "lib/mem.h"

static void test_set(void **state)
{
	struct err *e = NULL;

	(void)state;
	assert_int_equal(err_set(&e, ERR_CONFLICT, "%s is %d", "x", 5), -ERR_CONFLICT);
	assert_int_equal(e->code, ERR_CONFLICT);
	assert_string_equal(e->msg, "x is 5");
	assert_int_equal(e->sys, 0);
	assert_null(e->file);
	assert_null(e->hint);
	e = err_free(e);
	assert_null(e);
	assert_int_equal(err_set(NULL, ERR_BUSY, "nobody listens"), -ERR_BUSY);
	assert_null(err_free(NULL));
}

static void test_sys(void **state)
{
	struct err *e = NULL;

	(void)state;
	assert_int_equal(err_sys(&e, ENOENT, "cannot open %s", "/x"), -ERR_SYS);
	assert_int_equal(e->sys, ENOENT);
	assert_string_equal(e->msg, "cannot open /x: No such file or directory");
	e = err_free(e);
	assert_int_equal(err_sys(&e, ENOMEM, "fork"), -ERR_NOMEM);
	assert_int_equal(e->code, ERR_NOMEM);
	err_free(e);
}

static void test_place_hint_wrap(void **state)
{
	struct err *e = NULL, *none = NULL;

	(void)state;
	err_set(&e, ERR_NOTFOUND, "no such thing");
	assert_int_equal(err_place(&e, "a.yaml", 3, 7), -ERR_NOTFOUND);
	assert_int_equal(err_place(&e, "b.yaml", 4, 8), -ERR_NOTFOUND);
	assert_string_equal(e->file, "b.yaml");
	assert_int_equal(e->line, 4);
	assert_int_equal(e->column, 8);
	assert_int_equal(err_hint(&e, "try %s", "y"), -ERR_NOTFOUND);
	assert_int_equal(err_hint(&e, "try z"), -ERR_NOTFOUND);
	assert_string_equal(e->hint, "try z");
	assert_int_equal(err_wrap(&e, "service %s", "web"), -ERR_NOTFOUND);
	assert_string_equal(e->msg, "service web: no such thing");
	assert_int_equal(e->line, 4);
	assert_int_equal(err_place(&e, NULL, 0, 0), -ERR_NOTFOUND);
	assert_null(e->file);
	err_free(e);
	assert_int_equal(err_place(&none, "a", 1, 1), -ERR_INVALID);
	assert_int_equal(err_hint(NULL, "x"), -ERR_INVALID);
	assert_int_equal(err_wrap(&none, "x"), -ERR_INVALID);
	assert_null(none);
}

/* The out-of-memory error is static: it is never changed, freeing it is harmless. */
static void test_out_of_memory(void **state)
{
	struct err *e = NULL;

	(void)state;
	for (unsigned long n = 1; n <= 2; n++) {
		mem_fail_after(n);
		assert_int_equal(err_set(&e, ERR_INVALID, "x"), -ERR_NOMEM);
		assert_string_equal(e->msg, "out of memory");
		assert_int_equal(err_place(&e, "f", 1, 2), -ERR_NOMEM);
		assert_int_equal(err_hint(&e, "h"), -ERR_NOMEM);
		assert_int_equal(err_wrap(&e, "w"), -ERR_NOMEM);
		assert_int_equal(e->line, 0);
		assert_null(e->hint);
		assert_string_equal(e->msg, "out of memory");
		e = err_free(e);
	}
	mem_fail_after(0);
	assert_int_equal(err_nomem(&e), -ERR_NOMEM);
	assert_int_equal(err_nomem(NULL), -ERR_NOMEM);
	e = err_free(e);
	err_set(&e, ERR_INVALID, "kept");
	mem_fail_after(1);
	assert_int_equal(err_wrap(&e, "context"), -ERR_INVALID);
	mem_fail_after(0);
	assert_string_equal(e->msg, "kept");
	err_free(e);
}

static void test_names(void **state)
{
	(void)state;
	for (int c = 0; c < ERR_CODE_MAX_; c++)
		assert_string_not_equal(err_code_name((enum err_code)c), "unknown");
	assert_string_equal(err_code_name(ERR_NOTFOUND), "not_found");
	assert_string_equal(err_code_name(ERR_CODE_MAX_), "unknown");
	assert_string_equal(err_code_name((enum err_code) - 1), "unknown");
	assert_string_equal(err_msg(NULL), "unknown error");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_sys),
		cmocka_unit_test(test_place_hint_wrap),
		cmocka_unit_test(test_out_of_memory),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
