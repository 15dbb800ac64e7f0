/* test_probe_expect: which answers are as expected, and what is said of the others. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "daemon/controller/probe_expect.h"
#include "lib/err.h"
#include "lib/mem.h"

static void expect(const struct probe_expect *e, const struct probe_answer *a, bool ok,
		   const char *message)
{
	char said[160];

	if (probe_expect_judge(e, a, said, sizeof(said)) != ok)
		fail_msg("HTTP %d %s is %s", a->status, a->body ? a->body : "", said);
	assert_string_equal(said, message);
}

static struct probe_expect *compile(char *const *statuses, const char *json, int64_t latency)
{
	struct probe_expect *e = NULL;
	struct err *err = NULL;

	if (probe_expect_new(statuses, json, latency, &e, &err) < 0)
		fail_msg("%s", err_msg(err));
	return e;
}

static void test_status(void **state)
{
	char first[] = "204", second[] = "400-404";
	char *const statuses[] = {first, second, NULL};
	struct probe_expect *e = compile(NULL, NULL, 0);

	(void)state;
	assert_null(e); /* what is usual costs nothing */
	expect(NULL, &(struct probe_answer){.status = 200}, true, "HTTP 200");
	expect(NULL, &(struct probe_answer){.status = 399}, true, "HTTP 399");
	expect(NULL, &(struct probe_answer){.status = 400}, false, "HTTP 400");
	expect(NULL, &(struct probe_answer){.status = 199}, false, "HTTP 199");
	e = compile(statuses, NULL, 0);
	expect(e, &(struct probe_answer){.status = 204}, true, "HTTP 204");
	expect(e, &(struct probe_answer){.status = 404}, true, "HTTP 404");
	expect(e, &(struct probe_answer){.status = 405}, false, "HTTP 405");
	expect(e, &(struct probe_answer){.status = 200}, false, "HTTP 200");
	assert_false(probe_expect_body(e));
	probe_expect_free(e);
}

static void test_latency(void **state)
{
	struct probe_expect *e = compile(NULL, NULL, 500);

	(void)state;
	expect(e, &(struct probe_answer){.status = 200, .took_ms = 500}, true, "HTTP 200");
	expect(e, &(struct probe_answer){.status = 200, .took_ms = 501}, false,
	       "HTTP 200, but it took 501ms, max_latency is 500ms");
	probe_expect_free(e);
}

static void judge(const char *want, const char *got, bool ok, const char *message)
{
	struct probe_expect *e = compile(NULL, want, 0);

	assert_true(probe_expect_body(e));
	expect(e, &(struct probe_answer){.status = 200, .body = got, .len = strlen(got)}, ok,
	       message);
	probe_expect_free(e);
}

#define GOOD "HTTP 200, JSON as expected"

static void test_json(void **state)
{
	(void)state;
	judge("{\"status\":\"ok\"}", "{\"status\":\"ok\",\"model\":\"x\"}", true, GOOD);
	judge("{}", "{\"status\":\"ok\"}", true, GOOD);
	judge("{\"n\":1}", "{\"n\":1.0}", true, GOOD);
	judge("{\"a\":{\"b\":{\"c\":true}}}", "{\"a\":{\"x\":0,\"b\":{\"c\":true,\"d\":1}}}", true,
	      GOOD);
	judge("{\"l\":[1,{\"x\":2}]}", "{\"l\":[1,{\"x\":2,\"y\":3}]}", true, GOOD);
	judge("{\"e\":null}", "{\"e\":null}", true, GOOD);
	judge("{\"status\":\"ok\"}", "{\"status\":\"loading\"}", false,
	      "HTTP 200, but status is \"loading\", not \"ok\"");
	judge("{\"status\":\"ok\"}", "{\"Status\":\"ok\"}", false,
	      "HTTP 200, but status is missing");
	judge("{\"a\":{\"b\":1}}", "{\"a\":{\"b\":2}}", false, "HTTP 200, but a.b is 2, not 1");
	judge("{\"a\":{\"b\":1}}", "{\"a\":\"b\"}", false,
	      "HTTP 200, but a is \"b\", not {\"b\":1}");
	judge("{\"l\":[{\"x\":1}]}", "{\"l\":[{\"x\":2}]}", false,
	      "HTTP 200, but l[0].x is 2, not 1");
	judge("{\"l\":[1]}", "{\"l\":[1,2]}", false, "HTTP 200, but l is [1,2], not [1]");
	judge("{\"e\":null}", "{}", false, "HTTP 200, but e is missing");
	judge("{\"t\":true}", "{\"t\":1}", false, "HTTP 200, but t is 1, not true");
	judge("{\"t\":true}", "{\"t\":false}", false, "HTTP 200, but t is false, not true");
	judge("{\"a\":1}", "[1]", false, "HTTP 200, but the answer is [1], not {\"a\":1}");
	judge("{\"a\":1}", "ok", false, "HTTP 200, but the answer is not JSON");
	judge("{\"a\":1}", "", false, "HTTP 200, but the answer is not JSON");
	judge("{\"a\":1}", "{\"a\":1", false, "HTTP 200, but the answer is not JSON");
}

/* What a hostile service says is cut, whatever it is. */
static void test_long_values(void **state)
{
	char got[4096], said[160];
	struct probe_expect *e = compile(NULL, "{\"a\":{\"b\":\"x\"}}", 0);
	struct probe_answer a = {.status = 200, .body = got};

	(void)state;
	memset(got, 'y', sizeof(got));
	memcpy(got, "{\"a\":{\"b\":\"", 11);
	memcpy(got + sizeof(got) - 3, "\"}}", 3);
	a.len = sizeof(got);
	assert_false(probe_expect_judge(e, &a, said, sizeof(said)));
	assert_true(strlen(said) < 100 && strstr(said, "a.b is \"yyy"));
	probe_expect_free(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_latency),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_long_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
