/*
 * test_listen: the stable ports: aictld binds what the controller names, hands it to the gateway, and
 * takes it back from one that outlived its aictld. Both helpers are played by the test
 * (aictld_rig.h).
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/mem.h"
#include "tests/unit/adopt_rig.h"
#include "tests/unit/aictld_rig.h"
#include "tests/unit/gateway_rig.h"

#define HERE "127.0.0.1"

/* ---- sockets ---- */

static int bind_as(uint16_t port, int shared, uint16_t *ret_port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &shared, sizeof(shared)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	if (ret_port)
		*ret_port = ntohs(a.sin_port);
	return fd;
}

static int bind_here(uint16_t port, uint16_t *ret_port)
{
	return bind_as(port, 0, ret_port);
}

/* One that nobody has at the moment, as the controller writes it. */
static uint16_t free_port(char text[32])
{
	uint16_t port;

	close(bind_here(0, &port));
	snprintf(text, 32, HERE " %u", port);
	return port;
}

/* A connected socket, or -errno. */
static int connect_to(uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(fd >= 0);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	r = -errno;
	close(fd);
	return r;
}

static uint64_t inode_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (uint64_t)st.st_ino;
}

/* That client gets through to who has this listener; it is closed. */
static void assert_serves_client(const struct rig_listener *l, int client)
{
	struct pollfd p = {.fd = l->fd, .events = POLLIN};
	int server;

	assert_true(client >= 0);
	assert_int_equal(poll(&p, 1, RIG_TIMEOUT_MS), 1);
	server = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(server >= 0);
	assert_int_equal(write(client, "x", 1), 1);
	p = (struct pollfd){.fd = server, .events = POLLIN};
	assert_int_equal(poll(&p, 1, RIG_TIMEOUT_MS), 1);
	close(server);
	close(client);
}

static void assert_serves(const struct rig_listener *l)
{
	assert_serves_client(l, connect_to(l->at.port));
}

static void assert_joined(int a, int b)
{
	char c = 0;

	assert_int_equal(send(a, "?", 1, MSG_NOSIGNAL), 1);
	assert_int_equal(recv(b, &c, 1, 0), 1);
	assert_int_equal(c, '?');
}

/* ---- what aictld says ---- */

/* The errno of the port in the last LISTENING, -1 = it is not named. */
static int state_of(const struct rig *r, uint16_t port)
{
	for (uint32_t i = 0; i < r->listening.n; i++)
		if (r->listening.list[i].at.port == port)
			return r->listening.list[i].err;
	return -1;
}

static void listen_one(struct rig *r, const char *at)
{
	const char *all[] = {at, NULL};

	rig_listen(r, all);
}

/* The gateway has routes, and aictld knows. */
static void serve(struct rig *r)
{
	struct table_header *t = adopt_rig_table(r);

	rig_routed(r);
	RIG_UNTIL(r, t->gateways[0].state == TABLE_GATEWAY_SERVES);
}

/* rig_start, a listener, and the gateway that has it. */
static void start_with_one(struct rig *r, char at[32], uint16_t *port)
{
	rig_start(r, NULL);
	*port = free_port(at);
	listen_one(r, at);
	RIG_UNTIL(r, r->n_listening > 0 && r->gateway_synced && r->n_gateway_peers > 0 &&
			     r->n_controller_peers > 0);
	assert_int_equal(state_of(r, *port), 0);
	serve(r);
}

static bool is_refused(struct rig *r, uint16_t port)
{
	int fd = connect_to(port);

	(void)r;
	if (fd >= 0)
		close(fd);
	return fd == -ECONNREFUSED;
}

/* ---- tests ---- */

