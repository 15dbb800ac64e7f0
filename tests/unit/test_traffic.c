/*
 * test_traffic: what the controller tells aictld and the gateway of the stable ports, and how its
 * replicas drain: a real controller without a store, with an aictld and a gateway that are played
 * here.
 */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/inventory.h"
#include "daemon/controller/link.h"
#include "daemon/controller/load.h"
#include "daemon/controller/order.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/replica_own.h"
#include "daemon/controller/replica_slot.h"
#include "daemon/controller/service.h"
#include "daemon/controller/store.h"
#include "daemon/controller/traffic.h"
#include "daemon/wire/wire.h"
#include "daemon/wire/wire_listen.h"
#include "daemon/wire/wire_routes.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/manifest.h"
#include "lib/mem.h"
#include "lib/sock.h"

#define REPLICAS 3
#define DEADLINE_MS 20000

#define SERVICE                                                                                    \
	"{version: 1, name: s, services: {web: {command: [sleep], replicas: 2, ports: {http: "     \
	"{port: 8000}, metrics: {}}, stop: {drain: 1s, grace_period: 1s}}}}"
#define SOURCES "[{\"path\":\"/m.yaml\",\"text\":\"" SERVICE "\"}]"

struct note {
	uint8_t data[WIRE_NOTE_MAX];
	uint32_t len;
};

struct world {
	uv_loop_t loop;
	struct controller c;
	int aictld, gateway; /* the fakes' ends; gateway -1 = none */
	bool mute;	     /* the gateway says nothing by itself */
	/* what the fakes have heard */
	struct wire_listen listen;
	unsigned listens, n_routes, ordered;
	struct wire_routes routes;
	struct wire_key keys[REPLICAS];
	struct note notes[REPLICAS];
	bool stopped[REPLICAS];
};

static const struct controller_opts opts = {.runtime_dir = "/nonexistent",
					    .log_dir = "/nonexistent",
					    .port_first = 41000,
					    .port_last = 41100};
static struct wire_packet packet;

/* ---- the fake aictld ---- */

static struct replica *rep(struct world *w, unsigned index)
{
	static struct replica none;
	struct service *s = controller_find(&w->c, "web");
	struct replica *r = s ? service_replica(s, index) : NULL;

	return r ? r : &none;
}

static struct wire_slot slot_of(const struct world *w, unsigned index)
{
	return (struct wire_slot){.key = w->keys[index],
				  .state = WIRE_SLOT_RUNNING,
				  .stage = WIRE_STAGE_EXEC,
				  .pid = 1000 + (int)index,
				  .started_wall_ms = clock_wall_ms(),
				  .started_mono_ms = clock_mono_ms()};
}

static void take_note(struct world *w, const struct wire_key *key, const uint8_t *note,
		      uint32_t len)
{
	assert_in_range(key->index, 0, REPLICAS - 1);
	assert_in_range(len, 0, WIRE_NOTE_MAX);
	memcpy(w->notes[key->index].data, note, len);
	w->notes[key->index].len = len;
}

static void on_spawn(struct world *w)
{
	struct wire_spawn m = {0};
	struct wire_slot slot;

	assert_int_equal(wire_decode_spawn(packet.body, packet.len, &m), 0);
	if (!m.standby) {
		take_note(w, &m.key, m.note, m.note_len);
		w->keys[m.key.index] = m.key;
		w->stopped[m.key.index] = false;
		slot = slot_of(w, m.key.index);
		replica_slot_take(rep(w, m.key.index), &slot);
	}
	wire_spawn_free(&m);
}

