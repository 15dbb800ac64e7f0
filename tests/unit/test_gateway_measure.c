/*
 * What aictl-gateway counts of the requests that pass, and when it tells the controller.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/mem.h"
#include "tests/unit/gate_rig.h"

#define GET "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
#define POST "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nok"
#define ANSWER(status) "HTTP/1.1 " #status " X\r\nContent-Length: 2\r\n\r\nok"

static uint64_t sum(const uint64_t *v, unsigned n)
{
	uint64_t all = 0;

	while (n-- > 0)
		all += v[n];
	return all;
}

static uint64_t ended(const struct gate_rig *h, int i)
{
	return sum(h->stats[i].answers, WIRE_TRAFFIC_CLASSES);
}

/* One after the other. */
static void serve(struct gate_rig *h, int c, int *b, const char *request, const char *answer)
{
	gate_rig_send(c, request);
	if (*b < 0)
		*b = gate_rig_accept(h, 0);
	gate_rig_read(h, *b, strstr(request, "\r\n\r\n"));
	gate_rig_send(*b, answer);
	gate_rig_read(h, c, "\r\n\r\nok");
}

static void who_waits_is_told_at_once(void **state)
{
	struct gate_rig *h = *state;
	int c, b;

	gate_rig_route(h, 0);
	c = gate_rig_connect(h);
	gate_rig_send(c, GET);
	while (h->demand.waiting != 1)
		gate_rig_next_report(h);
	assert_true(h->demand.longest_wait_ms < WIRE_TRAFFIC_DEMAND_MS - 50);
	assert_int_equal(h->demand.arrived, 1);
	assert_int_equal(h->demand.active, 0);
	poll(NULL, 0, 30); /* it is to have waited so long at least */
	gate_rig_route(h, 1);
	b = gate_rig_take(h, 0, "\r\n\r\n");
	while (h->demand.waiting != 0 || h->demand.active != 1)
		gate_rig_next_report(h);
	assert_int_equal(h->demand.longest_wait_ms, 0);
	gate_rig_send(b, ANSWER(200));
	gate_rig_read(h, c, "\r\n\r\nok");
	while (h->demand.active != 0)
		gate_rig_next_report(h);
	assert_int_equal(h->demand.arrived, 1);
	assert_int_equal(h->demand.refused, 0);
	assert_true(h->demand.area_us >= 30000);
	while (ended(h, 0) == 0)
		gate_rig_next_report(h);
	assert_true(h->stats[0].latency_us >= 30000); /* the client's view */
	assert_true(h->stats[0].latency_us <= h->demand.area_us);
	close(c);
	close(b);
}

static void what_is_under_way_is_told_each_second(void **state)
{
	struct gate_rig *h = *state;
	uint64_t area;
	int c, b;

	gate_rig_route(h, 1);
	c = gate_rig_connect(h);
	gate_rig_send(c, GET);
	b = gate_rig_take(h, 0, "\r\n\r\n");
	while (h->demand.active != 1)
		gate_rig_next_report(h);
	for (unsigned i = 0; i < 2; i++) { /* nothing happens */
		unsigned before = h->demands;

		area = h->demand.area_us;
		while (h->demands == before)
			gate_rig_next_report(h);
		assert_int_equal(h->demand.active, 1);
		assert_true(h->demand.area_us - area >= 500000);
	}
	gate_rig_send(b, ANSWER(200));
	gate_rig_read(h, c, "\r\n\r\nok");
	while (h->demand.active != 0)
		gate_rig_next_report(h);
	close(c);
	close(b);
}

static void answers_are_counted_by_class(void **state)
{
	struct gate_rig *h = *state;
	const struct wire_traffic_stats *s = &h->stats[0];
	int c, b = -1;

	gate_rig_route(h, 1);
	c = gate_rig_connect(h);
	for (int i = 0; i < 7; i++)
		serve(h, c, &b, GET, ANSWER(200));
	for (int i = 0; i < 3; i++)
		serve(h, c, &b, POST, ANSWER(404));
	serve(h, c, &b, GET, ANSWER(302));
	serve(h, c, &b, GET, ANSWER(503));
	while (ended(h, 0) < 12)
		gate_rig_next_report(h);
	assert_int_equal(s->answers[0], 0);
	assert_int_equal(s->answers[2], 7);
	assert_int_equal(s->answers[3], 1);
	assert_int_equal(s->answers[4], 3);
	assert_int_equal(s->answers[5], 1);
	assert_int_equal(s->revision, 41);
	assert_int_equal(sum(s->latency, WIRE_TRAFFIC_BUCKETS), 12);
	assert_int_equal(sum(s->first_byte, WIRE_TRAFFIC_BUCKETS), 12);
	assert_true(s->first_byte_us <= s->latency_us);
	assert_int_equal(s->bytes_out, 12 * strlen(ANSWER(200)));
	assert_true(s->bytes_in > 9 * strlen(GET) + 3 * strlen(POST));
	assert_int_equal(h->demand.arrived, 12);
	close(c);
	close(b);
}

