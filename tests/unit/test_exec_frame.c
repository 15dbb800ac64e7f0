/* test_exec_frame: round trip, every truncation, and what is no frame. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/err.h"
#include "lib/exec_frame.h"
#include "lib/mem.h"

static void test_round_trip(void **state)
{
	_cleanup_buf_ struct buf b = {0};
	_cleanup_free_ char *large = mem_alloc(EXEC_FRAME_MAX);
	struct exec_frame f;
	unsigned rows, columns;
	int n;

	(void)state;
	memset(large, 'x', EXEC_FRAME_MAX);
	exec_frame_put(&b, EXEC_FRAME_STDIN, NULL, 0);
	exec_frame_put_resize(&b, 24, 65535);
	exec_frame_put(&b, EXEC_FRAME_STDOUT, large, EXEC_FRAME_MAX);
	assert_int_equal(b.len, 8 + 12 + 8 + EXEC_FRAME_MAX);
	assert_memory_equal(b.data + 8, "\3\0\0\0\0\0\0\4\0\30\377\377", 12); /* as documented */
	n = exec_frame_get(b.data, b.len, &f);
	assert_int_equal(n, 8);
	assert_int_equal(f.type, EXEC_FRAME_STDIN);
	assert_int_equal(f.len, 0);
	buf_consume(&b, 8);
	assert_int_equal(exec_frame_get(b.data, b.len, &f), 12);
	assert_int_equal(exec_frame_get_resize(&f, &rows, &columns), 0);
	assert_int_equal(rows, 24);
	assert_int_equal(columns, 65535);
	buf_consume(&b, 12);
	assert_int_equal(exec_frame_get(b.data, b.len, &f), b.len);
	assert_int_equal(f.type, EXEC_FRAME_STDOUT);
	assert_int_equal(f.len, EXEC_FRAME_MAX);
	assert_memory_equal(f.payload, large, f.len);
	assert_int_equal(exec_frame_get_resize(&f, &rows, &columns), -ERR_INVALID);
}

static void test_truncation(void **state)
{
	_cleanup_buf_ struct buf b = {0};
	struct exec_frame f;

	(void)state;
	exec_frame_put(&b, EXEC_FRAME_STDERR, "abcdef", 6);
	for (size_t n = 0; n < b.len; n++) {
		char *exact = malloc(n ? n : 1); /* so that a sanitizer sees one byte too many */

		memcpy(exact, b.data, n);
		assert_int_equal(exec_frame_get(exact, n, &f), 0);
		free(exact);
	}
	assert_int_equal(exec_frame_get(b.data, b.len, &f), 14);
}

static void test_bad(void **state)
{
	static const char *const bad[] = {"\6\0\0\0\0\0\0\0",	     "\377\0\0\0\0\0\0\0",
					  "\0\1\0\0\0\0\0\0",	     "\0\0\1\0\0\0\0\0",
					  "\0\0\0\1\0\0\0\0",	     "\0\0\0\0\0\1\0\1",
					  "\0\0\0\0\377\377\377\377"};
	struct exec_frame f;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(exec_frame_get(bad[i], 8, &f), -ERR_INVALID);
	assert_int_equal(exec_frame_get("\0\0\0\0\0\1\0\0", 8, &f),
			 0); /* the largest: more to come */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_truncation),
		cmocka_unit_test(test_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
