/*
 * aictl-gateway with several threads: who serves what, what is said when, and what a thread that does
 * not turn holds up. A debugger's stop (ptrace) of one thread is how it is made not to turn.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/wire/wire_listen.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/mem.h"
#include "tests/unit/gate_rig.h"

#define GET "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define N GATE_RIG_THREADS

struct world {
	void *rig; /* the first of the ports is its */
	struct gate_rig *h;
	struct wire_listen_at at[N]; /* at[i] is of thread i */
	int listeners[N];
	unsigned order[N]; /* service i is at at[order[i]] */
	uint32_t active[N];
	bool without[N]; /* its replica is not there yet */
	pid_t stopped;	 /* a thread; 0 = none */
};

static void add_listener(struct world *w, unsigned i)
{
	_cleanup_buf_ struct buf b = {0};

	wire_listen_encode_at(&b, WIRE_LISTENER, &w->at[i]);
	assert_int_equal(wire_send(w->h->sock, &b, &w->listeners[i], 1), 0);
}

static int setup(void **state)
{
	struct world *w = mem_alloc(sizeof(*w));

	assert_non_null(w);
	for (unsigned i = 0; i < N; i++)
		w->listeners[i] = -1;
	gate_rig_setup_threads(&w->rig);
	w->h = w->rig;
	for (unsigned i = 0; i < N; i++)
		w->order[i] = i;
	for (unsigned found = 0; found < N;) {
		uint16_t port;
		int fd = gate_rig_listen(&port);

		if (w->listeners[port % N] >=
		    0) { /* kept until the end of the test: another comes */
			close(fd);
			continue;
		}
		w->listeners[port % N] = fd;
		w->at[port % N] = (struct wire_listen_at){.address = "127.0.0.1", .port = port};
		found++;
	}
	for (unsigned i = 0; i < N; i++)
		add_listener(w, i);
	*state = w;
	return 0;
}

static void let_go(struct world *w)
{
	if (w->stopped)
		assert_int_equal(ptrace(PTRACE_DETACH, w->stopped, NULL, NULL), 0);
	w->stopped = 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	let_go(w);
	gate_rig_teardown(&w->rig);
	for (unsigned i = 0; i < N; i++)
		mem_closep(&w->listeners[i]);
	mem_free(w);
	return 0;
}

/* Service "s<i>" at at[order[i]], with backend i. */
static void send_routes(struct world *w)
{
	struct wire_routes_backend backends[N] = {0};
	struct wire_route list[N] = {0};
	struct wire_routes m = {.epoch = 7, .generation = ++w->h->generation, .n = N, .list = list};
	_cleanup_buf_ struct buf b = {0};

	for (unsigned i = 0; i < N; i++) {
		backends[i] = (struct wire_routes_backend){
			.index = i, .port = w->h->ports[i], .revision = 1};
		snprintf(backends[i].incarnation, sizeof(backends[i].incarnation),
			 "0199aaaabbbbccccddddeeeeffff%04x", i & 0xffff);
		list[i] = (struct wire_route){.at = w->at[w->order[i]],
					      .name = "http",
					      .rules = {.queue_max = 100},
					      .n = !w->without[i],
					      .backends = &backends[i]};
		snprintf(list[i].service, sizeof(list[i].service), "s%u", i);
	}
	wire_routes_encode(&b, &m);
	assert_int_equal(wire_send(w->h->peer, &b, NULL, 0), 0);
}

static void on_load(void *user, const struct wire_routes_load *m)
{
	struct world *w = user;

	assert_true(m->key.index < N);
	w->active[m->key.index] = m->active;
}

/* The next packet of the controller's socket; its type. ROUTED is of that generation at least. */
static enum wire_type next_of(struct world *w, uint64_t first)
{
	struct gate_rig *h = w->h;
	enum wire_type type;

	assert_true(gate_rig_next_packet(h, h->peer, GATE_RIG_DEADLINE_MS));
	type = h->packet.type;
	if (type == WIRE_LOAD)
		assert_int_equal(wire_routes_decode_load(h->packet.body, h->packet.len, on_load, w),
				 0);
	if (type == WIRE_ROUTED) {
		uint64_t epoch, generation;

		assert_int_equal(wire_routes_decode_routed(h->packet.body, h->packet.len, &epoch,
							   &generation),
				 0);
		assert_int_equal(epoch, 7);
		assert_in_range(generation, first, h->generation);
	}
	wire_packet_done(&h->packet);
	return type;
}

static enum wire_type next(struct world *w)
{
	return next_of(w, w->h->generation);
}