static void what_is_asked_for_is_bound_and_handed_on(void **state)
{
	const char *all[] = {NULL, "::1 0", NULL};
	char a[32], six[32];
	uint16_t port, port6;
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	assert_int_equal(r.gateway.n_seen, 0); /* not before there is something to serve */
	assert_int_equal(r.n_controller_peers, 0);
	port = free_port(a);
	port6 = free_port(six);
	snprintf(six, sizeof(six), "::1 %u", port6);
	all[0] = a;
	all[1] = six;
	rig_listen(&r, all);
	RIG_UNTIL(&r, r.n_listening > 0 && r.gateway_synced && r.n_gateway_peers == 1 &&
			      r.n_controller_peers == 1);
	assert_int_equal(r.listening.n, 2);
	assert_int_equal(state_of(&r, port), 0);
	assert_serves(rig_listener(&r, HERE, port));
	if (state_of(&r, port6) == 0) { /* there are machines without */
		assert_non_null(rig_listener(&r, "::1", port6));
		assert_int_equal(r.n_listeners, 2);
	}
	assert_joined(r.controller_peer, r.gateway_peer);
	assert_joined(r.gateway_peer, r.controller_peer);
	RIG_UNTIL(&r, r.status.gateway_pid == r.gateway.pid);
	rig_clean_stop(&r);
}

static void what_is_not_named_any_more_is_closed(void **state)
{
	char a[32], b[32];
	uint16_t first, second;
	uint64_t ino;
	struct rig r;

	(void)state;
	start_with_one(&r, a, &first);
	ino = inode_of(rig_listener(&r, HERE, first)->fd);
	second = free_port(b);
	{
		const char *both[] = {b, a, NULL};

		rig_listen(&r, both);
	}
	RIG_UNTIL(&r, rig_listener(&r, HERE, second) && r.listening.n == 2);
	assert_int_equal(inode_of(rig_listener(&r, HERE, first)->fd), ino); /* the same */
	listen_one(&r, b);
	RIG_UNTIL(&r, r.n_listeners_off == 1 && r.listening.n == 1);
	assert_true(is_refused(&r, first));
	assert_serves(rig_listener(&r, HERE, second));
	rig_listen(&r, (const char *const[]){NULL});
	RIG_UNTIL(&r, r.n_listeners_off == 2 && r.listening.n == 0);
	assert_true(is_refused(&r, second));
	listen_one(&r, a); /* and again */
	RIG_UNTIL(&r, rig_listener(&r, HERE, first));
	assert_serves(rig_listener(&r, HERE, first));
	assert_int_equal(r.gateway.n_seen, 1); /* it stays */
	rig_clean_stop(&r);
}

static void a_taken_port_is_tried_again(void **state)
{
	char a[32], bad[] = "host.example 80";
	const char *all[] = {a, bad, NULL};
	uint16_t port;
	struct rig r;
	int other;

	(void)state;
	rig_start(&r, NULL);
	other = bind_here(0, &port);
	snprintf(a, sizeof(a), HERE " %u", port);
	rig_listen(&r, all);
	RIG_UNTIL(&r, r.n_listening > 0);
	assert_int_equal(state_of(&r, port), EADDRINUSE);
	assert_int_equal(state_of(&r, 80), EINVAL); /* no names are looked up */
	assert_int_equal(r.gateway.n_seen, 0);
	close(other);
	RIG_UNTIL(&r, state_of(&r, port) == 0 && rig_listener(&r, HERE, port));
	assert_serves(rig_listener(&r, HERE, port));
	rig_clean_stop(&r);
}

static void listen_handed(struct rig *r, uint16_t port)
{
	struct wire_listen_state state = {.at = {.address = HERE, .port = port}, .handed = true};
	struct wire_listen m = {.list = &state, .n = 1};
	struct buf b = {0};

	wire_listen_encode(&b, WIRE_LISTEN, &m);
	rig_send_to(r->controller.wire, &b);
}

/* shutdown(2) by one who has it, and somebody else takes the port at that moment. */
static void what_was_shut_down_and_is_taken_is_told(void **state)
{
	char a[32];
	uint16_t port;
	struct rig r;
	int other;

	(void)state;
	start_with_one(&r, a, &port);
	listen_handed(&r, port);
	RIG_UNTIL(&r, r.n_listening > 1);
	assert_int_equal(kill(r.pid, SIGSTOP), 0);
	assert_int_equal(waitid(P_PID, (id_t)r.pid, &(siginfo_t){0}, WSTOPPED | WNOWAIT), 0);
	assert_int_equal(shutdown(rig_listener(&r, HERE, port)->fd, SHUT_RDWR), 0);
	other = bind_as(port, 1, NULL);
	assert_int_equal(kill(r.pid, SIGCONT), 0);
	RIG_UNTIL(&r, state_of(&r, port) == EADDRINUSE);
	close(other);
	RIG_UNTIL(&r, state_of(&r, port) == 0);
	assert_serves(rig_listener(&r, HERE, port)); /* the same socket */
	rig_clean_stop(&r);
}