static void hear_aictld(struct world *w)
{
	struct wire_stop stop;
	const uint8_t *note;
	struct wire_key key;
	uint32_t len, what;

	while (wire_recv(w->aictld, &packet) > 0) {
		if (packet.type == WIRE_SPAWN) {
			on_spawn(w);
		} else if (packet.type == WIRE_NOTE) {
			assert_int_equal(
				wire_decode_note(packet.body, packet.len, &key, &note, &len), 0);
			take_note(w, &key, note, len);
		} else if (packet.type == WIRE_STOP) {
			assert_int_equal(wire_decode_stop(packet.body, packet.len, &stop), 0);
			w->stopped[stop.key.index] = true;
		} else if (packet.type == WIRE_CONTROL) {
			assert_int_equal(wire_decode_u32(packet.body, packet.len, &what), 0);
			w->ordered += what == WIRE_CONTROL_ORDERED;
		} else if (packet.type == WIRE_LISTEN) {
			wire_listen_free(&w->listen);
			assert_int_equal(wire_listen_decode(packet.body, packet.len, &w->listen),
					 0);
			w->listens++;
		}
		wire_packet_done(&packet);
	}
}

static void give_listening(struct world *w, int err)
{
	struct wire_listen_state s = {.at = {"127.0.0.1", 8000}, .err = err};
	const struct wire_listen m = {1, &s};
	_cleanup_buf_ struct buf b = {0};

	wire_listen_encode(&b, WIRE_LISTENING, &m);
	assert_int_equal(wire_send(w->aictld, &b, NULL, 0), 0);
}

/* ---- the fake gateway ---- */

static void say(struct world *w, const struct buf *b)
{
	assert_int_equal(wire_send(w->gateway, b, NULL, 0), 0);
}

static void say_routed(struct world *w)
{
	_cleanup_buf_ struct buf b = {0};

	wire_routes_encode_routed(&b, w->routes.epoch, w->routes.generation);
	say(w, &b);
}

static void say_load(struct world *w, unsigned index, uint32_t active)
{
	struct wire_routes_load m = {.key = w->keys[index], .name = "http", .active = active};
	_cleanup_buf_ struct buf b = {0};

	wire_routes_encode_load(&b, &m, 1);
	say(w, &b);
}

static void hear_gateway(struct world *w)
{
	uint64_t before = w->routes.generation;

	while (w->gateway >= 0 && wire_recv(w->gateway, &packet) > 0) {
		assert_int_equal(packet.type, WIRE_ROUTES);
		wire_routes_free(&w->routes);
		assert_int_equal(wire_routes_decode(packet.body, packet.len, &w->routes), 0);
		assert_true(w->routes.generation > before);
		before = w->routes.generation;
		w->n_routes++;
		if (!w->mute)
			say_routed(w);
		wire_packet_done(&packet);
	}
}

static void connect_gateway(struct world *w)
{
	_cleanup_buf_ struct buf b = {0};
	int fds[2];

	if (w->gateway >= 0)
		close(w->gateway);
	assert_int_equal(sock_pair(fds), 0);
	w->gateway = fds[1];
	wire_encode_empty(&b, WIRE_PEER);
	assert_int_equal(wire_send(w->aictld, &b, fds, 1), 0);
	close(fds[0]);
	wire_routes_free(&w->routes);
}

static void lose_gateway(struct world *w)
{
	close(w->gateway);
	w->gateway = -1;
}

/* Of its only route; port 0: not in it. */
static const struct wire_routes_backend *backend(const struct world *w, unsigned index)
{
	static const struct wire_routes_backend none;

	for (uint32_t i = 0; w->routes.n && i < w->routes.list[0].n; i++)
		if (w->routes.list[0].backends[i].index == index)
			return &w->routes.list[0].backends[i];
	return &none;
}

static bool has(const struct world *w, unsigned index)
{
	return backend(w, index)->port != 0;
}

/* ---- the loop ---- */

static void on_packet(struct wire_packet *p, void *user)
{
	traffic_on_packet(((struct world *)user)->c.traffic, p);
}

static void on_end(void *user)
{
	(void)user;
}

static void on_turn(uv_timer_t *timer)
{
	(void)timer;
}

