/*
 * test_http_limits: what the server does when there are too many connections, or when all together
 * hold too much.
 *
 * SPDX-License-Identifier: MIT
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/mem.h"
#include "tests/unit/http_fixture.h"

#define HOST "Host: x\r\n"

static int set_up(void **state)
{
	struct http_fixture *f = malloc(sizeof(*f));

	http_fixture_init(f);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	http_fixture_stop(*state);
	free(*state);
	return 0;
}

static char *hello(struct http_fixture *f)
{
	static const char request[] = "GET /hello HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n";

	return http_fixture_exchange(f, request, strlen(request), 1000);
}

/* Until there is a place: whoever has just come is not sent away. */
static char *hello_in_time(struct http_fixture *f)
{
	int64_t end = clock_mono_ms() + 5000;
	char *a = hello(f);

	while (http_fixture_status(a) == 503 && clock_mono_ms() < end) {
		mem_free(a);
		a = hello(f);
	}
	return a;
}

/* Beyond the limit the longest idle one gives way; where all are busy, the newcomer. */
static void test_connections_max(void **state)
{
	struct http_fixture *f = *state;
	int fds[3];
	char *a;

	f->opts.connections_max = 2;
	http_fixture_start(f);
	for (int i = 0; i < 2; i++)
		fds[i] = http_fixture_connect(f);
	a = hello_in_time(f);
	assert_int_equal(http_fixture_status(a), 200);
	mem_free(a);
	a = http_fixture_hear(fds[0], NULL); /* the older one */
	assert_string_equal(a, "");
	mem_free(a);
	close(fds[0]);
	http_fixture_say(fds[1], "GET /never HTTP/1.1\r\n" HOST "\r\n");
	fds[0] = http_fixture_connect(f);
	http_fixture_say(fds[0], "GET /never HTTP/1.1\r\n" HOST "\r\n");
	assert_int_equal(http_fixture_await(&f->open, 2), 2);
	fds[2] = http_fixture_connect(f);
	a = http_fixture_hear(fds[2], NULL);
	assert_int_equal(http_fixture_status(a), 503);
	assert_non_null(strstr(a, "\"busy\""));
	mem_free(a);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	for (int i = 0; i < 1000; i++) { /* the places become free */
		a = hello(f);
		if (http_fixture_status(a) == 200)
			break;
		mem_free(a);
	}
	assert_int_equal(http_fixture_status(a), 200);
	mem_free(a);
}

/* A request that dribbles gives way, too, but not in its first moment. */
static void test_connections_max_slow(void **state)
{
	struct http_fixture *f = *state;
	int64_t t;
	int fd, busy;
	char *a;

	f->opts.connections_max = 2;
	http_fixture_start(f);
	fd = http_fixture_connect(f);
	http_fixture_say(fd, "GET /he");
	t = clock_mono_ms();
	busy = http_fixture_connect(f);
	http_fixture_say(busy, "GET /never HTTP/1.1\r\n" HOST "\r\n");
	assert_int_equal(http_fixture_await(&f->open, 1), 1);
	a = hello(f);
	while (http_fixture_status(a) == 503 && clock_mono_ms() < t + 5000) {
		mem_free(a);
		a = hello(f);
	}
	assert_int_equal(http_fixture_status(a), 200);
	assert_in_range(clock_mono_ms() - t, 150, 5000);
	mem_free(a);
	a = http_fixture_hear(fd, NULL);
	assert_string_equal(a, "");
	mem_free(a);
	close(fd);
	close(busy);
}

/* Answers that nobody takes: the one that holds most is cut. */
static void test_held_max(void **state)
{
	struct http_fixture *f = *state;
	int fds[4];
	char *a;

	f->opts.held_max = 4 << 20;
	http_fixture_start(f);
	fds[0] = http_fixture_connect(f);
	http_fixture_say(fds[0], "GET /big?n=3500000 HTTP/1.1\r\n" HOST "\r\n");
	for (int i = 1; i < 4; i++) {
		fds[i] = http_fixture_connect(f);
		http_fixture_say(fds[i], "GET /big?n=1500000 HTTP/1.1\r\n" HOST "\r\n");
	}
	assert_int_equal(http_fixture_await(&f->requests, 4), 4);
	a = http_fixture_hear(fds[0], NULL);
	assert_true(strlen(a) < 3500000);
	mem_free(a);
	for (int i = 1; i < 4; i++)
		close(fds[i]);
	close(fds[0]);
	a = hello(f);
	assert_int_equal(http_fixture_status(a), 200);
	mem_free(a);
}

#define FRESH(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FRESH(test_connections_max),
		FRESH(test_connections_max_slow),
		FRESH(test_held_max),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
