/* gate_rig: see gate_rig.h. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/sock.h"
#include "tests/unit/gate_rig.h"

static int listen_at(uint16_t *port)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
				 .sin_port = htons(*port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int on = 1;
	socklen_t size = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	assert_int_equal(bind(fd, (struct sockaddr *)&at, size), 0);
	assert_int_equal(listen(fd, 512), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
	*port = ntohs(at.sin_port);
	return fd;
}

int gate_rig_listen(uint16_t *port)
{
	*port = 0;
	return listen_at(port);
}

int gate_rig_listen_at(uint16_t port)
{
	return listen_at(&port);
}

static void exec_gateway(const struct gate_rig *h, int sock)
{
	const char *program = getenv("AICTL_GATEWAY");
	char threads[16];

	if (h->fds_max > 0)
		setrlimit(RLIMIT_NOFILE, &(struct rlimit){h->fds_max, h->fds_max});

	prctl(PR_SET_PDEATHSIG, SIGKILL); /* it would outlive an interrupted test */
	if (sock == WIRE_HELPER_FD)
		fcntl(sock, F_SETFD, 0);
	else if (dup2(sock, WIRE_HELPER_FD) < 0)
		_exit(126);
	snprintf(threads, sizeof(threads), "%u", h->threads);
	execl(program ? program : "./aictl-gateway", "aictl-gateway", "--sup-dir", h->sup,
	      h->threads ? "--threads" : (char *)NULL, threads, (char *)NULL);
	_exit(127);
}

void gate_rig_new_peer(struct gate_rig *h)
{
	_cleanup_buf_ struct buf b = {0};
	int pair[2];

	mem_closep(&h->peer);
	assert_int_equal(sock_pair(pair), 0);
	h->peer = pair[0];
	wire_encode_empty(&b, WIRE_PEER);
	assert_int_equal(wire_send(h->sock, &b, &pair[1], 1), 0);
	close(pair[1]);
}

void gate_rig_start(struct gate_rig *h)
{
	struct wire_hello hello = {
		.version = PKGVERSION, .aictld_pid = getpid(), .log_level = LOG_LVL_WARN};
	_cleanup_buf_ struct buf b = {0};
	int pair[2];

	assert_int_equal(sock_pair(pair), 0);
	h->pid = fork();
	assert_true(h->pid >= 0);
	if (h->pid == 0)
		exec_gateway(h, pair[1]);
	close(pair[1]);
	h->sock = pair[0];
	wire_encode_hello(&b, &hello);
	assert_int_equal(wire_send(h->sock, &b, NULL, 0), 0);
	buf_clear(&b);
	wire_listen_encode_at(&b, WIRE_LISTENER, &h->at);
	assert_int_equal(wire_send(h->sock, &b, &h->listener, 1), 0);
	buf_clear(&b);
	wire_encode_empty(&b, WIRE_SYNCED);
	assert_int_equal(wire_send(h->sock, &b, NULL, 0), 0);
	gate_rig_new_peer(h);
}

static int set_up(void **state, unsigned threads)
{
	struct gate_rig *h = mem_alloc(sizeof(*h));

	assert_non_null(h);
	h->threads = threads;
	snprintf(h->sup, sizeof(h->sup), "/tmp/aictl-test-sup-XXXXXX");
	assert_non_null(mkdtemp(h->sup));
	h->sock = h->peer = -1;
	h->epoch = 7;
	h->at = (struct wire_listen_at){.address = "127.0.0.1"};
	h->rules.queue_max = 100;
	h->listener = gate_rig_listen(&h->at.port);
	for (int i = 0; i < GATE_RIG_BACKENDS; i++) {
		h->backends[i] = gate_rig_listen(&h->ports[i]);
		h->load[i].active = UINT32_MAX; /* not told yet */
	}
	gate_rig_start(h);
	*state = h;
	return 0;
}

int gate_rig_setup(void **state)
{
	return set_up(state, 0);
}

int gate_rig_setup_threads(void **state)
{
	return set_up(state, GATE_RIG_THREADS);
}

void gate_rig_reap(struct gate_rig *h, int sig)
{
	int status;

	if (h->pid <= 0)
		return;
	if (sig)
		kill(h->pid, sig);
	assert_int_equal(waitpid(h->pid, &status, 0), h->pid);
	h->pid = 0;
	if (sig == 0)
		assert_int_equal(status, 0);
	mem_closep(&h->sock);
	mem_closep(&h->peer);
}

/* A failed test leaves connections open, for which it would wait. */
static void end_in_time(struct gate_rig *h)
{
	int64_t deadline = clock_mono_ms() + 10000;
	int status = -1;

	if (h->pid <= 0)
		return;
	while (waitpid(h->pid, &status, WNOHANG) == 0) {
		if (clock_mono_ms() >= deadline) {
			gate_rig_reap(h, SIGKILL);
			fail_msg("it did not end");
		}
		poll(NULL, 0, 1);
	}
	h->pid = 0;
	assert_int_equal(status, 0);
}

