/* manifest_expand: each name, the literal dollar, and every way to get it wrong. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <cmocka.h>

#include "lib/err.h"
#include "lib/manifest.h"
#include "lib/mem.h"

static char home[] = "HOME=/home/x", homer[] = "HOMER=no", empty[] = "EMPTY=", eq[] = "EQ=a=b";
static char *const environ_of_caller[] = {home, homer, empty, eq, NULL};

static char http[] = "http", metrics[] = "metrics", admin[] = "admin-api", token[] = "hf-token";
static struct port_spec ports[] = {
	{.name = admin}, {.name = http}, {.name = metrics, .mode = PORT_SOCKET, .port = 8000}};
static struct secret_spec secrets[] = {{.name = token}};
static const struct service_spec web = {.ports = {ports, 3}, .secrets = {secrets, 1}};
static const struct service_spec bare = {0};
static const struct expand_port numbers[] = {
	{"admin-api", 20002, 0}, {"http", 20001, 0}, {"metrics", 20003, 4}};

static const struct expand_vars vars = {.service = "web",
					.replica = 3,
					.port = 20001,
					.revision = 18446744073709551615U,
					.ports = numbers,
					.n_ports = 3,
					.secrets = &web.secrets,
					.secrets_dir = "/run/s",
					.sockets_dir = "/run/web.3",
					.environ = environ_of_caller};

static void test_good(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{"", ""},
		{"plain", "plain"},
		{"${PORT}", "20001"},
		{"${PORT_HTTP},${PORT_METRICS},${PORT_ADMIN_API}", "20001,20003,20002"},
		{"--token=${secret:hf-token}", "--token=/run/s/hf-token"},
		{"${SERVICE}-${REPLICA}.log", "web-3.log"},
		{"r${REVISION}r", "r18446744073709551615r"},
		{"${env:HOME}/x", "/home/x/x"},
		{"[${env:EMPTY}]", "[]"},
		{"${env:EQ}", "a=b"},
		{"${SOCKET}|${SOCKET_ADMIN_API}", "/run/web.3/http|/run/web.3/admin-api"},
		{"${LISTEN_FD_METRICS}", "4"},
		{"$$", "$"},
		{"$${PORT}", "${PORT}"},
		{"$$$${x}", "$${x}"},
		{"$$${PORT}", "$20001"},
		{"$", "$"},
		{"$HOME $1 5$", "$HOME $1 5$"},
		{"}{$}", "}{$}"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *got = NULL;
		size_t at;

		assert_int_equal(manifest_expand(cases[i].text, &vars, &got, NULL), 0);
		assert_string_equal(got, cases[i].want);
		assert_int_equal(manifest_expand_check(cases[i].text, &web, &at, NULL), 0);
	}
}

static void test_bad(void **state)
{
	static const struct {
		const char *text, *want;
		size_t at;
		const char *hint;
	} cases[] = {
		{"${}", "${} is not known", 0, NULL},
		{"a$$${PROT}", "${PROT} is not known", 3, "did you mean ${PORT}?"},
		{"${PORT_METRIC}", "${PORT_METRIC}: the service has no such port", 0,
		 "did you mean ${PORT_METRICS}?"},
		{"${PORT_X}", "${PORT_X}: the service has no such port", 0,
		 "did you mean ${PORT}?"},
		{"${PORT} ${secret:hftoken}", "${secret:hftoken}: the service has no such secret",
		 8, "did you mean ${secret:hf-token}?"},
		{"${secret:}", "${secret:}: the service has no such secret", 0,
		 "give it one: secrets: { NAME: { file: PATH } }"},
		{"${port}", "${port} is not known", 0, NULL},
		{"${PORT }", "${PORT } is not known", 0, NULL},
		{"${PORT", "\"${\" without \"}\"", 0, NULL},
		{"a${", "\"${\" without \"}\"", 1, NULL},
		{"${env:}", "${env:} lacks a variable's name", 0, NULL},
		{"${secret:x}", "${secret:x}: the service has no such secret", 0,
		 "give it one: secrets: { x: { file: PATH } }"},
		{"${${PORT}}", "${${PORT} is not known", 0, NULL},
		{"a${LISTEN_FD}", "${LISTEN_FD}: no replica gets the socket of ports.http", 1,
		 "write ports: { http: { port: N, mode: socket } }"},
		{"${LISTEN_FD_X}", "${LISTEN_FD_X}: the service has no such port", 0, NULL},
		{"${SOCKET_METRICS}", "${SOCKET_METRICS}: ports.metrics has mode: socket", 0,
		 "its replicas get the stable port itself, as ${LISTEN_FD}"},
		{"${SOCKETS}", "${SOCKETS} is not known", 0, "did you mean ${SOCKET}?"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char untouched = 0, *got = &untouched;
		_cleanup_err_ struct err *e = NULL, *again = NULL;
		size_t at;

		assert_int_equal(manifest_expand(cases[i].text, &vars, &got, &e), -ERR_INVALID);
		assert_string_equal(e->msg, cases[i].want);
		assert_ptr_equal(got, &untouched);
		at = 99;
		assert_int_equal(manifest_expand_check(cases[i].text, &web, &at, &again),
				 -ERR_INVALID);
		assert_string_equal(again->msg, cases[i].want);
		assert_int_equal(at, cases[i].at);
		if (cases[i].hint) {
			assert_string_equal(e->hint, cases[i].hint);
			assert_string_equal(again->hint, cases[i].hint);
		}
	}
}

/* What only a real start can know. */
static void test_missing(void **state)
{
	struct expand_vars none = {.service = "web"}, no_dir = vars, no_http = vars;
	char *got = NULL;
	struct err *e = NULL;
	size_t at;

	(void)state;
	assert_int_equal(manifest_expand("${env:NOPE}", &vars, &got, &e), -ERR_INVALID);
	assert_string_equal(e->msg, "${env:NOPE}: this variable is not set");
	e = err_free(e);
	assert_int_equal(manifest_expand("${env:HOM}", &vars, &got, NULL), -ERR_INVALID);
	assert_int_equal(manifest_expand("${env:HOME}", &none, &got, NULL), -ERR_INVALID);
	assert_int_equal(manifest_expand_check("${env:NOPE}", &bare, &at, NULL), 0);
	assert_int_equal(manifest_expand("${PORT}", &none, &got, &e), -ERR_INVALID);
	assert_string_equal(e->msg, "${PORT}: the service has no port");
	assert_non_null(e->hint);
	e = err_free(e);
	assert_int_equal(manifest_expand_check("${PORT}", &bare, &at, NULL), -ERR_INVALID);
	assert_int_equal(manifest_expand_check("$${PORT}", &bare, &at, NULL), 0);
	no_dir.secrets_dir = NULL; /* never "/hf-token" */
	assert_int_equal(manifest_expand("${secret:hf-token}", &no_dir, &got, NULL), -ERR_INVALID);
	assert_int_equal(manifest_expand("${SOCKET}", &no_dir, &got, NULL), 0);
	mem_free(got);
	got = NULL;
	no_dir.sockets_dir = NULL;
	assert_int_equal(manifest_expand("${SOCKET}", &no_dir, &got, NULL), -ERR_INVALID);
	assert_int_equal(manifest_expand_sockets("${SOCKET} ${PORT} ${SOCKET_ADMIN_API}", &web), 3);
	assert_int_equal(manifest_expand_sockets("$${SOCKET} ${PORT} ${LISTEN_FD_METRICS}", &web),
			 0);
	no_http.port = 0;
	assert_int_equal(manifest_expand("${PORT}", &no_http, &got, &e), -ERR_INVALID);
	assert_string_equal(e->msg, "${PORT}: none of the service's ports is named http");
	assert_string_equal(e->hint, "write ${PORT_ADMIN_API} or another of its ports");
	err_free(e);
	assert_null(got);
}

static void test_out_of_memory(void **state)
{
	static const char *const texts[] = {"${SERVICE} and ${env:HOME} ${secret:hf-token}",
					    "${WRONG}", "${secret:wrong}"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		int want = i == 0 ? 0 : -ERR_INVALID, r = -ERR_NOMEM;

		for (unsigned long n = 1; n < 20; n++) {
			_cleanup_err_ struct err *e = NULL;
			char *got = NULL;

			mem_fail_after(n);
			r = manifest_expand(texts[i], &vars, &got, &e);
			mem_fail_after(0);
			assert_true(r == want || r == -ERR_NOMEM);
			assert_int_equal(r == 0, got != NULL);
			mem_free(got);
		}
		assert_int_equal(r, want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
