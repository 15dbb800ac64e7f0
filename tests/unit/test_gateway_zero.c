/*
 * The gateway while a service is at zero: requests and connections are held until a replica is ready,
 * or until the hold is over; what a client is told then, and when none will come.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/gateway/refusal.h"
#include "daemon/gateway/routes.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/mem.h"
#include "tests/unit/gate_rig.h"

#define GET "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define CLIENTS 20

/* ---- what is said ---- */

static char said[2000];

static const char *say(const struct refusal *r, int64_t now)
{
	_cleanup_buf_ struct buf b = {0};

	refusal_write(r, now, &b);
	assert_false(b.failed);
	snprintf(said, sizeof(said), "%s", buf_cstr(&b));
	return said;
}

#define HEAD_503 "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"

static void plain_refusals(void **state)
{
	struct refusal r = {.status = 405, .why = "CONNECT", .id = "x1", .close = true};

	(void)state;
	assert_string_equal(say(&r, 0),
			    "HTTP/1.1 405 Method Not Allowed\r\nContent-Type: application/json\r\n"
			    "Content-Length: 104\r\n"
			    "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"
			    "X-Request-Id: x1\r\nConnection: close\r\n\r\n"
			    "{\"error\":{\"message\":\"CONNECT\",\"type\":"
			    "\"invalid_request_error\",\"param\":null,\"code\":"
			    "\"method_not_allowed\"}}\n");
	r = (struct refusal){.status = 502, .why = "it broke", .id = "", .is_head = true};
	assert_string_equal(say(&r, 0),
			    "HTTP/1.1 502 Bad Gateway\r\nContent-Type: application/json\r\n"
			    "Content-Length: 89\r\n\r\n");
}

static const char *after(const char *text, const char *what)
{
	const char *at = strstr(text, what);

	assert_non_null(at);
	return at + strlen(what);
}

static void expect_loading(const struct refusal *r, int64_t now, int retry, const char *loading)
{
	const char *text = say(r, now);
	char line[40];

	assert_memory_equal(text, HEAD_503, strlen(HEAD_503));
	snprintf(line, sizeof(line), "\r\nRetry-After: %d\r\n", retry);
	after(text, line);
	assert_string_equal(after(text, "\"code\":\"loading\",\"loading\":"), loading);
	after(text, "\"message\":\"web is starting: no replica is ready\",\"type\":"
		    "\"service_unavailable\",\"param\":null");
}

static void loading_says_when(void **state)
{
	struct route route = {.service = "web", .news = {.state = "starting"}};
	const struct refusal r = {
		.status = 503, .why = "no replica is ready", .route = &route, .id = ""};

	(void)state;
	expect_loading(&r, 1000, 5, "{\"state\":\"starting\",\"eta_seconds\":null}}}\n");
	route.rules.eta_ms = 9001; /* not begun yet */
	expect_loading(&r, 1000, 10, "{\"state\":\"starting\",\"eta_seconds\":10}}}\n");
	route.news.ready_mono_ms = 4000;
	expect_loading(&r, 1000, 3, "{\"state\":\"starting\",\"eta_seconds\":3}}}\n");
	expect_loading(&r, 3999, 1, "{\"state\":\"starting\",\"eta_seconds\":1}}}\n");
	expect_loading(&r, 4000, 5, "{\"state\":\"starting\",\"eta_seconds\":null}}}\n");
	route.news.ready_mono_ms = 1000000;
	expect_loading(&r, 0, 120, "{\"state\":\"starting\",\"eta_seconds\":1000}}}\n");
}

static void failure_says_why(void **state)
{
	struct route route = {.service = "web",
			      .rules = {.eta_ms = 5000},
			      .news = {.state = "failed", .failed = "exit \"3\"\xff"}};
	struct refusal r = {.status = 503, .why = "it has failed", .route = &route, .id = ""};
	const char *text = say(&r, 0);

	(void)state;
	assert_null(strstr(text, "Retry-After"));
	assert_string_equal(
		after(text, "\r\n\r\n"),
		"{\"error\":{\"message\":\"web has failed: exit \\\"3\\\"\xef\xbf\xbd\",\"type\":"
		"\"service_unavailable\",\"param\":null,\"code\":\"failed\",\"loading\":{"
		"\"state\":\"failed\",\"eta_seconds\":null}}}\n");
	/* somebody is there: only too many wait */
	route.news = (struct wire_routes_news){0};
	text = say(&r, 0);
	after(text, "\r\nRetry-After: 1\r\n");
	after(text, "\"message\":\"it has failed\"");
	after(text, "\"code\":\"busy\"}}\n");
	assert_null(strstr(text, "loading"));
	/* of others nothing of that is said */
	route.news = (struct wire_routes_news){.state = "starting"};
	r.status = 502;
	assert_null(strstr(say(&r, 0), "starting"));
}