static void route(struct world *w)
{
	send_routes(w);
	while (next(w) != WIRE_ROUTED)
		;
	assert_true(gate_rig_next_packet(w->h, w->h->sock, GATE_RIG_DEADLINE_MS));
	assert_int_equal(w->h->packet.type, WIRE_ROUTED);
	wire_packet_done(&w->h->packet);
}

static int connect_to(struct world *w, unsigned i)
{
	w->h->at = w->at[i];
	return gate_rig_connect(w->h);
}

static void ask(struct world *w, unsigned at, unsigned backend)
{
	int c = connect_to(w, at), b;

	gate_rig_send(c, GET);
	b = gate_rig_take(w->h, (int)backend, "\r\n\r\n");
	gate_rig_send(b, OK);
	gate_rig_read(w->h, c, "ok");
	close(c);
	close(b);
}

/* ---- a thread that does not turn ---- */

static pid_t find_thread(pid_t pid, unsigned number)
{
	char dir[64], path[128], want[32], comm[32];
	struct dirent *e;
	pid_t tid = 0;
	DIR *d;

	snprintf(dir, sizeof(dir), "/proc/%d/task", (int)pid);
	snprintf(want, sizeof(want), "gateway/%u\n", number);
	d = opendir(dir);
	assert_non_null(d);
	while (tid == 0 && (e = readdir(d))) {
		FILE *f;

		snprintf(path, sizeof(path), "%s/%.20s/comm", dir, e->d_name);
		f = fopen(path, "re");
		if (f && fgets(comm, sizeof(comm), f) && strcmp(comm, want) == 0)
			assert_int_equal(sscanf(e->d_name, "%d", &tid), 1);
		if (f)
			fclose(f);
	}
	closedir(d);
	return tid;
}

/* Not in the midst of something: with the allocator's lock it would stop the others, too. */
static void await_sleep(pid_t pid, pid_t tid)
{
	int64_t deadline = clock_mono_ms() + GATE_RIG_DEADLINE_MS;
	char path[64], text[256] = "";

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", (int)pid, (int)tid);
	while (!strstr(text, ") S ")) {
		FILE *f = fopen(path, "re");

		assert_true(f && clock_mono_ms() < deadline);
		if (!f || !fgets(text, sizeof(text), f))
			text[0] = '\0';
		if (f)
			fclose(f);
	}
}

static void stop_thread(struct world *w, unsigned number)
{
	pid_t tid = find_thread(w->h->pid, number);
	int status;

	assert_true(tid > 0); /* they have begun: routes are in force */
	await_sleep(w->h->pid, tid);
	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) < 0) {
		print_message("no ptrace here: %s\n", strerror(errno));
		skip();
	}
	assert_int_equal(ptrace(PTRACE_INTERRUPT, tid, NULL, NULL), 0);
	assert_int_equal(waitpid(tid, &status, __WALL), tid);
	w->stopped = tid;
}

static void each_port_is_served_by_its_thread(void **state)
{
	struct world *w = *state;
	int c, b;

	route(w);
	for (unsigned i = 0; i < N; i++)
		ask(w, i, i);
	stop_thread(w, 1);
	c = connect_to(w, 1);
	gate_rig_send(c, GET);
	for (unsigned i = 0; i < N; i++)
		if (i != 1)
			ask(w, i, i);
	assert_false(gate_rig_is_readable(w->h->backends[1], 200));
	let_go(w);
	b = gate_rig_take(w->h, 1, "\r\n\r\n");
	gate_rig_send(b, OK);
	gate_rig_read(w->h, c, "ok");
	close(c);
	close(b);
}

/* aictld ends a helper that it hears nothing of. */
static void a_ping_is_answered_when_all_turn(void **state)
{
	struct world *w = *state;
	struct gate_rig *h = w->h;

	route(w);
	gate_rig_say(h, WIRE_PING);
	assert_true(gate_rig_next_packet(h, h->sock, GATE_RIG_DEADLINE_MS));
	assert_int_equal(h->packet.type, WIRE_PONG);
	stop_thread(w, 2);
	gate_rig_say(h, WIRE_PING);
	gate_rig_say(h, WIRE_PING);
	assert_false(gate_rig_next_packet(h, h->sock, 200));
	let_go(w);
	assert_true(gate_rig_next_packet(h, h->sock, GATE_RIG_DEADLINE_MS));
	assert_int_equal(h->packet.type, WIRE_PONG);
}

static void await_nothing(struct world *w)
{
	int64_t until = clock_mono_ms() + 600;

	while (clock_mono_ms() < until) {
		if (gate_rig_is_readable(w->h->peer, 50))
			assert_int_not_equal(next(w), WIRE_ROUTED);
		assert_int_equal(w->active[1], 0);
	}
	assert_false(gate_rig_is_readable(w->h->sock, 0));
}