static void turn(struct world *w)
{
	uv_timer_t timer;

	uv_timer_init(&w->loop, &timer);
	uv_timer_start(&timer, on_turn, 2, 0);
	uv_run(&w->loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(&w->loop, UV_RUN_NOWAIT);
	hear_aictld(w);
	hear_gateway(w);
}

#define UNTIL(w, cond)                                                                             \
	do {                                                                                       \
		int64_t until_ = clock_mono_ms() + DEADLINE_MS;                                    \
		while (!(cond)) {                                                                  \
			turn(w);                                                                   \
			if (clock_mono_ms() > until_)                                              \
				fail_msg("not in time: %s", #cond);                                \
		}                                                                                  \
	} while (0)

/* Long enough for what must not happen: the controller has had its turns. */
static void turns(struct world *w, int n)
{
	while (n-- > 0)
		turn(w);
}

static void set_up(struct world *w)
{
	static const struct store_service row = {.name = "web",
						 .set = "s",
						 .sources = SOURCES,
						 .revision = 1,
						 .replicas_override = -1};
	static const struct store_snapshot snap = {
		.services = &row, .n_services = 1, .last_event_seq = 1};
	const struct link_handlers h = {
		.on_packet = on_packet, .on_end = on_end, .user = w, .peer = "aictld"};
	struct err *e = NULL;
	int fds[2];

	assert_int_equal(uv_loop_init(&w->loop), 0);
	assert_int_equal(sock_pair(fds), 0);
	w->aictld = fds[1];
	w->gateway = -1;
	if (controller_init(&w->c, &w->loop, &opts, &e) < 0)
		fail_msg("%s", err_msg(e));
	if (!w->c.traffic)
		w->c.traffic = traffic_new(&w->c);
	assert_int_equal(link_new(&w->loop, fds[0], &h, &w->c.link, NULL), 0);
	w->c.helloed = true;
	assert_int_equal(load_from_store(&w->c, &snap), 0);
	UNTIL(w, w->c.loaded);
}

static void sync_up(struct world *w)
{
	w->c.synced = true;
	controller_begin(&w->c);
}

static void tear_down(struct world *w)
{
	link_close(w->c.link);
	controller_close(&w->c);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	controller_done(&w->c);
	assert_int_equal(uv_loop_close(&w->loop), 0);
	close(w->aictld);
	if (w->gateway >= 0)
		close(w->gateway);
	wire_listen_free(&w->listen);
	wire_routes_free(&w->routes);
}

static void scale(struct world *w, int64_t n)
{
	struct service *s = controller_find(&w->c, "web");

	s->replicas_override = n;
	controller_touch(s);
}

static bool all_ready(struct world *w, unsigned n)
{
	const struct service *s = controller_find(&w->c, "web");

	return service_ready(s) == n;
}

/* Two ready replicas, which the gateway knows. */
static void serve(struct world *w)
{
	set_up(w);
	connect_gateway(w);
	sync_up(w);
	UNTIL(w, all_ready(w, 2) && backend(w, 0) && backend(w, 1));
	turns(w, 3);
}

/* ---- the tests ---- */

static void routes_and_listeners_are_told_when_all_is_known(void **state)
{
	struct world w = {0};
	unsigned n;

	(void)state;
	set_up(&w);
	connect_gateway(&w);
	turns(&w, 20);
	assert_int_equal(w.listens, 0);
	assert_int_equal(w.n_routes, 0);
	sync_up(&w);
	UNTIL(&w, all_ready(&w, 2) && has(&w, 0) && has(&w, 1));
	turns(&w, 3);
	assert_int_equal(w.listens, 1);
	assert_int_equal(w.listen.n, 1);
	assert_string_equal(w.listen.list[0].at.address, "127.0.0.1");
	assert_int_equal(w.listen.list[0].at.port, 8000);
	assert_int_equal(w.routes.n, 1); /* metrics has no address */
	assert_string_equal(w.routes.list[0].service, "web");
	assert_string_equal(w.routes.list[0].name, "http");
	assert_int_equal(w.routes.list[0].protocol, WIRE_ROUTES_HTTP);
	assert_int_equal(backend(&w, 1)->port, rep(&w, 1)->port);
	assert_string_equal(backend(&w, 1)->incarnation, rep(&w, 1)->incarnation);
	assert_false(backend(&w, 1)->draining);
	n = w.n_routes;
	controller_touch(controller_find(&w.c, "web")); /* nothing has changed */
	turns(&w, 10);
	assert_int_equal(w.n_routes, n);
	assert_int_equal(w.listens, 1);
	tear_down(&w);
}

/* The same service, but for how its port is served. */
struct variant {
	struct service_spec spec;
	struct port_spec ports[2];
};

static void vary(struct variant *v, const struct service_spec *spec, int64_t mode, int64_t port)
{
	v->spec = *spec;
	memcpy(v->ports, spec->ports.v, sizeof(v->ports));
	v->spec.ports.v = v->ports;
	v->ports[0].mode = mode;
	v->ports[0].port = port;
	v->ports[0].handed = mode == PORT_SOCKET;
}

/* While replicas of both ways run, both are asked, and nobody waits at the one without. */
static void where_replicas_accept_there_is_no_route(void **state)
{
	struct world w = {0};
	const struct service_spec *spec;
	struct variant handed, elsewhere;
	struct service *s;

	(void)state;
	serve(&w);
	s = controller_find(&w.c, "web");
	spec = s->spec;
	vary(&handed, spec, PORT_SOCKET, 8000);
	vary(&elsewhere, spec, PORT_SOCKET, 8001);
	assert_int_equal(w.listen.n, 1);
	assert_false(w.listen.list[0].handed);
	s->spec = &handed.spec; /* the replicas are of the time before */
	traffic_touch(s);
	UNTIL(&w, w.listen.n == 1 && w.listen.list[0].handed);
	turns(&w, 3);
	assert_int_equal(w.routes.n, 1);
	rep(&w, 1)->spec = &handed.spec;
	traffic_touch(s);
	UNTIL(&w, w.routes.n == 1 && w.routes.list[0].n == 1 && has(&w, 0));
	rep(&w, 0)->spec = &handed.spec;
	traffic_touch(s);
	UNTIL(&w, w.routes.n == 0);
	s->spec = spec; /* and back: not before one is ready that the gateway can ask */
	traffic_touch(s);
	turns(&w, 5);
	assert_int_equal(w.routes.n, 0);
	assert_true(w.listen.list[0].handed);
	rep(&w, 0)->spec = spec;
	traffic_touch(s);
	UNTIL(&w, w.routes.n == 1 && w.routes.list[0].n == 1 && has(&w, 0));
	rep(&w, 1)->spec = &elsewhere.spec; /* its socket stays open as long as it runs */
	traffic_touch(s);
	UNTIL(&w, w.listen.n == 2);
	assert_int_equal(w.listen.list[1].at.port, 8001);
	rep(&w, 1)->spec = spec;
	traffic_touch(s);
	UNTIL(&w, w.listen.n == 1 && w.routes.list[0].n == 2);
	tear_down(&w);
}

static void one_that_listens_at_a_path_is_asked_there(void **state)
{
	struct world w = {0};
	const struct service_spec *spec;
	struct variant v;

	(void)state;
	serve(&w);
	snprintf(w.c.hello.sockets_dir, sizeof(w.c.hello.sockets_dir), "/run/s");
	spec = rep(&w, 1)->spec;
	vary(&v, spec, PORT_PROXY, 8000);
	v.ports[0].on_socket = true;
	rep(&w, 1)->spec = &v.spec;
	traffic_touch(controller_find(&w.c, "web"));
	UNTIL(&w, backend(&w, 1)->port == 0 && backend(&w, 1)->socket[0]);
	assert_string_equal(backend(&w, 1)->socket, "/run/s/web.1/http");
	assert_int_equal(backend(&w, 0)->port, rep(&w, 0)->port);
	rep(&w, 1)->spec = spec;
	traffic_touch(controller_find(&w.c, "web"));
	UNTIL(&w, has(&w, 1));
	tear_down(&w);
}

static void an_address_in_use_is_known(void **state)
{
	const struct wire_listen_at at = {"127.0.0.1", 8000}, other = {"127.0.0.1", 8001};
	struct world w = {0};

	(void)state;
	serve(&w);
	assert_int_equal(traffic_error(w.c.traffic, &at), -1);
	give_listening(&w, EADDRINUSE);
	UNTIL(&w, traffic_error(w.c.traffic, &at) == EADDRINUSE);
	assert_int_equal(traffic_error(w.c.traffic, &other), -1);
	give_listening(&w, 0);
	UNTIL(&w, traffic_error(w.c.traffic, &at) == 0);
	tear_down(&w);
}

static void no_signal_while_requests_are_under_way(void **state)
{
	struct world w = {0};

	(void)state;
	serve(&w);
	say_load(&w, 1, 1);
	UNTIL(&w, traffic_active(rep(&w, 1)) == 1);
	w.mute = true;
	scale(&w, 1);
	UNTIL(&w, backend(&w, 1)->draining);
	assert_int_equal(rep(&w, 1)->state, REPLICA_DRAINING);
	say_load(&w, 1, 0); /* of the time before: one more may have begun since */
	turns(&w, 20);
	assert_false(w.stopped[1]);
	say_load(&w, 1, 1);
	say_routed(&w);
	turns(&w, 20);
	assert_false(w.stopped[1]);
	say_load(&w, 1, 0);
	UNTIL(&w, w.stopped[1]);
	assert_int_equal(rep(&w, 1)->state, REPLICA_STOPPING);
	assert_false(w.stopped[0]);
	w.mute = false;
	say_routed(&w);
	UNTIL(&w, !has(&w, 1) && has(&w, 0));
	tear_down(&w);
}

static void one_that_had_no_request_stops_soon(void **state)
{
	int64_t begun = clock_mono_ms();
	struct world w = {0};

	(void)state;
	serve(&w);
	scale(&w, 1);
	UNTIL(&w, w.stopped[1]);
	assert_true(clock_mono_ms() - begun < DEADLINE_MS);
	tear_down(&w);
}

static void drain_ends(void **state)
{
	struct world w = {0};
	int64_t begun;

	(void)state;
	serve(&w);
	say_load(&w, 1, 3);
	UNTIL(&w, traffic_active(rep(&w, 1)) == 3);
	begun = clock_mono_ms();
	scale(&w, 1);
	UNTIL(&w, w.stopped[1]);
	assert_true(clock_mono_ms() - begun >= 990);
	tear_down(&w);
}

static void without_a_gateway_nothing_is_under_way(void **state)
{
	struct world w = {0};

	(void)state;
	serve(&w);
	say_load(&w, 1, 3);
	UNTIL(&w, traffic_active(rep(&w, 1)) == 3);
	scale(&w, 1);
	UNTIL(&w, rep(&w, 1)->state == REPLICA_DRAINING);
	lose_gateway(&w);
	UNTIL(&w, w.stopped[1]);
	tear_down(&w);
}

static void a_former_gateway_is_waited_for(void **state)
{
	struct world w = {0};

	(void)state;
	serve(&w);
	w.c.status.gateways_leaving = 1;
	scale(&w, 1);
	UNTIL(&w, rep(&w, 1)->state == REPLICA_DRAINING && backend(&w, 1)->draining);
	say_load(&w, 1, 0);
	turns(&w, 50);
	assert_false(w.stopped[1]);
	w.c.status.gateways_leaving = 0;
	UNTIL(&w, w.stopped[1]);
	tear_down(&w);
}

static void a_new_gateway_is_told_all(void **state)
{
	struct world w = {0};

	(void)state;
	serve(&w);
	say_load(&w, 0, 5);
	UNTIL(&w, traffic_active(rep(&w, 0)) == 5);
	connect_gateway(&w);
	UNTIL(&w, has(&w, 0) && has(&w, 1));
	assert_int_equal(traffic_active(rep(&w, 0)), 0); /* another one's requests */
	tear_down(&w);
}

static void one_that_does_not_answer_gets_the_newest_only(void **state)
{
	struct world w = {0};
	unsigned n;

	(void)state;
	serve(&w);
	w.mute = true;
	n = w.n_routes;
	for (int i = 0; i < 20; i++) {
		replica_post(rep(&w, 0), i % 2 ? REPLICA_EV_HEALTHY : REPLICA_EV_UNHEALTHY);
		turns(&w, 2);
	}
	replica_post(rep(&w, 1), REPLICA_EV_UNHEALTHY);
	turns(&w, 2);
	assert_int_equal(w.n_routes, n + 1);
	assert_true(backend(&w, 0)->draining && !backend(&w, 1)->draining);
	w.mute = false;
	say_routed(&w);
	UNTIL(&w, backend(&w, 1)->draining && !backend(&w, 0)->draining);
	assert_int_equal(w.n_routes, n + 2);
	tear_down(&w);
}

/* The controller dies and another one takes over what it knew. */
static void hand_over(struct world *w, struct world *next)
{
	set_up(next);
	connect_gateway(next);
	turns(next, 10);
	assert_int_equal(next->n_routes, 0);
	for (unsigned i = 0; i < 2; i++) {
		struct wire_slot slot = slot_of(w, i);

		next->keys[i] = w->keys[i];
		slot.note = w->notes[i].data;
		slot.note_len = w->notes[i].len;
		assert_int_equal(inventory_add(next->c.inventory, &slot), 0);
	}
	tear_down(w);
	sync_up(next);
}

static void the_first_routes_have_who_was_ready(void **state)
{
	struct world w = {0}, next = {0};

	(void)state;
	serve(&w);
	hand_over(&w, &next);
	UNTIL(&next, next.n_routes > 0);
	assert_int_equal(next.n_routes, 1);
	assert_int_equal(next.routes.list[0].n, 2);
	assert_true(!backend(&next, 0)->draining && !backend(&next, 1)->draining);
	assert_int_equal(next.listens, 1);
	tear_down(&next);
}

static void another_controller_goes_on_draining(void **state)
{
	struct world w = {0}, next = {0};

	(void)state;
	serve(&w);
	say_load(&w, 1, 1);
	UNTIL(&w, traffic_active(rep(&w, 1)) == 1);
	scale(&w, 1);
	UNTIL(&w, rep(&w, 1)->state == REPLICA_DRAINING && backend(&w, 1)->draining);
	turns(&w, 3);
	next.mute = true;
	hand_over(&w, &next);
	scale(&next, 1);
	UNTIL(&next, next.n_routes > 0);
	assert_int_equal(rep(&next, 1)->state, REPLICA_DRAINING);
	assert_true(backend(&next, 1)->draining && !backend(&next, 0)->draining);
	assert_false(next.stopped[1]);
	say_routed(&next);
	say_load(&next, 1, 0);
	UNTIL(&next, next.stopped[1]);
	tear_down(&next);
}

static void at_a_shutdown_aictld_hears_that_it_goes_on(void **state)
{
	struct world w = {0};
	unsigned before;

	(void)state;
	serve(&w);
	assert_int_equal(w.ordered, 1); /* the stops are ours */
	say_load(&w, 0, 1);
	UNTIL(&w, traffic_active(rep(&w, 0)) == 1);
	before = w.ordered;
	w.c.shutting_down = true;
	order_stop_all(&w.c);
	UNTIL(&w, w.stopped[1]);
	UNTIL(&w, w.ordered >= before + 2);
	UNTIL(&w, w.stopped[0]); /* drain is over */
	tear_down(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(routes_and_listeners_are_told_when_all_is_known),
		cmocka_unit_test(where_replicas_accept_there_is_no_route),
		cmocka_unit_test(one_that_listens_at_a_path_is_asked_there),
		cmocka_unit_test(an_address_in_use_is_known),
		cmocka_unit_test(no_signal_while_requests_are_under_way),
		cmocka_unit_test(one_that_had_no_request_stops_soon),
		cmocka_unit_test(drain_ends),
		cmocka_unit_test(without_a_gateway_nothing_is_under_way),
		cmocka_unit_test(a_former_gateway_is_waited_for),
		cmocka_unit_test(a_new_gateway_is_told_all),
		cmocka_unit_test(one_that_does_not_answer_gets_the_newest_only),
		cmocka_unit_test(the_first_routes_have_who_was_ready),
		cmocka_unit_test(another_controller_goes_on_draining),
		cmocka_unit_test(at_a_shutdown_aictld_hears_that_it_goes_on),
	};

	log_open("test_traffic", STDERR_FILENO, LOG_LVL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