/* It ends by itself: what it still holds is seen by the sanitizers. */
int gate_rig_teardown(void **state)
{
	struct gate_rig *h = *state;
	_cleanup_free_ char *path = mem_printf("%s/sup.sock", h->sup);

	unlink(path);
	rmdir(h->sup);
	mem_closep(&h->peer);
	mem_closep(&h->sock);
	end_in_time(h);
	mem_closep(&h->listener);
	for (int i = 0; i < GATE_RIG_BACKENDS; i++)
		mem_closep(&h->backends[i]);
	mem_free(h);
	return 0;
}

void gate_rig_say(struct gate_rig *h, enum wire_type type)
{
	_cleanup_buf_ struct buf b = {0};

	wire_encode_empty(&b, type);
	assert_int_equal(wire_send(h->sock, &b, NULL, 0), 0);
}

bool gate_rig_next_packet(struct gate_rig *h, int fd, int64_t ms)
{
	int64_t deadline = clock_mono_ms() + ms;
	struct pollfd p = {.fd = fd, .events = POLLIN};

	for (;;) {
		int r = wire_recv(fd, &h->packet);

		if (r != -EAGAIN)
			return r == 1;
		if (clock_mono_ms() >= deadline)
			return false;
		poll(&p, 1, 50);
	}
}

static void on_load(void *user, const struct wire_routes_load *m)
{
	struct gate_rig *h = user;

	assert_true(m->key.index < GATE_RIG_BACKENDS);
	assert_string_equal(m->key.service, "svc");
	assert_string_equal(m->name, "http");
	h->load[m->key.index] = *m;
}

static void on_demand(void *user, const struct wire_traffic_demand *m)
{
	struct gate_rig *h = user;

	assert_string_equal(m->service, "svc");
	assert_string_equal(m->name, "http");
	h->demand = *m;
	h->demands++;
}

static void on_stats(void *user, const struct wire_traffic_stats *m)
{
	struct gate_rig *h = user;

	assert_true(m->key.index < GATE_RIG_BACKENDS);
	assert_string_equal(m->key.service, "svc");
	assert_string_equal(m->name, "http");
	h->stats[m->key.index] = *m;
}

bool gate_rig_is_report(const struct gate_rig *h)
{
	return h->packet.type == WIRE_LOAD || h->packet.type == WIRE_DEMAND ||
	       h->packet.type == WIRE_STATS;
}

void gate_rig_take_report(struct gate_rig *h)
{
	const struct wire_packet *p = &h->packet;

	if (p->type == WIRE_DEMAND) {
		assert_int_equal(wire_traffic_decode_demand(p->body, p->len, on_demand, h), 0);
	} else if (p->type == WIRE_STATS) {
		assert_int_equal(wire_traffic_decode_stats(p->body, p->len, on_stats, h), 0);
	} else {
		assert_int_equal(p->type, WIRE_LOAD);
		assert_int_equal(wire_routes_decode_load(p->body, p->len, on_load, h), 0);
	}
	wire_packet_done(&h->packet);
}

void gate_rig_next_report(struct gate_rig *h)
{
	assert_true(gate_rig_next_packet(h, h->peer, GATE_RIG_DEADLINE_MS));
	gate_rig_take_report(h);
}

void gate_rig_expect_active(struct gate_rig *h, int i, uint32_t active)
{
	while (h->load[i].active != active) {
		gate_rig_next_report(h);
	}
}

void gate_rig_expect_failures(struct gate_rig *h, int i, uint64_t failures)
{
	while (h->load[i].failures < failures || h->load[i].active == UINT32_MAX ||
	       h->load[i].active > 0) {
		gate_rig_next_report(h);
	}
}

static void expect_routed(struct gate_rig *h, int fd)
{
	uint64_t epoch, generation;

	for (;;) {
		assert_true(gate_rig_next_packet(h, fd, GATE_RIG_DEADLINE_MS));
		if (gate_rig_is_report(h)) {
			gate_rig_take_report(h);
			continue;
		}
		assert_int_equal(h->packet.type, WIRE_ROUTED);
		assert_int_equal(wire_routes_decode_routed(h->packet.body, h->packet.len, &epoch,
							   &generation),
				 0);
		wire_packet_done(&h->packet);
		if (epoch == h->epoch && generation == h->generation)
			return;
	}
}

void gate_rig_expect_routed(struct gate_rig *h)
{
	expect_routed(h, h->peer);
}