/* ---- the hold ---- */

static void from_zero(struct gate_rig *h, uint32_t hold_ms)
{
	h->rules.from_zero = true;
	h->rules.queue_timeout_ms = 50; /* not what counts */
	h->rules.hold_ms = hold_ms;
	h->rules.eta_ms = 7000;
	h->news = (struct wire_routes_news){.state = "idle"};
	gate_rig_route(h, 0);
}

static void is_ready(struct gate_rig *h)
{
	h->rules.from_zero = false;
	h->news = (struct wire_routes_news){0};
	gate_rig_route(h, 1);
}

/* Reads the 503 with its body. */
static void expect_503(struct gate_rig *h, int fd, const char *what)
{
	gate_rig_read(h, fd, "}}}\n");
	assert_memory_equal(h->text, HEAD_503, strlen(HEAD_503));
	after(h->text, what);
}

static void held_until_ready(void **state)
{
	struct gate_rig *h = *state;
	int c[CLIENTS], fds[CLIENTS], n = 0;

	from_zero(h, 20000);
	for (int i = 0; i < CLIENTS; i++) {
		c[i] = gate_rig_connect(h);
		gate_rig_send(c[i], GET);
	}
	assert_false(gate_rig_is_readable(c[0], 150)); /* longer than queue.timeout */
	is_ready(h);
	for (int i = 0; i < CLIENTS; i++)
		gate_rig_send(gate_rig_any_request(h, fds, &n), OK);
	for (int i = 0; i < CLIENTS; i++) {
		gate_rig_read(h, c[i], "\r\n\r\nok");
		close(c[i]);
	}
	while (n > 0)
		close(fds[--n]);
}

