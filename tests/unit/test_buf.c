/* buf: appending, limits, sticky failure, consuming, taking. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "lib/buf.h"
#include "lib/mem.h"

static void test_append(void **state)
{
	_cleanup_buf_ struct buf b = {0};

	(void)state;
	assert_string_equal(buf_cstr(&b), "");
	buf_str(&b, "");
	assert_string_equal(buf_cstr(&b), "");
	buf_str(&b, "ab");
	buf_char(&b, 'c');
	buf_printf(&b, "%d%s", 12, "x");
	buf_append(&b, "\0y", 2);
	buf_append(&b, NULL, 0);
	assert_int_equal(b.len, 8);
	assert_memory_equal(b.data, "abc12x\0y", 9);
	for (int i = 0; i < 10000; i++)
		buf_char(&b, 'z');
	assert_int_equal(b.len, 10008);
	assert_int_equal(b.data[b.len], 0);
	assert_false(b.failed);
}

static void test_u64(void **state)
{
	_cleanup_buf_ struct buf b = {0};

	(void)state;
	buf_u64(&b, 0);
	buf_char(&b, ' ');
	buf_u64(&b, 1048576);
	buf_char(&b, ' ');
	buf_u64(&b, UINT64_MAX);
	assert_string_equal(buf_cstr(&b), "0 1048576 18446744073709551615");
}

static void test_reserve(void **state)
{
	_cleanup_buf_ struct buf b = {0};
	char *p = buf_reserve(&b, 5);

	(void)state;
	memcpy(p, "hello", 5);
	buf_added(&b, 4);
	assert_string_equal(buf_cstr(&b), "hell");
	p = buf_reserve(&b, 100);
	memset(p, '!', 100);
	buf_added(&b, 0);
	assert_string_equal(buf_cstr(&b), "hell");
	assert_null(buf_reserve(&b, SIZE_MAX));
	assert_true(b.failed);
}

static void test_limit(void **state)
{
	_cleanup_buf_ struct buf b = {.limit = 5};

	(void)state;
	buf_str(&b, "12345");
	assert_false(b.failed);
	buf_char(&b, '6');
	assert_true(b.failed);
	buf_consume(&b, 5);
	buf_str(&b, "x"); /* sticky */
	assert_int_equal(b.len, 0);
	buf_clear(&b);
	buf_printf(&b, "%s", "abcde");
	assert_false(b.failed);
	assert_string_equal(buf_cstr(&b), "abcde");
	buf_printf(&b, "%s", "f");
	assert_true(b.failed);
	assert_null(buf_take(&b));
	assert_int_equal(b.len, 0);
	assert_false(b.failed);
}

static void test_consume(void **state)
{
	_cleanup_buf_ struct buf b = {0};

	(void)state;
	buf_consume(&b, 3);
	buf_str(&b, "abcdef");
	buf_consume(&b, 0);
	buf_consume(&b, 2);
	assert_string_equal(buf_cstr(&b), "cdef");
	buf_consume(&b, 99);
	assert_string_equal(buf_cstr(&b), "");
	assert_int_equal(b.len, 0);
}

static void test_take(void **state)
{
	struct buf b = {0};
	char *s = buf_take(&b);

	(void)state;
	assert_string_equal(s, "");
	mem_free(s);
	buf_str(&b, "x");
	s = buf_take(&b);
	assert_string_equal(s, "x");
	mem_free(s);
	assert_null(b.data);
	buf_str(&b, "again");
	assert_string_equal(buf_cstr(&b), "again");
	buf_done(&b);
	buf_done(&b);
}

static void test_out_of_memory(void **state)
{
	struct buf b = {0};

	(void)state;
	mem_fail_after(1);
	buf_str(&b, "x");
	mem_fail_after(0);
	assert_true(b.failed);
	buf_printf(&b, "%d", 1);
	assert_int_equal(b.len, 0);
	assert_string_equal(buf_cstr(&b), "");
	buf_clear(&b);
	mem_fail_after(1);
	assert_null(buf_take(&b));
	mem_fail_after(0);
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_append),	      cmocka_unit_test(test_u64),
		cmocka_unit_test(test_reserve),	      cmocka_unit_test(test_limit),
		cmocka_unit_test(test_consume),	      cmocka_unit_test(test_take),
		cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
