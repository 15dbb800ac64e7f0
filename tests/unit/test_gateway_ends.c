/*
 * aictl-gateway and the ends of others: QUIT, a controller that comes again, aictld's death and the
 * next one, too few descriptors.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/mem.h"
#include "lib/sock.h"
#include "tests/unit/gate_rig.h"

#define GET "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static int accept_next(struct gate_rig *h, int next)
{
	struct wire_join m;
	int fd;

	assert_true(gate_rig_is_readable(next, GATE_RIG_DEADLINE_MS));
	fd = accept4(next, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(fd >= 0);
	assert_true(gate_rig_next_packet(h, fd, GATE_RIG_DEADLINE_MS));
	assert_int_equal(h->packet.type, WIRE_JOIN);
	assert_int_equal(wire_giveback_decode_join(h->packet.body, h->packet.len, &m), 0);
	assert_int_equal(m.pid, h->pid);
	assert_int_equal(m.role, WIRE_ROLE_GATEWAY);
	assert_string_equal(m.version, PKGVERSION);
	wire_packet_done(&h->packet);
	return fd;
}

/* Returns the listener that was given back. */
static int expect_given(struct gate_rig *h, int fd)
{
	struct wire_listen_at at;
	int given;

	assert_true(gate_rig_next_packet(h, fd, GATE_RIG_DEADLINE_MS));
	assert_int_equal(h->packet.type, WIRE_GIVE_LISTENER);
	assert_int_equal(wire_giveback_decode_listener(h->packet.body, h->packet.len, &at), 0);
	assert_int_equal(at.port, h->at.port);
	assert_string_equal(at.address, h->at.address);
	assert_int_equal(h->packet.n_fds, 1);
	given = h->packet.fds[0];
	h->packet.fds[0] = -1;
	wire_packet_done(&h->packet);
	assert_true(gate_rig_next_packet(h, fd, GATE_RIG_DEADLINE_MS));
	assert_int_equal(h->packet.type, WIRE_GIVE_BACK_END);
	wire_packet_done(&h->packet);
	return given;
}

/* QUIT of the next aictld, which has the listener now. */
static void hand_over(struct gate_rig *h)
{
	int next, fd;

	mem_closep(&h->sock);
	mem_closep(&h->peer);
	next = gate_rig_listen_packets(h);
	fd = accept_next(h, next);
	close(expect_given(h, fd));
	close(next);
	h->sock = fd;
	gate_rig_say(h, WIRE_QUIT);
}

