/* jsonw: what it writes is read back by a strict JSON reader (cJSON), whatever the strings hold. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <math.h>
#include <string.h>
#include <cjson/cJSON.h>
#include <cmocka.h>

#include "lib/buf.h"
#include "lib/jsonw.h"
#include "lib/mem.h"

static void test_shapes(void **state)
{
	_cleanup_buf_ struct buf b = {0};
	struct jsonw w = {.out = &b};

	(void)state;
	jsonw_object_begin(&w, NULL);
	jsonw_string(&w, "s", "x");
	jsonw_string(&w, "n", NULL);
	jsonw_int(&w, "i", INT64_MIN);
	jsonw_bool(&w, "t", true);
	jsonw_bool(&w, "f", false);
	jsonw_array_begin(&w, "a");
	jsonw_int(&w, NULL, 1);
	jsonw_object_begin(&w, NULL);
	jsonw_object_end(&w);
	jsonw_array_begin(&w, NULL);
	jsonw_array_end(&w);
	jsonw_null(&w, NULL);
	jsonw_array_end(&w);
	jsonw_object_begin(&w, "o");
	jsonw_raw(&w, "r", "[1,2]");
	jsonw_object_end(&w);
	jsonw_double(&w, "d", 0.25);
	jsonw_double(&w, "nan", NAN);
	jsonw_double(&w, "inf", INFINITY);
	jsonw_time(&w, "at", 1767323045000);
	jsonw_time(&w, "never", 0);
	jsonw_object_end(&w);
	assert_string_equal(
		buf_cstr(&b),
		"{\"s\":\"x\",\"n\":null,\"i\":-9223372036854775808,\"t\":true,\"f\":false,"
		"\"a\":[1,{},[],null],\"o\":{\"r\":[1,2]},\"d\":0.25,\"nan\":null,\"inf\":null,"
		"\"at\":\"2026-01-02T03:04:05Z\",\"never\":null}");
}

static void test_strings(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		const char *want;
	} cases[] = {
		{"", 0, "\"\""},
		{"a\"b\\c", 5, "\"a\\\"b\\\\c\""},
		{"\n\t\r\x01\x7f", 5, "\"\\n\\t\\u000d\\u0001\\u007f\""},
		{"a\0b", 3, "\"a\\u0000b\""},
		{"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9,
		 "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
		{"\xff", 1, "\"\xef\xbf\xbd\""},
		{"a\xc3", 2, "\"a\xef\xbf\xbd\""},		 /* cut off */
		{"\xc3\xa9", 1, "\"\xef\xbf\xbd\""},		 /* the length counts */
		{"\xc0\xaf", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\""}, /* overlong */
		{"\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}, /* surrogate */
		{"\xf4\x90\x80\x80", 4,
		 "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}, /* beyond U+10FFFF */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_buf_ struct buf b = {0};
		struct jsonw w = {.out = &b};

		jsonw_string_n(&w, NULL, cases[i].text, cases[i].len);
		assert_string_equal(buf_cstr(&b), cases[i].want);
	}
}

/* Every pair of bytes as key and value gives text that a strict reader takes whole. */
static void test_any_bytes(void **state)
{
	(void)state;
	for (unsigned i = 1; i < 65536; i++) {
		char text[3] = {(char)(i & 0xff), (char)(i >> 8), '\0'};
		_cleanup_buf_ struct buf b = {0};
		struct jsonw w = {.out = &b};
		const char *end = NULL;
		cJSON *json;

		if (!text[0])
			continue;
		jsonw_object_begin(&w, NULL);
		jsonw_string(&w, text, text);
		jsonw_object_end(&w);
		json = cJSON_ParseWithLengthOpts(b.data, b.len + 1, &end, true);
		assert_non_null(json);
		cJSON_Delete(json);
	}
}

static void test_out_of_memory(void **state)
{
	struct buf b = {0};
	struct jsonw w = {.out = &b};

	(void)state;
	mem_fail_after(1);
	jsonw_object_begin(&w, NULL);
	mem_fail_after(0);
	jsonw_string(&w, "a", "b");
	jsonw_object_end(&w);
	assert_true(b.failed);
	assert_null(buf_take(&b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shapes),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_any_bytes),
		cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