static void what_is_no_answer_is_counted_apart(void **state)
{
	struct gate_rig *h = *state;
	const struct wire_traffic_stats *s = &h->stats[0];
	int c, b;

	gate_rig_route(h, 1);
	c = gate_rig_connect(h);
	gate_rig_send(c, POST); /* it may not be sent again */
	b = gate_rig_take(h, 0, "\r\n\r\nok");
	close(b);
	gate_rig_read(h, c, "\"bad_gateway\"}}\n");
	gate_rig_send(c, GET); /* this one may */
	b = gate_rig_take(h, 0, "\r\n\r\n");
	close(b);
	b = gate_rig_take(h, 0, "\r\n\r\n");
	gate_rig_send(b, ANSWER(200));
	gate_rig_read(h, c, "\r\n\r\nok");
	gate_rig_send(c, GET);
	gate_rig_read(h, b, "\r\n\r\n");
	close(c); /* nobody waits for that answer */
	assert_true(gate_rig_is_readable(b, GATE_RIG_DEADLINE_MS));
	close(b);
	c = gate_rig_connect(h);
	gate_rig_send(c, GET); /* and nobody for the end of that one */
	b = gate_rig_take(h, 0, "\r\n\r\n");
	gate_rig_send(b, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok");
	gate_rig_read(h, c, "\r\n\r\nok");
	close(c);
	while (ended(h, 0) < 3 || s->cancelled == 0)
		gate_rig_next_report(h);
	assert_int_equal(s->answers[0], 1);
	assert_int_equal(s->answers[2], 2);
	assert_int_equal(s->retries, 1);
	assert_int_equal(s->cancelled, 1);
	assert_int_equal(s->connect_failures, 0);
	assert_int_equal(sum(s->latency, WIRE_TRAFFIC_BUCKETS), 2);
	close(b);
}

static void a_backend_that_refuses_is_no_answer(void **state)
{
	struct gate_rig *h = *state;
	int c, b, n = 0;

	mem_closep(&h->backends[0]);
	gate_rig_route(h, 2);
	c = gate_rig_connect(h);
	b = -1;
	for (int i = 0; i < 4; i++) {
		gate_rig_send(c, GET);
		if (b < 0)
			b = gate_rig_accept(h, 1);
		gate_rig_read(h, b, "\r\n\r\n");
		gate_rig_send(b, ANSWER(200));
		gate_rig_read(h, c, "\r\n\r\nok");
	}
	while (ended(h, 1) < 4 || h->stats[0].connect_failures == 0)
		gate_rig_next_report(h);
	n = (int)h->stats[0].connect_failures;
	assert_true(n >= 1 && n <= 4);
	assert_int_equal(ended(h, 0), 0);
	assert_int_equal(h->stats[1].answers[2], 4);
	assert_int_equal(h->demand.arrived, 4);
	close(c);
	close(b);
}

static void connections_of_tcp_are_counted(void **state)
{
	struct gate_rig *h = *state;
	int c, b;

	h->protocol = WIRE_ROUTES_TCP;
	gate_rig_route(h, 1);
	c = gate_rig_connect(h);
	gate_rig_send(c, "ping");
	b = gate_rig_take(h, 0, "ping");
	gate_rig_send(b, "pong");
	gate_rig_read(h, c, "pong");
	while (h->demand.active != 1)
		gate_rig_next_report(h);
	close(c);
	close(b);
	while (ended(h, 0) == 0)
		gate_rig_next_report(h);
	assert_int_equal(h->stats[0].answers[2], 1);
	assert_int_equal(h->stats[0].bytes_in, 4);
	assert_int_equal(h->stats[0].bytes_out, 4);
}

static void another_controller_hears_all_of_it(void **state)
{
	struct gate_rig *h = *state;
	int c, b = -1;

	gate_rig_route(h, 1);
	c = gate_rig_connect(h);
	serve(h, c, &b, GET, ANSWER(200));
	while (ended(h, 0) < 1)
		gate_rig_next_report(h);
	mem_closep(&h->peer);
	serve(h, c, &b, GET, ANSWER(200));
	h->demand = (struct wire_traffic_demand){0};
	gate_rig_new_peer(h);
	gate_rig_expect_routed(h);
	while (ended(h, 0) < 2 || h->demand.arrived < 2)
		gate_rig_next_report(h);
	close(c);
	close(b);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, gate_rig_setup, gate_rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(who_waits_is_told_at_once),
		TEST(what_is_under_way_is_told_each_second),
		TEST(answers_are_counted_by_class),
		TEST(what_is_no_answer_is_counted_apart),
		TEST(a_backend_that_refuses_is_no_answer),
		TEST(connections_of_tcp_are_counted),
		TEST(another_controller_hears_all_of_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
