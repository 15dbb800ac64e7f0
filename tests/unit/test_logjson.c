/* Tests of lib/logjson: what loggers write as JSON, and what only begins like it. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/buf.h"
#include "lib/logjson.h"
#include "lib/mem.h"

/* "LEVEL|message|key=value ...|", or "-" */
static char *shown(const char *line, size_t n)
{
	struct logjson j;
	_cleanup_buf_ struct buf out = {0};
	char *exact = malloc(n ? n : 1);

	assert_non_null(exact);
	memcpy(exact, line, n);
	if (logjson_read(exact, n, &j)) {
		buf_printf(&out, "%s|", j.name);
		if (j.message)
			logjson_put_text(&out, j.message->value, j.message->value_len, true);
		for (size_t i = 0; i < j.n; i++) {
			if (j.members[i].hidden)
				continue;
			buf_str(&out, "|");
			logjson_put_member(&out, &j.members[i]);
		}
	} else {
		buf_str(&out, "-");
	}
	free(exact);
	return buf_take(&out);
}

static const struct {
	const char *line, *shown;
} samples[] = {
	/* structlog */
	{"{\"a\": 1, \"event\": \"hi\", \"level\": \"warning\", \"timestamp\": \"2026\"}",
	 "WARNING|hi|a=1"},
	/* python-json-logger */
	{"{\"asctime\": \"x\", \"levelname\": \"ERROR\", \"name\": \"db\", \"message\": \"no\"}",
	 "ERROR|no|name=db"},
	/* zap, logrus, slog */
	{"{\"level\":\"info\",\"ts\":1.5,\"caller\":\"a.go:1\",\"msg\":\"up\",\"n\":{\"a\":[1]}}",
	 "INFO|up|caller=a.go:1|n={\"a\":[1]}"},
	{"{\"time\":\"2026\",\"level\":\"WARN\",\"msg\":\"slow\"}", "WARN|slow"},
	/* pino, and Python's numbers */
	{"{\"level\":30,\"time\":1,\"pid\":7,\"msg\":\"hi\"}", "INFO|hi|pid=7"},
	{"{\"level\":50,\"msg\":\"hi\"}", "ERROR|hi"},
	{"{\"levelno\":40,\"msg\":\"hi\"}", "ERROR|hi"},
	{"{\"level\":4,\"short_message\":\"hi\"}", "4|hi"},
	/* tracing, as the servers of Hugging Face use it */
	{"{\"timestamp\":\"2026\",\"level\":\"INFO\",\"fields\":{\"message\":\"up\",\"port\":80},"
	 "\"target\":\"router\"}",
	 "INFO|up|port=80|target=router"},
	/* Elastic */
	{"{\"@timestamp\":\"x\",\"log.level\":\"debug\",\"message\":\"m\"}", "DEBUG|m"},
	/* one of the two is enough; an unknown level is a member like others */
	{"{\"msg\":\"x\"}", "|x"},
	{"{\"level\":\"error\",\"code\":7}", "ERROR||code=7"},
	{"{\"level\":\"high\",\"msg\":\"x\"}", "|x|level=high"},
	{"{\"message\":\"x\",\"msg\":\"y\"}", "|x|msg=y"},
	{"  {\"msg\":\"x\"}", "-"},
	{"{\"msg\":\"x\"}  \r", "|x"},
	/* values */
	{"{\"msg\":\"\",\"a\":\"\",\"b\":\"c d\",\"e\":\"\\\"\\\\\",\"f\":null,\"g\":-1.5e+3}",
	 "||a=\"\"|b=\"c d\"|e=\"\\\"\\\\\"|f=null|g=-1.5e+3"},
	{"{\"msg\":\"\\u00e9\\u4e2d\\ud83d\\ude00\\ud800x\\/\",\"n\":12345678901234567890}",
	 "|\u00e9\u4e2d\U0001f600\ufffdx/|n=12345678901234567890"},
	{"{\"msg\":\"\\u001b[2J\\u009b\\b\\u0000\"}", "|\\u001b[2J\\u009b\\b\\u0000"},
	{"{\"msg\":\"a\\n\\tb\",\"k\":\"a\\nb\"}", "|a\n\tb|k=\"a\\nb\""},
	{"{\"msg\":\"x\",\"k\":\"\\u0022\\u00e9\"}", "|x|k=\"\\u0022\u00e9\""},
	{"{\"msg\":\"x\",\"a b\":NaN}", "|x|a b=NaN"},
	/* something else */
	{"{}", "-"},
	{"{", "-"},
	{"{\"a\":1}", "-"},
	{"{\"event\":\"x\"}", "-"},
	{"{\"msg\":\"x\"} more", "-"},
	{"{\"msg\":\"x\"", "-"},
	{"{\"msg\":\"x\",}", "-"},
	{"{\"msg\":\"x\\q\"}", "-"},
	{"{\"msg\":\"x\\u12g4\"}", "-"},
	{"{\"msg\":\"x\ty\"}", "-"},
	{"{\"msg\":01}", "-"},
	{"{\"msg\":1.}", "-"},
	{"{'msg': 'x'}", "-"},
	{"{msg}", "-"},
	{"{\"msg\":\"x\",\"a\":[1,{\"b\":}]}", "-"},
};

