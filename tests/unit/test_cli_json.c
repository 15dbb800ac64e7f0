/*
 * test_cli_json: replies read strictly, printed without touching a digit, and put into words.
 *
 * SPDX-License-Identifier: MIT
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "cli/event.h"
#include "cli/js.h"
#include "cli/pretty.h"
#include "cli/text.h"
#include "lib/buf.h"
#include "lib/mem.h"

static cJSON *parse(const char *text)
{
	return js_parse(text, strlen(text));
}

static void strict_reading(void **state)
{
	_cleanup_js_ cJSON *o =
		parse("{\"a\":1,\"A\":2,\"s\":\"x\",\"z\":null,\"f\":1e300,\"b\":true}");

	(void)state;
	assert_null(parse("{} x"));
	assert_null(parse(""));
	assert_null(parse("{\"a\":"));
	assert_int_equal(js_int(o, "a", -1), 1);
	assert_int_equal(js_int(o, "A", -1), 2);
	assert_int_equal(js_int(o, "s", -1), -1);
	assert_int_equal(js_int(o, "f", -1), -1);
	assert_int_equal(js_int(NULL, "a", -1), -1);
	assert_string_equal(js_str(o, "z", "fallback"), "fallback");
	assert_true(js_bool(o, "b"));
	assert_false(js_bool(o, "a"));
}

static void times(void **state)
{
	_cleanup_js_ cJSON *o =
		parse("{\"a\":\"1970-01-02T00:00:01Z\",\"b\":\"1970-01-01T00:00:00.250Z\","
		      "\"c\":\"yesterday\",\"d\":\"1970-01-02T00:00:01+01:00\"}");

	(void)state;
	assert_int_equal(js_time(o, "a"), 86401000);
	assert_int_equal(js_time(o, "b"), 250);
	assert_int_equal(js_time(o, "c"), 0);
	assert_int_equal(js_time(o, "d"), 0);
	assert_int_equal(js_time(o, "e"), 0);
}

static void pretty(void **state)
{
	static const char in[] =
		"{\"a\":[],\"b\":{ },\"n\":12345678901234567890,\"s\":\"x\\\"}, \",\"l\":[1,{\"c\":null}]}";
	static const char want[] = "{\n"
				   "  \"a\": [],\n"
				   "  \"b\": {},\n"
				   "  \"n\": 12345678901234567890,\n"
				   "  \"s\": \"x\\\"}, \",\n"
				   "  \"l\": [\n"
				   "    1,\n"
				   "    {\n"
				   "      \"c\": null\n"
				   "    }\n"
				   "  ]\n"
				   "}\n";
	_cleanup_buf_ struct buf b = {0};

	(void)state;
	pretty_json(in, strlen(in), &b);
	assert_string_equal(buf_cstr(&b), want);
}

/* Never past the end, whatever comes. */
static void pretty_of_rubbish(void **state)
{
	static const char in[] = "{\"a\\\":[1,]}]\"\\";

	(void)state;
	for (size_t n = 0; n < sizeof(in); n++) {
		_cleanup_buf_ struct buf b = {0};
		_cleanup_free_ char *copy = mem_strndup(in, n);

		pretty_json(copy, strlen(copy), &b);
		assert_false(b.failed);
	}
}

static void check_take(char *got, const char *want)
{
	assert_string_equal(got, want);
	mem_free(got);
}

static void exits(void **state)
{
	_cleanup_js_ cJSON *code = parse("{\"code\":3,\"signal\":null,\"cause\":\"exit\"}");
	_cleanup_js_ cJSON *oom = parse("{\"code\":null,\"signal\":\"SIGKILL\",\"cause\":\"oom\"}");
	_cleanup_js_ cJSON *sig =
		parse("{\"code\":null,\"signal\":\"SIGTERM\",\"cause\":\"signal\"}");
	_cleanup_js_ cJSON *lost = parse("{\"code\":null,\"signal\":null,\"cause\":\"unknown\"}");

	_cleanup_js_ cJSON *start = parse("{\"code\":null,\"signal\":null,\"cause\":\"start\"}");

	(void)state;
	check_take(text_exit(start), "never ran");
	check_take(text_exit(code), "exit code 3");
	check_take(text_exit(oom), "signal SIGKILL (oom)");
	check_take(text_exit(sig), "signal SIGTERM");
	check_take(text_exit(lost), "exit status unknown");
}

static void ages_and_attempts(void **state)
{
	_cleanup_js_ cJSON *r = parse("{\"message\":\"exit code 1\",\"slow_mode\":true,"
				      "\"since\":\"1970-01-01T00:00:10Z\","
				      "\"next_attempt_at\":\"1970-01-01T00:01:00Z\"}");

	(void)state;
	check_take(text_age(r, "since", 70000), "60s");
	check_take(text_age(r, "since", 5000), "0s");
	check_take(text_age(r, "absent", 5000), "-");
	check_take(text_replica_message(r, 30000), "exit code 1; next attempt in 30s (slow mode)");
	check_take(text_count(1, "replica"), "1 replica");
	check_take(text_count(0, "replica"), "0 replicas");
}

static void events(void **state)
{
	_cleanup_js_ cJSON *ready =
		parse("{\"service\":\"a\",\"replica\":0,\"to\":\"ready\",\"message\":\"ok\"}");
	_cleanup_js_ cJSON *ours =
		parse("{\"service\":null,\"replica\":null,\"to\":null,\"reason\":\"x\"}");

	(void)state;
	check_take(event_object(ready), "a/0");
	check_take(event_what(ready), "ready: ok");
	check_take(event_object(ours), "aictld");
	check_take(event_what(ours), "x");
	check_take(event_time(ours), "-");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strict_reading), cmocka_unit_test(times),
		cmocka_unit_test(pretty),	  cmocka_unit_test(pretty_of_rubbish),
		cmocka_unit_test(exits),	  cmocka_unit_test(ages_and_attempts),
		cmocka_unit_test(events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
