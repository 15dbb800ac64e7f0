/* http_parse_head_end: where a head ends, beside a judge of byte by byte. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/http_parse.h"

#define LONGEST 8

static long plain(const char *data, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool cr_before = i > 0 && data[i - 1] == '\r';

		if (data[i] == '\0' || (data[i] == '\n') != cr_before)
			return -1;
		if (data[i] == '\n' && i >= 3 && data[i - 3] == '\r' && data[i - 2] == '\n')
			return (long)i + 1;
	}
	return 0;
}

/* As it comes: k bytes, and then the others. */
static long in_two(const char *data, size_t n, size_t k)
{
	size_t at = 0;
	long end = http_parse_head_end(data, k, &at);

	return end != 0 ? end : http_parse_head_end(data, n, &at);
}

static void test_every_short_head(void **state)
{
	static const char bytes[] = {'\r', '\n', '\0', 'a'};
	char data[LONGEST];

	(void)state;
	for (size_t n = 0; n <= LONGEST; n++) {
		for (unsigned which = 0; which < 1u << (2 * n); which++) {
			for (size_t i = 0; i < n; i++)
				data[i] = bytes[which >> (2 * i) & 3];
			for (size_t k = 0; k <= n; k++)
				assert_int_equal(in_two(data, n, k), plain(data, n));
		}
	}
}

static void test_where_it_goes_on(void **state)
{
	static const char data[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\nbody\n";
	size_t at = 0;

	(void)state;
	assert_int_equal(http_parse_head_end(data, 20, &at), 0);
	assert_int_equal(at, 20);
	assert_int_equal(http_parse_head_end(data, sizeof(data) - 1, &at), 27);
	assert_int_equal(at, 27);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_short_head),
		cmocka_unit_test(test_where_it_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