/* The controller takes what is said before ROUTED for an answer to former routes. */
static void check_in_force(struct world *w, bool more)
{
	uint64_t first;
	int c, b;

	w->without[1] = true;
	route(w);
	c = connect_to(w, 1);
	gate_rig_send(c, GET);
	stop_thread(w, 0);
	w->without[1] = false;
	send_routes(w);
	first = w->h->generation;
	b = gate_rig_take(w->h, 1, "\r\n\r\n"); /* that thread has them */
	await_nothing(w);
	if (more) {
		send_routes(w);
		await_nothing(w);
	}
	let_go(w);
	while (next_of(w, first) != WIRE_ROUTED)
		assert_int_equal(w->active[1], 0);
	while (w->active[1] != 1)
		next_of(w, first);
	assert_true(gate_rig_next_packet(w->h, w->h->sock, GATE_RIG_DEADLINE_MS));
	assert_int_equal(w->h->packet.type, WIRE_ROUTED);
	gate_rig_send(b, OK);
	gate_rig_read(w->h, c, "ok");
	close(c);
	close(b);
}

static void routes_are_in_force_when_all_have_them(void **state)
{
	check_in_force(*state, false);
}

/* And so are those that came meanwhile: what is behind the first ones stays there. */
static void more_routes_let_nothing_go(void **state)
{
	check_in_force(*state, true);
}

/* What is under way at its replica is one number, and its slots are exact. */
static void a_service_keeps_its_thread(void **state)
{
	struct world *w = *state;
	int old, new, b[2];

	route(w);
	old = connect_to(w, 0);
	gate_rig_send(old, GET);
	b[0] = gate_rig_take(w->h, 0, "\r\n\r\n");
	w->order[0] = 1; /* those two swap their numbers */
	w->order[1] = 0;
	route(w);
	new = connect_to(w, 1);
	gate_rig_send(new, GET);
	b[1] = gate_rig_take(w->h, 0, "\r\n\r\n");
	while (w->active[0] != 2)
		next(w);
	gate_rig_send(b[0], OK);
	gate_rig_read(w->h, old, "ok");
	while (w->active[0] != 1)
		next(w);
	gate_rig_send(b[1], OK);
	gate_rig_read(w->h, new, "ok");
	while (w->active[0] != 0)
		next(w);
	ask(w, 0, 1);
	close(old);
	close(new);
	close(b[0]);
	close(b[1]);
}

/* It has another thread than its number says, for its service has it. */
static void a_listener_may_come_after_its_route(void **state)
{
	struct world *w = *state;
	struct wire_listen_at at = {.address = "127.0.0.1"};
	_cleanup_buf_ struct buf b = {0};
	int fd = -1, c, up;

	route(w);
	while (at.port == 0 || at.port % N == 0) {
		mem_closep(&fd);
		fd = gate_rig_listen(&at.port);
	}
	w->at[0] = at;
	route(w);
	wire_listen_encode_at(&b, WIRE_LISTENER, &at);
	assert_int_equal(wire_send(w->h->sock, &b, &fd, 1), 0);
	c = connect_to(w, 0);
	gate_rig_send(c, GET);
	up = gate_rig_take(w->h, 0, "\r\n\r\n");
	gate_rig_send(up, OK);
	gate_rig_read(w->h, c, "ok");
	close(c);
	close(up);
	close(fd);
}

static void a_new_controller_is_told_all(void **state)
{
	struct world *w = *state;
	int c, b;

	route(w);
	c = connect_to(w, 2);
	gate_rig_send(c, GET);
	b = gate_rig_take(w->h, 2, "\r\n\r\n");
	while (w->active[2] != 1)
		next(w);
	memset(w->active, 0, sizeof(w->active));
	gate_rig_new_peer(w->h);
	assert_int_equal(next(w), WIRE_ROUTED);
	while (w->active[2] != 1)
		next(w);
	mem_closep(&w->h->peer); /* without one it goes on */
	ask(w, 0, 0);
	gate_rig_send(b, OK);
	gate_rig_read(w->h, c, "ok");
	close(c);
	close(b);
}