/* What is told meanwhile changes nothing for those who wait: the hold counts from their beginning. */
static void the_hold_has_an_end(void **state)
{
	struct gate_rig *h = *state;
	int64_t begun = clock_mono_ms();
	int c = gate_rig_connect(h), head = gate_rig_connect(h);

	from_zero(h, 300);
	gate_rig_send(c, GET);
	gate_rig_send(head, "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
	assert_false(gate_rig_is_readable(c, 100));
	h->news = (struct wire_routes_news){.state = "starting",
					    .ready_mono_ms = (uint64_t)begun + 90000};
	gate_rig_route(h, 0);
	expect_503(h, c, "\"loading\":{\"state\":\"starting\",\"eta_seconds\":9");
	assert_in_range(clock_mono_ms() - begun, 300, GATE_RIG_DEADLINE_MS);
	gate_rig_read(h, head, "\r\n\r\n");
	after(h->text, "Retry-After: 9");
	close(head);
	gate_rig_send(c, GET); /* the connection is good for the next one */
	is_ready(h);
	head = gate_rig_take(h, 0, "\r\n\r\n");
	gate_rig_send(head, OK);
	gate_rig_read(h, c, "\r\n\r\nok");
	close(head);
	close(c);
}

static void too_many_wait(void **state)
{
	struct gate_rig *h = *state;
	int first, second, b;

	h->rules.queue_max = 1;
	from_zero(h, 20000);
	first = gate_rig_connect(h);
	gate_rig_send(first, GET);
	assert_false(gate_rig_is_readable(first, 100));
	second = gate_rig_connect(h);
	gate_rig_send(second, GET);
	expect_503(h, second, "\r\nRetry-After: 7\r\n");
	is_ready(h);
	b = gate_rig_take(h, 0, "\r\n\r\n");
	gate_rig_send(b, OK);
	gate_rig_read(h, first, "\r\n\r\nok");
	close(first);
	close(second);
	close(b);
}

/* Nobody may wait: that somebody came is told all the same. */
static void who_is_refused_calls_too(void **state)
{
	struct gate_rig *h = *state;
	int c = gate_rig_connect(h);

	h->rules.queue_max = 0;
	from_zero(h, 20000);
	h->demand.arrived = 0;
	gate_rig_send(c, GET);
	expect_503(h, c, "\r\nRetry-After: 7\r\n");
	while (h->demand.arrived == 0)
		gate_rig_next_report(h);
	assert_int_equal(h->demand.refused, 1);
	close(c);
	h->protocol = WIRE_ROUTES_TCP;
	from_zero(h, 20000);
	c = gate_rig_connect(h);
	assert_true(gate_rig_is_readable(c, GATE_RIG_DEADLINE_MS)); /* cut */
	while (h->demand.arrived == 1)
		gate_rig_next_report(h);
	assert_int_equal(h->demand.refused, 2);
	close(c);
}

static void a_body_may_wait_for_a_replica(void **state)
{
	struct gate_rig *h = *state;
	int c = gate_rig_connect(h), b;

	h->rules.stall_ms = 100;
	gate_rig_route(h, 0);
	gate_rig_send(c, "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
			 "Content-Length: 1\r\n\r\n");
	assert_false(gate_rig_is_readable(c, 500));
	h->rules.stall_ms = 0;
	gate_rig_route(h, 1);
	b = gate_rig_take(h, 0, "\r\n\r\n");
	gate_rig_send(b, "HTTP/1.1 100 Continue\r\n\r\n");
	gate_rig_read(h, c, "\r\n\r\n");
	gate_rig_send(c, "x");
	gate_rig_read(h, b, "x");
	gate_rig_send(b, OK);
	gate_rig_read(h, c, "ok");
	close(c);
	close(b);
}

/* Those who wait hear it at once, and so do those who come. */
static void a_failure_is_told_at_once(void **state)
{
	struct gate_rig *h = *state;
	int waits, comes, b;

	from_zero(h, 600000);
	waits = gate_rig_connect(h);
	gate_rig_send(waits, GET);
	assert_false(gate_rig_is_readable(waits, 100));
	h->rules.from_zero = false;
	h->news = (struct wire_routes_news){.state = "failed", .failed = "exit code 3"};
	gate_rig_route(h, 0);
	expect_503(h, waits, "svc has failed: exit code 3");
	comes = gate_rig_connect(h);
	gate_rig_send(comes, GET GET); /* also what comes behind it */
	expect_503(h, comes, "svc has failed: exit code 3");
	expect_503(h, comes, "svc has failed: exit code 3");
	from_zero(h, 600000); /* tried again */
	gate_rig_send(waits, GET);
	assert_false(gate_rig_is_readable(waits, 100));
	is_ready(h);
	b = gate_rig_take(h, 0, "\r\n\r\n");
	gate_rig_send(b, OK);
	gate_rig_read(h, waits, "\r\n\r\nok");
	close(waits);
	close(comes);
	close(b);
}

static void connections_are_held(void **state)
{
	struct gate_rig *h = *state;
	int c, late, b;

	h->protocol = WIRE_ROUTES_TCP;
	from_zero(h, 500);
	c = gate_rig_connect(h);
	gate_rig_send(c, "hello");
	assert_false(gate_rig_is_readable(c, 100));
	is_ready(h);
	b = gate_rig_accept(h, 0);
	gate_rig_read(h, b, "hello");
	gate_rig_send(b, "world");
	gate_rig_read(h, c, "world");
	close(b);
	close(c);
	from_zero(h, 200);
	late = gate_rig_connect(h);
	gate_rig_send(late, "hello");
	assert_false(gate_rig_is_readable(late, 100));
	assert_true(gate_rig_is_readable(late, GATE_RIG_DEADLINE_MS)); /* cut */
	close(late);
	h->news = (struct wire_routes_news){.state = "failed", .failed = "exit code 3"};
	gate_rig_route(h, 0);
	late = gate_rig_connect(h);
	assert_true(gate_rig_is_readable(late, GATE_RIG_DEADLINE_MS));
	close(late);
}

/* The controller is gone: what it said last holds, and the next one goes on with it. */
static void held_without_a_controller(void **state)
{
	struct gate_rig *h = *state;
	int c, b;

	from_zero(h, 20000);
	c = gate_rig_connect(h);
	gate_rig_send(c, GET);
	assert_false(gate_rig_is_readable(c, 100));
	mem_closep(&h->peer);
	assert_false(gate_rig_is_readable(c, 150));
	gate_rig_new_peer(h);
	is_ready(h);
	b = gate_rig_take(h, 0, "\r\n\r\n");
	gate_rig_send(b, OK);
	gate_rig_read(h, c, "\r\n\r\nok");
	close(c);
	close(b);
}

#define WITH_GATEWAY(f) cmocka_unit_test_setup_teardown(f, gate_rig_setup, gate_rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_refusals),
		cmocka_unit_test(loading_says_when),
		cmocka_unit_test(failure_says_why),
		WITH_GATEWAY(held_until_ready),
		WITH_GATEWAY(the_hold_has_an_end),
		WITH_GATEWAY(too_many_wait),
		WITH_GATEWAY(who_is_refused_calls_too),
		WITH_GATEWAY(a_failure_is_told_at_once),
		WITH_GATEWAY(connections_are_held),
		WITH_GATEWAY(held_without_a_controller),
		WITH_GATEWAY(a_body_may_wait_for_a_replica),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
