/*
 * sources: what a client sends and the store keeps comes back as it was: layers, binary contents,
 * generations; what an administrator is shown holds no content.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cjson/cJSON.h>
#include <cmocka.h>

#include "daemon/controller/sources.h"
#include "lib/err.h"
#include "lib/manifest.h"
#include "lib/mem.h"

#define TEXT "version: 1\\nname: n\\nservices: { x: { command: [a], env_file: .env"
#define FIRST                                                                                      \
	"{\"path\":\"/a/aictl.yaml\",\"text\":\"" TEXT                                             \
	", secrets: { t: { file: t } } } }\",\"layer\":0}"
#define SECOND                                                                                     \
	"{\"path\":\"/b/o.yaml\",\"text\":\"version: 1\\nservices: { x: { replicas: 2 } }\",\"layer\":1}"
#define ENV_ENTRY "{\"path\":\"/a/.env\",\"base64\":\"QT0xCg==\"}"
#define SECRET_ENTRY "{\"path\":\"/a/t\",\"base64\":\"AP8K\"}"
#define GENERATION "{\"service\":\"x\",\"generation\":\"00000000deadbeef\"}"
#define ALL "[" FIRST "," SECOND "," ENV_ENTRY "," SECRET_ENTRY "," GENERATION "]"

static int read_json(const char *json, struct sources *ret, struct err **reterr)
{
	cJSON *array = cJSON_Parse(json);
	int r;

	assert_non_null(array);
	r = sources_from_json(array, ret, reterr);
	cJSON_Delete(array);
	return r;
}

static void test_round_trip(void **state)
{
	struct sources s = {0}, again = {0};
	_cleanup_free_ char *json = NULL, *second = NULL;

	(void)state;
	assert_int_equal(read_json(ALL, &s, NULL), 0);
	assert_int_equal(s.n, 2);
	assert_int_equal(s.v[1].layer, 1);
	assert_int_equal(s.n_files, 2);
	assert_int_equal(s.files[1].len, 3);
	assert_memory_equal(s.files[1].data, "\0\xff\n", 3);
	assert_int_equal(s.n_generations, 1);
	json = sources_to_json(&s);
	assert_string_equal(json, ALL);
	assert_int_equal(read_json(json, &again, NULL), 0);
	second = sources_to_json(&again);
	assert_string_equal(second, json);
	sources_done(&s);
	sources_done(&again);
}

static void test_parse(void **state)
{
	struct manifest_errors errors = {0};
	struct manifest *m = NULL;
	struct sources s = {0};
	const struct secret_spec *secret;

	(void)state;
	assert_int_equal(read_json(ALL, &s, NULL), 0);
	assert_int_equal(sources_parse(&s, &m, &errors), 0);
	assert_int_equal(m->services[0]->replicas, 2);
	assert_string_equal(m->services[0]->environment[0], "A=1");
	assert_int_equal(m->services[0]->secrets_generation, 0xdeadbeef);
	secret = m->services[0]->secrets.v;
	assert_int_equal(secret->len, 3);
	assert_int_equal(m->n_files, 0); /* they are the sources' */
	manifest_free(m);
	sources_done(&s);
}

/* Whatever a manifest names: it was sent, or it does not exist. */
static void test_nothing_is_opened(void **state)
{
	static const char *const named[] = {"/etc/hostname", "/proc/self/environ", "~/.profile",
					    "../../etc/hostname", "/dev/stdin"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(named); i++) {
		_cleanup_free_ char *json = mem_printf(
			"[{\"path\":\"/a/a.yaml\",\"text\":\"version: 1\\nservices: { x: { "
			"command: [a], env_file: '%s', secrets: { t: { file: '%s' }, e: { env: HOME "
			"} } } }\"}]",
			named[i], named[i]);
		struct manifest_errors errors = {0};
		struct manifest *m = NULL;
		struct sources s = {0};

		assert_int_equal(read_json(json, &s, NULL), 0);
		assert_int_equal(sources_parse(&s, &m, &errors), -ERR_INVALID);
		assert_int_equal(errors.n, 3);
		for (size_t k = 0; k < errors.n; k++)
			assert_non_null(strstr(errors.errs[k]->msg, "its content was not sent"));
		manifest_errors_done(&errors);
		sources_done(&s);
	}
}

static void test_without_contents(void **state)
{
	_cleanup_free_ char *shown = sources_without_contents(ALL), *bad = NULL;

	(void)state;
	assert_string_equal(shown,
			    "[" FIRST "," SECOND ",{\"path\":\"/a/.env\"},{\"path\":\"/a/t\"}]");
	bad = sources_without_contents("{");
	assert_string_equal(bad, "[]");
}