static void take_back(struct world *w, int next_aictld, int *ret_fd)
{
	struct gate_rig *h = w->h;
	bool given[N] = {false};
	unsigned n = 0;

	assert_true(gate_rig_is_readable(next_aictld, GATE_RIG_DEADLINE_MS));
	*ret_fd = accept4(next_aictld, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(*ret_fd >= 0);
	for (;;) {
		struct wire_listen_at at;

		assert_true(gate_rig_next_packet(h, *ret_fd, GATE_RIG_DEADLINE_MS));
		if (h->packet.type == WIRE_GIVE_BACK_END)
			break;
		if (h->packet.type == WIRE_GIVE_LISTENER) {
			assert_int_equal(h->packet.n_fds, 1);
			assert_int_equal(
				wire_giveback_decode_listener(h->packet.body, h->packet.len, &at),
				0);
			n++;
			for (unsigned i = 0; i < N; i++)
				given[i] |= at.port == w->at[i].port;
		}
		wire_packet_done(&h->packet);
	}
	assert_int_equal(n, N + 1); /* and the rig's own */
	for (unsigned i = 0; i < N; i++)
		assert_true(given[i]);
}

static void all_listeners_are_given_back(void **state)
{
	struct world *w = *state;
	struct gate_rig *h = w->h;
	_cleanup_buf_ struct buf b = {0};
	int next_aictld, sock, c[N], up[N];

	route(w);
	for (unsigned i = 0; i < N; i++) {
		c[i] = connect_to(w, i);
		gate_rig_send(c[i], GET);
		up[i] = gate_rig_take(h, (int)i, "\r\n\r\n");
	}
	mem_closep(&h->sock);
	for (unsigned i = 0; i < N; i++)
		ask(w, i, i); /* served on, alone */
	next_aictld = gate_rig_listen_packets(h);
	take_back(w, next_aictld, &sock);
	wire_encode_empty(&b, WIRE_QUIT);
	assert_int_equal(wire_send(sock, &b, NULL, 0), 0);
	for (unsigned i = 0; i < N; i++) { /* what is under way ends */
		gate_rig_send(up[i], OK);
		gate_rig_read(h, c[i], "ok");
		close(c[i]);
		close(up[i]);
	}
	gate_rig_reap(h, 0);
	close(sock);
	close(next_aictld);
}

static void await_refused(const struct wire_listen_at *at)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(at->port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int64_t deadline = clock_mono_ms() + GATE_RIG_DEADLINE_MS;
	int r = 0;

	while (r == 0) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		assert_true(fd >= 0 && clock_mono_ms() < deadline);
		r = connect(fd, (struct sockaddr *)&to, sizeof(to));
		if (r < 0)
			assert_int_equal(errno, ECONNREFUSED);
		close(fd);
		poll(NULL, 0, 5);
	}
}

/* The next aictld may close a port while what came by it is still under way here. */
static void nothing_is_kept_of_what_was_given_back(void **state)
{
	struct world *w = *state;
	struct gate_rig *h = w->h;
	_cleanup_buf_ struct buf b = {0};
	int next_aictld, sock, c, up;

	route(w);
	c = connect_to(w, 0);
	gate_rig_send(c, GET);
	up = gate_rig_take(h, 0, "\r\n\r\n");
	mem_closep(&h->sock);
	next_aictld = gate_rig_listen_packets(h);
	take_back(w, next_aictld, &sock);
	wire_encode_empty(&b, WIRE_QUIT);
	assert_int_equal(wire_send(sock, &b, NULL, 0), 0);
	for (unsigned i = 0; i < N; i++) {
		mem_closep(&w->listeners[i]);
		await_refused(&w->at[i]);
	}
	gate_rig_send(up, OK);
	gate_rig_read(h, c, "ok");
	gate_rig_reap(h, 0);
	close(c);
	close(up);
	close(sock);
	close(next_aictld);
}

/* One that would come round, through another thread. */
static void nobody_is_asked_at_our_own_ports(void **state)
{
	struct world *w = *state;
	uint16_t port = w->h->ports[0];
	int c, b;

	w->h->ports[0] = w->at[1].port;
	route(w);
	w->h->ports[0] = port;
	c = connect_to(w, 0);
	gate_rig_send(c, GET);
	assert_false(gate_rig_is_readable(w->h->backends[1], 300));
	route(w);
	b = gate_rig_take(w->h, 0, "\r\n\r\n");
	gate_rig_send(b, OK);
	gate_rig_read(w->h, c, "ok");
	close(c);
	close(b);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_port_is_served_by_its_thread),
		TEST(a_ping_is_answered_when_all_turn),
		TEST(routes_are_in_force_when_all_have_them),
		TEST(more_routes_let_nothing_go),
		TEST(a_service_keeps_its_thread),
		TEST(a_listener_may_come_after_its_route),
		TEST(a_new_controller_is_told_all),
		TEST(all_listeners_are_given_back),
		TEST(nothing_is_kept_of_what_was_given_back),
		TEST(nobody_is_asked_at_our_own_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
