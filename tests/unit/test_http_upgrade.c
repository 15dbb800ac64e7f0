/*
 * test_http_upgrade: connections that leave HTTP: what is handed over, what is refused, and that
 * no byte is lost on the way.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/mem.h"
#include "tests/unit/http_fixture.h"

#define HOST "Host: x\r\n"

static int set_up_started(void **state)
{
	struct http_fixture *f = malloc(sizeof(*f));

	http_fixture_init(f);
	http_fixture_start(f);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	http_fixture_stop(*state);
	free(*state);
	return 0;
}

#define UPGRADE "Connection: keep-alive, Upgrade\r\nUpgrade: other, echo\r\n\r\n"

static void test_upgrade(void **state)
{
	static const char *const paths[] = {"/upgrade", "/upgrade?ms=50"};
	struct http_fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		_cleanup_free_ char *rq = mem_printf("POST %s HTTP/1.1\r\n" HOST
						     "Content-Length: 4\r\n" UPGRADE "bodyearly\n",
						     paths[i]);
		int fd = http_fixture_connect(f);
		char *answer;

		http_fixture_put(
			fd, rq,
			strlen(rq)); /* its first bytes of the other protocol come with it */
		answer = http_fixture_hear(fd, "|");
		assert_int_equal(http_fixture_status(answer), 101);
		assert_non_null(strstr(answer, "\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n"));
		assert_string_equal(strstr(answer, "\r\n\r\n") + 4, "early\n|");
		free(answer);
		http_fixture_say(fd, "GET /hello HTTP/1.1\r\n\r\n"); /* no HTTP any more */
		answer = http_fixture_hear(fd, "\r\n\r\n");
		assert_string_equal(answer, "GET /hello HTTP/1.1\r\n\r\n");
		free(answer);
		close(fd);
	}
	assert_int_equal(http_fixture_await(&f->requests, 2), 2);
	assert_int_equal(atomic_load(&f->gone), 0);
}

/* Behind an earlier request on the same connection, and byte by byte. */
static void test_upgrade_pipelined(void **state)
{
	static const char rq[] = "GET /later?ms=30 HTTP/1.1\r\n" HOST
				 "\r\nGET /upgrade HTTP/1.1\r\n" HOST UPGRADE "one";
	struct http_fixture *f = *state;

	for (size_t step = 1; step <= sizeof(rq) - 1; step += sizeof(rq) - 2) {
		int fd = http_fixture_connect(f);
		char *answer;

		for (size_t at = 0; at < sizeof(rq) - 1; at += step)
			http_fixture_put(fd, rq + at, step);
		answer = http_fixture_hear(fd, "one");
		assert_int_equal(http_fixture_status(answer), 200);
		assert_non_null(strstr(answer, "later\nHTTP/1.1 101 "));
		free(answer);
		close(fd);
	}
}

static void test_upgrade_refused(void **state)
{
	static const char *const heads[] = {
		"GET /upgrade HTTP/1.1\r\n" HOST "\r\n",
		"GET /upgrade HTTP/1.1\r\n" HOST "Upgrade: echo\r\n\r\n",
		"GET /upgrade HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: echoes\r\n\r\n",
		"GET /upgrade HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n",
	};
	struct http_fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		int fd = http_fixture_connect(f);
		char *answer;

		http_fixture_say(fd, heads[i]);
		answer = http_fixture_hear(fd, "}\n");
		assert_int_equal(http_fixture_status(answer), 426);
		assert_non_null(strstr(answer, "\r\nUpgrade: echo\r\n"));
		assert_non_null(strstr(answer, "\"upgrade_required\""));
		free(answer);
		if (i + 1 < ARRAY_SIZE(heads)) { /* and goes on in HTTP */
			http_fixture_say(fd, "GET /hello HTTP/1.1\r\n" HOST UPGRADE);
			answer = http_fixture_hear(fd, "hello\n");
			assert_int_equal(http_fixture_status(answer), 200);
			free(answer);
		}
		close(fd);
	}
}

/* The client leaves before the handler has made up its mind; one that is handed over is no
 * connection of the server's any more. */
static void test_upgrade_ends(void **state)
{
	struct http_fixture *f = *state;
	int fd = http_fixture_connect(f);
	char *answer;

	http_fixture_say(fd, "GET /upgrade?ms=200 HTTP/1.1\r\n" HOST UPGRADE);
	http_fixture_await(&f->requests, 1);
	close(fd);
	assert_int_equal(http_fixture_await(&f->gone, 1), 1);
	fd = http_fixture_connect(f);
	http_fixture_say(fd, "GET /upgrade HTTP/1.1\r\n" HOST UPGRADE);
	free(http_fixture_hear(fd, "|"));
	close(fd);
	fd = http_fixture_connect(f);
	http_fixture_say(fd, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
	answer = http_fixture_hear(fd, "hello\n");
	assert_int_equal(atomic_load(&f->connections), 1);
	free(answer);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_upgrade, set_up_started, tear_down),
		cmocka_unit_test_setup_teardown(test_upgrade_pipelined, set_up_started, tear_down),
		cmocka_unit_test_setup_teardown(test_upgrade_refused, set_up_started, tear_down),
		cmocka_unit_test_setup_teardown(test_upgrade_ends, set_up_started, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