static void test_generations(void **state)
{
	static const struct {
		const char *hex;
		uint64_t want;
	} cases[] = {{"ffffffffffffffff", UINT64_MAX},
		     {"0000000000000001", 1},
		     {"", 0},
		     {"00000000000000011", 0},
		     {"xyz", 0},
		     {"FF", 0},
		     {"-1", 0}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *json = mem_printf(
			"[" FIRST ",{\"service\":\"x\",\"generation\":\"%s\"}]", cases[i].hex);
		struct sources s = {0};

		assert_int_equal(read_json(json, &s, NULL), 0);
		assert_int_equal(s.n_generations ? s.generations[0].number : 0, cases[i].want);
		assert_int_equal(sources_set_generation(&s, "x", 7), 0);
		assert_int_equal(sources_set_generation(&s, "y", 8), 0);
		assert_int_equal(s.n_generations, 2);
		assert_int_equal(s.generations[0].number, 7);
		sources_done(&s);
	}
}

/* Noted on top of a text that is made already, in place of those that it had. */
static void test_added(void **state)
{
	static const struct {
		uint64_t x;
		const char *want;
	} cases[] = {{0, "[" FIRST "]"},
		     {17, "[" FIRST ",{\"service\":\"x\",\"generation\":\"0000000000000011\"}]"}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct service_spec x = {.name = (char *)(uintptr_t) "x",
					 .secrets_generation = cases[i].x};
		struct service_spec *list[] = {&x};
		struct manifest m = {.services = list, .n_services = 1};
		_cleanup_free_ char *json = sources_add_generations("[" FIRST "]", &m);
		struct sources s = {0};

		assert_string_equal(json, cases[i].want);
		assert_int_equal(read_json(json, &s, NULL), 0);
		assert_int_equal(s.n_generations, i);
		sources_forget_generations(&s);
		assert_int_equal(s.n_generations, 0);
		sources_done(&s);
	}
}

/* What may be applied can be read from the store again: generations come on top of the files. */
static void test_many(void **state)
{
	struct sources s = {0}, again = {0};
	_cleanup_err_ struct err *e = NULL;
	_cleanup_free_ char *json = NULL, *more = NULL;

	(void)state;
	assert_int_equal(read_json("[" FIRST "]", &s, NULL), 0);
	for (unsigned i = 1; i < SOURCES_MAX; i++)
		assert_int_equal(sources_add_file(&s, mem_printf("/a/%u", i), mem_strdup("x"), 1),
				 0);
	for (unsigned i = 0; i < SOURCES_GENERATIONS_MAX; i++) {
		char name[16];

		snprintf(name, sizeof(name), "s%u", i);
		assert_int_equal(sources_set_generation(&s, name, i + 1), 0);
	}
	json = sources_to_json(&s);
	assert_int_equal(read_json(json, &again, &e), 0);
	assert_int_equal(again.n + again.n_files, SOURCES_MAX);
	assert_int_equal(again.n_generations, SOURCES_GENERATIONS_MAX);
	sources_done(&again);
	sources_done(&s);
	/* one file or one generation more is refused, and freed */
	more = mem_printf("%.*s,%s]", (int)strlen(json) - 1, json,
			  "{\"path\":\"/a/t\",\"base64\":\"\"}");
	assert_int_equal(read_json(more, &again, &e), -ERR_INVALID);
	assert_non_null(strstr(e->msg, "256"));
	mem_free(more);
	more = mem_printf("%.*s,%s]", (int)strlen(json) - 1, json, GENERATION);
	err_free(TAKE_PTR(e));
	assert_int_equal(read_json(more, &again, &e), -ERR_INVALID);
}

static void test_out_of_memory(void **state)
{
	cJSON *array = cJSON_Parse(ALL);
	int r = -1;

	(void)state;
	for (unsigned long i = 1; r < 0; i++) {
		struct sources s = {0};
		_cleanup_err_ struct err *e = NULL;
		char *json = NULL;

		mem_fail_after(i);
		r = sources_from_json(array, &s, &e);
		if (r == 0)
			json = sources_to_json(&s);
		mem_fail_after(0);
		assert_true(r == 0 || r == -ERR_NOMEM);
		r = json ? 0 : -1;
		mem_free(json);
		sources_done(&s);
		assert_true(i < 200);
	}
	cJSON_Delete(array);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_nothing_is_opened),
		cmocka_unit_test(test_without_contents),
		cmocka_unit_test(test_generations),
		cmocka_unit_test(test_added),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
