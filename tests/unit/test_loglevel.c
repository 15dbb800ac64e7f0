/* Tests of lib/loglevel: lines as loggers write them, and lines that only look like that. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/loglevel.h"
#include "lib/mem.h"

struct sample {
	const char *line;
	enum loglevel level;
};

static const struct sample samples[] = {
	/* Python's basicConfig, and the format that everybody copies */
	{"WARNING:root:low on memory", LOGLEVEL_WARNING},
	{"2026-01-02 03:04:05,678 - app.db - ERROR - no connection", LOGLEVEL_ERR},
	{"2026-01-02 03:04:05,678 [CRITICAL] app: over", LOGLEVEL_CRIT},
	{"2026-01-02 03:04:05,678 INFO app: hello", LOGLEVEL_INFO},
	/* uvicorn, vLLM, SGLang, loguru */
	{"INFO:     127.0.0.1:4242 - \"GET /health HTTP/1.1\" 200 OK", LOGLEVEL_INFO},
	{"\033[32mINFO\033[0m:     Application startup complete.", LOGLEVEL_INFO},
	{"INFO 01-02 03:04:05 [api_server.py:1089] vLLM API server", LOGLEVEL_INFO},
	{"(EngineCore_0 pid=123) ERROR 01-02 03:04:05 [core.py:7] died", LOGLEVEL_ERR},
	{"[2026-01-02 03:04:05 TP0] WARNING: slow", LOGLEVEL_WARNING},
	{"2026-01-02 03:04:05.678 | ERROR    | __main__:f:3 - no", LOGLEVEL_ERR},
	/* Rust, Go, nginx, glog, systemd */
	{"2026-01-02T03:04:05.678901Z  WARN router: slow", LOGLEVEL_WARNING},
	{"time=\"2026-01-02T03:04:05Z\" level=error msg=\"no\"", LOGLEVEL_ERR},
	{"time=2026-01-02T03:04:05.000Z level=WARN msg=\"no\"", LOGLEVEL_WARNING},
	{"ts=1 level=\"debug\" msg=x", LOGLEVEL_DEBUG},
	{"2026/01/02 03:04:05 [emerg] 1#1: bind() failed", LOGLEVEL_EMERG},
	{"E0102 03:04:05.678901   123 file.cc:45] no", LOGLEVEL_ERR},
	{"W0102 03:04:05.678901   123 file.cc:45] no", LOGLEVEL_WARNING},
	{"<3>it broke", LOGLEVEL_ERR},
	{"<7>ERROR: is debug all the same", LOGLEVEL_DEBUG},
	{"[warning] low", LOGLEVEL_WARNING},
	{"error: no such file", LOGLEVEL_ERR},
	{"Error: no such file", LOGLEVEL_ERR},
	{"[ INFO ] started", LOGLEVEL_INFO},
	{"FATAL could not start", LOGLEVEL_CRIT},
	/* no level */
	{"", LOGLEVEL_NONE},
	{"hello", LOGLEVEL_NONE},
	{"info about the model", LOGLEVEL_NONE},
	{"Warning signs were ignored", LOGLEVEL_NONE},
	{"there was an ERROR in it", LOGLEVEL_NONE},
	{"GET /ERROR HTTP/1.1", LOGLEVEL_NONE},
	{"ValueError: bad", LOGLEVEL_NONE},
	{"INFOX", LOGLEVEL_NONE},
	{"<8>no", LOGLEVEL_NONE},
	{"<3", LOGLEVEL_NONE},
	{"<33>", LOGLEVEL_NONE},
	{"sublevel=error x", LOGLEVEL_NONE},
	{"E01024 files", LOGLEVEL_NONE},
	{"\033[", LOGLEVEL_NONE},
	{"\033[31", LOGLEVEL_NONE},
};

static void lines_of_many_loggers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		size_t n = strlen(samples[i].line);
		char *exact = malloc(n ? n : 1); /* a byte too far is seen */

		assert_non_null(exact);
		memcpy(exact, samples[i].line, n);
		if (loglevel_of_line(exact, n) != samples[i].level)
			fail_msg("\"%s\": %d", samples[i].line, loglevel_of_line(exact, n));
		for (size_t k = 0; k < n; k++)
			loglevel_of_line(exact + k, n - k);
		free(exact);
	}
}

static void only_the_beginning_counts(void **state)
{
	char line[1000];

	(void)state;
	memset(line, '1', sizeof(line));
	memcpy(line + 900, " ERROR ", 7);
	assert_int_equal(loglevel_of_line(line, sizeof(line)), LOGLEVEL_NONE);
	memcpy(line + 100, " ERROR ", 7);
	assert_int_equal(loglevel_of_line(line, sizeof(line)), LOGLEVEL_ERR);
}

static void words(void **state)
{
	(void)state;
	assert_int_equal(loglevel_of_word("Warn", 4), LOGLEVEL_WARNING);
	assert_int_equal(loglevel_of_word("WARNINGS", 8), LOGLEVEL_NONE);
	assert_int_equal(loglevel_of_word("", 0), LOGLEVEL_NONE);
}

static void numbers(void **state)
{
	(void)state;
	assert_int_equal(loglevel_of_number(30), LOGLEVEL_INFO);
	assert_int_equal(loglevel_of_number(35), LOGLEVEL_INFO);
	assert_int_equal(loglevel_of_number(50), LOGLEVEL_ERR);
	assert_int_equal(loglevel_of_number(60), LOGLEVEL_CRIT);
	assert_int_equal(loglevel_of_number(4), LOGLEVEL_WARNING);
	assert_int_equal(loglevel_of_number(-1), LOGLEVEL_NONE);
	assert_int_equal(loglevel_of_number(61), LOGLEVEL_NONE);
	assert_string_equal(loglevel_number_name(10), "TRACE");
	assert_string_equal(loglevel_number_name(60), "FATAL");
	assert_null(loglevel_number_name(0));
	assert_null(loglevel_number_name(35));
	assert_null(loglevel_number_name(70));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_of_many_loggers),
		cmocka_unit_test(only_the_beginning_counts),
		cmocka_unit_test(words),
		cmocka_unit_test(numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
