/*
 * aictl-gateway, by its sockets: what it passes on, in both directions, and what it says to aictld
 * and the controller meanwhile.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/mem.h"
#include "tests/unit/gate_rig.h"

#define GET "GET /a?b=c HTTP/1.1\r\nHost: h\r\n\r\n"
#define OK_HEAD "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
#define OK OK_HEAD "ok"

static void has(const struct gate_rig *h, const char *part)
{
	if (!strstr(h->text, part))
		fail_msg("no \"%s\" in: %s", part, h->text);
}

static void has_not(const struct gate_rig *h, const char *part)
{
	if (strstr(h->text, part))
		fail_msg("\"%s\" in: %s", part, h->text);
}

static void a_request_is_answered(void **state)
{
	struct gate_rig *h = *state;
	int c, b;

	gate_rig_route(h, 1);
	c = gate_rig_connect(h);
	for (int i = 0; i < 3; i++) { /* both connections are kept */
		gate_rig_send(c, GET);
		if (i == 0)
			b = gate_rig_take(h, 0, "\r\n\r\n");
		else
			gate_rig_read(h, b, "\r\n\r\n");
		assert_memory_equal(h->text, "GET /a?b=c HTTP/1.1\r\nHost: h\r\n", 30);
		has(h, "X-Forwarded-For: 127.0.0.1\r\n");
		has(h, "Forwarded: for=127.0.0.1;host=\"h\";proto=http\r\n");
		has(h, "X-Forwarded-Proto: http\r\nX-Forwarded-Host: h\r\n");
		has(h, "X-Request-Id: ");
		has_not(h, "Connection");
		gate_rig_send(b, OK);
		gate_rig_read(h, c, "ok");
		assert_memory_equal(h->text, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Req", 41);
	}
	close(c);
	close(b);
}