static void lines_of_many_loggers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		_cleanup_free_ char *s = shown(samples[i].line, strlen(samples[i].line));

		assert_string_equal(s, samples[i].shown);
	}
}

static void every_beginning_of_a_line(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++)
		for (size_t n = 0; n + 4 < strlen(samples[i].line); n++) {
			_cleanup_free_ char *s = shown(samples[i].line, n);

			if (samples[i].shown[0] == '-')
				continue;
			assert_string_equal(s, "-");
		}
}

/* An object within `depth` others, the whole a line. */
static void nested(unsigned depth, const char *want)
{
	_cleanup_buf_ struct buf line = {0};
	_cleanup_free_ char *s = NULL;

	buf_str(&line, "{\"msg\":\"x\",\"a\":");
	for (unsigned i = 0; i < depth; i++)
		buf_str(&line, "[");
	for (unsigned i = 0; i < depth; i++)
		buf_str(&line, "]");
	buf_str(&line, "}");
	s = shown(line.data, line.len);
	assert_int_equal(strncmp(s, want, strlen(want)), 0);
}

static void depth_is_bounded(void **state)
{
	(void)state;
	nested(LOGJSON_DEPTH, "|x|a=[[");
	nested(LOGJSON_DEPTH + 1, "-");
	nested(30000, "-");
}

static void members_are_bounded(void **state)
{
	(void)state;
	for (unsigned n = LOGJSON_MEMBERS - 1; n <= LOGJSON_MEMBERS; n++) {
		_cleanup_buf_ struct buf line = {0};
		_cleanup_free_ char *s = NULL;

		buf_str(&line, "{\"msg\":\"x\"");
		for (unsigned i = 0; i < n; i++)
			buf_printf(&line, ",\"k%u\":%u", i, i);
		buf_str(&line, "}");
		s = shown(line.data, line.len);
		assert_int_equal(s[0], n < LOGJSON_MEMBERS ? '|' : '-');
	}
}

static void stacks(void **state)
{
	static const char line[] = "{\"msg\":\"x\",\"exc_info\":\"a\\nb\",\"stack\":1,\"k\":\"v\"}";
	struct logjson j;

	(void)state;
	assert_true(logjson_read(line, strlen(line), &j));
	assert_int_equal(j.n, 4);
	assert_true(logjson_is_trace(&j.members[1]));
	assert_false(logjson_is_trace(&j.members[2]));
	assert_false(logjson_is_trace(&j.members[3]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_of_many_loggers),
		cmocka_unit_test(every_beginning_of_a_line),
		cmocka_unit_test(depth_is_bounded),
		cmocka_unit_test(members_are_bounded),
		cmocka_unit_test(stacks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