static void clients_wait_for_the_next_gateway(void **state)
{
	uint16_t port;
	uint64_t ino;
	char a[32];
	struct rig r;
	int client;

	(void)state;
	start_with_one(&r, a, &port);
	ino = inode_of(rig_listener(&r, HERE, port)->fd);
	rig_kill_helper(&r, &r.gateway);
	client = connect_to(port);
	assert_true(client >= 0);
	RIG_UNTIL(&r, r.gateway.n_seen == 2 && r.gateway_synced && r.n_gateway_peers == 2 &&
			      r.n_controller_peers == 2);
	assert_int_equal(inode_of(rig_listener(&r, HERE, port)->fd), ino);
	assert_joined(r.gateway_peer, r.controller_peer);
	assert_serves_client(rig_listener(&r, HERE, port), client);
	RIG_UNTIL(&r, r.status.gateway_restarts == 1);
	rig_clean_stop(&r);
}

static void a_new_controller_closes_nothing_by_coming(void **state)
{
	uint16_t port;
	char a[32];
	struct rig r;

	(void)state;
	start_with_one(&r, a, &port);
	rig_kill_helper(&r, &r.controller);
	rig_wait_synced(&r);
	RIG_UNTIL(&r, r.n_gateway_peers == 2 && r.n_controller_peers == 2);
	assert_joined(r.controller_peer, r.gateway_peer);
	assert_int_equal(r.n_listeners_off, 0);
	assert_serves(rig_listener(&r, HERE, port));
	listen_one(&r, a);
	RIG_UNTIL(&r, r.n_listening == 2);
	assert_int_equal(r.n_listeners_off, 0);
	assert_int_equal(r.gateway.n_seen, 1);
	rig_clean_stop(&r);
}

static void without_a_gateway_nothing_is_bound(void **state)
{
	char path[256], a[32];
	uint16_t port;
	struct rig r;

	(void)state;
	rig_start(&r, NULL);
	rig_stop(&r);
	snprintf(path, sizeof(path), "%s/helpers/aictl-gateway", r.dir);
	assert_int_equal(unlink(path), 0);
	rig_run(&r, NULL);
	rig_wait_synced(&r);
	port = free_port(a);
	listen_one(&r, a);
	RIG_UNTIL(&r, r.n_listening > 0);
	assert_int_equal(state_of(&r, port), ENOPKG);
	assert_true(is_refused(&r, port));
	rig_clean_stop(&r);
}

static void a_shutdown_ends_the_gateway_after_the_replicas(void **state)
{
	struct wire_key k;
	uint16_t port;
	char a[32];
	struct rig r;

	(void)state;
	start_with_one(&r, a, &port);
	r.acks = false; /* it does not settle before we say so */
	k = rig_key(&r, "web", 0);
	rig_spawn_sh(&r, &k,
		     "trap 'while :; do sleep 0.05; done' TERM; while :; do sleep 0.05; done",
		     20000);
	rig_wait_state(&r, &k, WIRE_SLOT_RUNNING);
	kill(r.pid, SIGTERM);
	RIG_UNTIL(&r, r.status.mode == WIRE_MODE_SHUTDOWN);
	rig_wait_state(&r, &k, WIRE_SLOT_STOPPING);
	assert_false(r.gateway_quits);
	assert_serves(rig_listener(&r, HERE, port));
	rig_stop_key(&r, &k, 0, 0);
	RIG_UNTIL(&r, r.gateway_quits);
	assert_false(r.logger_quits);
	rig_ack(&r, &k, rig_wait_exit_of(&r, &k)->seq);
	assert_int_equal(rig_wait_exit(&r), 0);
	close(rig_listener(&r, HERE, port)->fd);
	r.n_listeners = 0;
	assert_true(is_refused(&r, port));
	rig_remove(&r);
}

/* ---- aictld dies ---- */

/* The one message that stands in fd within `ms`, or 0. */
static int next_type(struct rig *r, int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int type;

	if (poll(&p, 1, ms) != 1 || wire_recv(fd, &r->packet) <= 0)
		return 0;
	type = (int)r->packet.type;
	wire_packet_done(&r->packet);
	return type;
}