void gate_rig_route(struct gate_rig *h, uint32_t n)
{
	struct wire_routes_backend backends[GATE_RIG_BACKENDS] = {0};
	struct wire_route route = {.at = h->at,
				   .service = "svc",
				   .name = "http",
				   .protocol = h->protocol,
				   .rules = h->rules,
				   .news = h->news,
				   .n = n,
				   .backends = backends};
	struct wire_routes m = {
		.epoch = h->epoch, .generation = ++h->generation, .n = 1, .list = &route};
	_cleanup_buf_ struct buf b = {0};

	for (uint32_t i = 0; i < n; i++) {
		backends[i] = (struct wire_routes_backend){.index = i,
							   .port = h->paths[i][0] ? 0 : h->ports[i],
							   .draining = h->draining[i],
							   .canary = h->canary[i],
							   .revision = 41 + i};
		memcpy(backends[i].socket, h->paths[i], sizeof(h->paths[i]));
		snprintf(backends[i].incarnation, sizeof(backends[i].incarnation),
			 "0199aaaabbbbccccddddeeeeffff%04x", i & 0xffff);
	}
	wire_routes_encode(&b, &m);
	assert_int_equal(wire_send(h->peer, &b, NULL, 0), 0);
	expect_routed(h, h->peer);
	expect_routed(h, h->sock);
}

bool gate_rig_is_readable(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, ms) == 1;
}

static int to_blocking(int fd)
{
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
	return fd;
}

int gate_rig_connect(struct gate_rig *h)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(h->at.port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

int gate_rig_accept(struct gate_rig *h, int i)
{
	assert_true(gate_rig_is_readable(h->backends[i], GATE_RIG_DEADLINE_MS));
	return to_blocking(accept4(h->backends[i], NULL, NULL, SOCK_CLOEXEC));
}

void gate_rig_send(int fd, const char *text)
{
	size_t n = strlen(text);

	assert_int_equal(send(fd, text, n, MSG_NOSIGNAL), n);
}

static ssize_t read_more(struct gate_rig *h, int fd, size_t at_most)
{
	ssize_t n;

	if (!gate_rig_is_readable(fd, GATE_RIG_DEADLINE_MS))
		fail_msg("nothing comes after: %s", h->text);
	n = recv(fd, h->text + h->n, at_most, 0);
	if (n > 0)
		h->n += (size_t)n;
	h->text[h->n] = '\0';
	return n;
}

/* Byte by byte: what follows is the next one's to read. */
void gate_rig_read(struct gate_rig *h, int fd, const char *until)
{
	size_t len = strlen(until);

	h->n = 0;
	h->text[0] = '\0';
	while (h->n < len || memcmp(h->text + h->n - len, until, len) != 0)
		if (h->n == GATE_RIG_TEXT || read_more(h, fd, 1) <= 0)
			fail_msg("it ended: %s", h->text);
}

bool gate_rig_read_end(struct gate_rig *h, int fd)
{
	ssize_t n;

	h->n = 0;
	h->text[0] = '\0';
	while ((n = read_more(h, fd, GATE_RIG_TEXT - h->n)) > 0)
		;
	return n == 0;
}

int gate_rig_take(struct gate_rig *h, int i, const char *until)
{
	int fd = gate_rig_accept(h, i);

	gate_rig_read(h, fd, until);
	return fd;
}

int gate_rig_listen_packets(struct gate_rig *h)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(at.sun_path, sizeof(at.sun_path), "%s/sup.sock", h->sup);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

/* The gateway keeps them for some seconds only. */
static int drop_ended(int *fds, int n)
{
	for (int i = 0; i < n;) {
		char byte;

		if (recv(fds[i], &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 0) {
			i++;
			continue;
		}
		close(fds[i]);
		fds[i] = fds[--n];
	}
	return n;
}

int gate_rig_any_request(struct gate_rig *h, int *fds, int *n)
{
	struct pollfd p[128] = {0};
	int k = *n;

	assert_true(k + GATE_RIG_BACKENDS < 128);
	for (int i = 0; i < k; i++)
		p[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
	for (int i = 0; i < GATE_RIG_BACKENDS; i++)
		p[k + i] = (struct pollfd){.fd = h->backends[i], .events = POLLIN};
	assert_true(poll(p, (nfds_t)(k + GATE_RIG_BACKENDS), GATE_RIG_DEADLINE_MS) > 0);
	for (int i = 0; i < GATE_RIG_BACKENDS; i++)
		if (p[k + i].revents != 0)
			return fds[(*n)++] = gate_rig_take(h, i, "\r\n\r\n");
	*n = drop_ended(fds, k);
	for (int i = 0; *n == k && i < k; i++) {
		if (p[i].revents == 0)
			continue;
		gate_rig_read(h, fds[i], "\r\n\r\n");
		return fds[i];
	}
	return gate_rig_any_request(h, fds, n);
}