/* The next gateway, played here, has the listener and hears of the replicas. */
static void at_quit_who_waits_is_passed_on(void **state)
{
	struct gate_rig *h = *state;
	int c = gate_rig_connect(h), next;

	h->rules.from_zero = true;
	h->rules.hold_ms = GATE_RIG_DEADLINE_MS;
	gate_rig_route(h, 0);
	gate_rig_send(c, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n");
	assert_false(gate_rig_is_readable(c, 100));
	hand_over(h);
	assert_true(gate_rig_is_readable(h->listener, GATE_RIG_DEADLINE_MS));
	next = accept4(h->listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(next >= 0);
	gate_rig_read(h, next, "\r\n\r\n");
	assert_memory_equal(h->text, "POST / HTTP/1.1\r\n", 17);
	gate_rig_send(c, "abc");
	gate_rig_read(h, next, "abc");
	gate_rig_send(next, OK);
	assert_true(gate_rig_read_end(h, c));
	assert_non_null(strstr(h->text, "\r\n\r\nok"));
	close(next);
	close(c);
}

static void serve(struct gate_rig *h, int c, int *b)
{
	gate_rig_send(c, GET);
	if (*b < 0)
		*b = gate_rig_take(h, 0, "\r\n\r\n");
	else
		gate_rig_read(h, *b, "\r\n\r\n");
	gate_rig_send(*b, OK);
	gate_rig_read(h, c, "\r\n\r\nok");
}

static void at_quit_what_is_under_way_ends(void **state)
{
	struct gate_rig *h = *state;
	int busy, streaming, idle, b[2], none = -1, n;

	gate_rig_route(h, 2);
	idle = gate_rig_connect(h);
	serve(h, idle, &none);
	busy = gate_rig_connect(h);
	gate_rig_send(busy, GET);
	b[1] = gate_rig_take(h, 1, "\r\n\r\n");
	streaming = gate_rig_connect(h);
	gate_rig_send(streaming, GET);
	gate_rig_read(h, none, "\r\n\r\n");
	gate_rig_send(none, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
	gate_rig_read(h, streaming, "a\r\n");
	hand_over(h);
	gate_rig_say(h, WIRE_PING);
	assert_true(gate_rig_next_packet(h, h->sock, GATE_RIG_DEADLINE_MS));
	wire_packet_done(&h->packet);
	b[0] = gate_rig_connect(h); /* the kernel takes it, we do not */
	gate_rig_send(b[0], GET);
	gate_rig_send(idle, GET); /* one more, and told to go */
	close(b[0]);
	n = 0;
	gate_rig_send(gate_rig_any_request(h, b, &n), OK);
	assert_true(gate_rig_read_end(h, idle));
	assert_non_null(strstr(h->text, "\r\nConnection: close\r\n"));
	gate_rig_send(b[1], OK);
	assert_true(gate_rig_read_end(h, busy));
	assert_non_null(strstr(h->text, "\r\nConnection: close\r\n"));
	gate_rig_send(none, "1\r\nb\r\n0\r\n\r\n");
	gate_rig_read(h, streaming, "b\r\n0\r\n\r\n");
	close(streaming);
	close(busy);
	close(idle);
	gate_rig_reap(h, 0);
	close(none);
	close(b[0]);
	close(b[1]);
}

static void idle_clients_have_a_moment(void **state)
{
	struct gate_rig *h = *state;
	int c, b = -1;

	gate_rig_route(h, 1);
	c = gate_rig_connect(h);
	serve(h, c, &b);
	hand_over(h);
	assert_false(gate_rig_is_readable(c, 500));
	assert_true(gate_rig_read_end(h, c)); /* after five seconds */
	close(c);
	gate_rig_reap(h, 0);
	close(b);
}

static void routes_outlive_their_controller(void **state)
{
	struct gate_rig *h = *state;
	int c, b = -1;

	gate_rig_route(h, 1);
	mem_closep(&h->peer);
	c = gate_rig_connect(h);
	serve(h, c, &b);
	gate_rig_new_peer(h);
	h->load[0].requests = 0;
	gate_rig_expect_routed(h); /* it hears what is in force, and what was under way */
	gate_rig_expect_active(h, 0, 0);
	while (h->load[0].requests == 0)
		gate_rig_next_report(h);
	assert_int_equal(h->load[0].requests, 1);
	close(c);
	close(b);
}

static void expect_all(struct gate_rig *h)
{
	int64_t end = clock_mono_ms() + GATE_RIG_DEADLINE_MS;

	while (h->load[0].active != 1 || h->demand.active != 1 || h->demand.arrived != 2 ||
	       h->stats[0].answers[2] != 1) {
		assert_true(clock_mono_ms() < end);
		gate_rig_next_report(h);
	}
}

/* What it was told before may have been of services that it had not read yet. */
static void another_controller_hears_all_again(void **state)
{
	struct gate_rig *h = *state;
	int c, d, e = -1;

	gate_rig_route(h, 1);
	d = gate_rig_connect(h);
	serve(h, d, &e);
	c = gate_rig_connect(h);
	gate_rig_send(c, GET);
	gate_rig_read(h, e, "\r\n\r\n");
	gate_rig_new_peer(h);
	gate_rig_expect_routed(h);
	expect_all(h);
	h->load[0].active = UINT32_MAX;
	h->stats[0].answers[2] = 0;
	h->demand.arrived = 0;
	h->epoch++;
	h->generation = 0;
	gate_rig_route(h, 1);
	expect_all(h);
	close(c);
	close(d);
	close(e);
}

static void without_aictld_it_serves_on_and_gives_back(void **state)
{
	struct gate_rig *h = *state;
	int c, d, b = -1, next, fd, given;

	gate_rig_route(h, 1);
	c = gate_rig_connect(h);
	serve(h, c, &b);
	mem_closep(&h->sock);
	mem_closep(&h->peer);
	serve(h, c, &b);
	d = gate_rig_connect(h);
	serve(h, d, &b);
	next = gate_rig_listen_packets(h);
	fd = accept_next(h, next);
	given = expect_given(h, fd);
	serve(h, d, &b);
	close(given);
	close(fd); /* that one dies, too */
	fd = accept_next(h, next);
	given = expect_given(h, fd);
	serve(h, d, &b);
	h->sock = fd;
	gate_rig_say(h, WIRE_QUIT);
	assert_true(gate_rig_read_end(h, c));
	close(c);
	close(d);
	gate_rig_reap(h, 0);
	assert_true(listen(given, 10) == 0); /* it listens still */
	close(given);
	close(next);
	close(b);
}

static void where_nobody_can_come_it_ends(void **state)
{
	struct gate_rig *h = *state;

	gate_rig_route(h, 1);
	rmdir(h->sup);
	mem_closep(&h->sock);
	mem_closep(&h->peer);
	gate_rig_reap(h, 0);
}

static void a_listener_that_is_off_is_closed(void **state)
{
	struct gate_rig *h = *state;
	_cleanup_buf_ struct buf b = {0};
	int c, up = -1;

	gate_rig_route(h, 1);
	c = gate_rig_connect(h);
	serve(h, c, &up);
	wire_listen_encode_at(&b, WIRE_LISTENER_OFF, &h->at);
	assert_int_equal(wire_send(h->sock, &b, NULL, 0), 0);
	assert_true(gate_rig_read_end(h, c));
	close(c);
	close(up);
}

static void without_descriptors_clients_wait(void **state)
{
	struct gate_rig *h = *state;
	int c[60], b[100], n = 0;

	gate_rig_reap(h, SIGKILL);
	h->fds_max = 200;
	gate_rig_start(h);
	gate_rig_route(h, 1);
	for (int i = 0; i < 60; i++) {
		c[i] = gate_rig_connect(h);
		gate_rig_send(c[i], GET);
	}
	while (gate_rig_is_readable(h->backends[0], n < 20 ? GATE_RIG_DEADLINE_MS : 200))
		b[n++] = gate_rig_take(h, 0, "\r\n\r\n");
	print_message("%d at once\n", n);
	assert_true(n < 60);
	for (int i = 0; i < n; i++) /* each that ends makes room */
		gate_rig_send(b[i], OK);
	for (int served = n; served < 60; served++) {
		int up = gate_rig_any_request(h, b, &n);

		gate_rig_send(up, OK);
	}
	for (int i = 0; i < 60; i++) {
		gate_rig_read(h, c[i], "\r\n\r\nok");
		close(c[i]);
	}
	for (int i = 0; i < n; i++)
		close(b[i]);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, gate_rig_setup, gate_rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(at_quit_what_is_under_way_ends),
		TEST(at_quit_who_waits_is_passed_on),
		TEST(idle_clients_have_a_moment),
		TEST(routes_outlive_their_controller),
		TEST(another_controller_hears_all_again),
		TEST(without_aictld_it_serves_on_and_gives_back),
		TEST(where_nobody_can_come_it_ends),
		TEST(a_listener_that_is_off_is_closed),
		TEST(without_descriptors_clients_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