static int give_all(struct rig *r, const struct rig_helper *gateway, const struct rig_listener *l)
{
	int fd = adopt_rig_join_as(r, gateway, WIRE_ROLE_GATEWAY);

	adopt_rig_give_listener(fd, l);
	adopt_rig_give_end(fd);
	return fd;
}

static void a_gateway_gives_back_and_serves_until_the_next_one_does(void **state)
{
	struct rig_listener old[RIG_LISTENERS_MAX];
	struct rig_helper gateway;
	uint16_t port;
	uint64_t ino;
	char a[32];
	struct rig r;
	int fd;

	(void)state;
	start_with_one(&r, a, &port);
	ino = inode_of(rig_listener(&r, HERE, port)->fd);
	rig_take_gateway(&r, &gateway, old);
	rig_crash(&r, NULL, NULL);
	rig_run(&r, NULL);
	rig_wait_synced(&r);
	r.n_listening = 0;
	listen_one(&r, a); /* before anything is given back */
	fd = give_all(&r, &gateway, &old[0]);
	RIG_UNTIL(&r, r.gateway_synced && r.n_listening > 0);
	assert_int_equal(state_of(&r, port), 0);
	assert_int_equal(inode_of(rig_listener(&r, HERE, port)->fd), ino);
	assert_int_equal(next_type(&r, fd, 50), 0);
	rig_routed(&r);
	RIG_UNTIL(&r, next_type(&r, fd, 0) == WIRE_QUIT);
	assert_true(rig_is_alive(gateway.pid)); /* it ends when it wants */
	close(old[0].fd);
	assert_serves(rig_listener(&r, HERE, port));
	/* The aictld after that does not wait for it. */
	mem_closep(&fd);
	RIG_UNTIL(&r, r.status.gateways_leaving == 1);
	rig_crash(&r, NULL, NULL);
	rig_forget_gateway(&r);
	r.n_listening = 0;
	rig_run(&r, NULL);
	rig_wait_synced(&r);
	listen_one(&r, a);
	RIG_UNTIL(&r, r.gateway_synced && r.n_listening > 0);
	assert_int_equal(state_of(&r, port), 0); /* bound anew */
	RIG_UNTIL(&r, r.status.gateways_leaving == 1);
	assert_true(rig_is_alive(gateway.pid));
	rig_drop_helper(&gateway);
	RIG_UNTIL(&r, r.status.gateways_leaving == 0);
	rig_clean_stop(&r);
}

static void what_is_given_back_and_not_named_is_closed(void **state)
{
	struct rig_listener old[RIG_LISTENERS_MAX];
	struct rig_helper gateway;
	uint16_t port;
	char a[32];
	struct rig r;
	int fd;

	(void)state;
	start_with_one(&r, a, &port);
	rig_take_gateway(&r, &gateway, old);
	rig_crash(&r, NULL, NULL);
	rig_run(&r, NULL);
	fd = give_all(&r, &gateway, &old[0]);
	rig_wait_synced(&r);
	RIG_UNTIL(&r,
		  r.gateway_synced && rig_listener(&r, HERE, port)); /* no LISTEN is waited for */
	rig_listen(&r, (const char *const[]){NULL});
	RIG_UNTIL(&r, r.n_listeners_off == 1);
	rig_routed(&r);
	RIG_UNTIL(&r, next_type(&r, fd, 0) == WIRE_QUIT);
	close(old[0].fd);
	assert_true(is_refused(&r, port));
	close(fd);
	rig_clean_stop(&r);
	rig_drop_helper(&gateway);
}

/* aictld dies again and again before a new gateway has routes: the one that has them serves on, and those
 * without go. */