static void bodies_pass_as_they_come(void **state)
{
	struct gate_rig *h = *state;
	int c, b;

	gate_rig_route(h, 1);
	c = gate_rig_connect(h);
	gate_rig_send(c, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nabc");
	b = gate_rig_take(h, 0, "\r\n\r\nabc");
	has(h, "\r\nContent-Length: 6\r\n");
	gate_rig_send(c, "def");
	gate_rig_read(h, b, "def");
	gate_rig_send(b, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n12");
	gate_rig_read(h, c, "\r\n\r\n12");
	gate_rig_send(b, "345");
	gate_rig_read(h, c, "345");
	close(c);
	close(b);
}

static void without_routes_it_does_not_accept(void **state)
{
	struct gate_rig *h = *state;
	int c = gate_rig_connect(h), b;

	gate_rig_send(c, GET);
	assert_false(gate_rig_is_readable(c, 100));
	gate_rig_route(h, 1);
	b = gate_rig_take(h, 0, "\r\n\r\n");
	gate_rig_send(b, OK);
	gate_rig_read(h, c, "ok");
	close(c);
	close(b);
}

static void the_least_busy_is_chosen(void **state)
{
	struct gate_rig *h = *state;
	int c[4], b[3];

	gate_rig_route(h, 3);
	for (int i = 0; i < 3; i++) {
		c[i] = gate_rig_connect(h);
		gate_rig_send(c[i], GET);
	}
	for (int i = 0; i < 3; i++) /* one each */
		b[i] = gate_rig_take(h, i, "\r\n\r\n");
	gate_rig_send(b[1], OK);
	for (int i = 0; i < 3; i++)
		gate_rig_expect_active(h, i, i != 1);
	c[3] = gate_rig_connect(h);
	gate_rig_send(c[3], GET);
	gate_rig_read(h, b[1], "\r\n\r\n");
	gate_rig_expect_active(h, 1, 1);
	assert_int_equal(h->load[1].requests, 2);
	assert_int_equal(h->load[1].failures, 0);
	for (int i = 0; i < 4; i++)
		close(c[i]);
	for (int i = 0; i < 3; i++)
		close(b[i]);
}

static void what_drains_gets_nothing_new(void **state)
{
	struct gate_rig *h = *state;
	int c, d, b0, b1;

	gate_rig_route(h, 1);
	c = gate_rig_connect(h);
	gate_rig_send(c, GET);
	b0 = gate_rig_take(h, 0, "\r\n\r\n");
	h->draining[0] = true;
	gate_rig_route(h, 2);
	d = gate_rig_connect(h);
	for (int i = 0; i < 3; i++) {
		gate_rig_send(d, GET);
		if (i == 0)
			b1 = gate_rig_take(h, 1, "\r\n\r\n");
		else
			gate_rig_read(h, b1, "\r\n\r\n");
		gate_rig_send(b1, OK);
		gate_rig_read(h, d, "ok");
	}
	gate_rig_expect_active(h, 1, 0);
	gate_rig_send(b0, OK); /* what was under way ends, and is told */
	gate_rig_read(h, c, "ok");
	gate_rig_expect_active(h, 0, 0);
	assert_true(gate_rig_read_end(h, b0)); /* not kept */
	gate_rig_send(c, GET);		       /* the client's connection is */
	gate_rig_read(h, b1, "\r\n\r\n");
	close(c);
	close(d);
	close(b0);
	close(b1);
}

static void requests_wait_for_a_backend(void **state)
{
	struct gate_rig *h = *state;
	int c, b;

	gate_rig_route(h, 0);
	c = gate_rig_connect(h);
	gate_rig_send(c, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
	assert_false(gate_rig_is_readable(c, 100));
	gate_rig_route(h, 1);
	b = gate_rig_take(h, 0, "\r\n\r\nabc");
	gate_rig_send(b, OK);
	gate_rig_read(h, c, "ok");
	close(c);
	close(b);
}

static void too_many_that_wait_are_refused(void **state)
{
	struct gate_rig *h = *state;
	int c[101];

	gate_rig_route(h, 0);
	for (int i = 0; i < 100; i++) {
		c[i] = gate_rig_connect(h);
		gate_rig_send(c[i], GET);
	}
	c[100] = gate_rig_connect(h);
	gate_rig_send(c[100], GET);
	while (!gate_rig_is_readable(c[100], 10)) /* accepted in no certain order */
		for (int i = 0; i < 100; i++)
			if (gate_rig_is_readable(c[i], 0)) {
				int swap = c[100];

				c[100] = c[i];
				c[i] = swap;
				break;
			}
	gate_rig_read(h, c[100], "}\n");
	assert_memory_equal(h->text, "HTTP/1.1 503 ", 13);
	has(h, "\r\nRetry-After: 1\r\n");
	for (int i = 0; i < 101; i++)
		close(c[i]);
}

/* Its own aictld says so when no replica is left: nobody is waited for. */
static void a_quit_ends_idle_clients_at_once(void **state)
{
	struct gate_rig *h = *state;
	int idle, waits, b;

	gate_rig_route(h, 1);
	idle = gate_rig_connect(h);
	gate_rig_send(idle, GET);
	b = gate_rig_take(h, 0, "\r\n\r\n");
	gate_rig_send(b, OK);
	gate_rig_read(h, idle, "ok");
	gate_rig_route(h, 0);
	waits = gate_rig_connect(h);
	gate_rig_send(waits, GET);
	assert_false(gate_rig_is_readable(waits, 50));
	gate_rig_say(h, WIRE_QUIT);
	assert_true(gate_rig_is_readable(idle, 4000)); /* less than another one would give it */
	assert_true(gate_rig_is_readable(waits, 4000));
	close(idle);
	close(waits);
	close(b);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, gate_rig_setup, gate_rig_teardown)
#define THREADS(f) cmocka_unit_test_setup_teardown(f, gate_rig_setup_threads, gate_rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_request_is_answered),
		TEST(bodies_pass_as_they_come),
		TEST(without_routes_it_does_not_accept),
		TEST(the_least_busy_is_chosen),
		TEST(what_drains_gets_nothing_new),
		TEST(requests_wait_for_a_backend),
		TEST(too_many_that_wait_are_refused),
		TEST(a_quit_ends_idle_clients_at_once),
		THREADS(a_request_is_answered),
		THREADS(bodies_pass_as_they_come),
		THREADS(without_routes_it_does_not_accept),
		THREADS(the_least_busy_is_chosen),
		THREADS(what_drains_gets_nothing_new),
		THREADS(requests_wait_for_a_backend),
		THREADS(too_many_that_wait_are_refused),
		THREADS(a_quit_ends_idle_clients_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
