/*
 * base64: the vectors of RFC 4648, every byte, every length; the decoder refuses all else, and
 * accepts nothing that does not encode back to the same text.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <cmocka.h>

#include "lib/base64.h"
#include "lib/err.h"
#include "lib/mem.h"

static void test_vectors(void **state)
{
	static const char *const cases[][2] = {{"", ""},
					       {"f", "Zg=="},
					       {"f\157", "Zm8="},
					       {"foo", "Zm9v"},
					       {"foob", "Zm9vYg=="},
					       {"fooba", "Zm9vYmE="},
					       {"foobar", "Zm9vYmFy"}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *text = base64_encode(cases[i][0], strlen(cases[i][0]));
		_cleanup_free_ char *data = NULL;
		size_t len = 99;

		assert_string_equal(text, cases[i][1]);
		assert_int_equal(base64_decode(text, strlen(text), &data, &len, NULL), 0);
		assert_int_equal(len, strlen(cases[i][0]));
		assert_string_equal(data, cases[i][0]);
	}
}

static void test_every_byte_and_length(void **state)
{
	unsigned char all[512];

	(void)state;
	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (unsigned char)(i * 7 + i / 256);
	for (size_t n = 0; n <= sizeof(all); n++) {
		_cleanup_free_ char *text = base64_encode(all, n), *data = NULL;
		size_t len = 0;

		assert_int_equal(strlen(text), (n + 2) / 3 * 4);
		assert_int_equal(base64_decode(text, strlen(text), &data, &len, NULL), 0);
		assert_int_equal(len, n);
		assert_memory_equal(data, all, n);
		assert_int_equal(data[n], 0);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{"Z", "not base64: 1 characters are no multiple of 4"},
		{"Zg", "not base64: 2 characters are no multiple of 4"},
		{"Zg=", "not base64: 3 characters are no multiple of 4"},
		{"Zm9vYg=", "not base64: 7 characters are no multiple of 4"},
		{"====", "not base64 at character 1"},
		{"Z===", "not base64 at character 2"},
		{"Zg==Zg==", "not base64 at character 3"},
		{"Zm8=Zm8=", "not base64 at character 4"},
		{"Zh==", "not base64 at character 2"}, /* bits behind the end */
		{"Zm9=", "not base64 at character 3"},
		{"Zm9v\n===", "not base64 at character 5"},
		{"Zm 9", "not base64 at character 3"},
		{"Zm-_", "not base64 at character 3"}, /* the URL alphabet */
		{"Zm\xc3\xbc", "not base64 at character 3"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_err_ struct err *e = NULL;
		char *data = NULL;
		size_t len = 7;

		assert_int_equal(
			base64_decode(cases[i].text, strlen(cases[i].text), &data, &len, &e),
			-ERR_INVALID);
		assert_string_equal(err_msg(e), cases[i].want);
		assert_null(data);
		assert_int_equal(len, 7);
	}
}

/* All groups of four out of these characters: what is accepted encodes back to itself. */
static void test_one_text_for_each_content(void **state)
{
	static const char chars[] = "AB/+gw=9 \n";
	size_t accepted = 0, n = strlen(chars);

	(void)state;
	for (size_t i = 0; i < n * n * n * n; i++) {
		char text[5] = {chars[i % n], chars[i / n % n], chars[i / n / n % n],
				chars[i / n / n / n], '\0'};
		_cleanup_free_ char *data = NULL, *again = NULL;
		size_t len = 0;

		if (base64_decode(text, 4, &data, &len, NULL) < 0)
			continue;
		again = base64_encode(data, len);
		assert_string_equal(again, text);
		accepted++;
	}
	assert_true(accepted > 2000);
}

static void test_out_of_memory(void **state)
{
	_cleanup_err_ struct err *e = NULL;
	char *data = NULL;
	size_t len = 0;

	(void)state;
	mem_fail_after(1);
	assert_null(base64_encode("x", 1));
	mem_fail_after(1);
	assert_int_equal(base64_decode("Zg==", 4, &data, &len, &e), -ERR_NOMEM);
	mem_fail_after(0);
	assert_null(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_every_byte_and_length),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_one_text_for_each_content),
		cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