static void who_serves_stays_whatever_dies(void **state)
{
	enum { N = TABLE_GATEWAYS + 2 };
	struct rig_listener old[N][RIG_LISTENERS_MAX];
	struct rig_helper gateways[N];
	uint16_t port;
	unsigned before;
	int first, fd;
	char a[32];
	struct rig r;

	(void)state;
	start_with_one(&r, a, &port);
	for (int i = 0; i < N; i++) {
		rig_take_gateway(&r, &gateways[i], old[i]);
		rig_crash(&r, NULL, NULL);
		before = r.n_synced;
		rig_run(&r, NULL);
		first = give_all(&r, &gateways[0], &old[0][0]);
		if (i > 0) {
			fd = give_all(&r, &gateways[i], &old[i][0]);
			RIG_UNTIL(&r, next_type(&r, fd, 0) == WIRE_QUIT);
			close(fd);
		}
		RIG_UNTIL(&r, r.n_synced > before && r.logger.pid != 0 && r.gateway_synced &&
				      r.n_listeners == 1);
		assert_int_equal(next_type(&r, first, 0), 0);
		assert_true(rig_is_alive(gateways[0].pid));
		if (i < N - 1)
			close(first);
	}
	rig_routed(&r);
	RIG_UNTIL(&r, next_type(&r, first, 0) == WIRE_QUIT);
	close(first);
	assert_serves(rig_listener(&r, HERE, port));
	rig_clean_stop(&r);
	assert_false(rig_is_alive(gateways[0].pid)); /* a shutdown ends it */
	for (int i = 0; i < N; i++) {
		close(old[i][0].fd);
		rig_drop_helper(&gateways[i]);
	}
}

static void a_gateway_that_does_not_come_is_killed(void **state)
{
	struct rig_listener old[RIG_LISTENERS_MAX];
	struct rig_helper gateway;
	uint16_t port;
	char a[32];
	struct rig r;

	(void)state;
	start_with_one(&r, a, &port);
	rig_take_gateway(&r, &gateway, old);
	rig_crash(&r, NULL, NULL);
	close(old[0].fd); /* the fake one's descriptors are the test's */
	r.n_listening = 0;
	rig_run(&r, NULL);
	rig_wait_synced(&r);
	listen_one(&r, a);
	RIG_UNTIL(&r, r.gateway_synced && r.n_listening > 0);
	assert_false(rig_is_alive(gateway.pid));
	assert_int_equal(state_of(&r, port), 0);
	assert_serves(rig_listener(&r, HERE, port));
	rig_clean_stop(&r);
	rig_drop_helper(&gateway);
}

static void what_is_no_such_listener_is_not_taken(void **state)
{
	struct rig_listener old[RIG_LISTENERS_MAX], wrong;
	struct rig_helper gateway;
	uint16_t port, other;
	char a[32];
	struct rig r;
	int fd;

	(void)state;
	start_with_one(&r, a, &port);
	rig_take_gateway(&r, &gateway, old);
	rig_crash(&r, NULL, NULL);
	rig_run(&r, NULL);
	wrong = old[0];
	wrong.fd = bind_here(0, &other); /* listens elsewhere */
	fd = give_all(&r, &gateway, &wrong);
	close(old[0].fd);
	close(wrong.fd);
	rig_wait_synced(&r);
	r.n_listening = 0;
	listen_one(&r, a);
	RIG_UNTIL(&r, r.n_listening > 0 && r.gateway_synced);
	assert_int_equal(state_of(&r, port), 0);
	assert_serves(rig_listener(&r, HERE, port)); /* bound anew */
	close(fd);
	rig_clean_stop(&r);
	rig_drop_helper(&gateway);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_asked_for_is_bound_and_handed_on),
		cmocka_unit_test(what_is_not_named_any_more_is_closed),
		cmocka_unit_test(a_taken_port_is_tried_again),
		cmocka_unit_test(what_was_shut_down_and_is_taken_is_told),
		cmocka_unit_test(clients_wait_for_the_next_gateway),
		cmocka_unit_test(a_new_controller_closes_nothing_by_coming),
		cmocka_unit_test(without_a_gateway_nothing_is_bound),
		cmocka_unit_test(a_shutdown_ends_the_gateway_after_the_replicas),
		cmocka_unit_test(a_gateway_gives_back_and_serves_until_the_next_one_does),
		cmocka_unit_test(what_is_given_back_and_not_named_is_closed),
		cmocka_unit_test(who_serves_stays_whatever_dies),
		cmocka_unit_test(a_gateway_that_does_not_come_is_killed),
		cmocka_unit_test(what_is_no_such_listener_is_not_taken),
	};

	/* Orphans are ours, and stay zombies until we reap them. */
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
