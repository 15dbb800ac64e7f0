/*
 * aictl-gateway and HTTP: how messages are framed on each side, what is passed on and what is not,
 * what is sent again, and what happens when one side ends too early.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/mem.h"
#include "tests/unit/gate_rig.h"

#define GET "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

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

/* One request and its answer, each as sent, and what has to be in what arrives. */
struct pass {
	const char *request;
	const char *request_end; /* of what the backend gets */
	const char *at_backend[5], *not_at_backend[5];
	const char *answer;
	const char *answer_end; /* of what the client gets; NULL: the connection's */
	const char *at_client[5], *not_at_client[4];
};

static const struct pass passes[] = {
	{
		.request =
			"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
			"3;x=\"y\"\r\nabc\r\n0A\r\n0123456789\r\n0\r\nX-Sum: 1\r\nHost: evil\r\n\r\n",
		.request_end = "\r\n3\r\nabc\r\na\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n",
		.at_backend = {"\r\nTransfer-Encoding: chunked\r\n"},
		.not_at_backend = {"x=", "evil", "Content-Length"},
		.answer =
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;e\r\nok\r\n0\r\nX-T: 2\r\n\r\n",
		.answer_end = "\r\n\r\n2\r\nok\r\n0\r\nX-T: 2\r\n\r\n",
		.at_client = {"\r\nTransfer-Encoding: chunked\r\n"},
		.not_at_client = {";e"},
	},
	{
		.request = "GET / HTTP/1.0\r\n\r\n",
		.request_end = "\r\n\r\n",
		.at_backend = {"GET / HTTP/1.1\r\nHost: 127.0.0.1:"},
		.answer =
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: 2\r\n\r\n",
		.at_client = {"\r\nConnection: close\r\n", "\r\n\r\nok"},
		.not_at_client = {"Transfer", "X-T", "ok\r\n"},
	},
	{
		.request = "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n",
		.request_end = "\r\n\r\n",
		.not_at_backend = {"Content-Length"},
		.answer = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n",
		.answer_end = "\r\n\r\n",
		.at_client = {"\r\nContent-Length: 100\r\n"},
	},
	{
		.request = "DELETE / HTTP/1.1\r\nHost: h\r\n\r\n",
		.request_end = "\r\n\r\n",
		.at_backend = {"\r\nContent-Length: 0\r\n"},
		.answer = "HTTP/1.1 204 No Content\r\n\r\n",
		.answer_end = "\r\n\r\n",
		.not_at_client = {"Transfer-Encoding", "Content-Length"},
	},
	{
		.request = "GET / HTTP/1.1\r\nHost: h\r\nIf-None-Match: x\r\n\r\n",
		.request_end = "\r\n\r\n",
		.at_backend = {"\r\nIf-None-Match: x\r\n"},
		.answer = "HTTP/1.1 304 Not Modified\r\nETag: x\r\nContent-Length: 9\r\n\r\n",
		.answer_end = "\r\n\r\n",
		.at_client = {"\r\nETag: x\r\n", "\r\nContent-Length: 9\r\n"},
	},
	{
		.request =
			"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab",
		.request_end = "\r\n\r\nab",
		.at_backend = {"\r\nExpect: 100-continue\r\n"},
		.answer =
			"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" OK,
		.answer_end = "\r\n\r\nok",
		.at_client =
			{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK"},
	},
	{
		.request =
			"GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, X-Mine\r\nX-Mine: a\r\n"
			"Keep-Alive: 5\r\nTE: trailers\r\nProxy-Authorization: b\r\nUpgrade: h2c\r\n"
			"Content_Length: 7\r\nTransfer_Encoding: chunked\r\nX-Other: c\r\n\r\n",
		.request_end = "\r\n\r\n",
		.at_backend = {"\r\nX-Other: c\r\n", "\r\nConnection: TE\r\nTE: trailers\r\n"},
		.not_at_backend = {"Mine", "Keep-", "Proxy", "h2c", "_"},
		.answer =
			"HTTP/1.1 200 OK\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nX-Two: 2\r\n"
			"Content-Length: 2\r\n\r\nok",
		.answer_end = "ok",
		.at_client = {"\r\nX-Two: 2\r\n", "\r\nX-Request-Id: "},
		.not_at_client = {"X-Hop", "Connection", "Keep-"},
	},
	{
		.request =
			"GET http://other:81/p?q HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 10.1.1.1\r\n"
			"X-Forwarded-Proto: https\r\nX_Forwarded_For: 6.6.6.6\r\nX-Request-Id: mine-1\r\n\r\n",
		.request_end = "\r\n\r\n",
		.at_backend = {"GET /p?q HTTP/1.1\r\nHost: other:81\r\n",
			       "\r\nX-Forwarded-For: 10.1.1.1, 127.0.0.1\r\n",
			       "\r\nX-Forwarded-Proto: https\r\n", "\r\nX-Request-Id: mine-1\r\n"},
		.not_at_backend = {"6.6.6.6", "Host: h\r\n"},
		.answer = OK,
		.answer_end = "ok",
		.at_client = {"\r\nX-Request-Id: mine-1\r\n"},
	},
	{
		.request = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
		.request_end = "\r\n\r\n",
		.not_at_backend = {"close"},
		.answer = OK,
		.at_client = {"\r\nConnection: close\r\n", "\r\n\r\nok"},
	},
	{
		.request = GET,
		.request_end = "\r\n\r\n",
		.answer = "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
		.answer_end = "\r\n\r\n",
		.at_client = {"HTTP/1.1 200 \r\n", "\r\nContent-Length: 0\r\n"},
	},
};

static void pass(struct gate_rig *h, const struct pass *p)
{
	int c = gate_rig_connect(h), b;

	gate_rig_send(c, p->request);
	b = gate_rig_take(h, 0, p->request_end);
	for (int i = 0; i < 5; i++) {
		if (p->at_backend[i])
			has(h, p->at_backend[i]);
		if (p->not_at_backend[i])
			has_not(h, p->not_at_backend[i]);
	}
	gate_rig_send(b, p->answer);
	if (p->answer_end)
		gate_rig_read(h, c, p->answer_end);
	else
		assert_true(gate_rig_read_end(h, c));
	for (int i = 0; i < 5; i++)
		if (p->at_client[i])
			has(h, p->at_client[i]);
	for (int i = 0; i < 4; i++)
		if (p->not_at_client[i])
			has_not(h, p->not_at_client[i]);
	close(b);
	close(c);
	gate_rig_expect_active(h, 0, 0);
}

static void messages_are_passed_on(void **state)
{
	struct gate_rig *h = *state;

	gate_rig_route(h, 1);
	for (size_t i = 0; i < ARRAY_SIZE(passes); i++) {
		print_message("%zu\n", i);
		pass(h, &passes[i]);
	}
}

static void an_answer_may_end_with_its_connection(void **state)
{
	struct gate_rig *h = *state;
	int c, b;

	gate_rig_route(h, 1);
	c = gate_rig_connect(h);
	gate_rig_send(c, GET);
	b = gate_rig_take(h, 0, "\r\n\r\n");
	gate_rig_send(b, "HTTP/1.1 200 OK\r\n\r\nabc");
	gate_rig_read(h, c, "\r\n\r\n3\r\nabc\r\n");
	gate_rig_send(b, "de");
	close(b);
	gate_rig_read(h, c, "2\r\nde\r\n0\r\n\r\n");
	gate_rig_send(c, GET); /* the client's stays */
	b = gate_rig_take(h, 0, "\r\n\r\n");
	close(b);
	close(c);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
	struct gate_rig *h = *state;
	int c, b[2];

	gate_rig_route(h, 2);
	c = gate_rig_connect(h);
	gate_rig_send(c, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nPOST /2 HTTP/1.1\r\nHost: h\r\n"
			 "Content-Length: 3\r\n\r\nabcGET /3 HTTP/1.1\r\nHost: h\r\n\r\n");
	b[0] = gate_rig_take(h, 0, "\r\n\r\n");
	has(h, "GET /1 ");
	assert_false(gate_rig_is_readable(h->backends[1], 50)); /* one at a time */
	gate_rig_send(b[0], OK);
	b[1] = gate_rig_take(h, 1, "abc");
	has(h, "POST /2 ");
	gate_rig_send(b[1], OK);
	gate_rig_read(h, b[0], "\r\n\r\n");
	has(h, "GET /3 ");
	gate_rig_send(b[0], "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nend");
	gate_rig_read(h, c, "end");
	close(c);
	close(b[0]);
	close(b[1]);
}

static void a_head_may_come_in_pieces(void **state)
{
	struct gate_rig *h = *state;
	const char *request = "\r\n" GET;
	int c, b;

	gate_rig_route(h, 1);
	c = gate_rig_connect(h);
	for (const char *s = request; *s; s++) {
		const char one[2] = {*s, '\0'};

		gate_rig_send(c, one);
		poll(NULL, 0, 1);
	}
	b = gate_rig_take(h, 0, "\r\n\r\n");
	for (const char *s = OK; *s; s++) {
		const char one[2] = {*s, '\0'};

		gate_rig_send(b, one);
		poll(NULL, 0, 1);
	}
	gate_rig_read(h, c, "\r\n\r\nok");
	close(c);
	close(b);
}

static void another_backend_where_one_is_gone(void **state)
{
	struct gate_rig *h = *state;
	int c, b;

	mem_closep(&h->backends[0]); /* refuses from now on */
	gate_rig_route(h, 2);
	for (int i = 0; i < 2; i++) { /* whoever is first in turn */
		c = gate_rig_connect(h);
		gate_rig_send(c, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab");
		b = gate_rig_take(h, 1, "\r\n\r\nab");
		gate_rig_send(b, OK);
		gate_rig_read(h, c, "ok");
		close(b);
		close(c);
	}
	gate_rig_expect_failures(h, 0, 1);
}

static void it_waits_for_the_only_one(void **state)
{
	struct gate_rig *h = *state;
	int c, b;

	mem_closep(&h->backends[0]);
	gate_rig_route(h, 1);
	c = gate_rig_connect(h);
	gate_rig_send(c, GET);
	assert_false(gate_rig_is_readable(c, 300));
	h->backends[0] = gate_rig_listen_at(h->ports[0]);
	b = gate_rig_take(h, 0, "\r\n\r\n");
	gate_rig_send(b, OK);
	gate_rig_read(h, c, "ok");
	close(b);
	close(c);
}

static void what_may_be_repeated_is(void **state)
{
	struct gate_rig *h = *state;
	int c, b;

	gate_rig_route(h, 2);
	c = gate_rig_connect(h);
	gate_rig_send(c, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab");
	b = gate_rig_take(h, 0, "\r\n\r\nab");
	close(b); /* without a byte */
	b = gate_rig_take(h, 1, "\r\n\r\nab");
	gate_rig_send(b, OK);
	gate_rig_read(h, c, "ok");
	gate_rig_send(c, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab");
	close(gate_rig_take(h, 0, "\r\n\r\nab"));
	gate_rig_read(h, c, "}\n"); /* it may have done something */
	assert_memory_equal(h->text, "HTTP/1.1 502 ", 13);
	gate_rig_send(c, GET);
	gate_rig_read(h, b, "\r\n\r\n");
	gate_rig_send(b, "HTTP/1.1 2"); /* it has begun to answer */
	close(b);
	gate_rig_read(h, c, "}\n");
	assert_memory_equal(h->text, "HTTP/1.1 502 ", 13);
	close(c);
}

static void an_old_connection_that_ended_is_no_failure(void **state)
{
	struct gate_rig *h = *state;
	int c, b;

	gate_rig_route(h, 1);
	c = gate_rig_connect(h);
	for (int i = 0; i < 20; i++) {
		gate_rig_send(c,
			      i % 2 ? GET
				    : "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\na");
		b = gate_rig_take(h, 0, i % 2 ? "\r\n\r\n" : "\r\n\r\na");
		gate_rig_send(b, OK);
		gate_rig_read(h, c, "ok");
		close(b); /* without having said so */
	}
	close(c);
}

static void who_leaves_cancels(void **state)
{
	struct gate_rig *h = *state;
	int c, b;

	gate_rig_route(h, 1);
	for (int i = 0; i < 3; i++) {
		c = gate_rig_connect(h);
		gate_rig_send(c, GET);
		b = gate_rig_take(h, 0, "\r\n\r\n");
		if (i > 0) {
			gate_rig_send(
				b,
				"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
			gate_rig_read(h, c, "\r\n1\r\na\r\n");
		}
		close(c);
		gate_rig_read_end(h, b);
		close(b);
		gate_rig_expect_active(h, 0, 0);
	}
	assert_int_equal(h->load[0].failures, 0);
}

static void a_cut_answer_is_cut(void **state)
{
	struct gate_rig *h = *state;
	int c, b;

	gate_rig_route(h, 1);
	c = gate_rig_connect(h);
	gate_rig_send(c, GET);
	b = gate_rig_take(h, 0, "\r\n\r\n");
	gate_rig_send(b, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
	gate_rig_read(h, c, "abc");
	close(b);
	gate_rig_read_end(h, c);
	assert_string_equal(h->text, "");
	close(c);
	gate_rig_expect_failures(h, 0, 1);
}

static void an_early_answer_ends_both_connections(void **state)
{
	struct gate_rig *h = *state;
	int c, b;

	gate_rig_route(h, 1);
	c = gate_rig_connect(h);
	gate_rig_send(c, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nabc");
	b = gate_rig_take(h, 0, "abc");
	gate_rig_send(b, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
	assert_true(gate_rig_read_end(h, c));
	has(h, "\r\nConnection: close\r\n");
	has(h, "\r\n\r\nno");
	gate_rig_read_end(h, b);
	close(b);
	close(c);
}

static void an_upgrade_is_spliced(void **state)
{
	struct gate_rig *h = *state;
	int c, b;

	gate_rig_route(h, 1);
	c = gate_rig_connect(h);
	gate_rig_send(c, "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\n"
			 "Upgrade: websocket\r\n\r\nearly");
	b = gate_rig_take(h, 0, "\r\n\r\n");
	has(h, "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n");
	gate_rig_send(b, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
			 "Upgrade: websocket\r\n\r\nhello");
	gate_rig_read(h, c, "\r\n\r\nhello");
	gate_rig_read(h, b, "early");
	gate_rig_send(c, "GET / HTTP/1.1\r\n\r\n");
	gate_rig_read(h, b, "GET / HTTP/1.1\r\n\r\n");
	shutdown(c, SHUT_WR);
	assert_true(gate_rig_read_end(h, b));
	gate_rig_send(b, "bye");
	close(b);
	assert_true(gate_rig_read_end(h, c));
	assert_string_equal(h->text, "bye");
	close(c);
	gate_rig_expect_active(h, 0, 0);
}

static void unasked_protocols_are_refused(void **state)
{
	struct gate_rig *h = *state;
	int c, b;

	gate_rig_route(h, 1);
	c = gate_rig_connect(h);
	gate_rig_send(c, GET);
	b = gate_rig_take(h, 0, "\r\n\r\n");
	gate_rig_send(
		b, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
	gate_rig_read(h, c, "}\n");
	assert_memory_equal(h->text, "HTTP/1.1 502 ", 13);
	close(b);
	close(c);
}

/* Sends until it would have to wait; returns how much. */
static size_t fill(int fd, size_t at_most)
{
	static const char zeros[65536];
	size_t n = 0;

	while (n < at_most) {
		struct pollfd p = {.fd = fd, .events = POLLOUT};
		ssize_t k;

		if (poll(&p, 1, 300) == 0)
			break;
		k = send(fd, zeros, sizeof(zeros), MSG_NOSIGNAL | MSG_DONTWAIT);
		assert_true(k > 0 || errno == EAGAIN);
		n += k > 0 ? (size_t)k : 0;
	}
	return n;
}

static void drain(int fd, size_t n)
{
	static char room[65536];

	while (n > 0) {
		ssize_t k = recv(fd, room, n < sizeof(room) ? n : sizeof(room), 0);

		assert_true(k > 0);
		n -= (size_t)k;
	}
}

static unsigned long memory_kb(pid_t pid)
{
	char path[64], line[128];
	unsigned long kb = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "RssAnon: %lu", &kb) == 1)
			break;
	fclose(f);
	return kb;
}

static void who_does_not_read_is_not_read_for(void **state)
{
	struct gate_rig *h = *state;
	size_t down, up, all = 256u << 20;
	unsigned long before;
	int c, b;

	gate_rig_route(h, 1);
	c = gate_rig_connect(h);
	gate_rig_send(c, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 999999999\r\n\r\n");
	b = gate_rig_take(h, 0, "\r\n\r\n");
	gate_rig_send(b, "HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n");
	gate_rig_read(h, c, "\r\n\r\n");
	before = memory_kb(h->pid);
	down = fill(b, all);
	up = fill(c, all);
	print_message("%zu down, %zu up\n", down, up);
	assert_true(down < all && up < all);
	assert_true(memory_kb(h->pid) < before + 2048);
	drain(c, down);
	drain(b, up);
	assert_true(fill(b, 1 << 20) >= 1 << 20);
	assert_true(fill(c, 1 << 20) >= 1 << 20);
	close(c);
	close(b);
}

static void tcp_is_spliced(void **state)
{
	struct gate_rig *h = *state;
	int c, b;

	h->protocol = WIRE_ROUTES_TCP;
	mem_closep(&h->backends[0]);
	gate_rig_route(h, 2);
	c = gate_rig_connect(h);
	gate_rig_send(c, "anything\n");
	b = gate_rig_take(h, 1, "anything\n");
	gate_rig_send(b, "and back\n");
	gate_rig_read(h, c, "and back\n");
	gate_rig_expect_active(h, 1, 1);
	shutdown(b, SHUT_WR);
	assert_true(gate_rig_read_end(h, c));
	gate_rig_send(c, "still");
	gate_rig_read(h, b, "still");
	close(c);
	assert_true(gate_rig_read_end(h, b));
	close(b);
	gate_rig_expect_active(h, 1, 0);
}

static void expect_waiting(struct gate_rig *h, uint32_t n)
{
	int64_t end = clock_mono_ms() + GATE_RIG_DEADLINE_MS;

	while (h->demand.waiting != n) {
		assert_true(clock_mono_ms() < end);
		gate_rig_next_report(h);
	}
}

/* A tcp client that has sent nothing cannot wait for an answer; one that has may send no more. */
static void who_leaves_the_line_is_not_in_it(void **state)
{
	struct gate_rig *h = *state;
	int first, gone, asks, b;

	h->protocol = WIRE_ROUTES_TCP;
	h->rules.concurrency = 1;
	gate_rig_route(h, 1);
	first = gate_rig_connect(h);
	gate_rig_send(first, "1\n");
	b = gate_rig_take(h, 0, "1\n");
	gone = gate_rig_connect(h);
	expect_waiting(h, 1);
	asks = gate_rig_connect(h);
	gate_rig_send(asks, "2\n");
	expect_waiting(h, 2);
	shutdown(asks, SHUT_WR);
	close(gone);
	expect_waiting(h, 1);
	close(first);
	assert_true(gate_rig_read_end(h, b));
	close(b);
	b = gate_rig_take(h, 0, "2\n");
	assert_true(gate_rig_read_end(h, b));
	gate_rig_send(b, "answer\n");
	gate_rig_read(h, asks, "answer\n");
	assert_false(gate_rig_is_readable(h->backends[0], 20));
	close(asks);
	close(b);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, gate_rig_setup, gate_rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(messages_are_passed_on),
		TEST(an_answer_may_end_with_its_connection),
		TEST(pipelined_requests_are_answered_in_order),
		TEST(a_head_may_come_in_pieces),
		TEST(another_backend_where_one_is_gone),
		TEST(it_waits_for_the_only_one),
		TEST(what_may_be_repeated_is),
		TEST(an_old_connection_that_ended_is_no_failure),
		TEST(who_leaves_cancels),
		TEST(a_cut_answer_is_cut),
		TEST(an_early_answer_ends_both_connections),
		TEST(an_upgrade_is_spliced),
		TEST(unasked_protocols_are_refused),
		TEST(who_does_not_read_is_not_read_for),
		TEST(tcp_is_spliced),
		TEST(who_leaves_the_line_is_not_in_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
