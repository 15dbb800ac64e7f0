/*
 * test_http_server: the server by raw bytes: what it accepts, refuses, bounds and forgets. Each
 * test stops its server with connections open; the fixture asserts that every handle was closed.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/mem.h"
#include "lib/sock.h"
#include "tests/unit/http_fixture.h"

#define HOST "Host: x\r\n"

static int set_up(void **state)
{
	struct http_fixture *f = malloc(sizeof(*f));

	http_fixture_init(f);
	*state = f;
	return 0;
}

static int set_up_started(void **state)
{
	set_up(state);
	http_fixture_start(*state);
	return 0;
}

static int tear_down(void **state)
{
	http_fixture_stop(*state);
	free(*state);
	return 0;
}

struct grammar_case {
	const char *bytes;
	size_t n; /* 0: strlen */
	int status;
	const char *holds; /* in the answer */
};

static const struct grammar_case grammar[] = {
	{"GET /hello HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", 0, 200, "\r\n\r\nhello\n"},
	{"GET /hello HTTP/1.0\r\n\r\n", 0, 200, "Connection: close\r\n"},
	{"\r\n\r\nGET /hello HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", 0, 200, "hello"},
	{"GET http://x/hello HTTP/1.1\r\n" HOST "Connection: keep-alive, close\r\n\r\n", 0, 200,
	 "hello"},
	{"GET /echo?q=a%20b&r&q=%C3%A9&q HTTP/1.1\r\n" HOST
	 "connection:CLOSE\r\nX-test:  v w \t\r\n\r\n",
	 0, 200, "GET /echo q=a b q=\xc3\xa9 q= x=v w "},
	{"GET /a%2Fb%20c?x HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", 0, 404, "/a/b c"},
	{"POST /echo HTTP/1.1\r\n" HOST "Connection: close\r\nContent-Length: 5\r\n\r\nbody!", 0,
	 200, "POST /echo x=- body!"},
	{"POST /echo HTTP/1.1\r\n" HOST
	 "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n3;ext=1\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-Test: "
	 "trailer\r\n\r\n",
	 0, 200, "POST /echo x=- abc0123456789"},
	{"HEAD /hello HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", 0, 200,
	 "Content-Length: 6\r\n"},
	{"GET /empty HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", 0, 204, "204 No Content\r\n"},
	{"GET /stream?n=2 HTTP/1.0\r\n\r\n", 0, 200, "\r\n\r\nline 2\nline 1\n"},
	{"GET /hello HTTP/1.1\r\n" HOST "Connection: upgrade, close\r\nUpgrade: websocket\r\n\r\n",
	 0, 200, "hello"},
	/* refused */
	{"GET /hello HTTP/1.1\n" HOST "\n", 0, 400, "bare LF"},
	{"GET /hello HTTP/1.1\r\nHost: x\n\r\n", 0, 400, "bare LF"},
	{"GET /hello HTTP/1.1\r\nHost: x\r\r\n\r\n", 0, 400, "\"code\":\"invalid\""},
	{"GET /hello HTTP/1.1\r\nHost: \0x\r\n\r\n",
	 sizeof("GET /hello HTTP/1.1\r\nHost: .x\r\n\r\n") - 1, 400, "NUL"},
	{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11, 400, "NUL"}, /* TLS */
	{"GET /hello HTTP/1.1\r\nHost : x\r\n\r\n", 0, 400, "space before a colon"},
	{"GET /hello HTTP/1.1\r\n" HOST "X: a\r\n b\r\n\r\n", 0, 400, "folded"},
	{"GET /hello HTTP/1.1\r\n Host: x\r\n\r\n", 0, 400, "folded"},
	{"GET /hello HTTP/1.1\r\n" HOST HOST "\r\n", 0, 400, "several Host"},
	{"GET /hello HTTP/1.1\r\n\r\n", 0, 400, "no Host"},
	{"GET /hello HTTP/1.2\r\n" HOST "\r\n", 0, 400, "HTTP/1.0 or HTTP/1.1"},
	{"GET /hello HTTP/2.0\r\n" HOST "\r\n", 0, 400, "HTTP/1.0 or HTTP/1.1"},
	{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0, 400, "HTTP/1.0 or HTTP/1.1"},
	{"GET /hello\r\n\r\n", 0, 400, "HTTP/1.0 or HTTP/1.1"},
	{"hello world\r\n\r\n", 0, 400, "HTTP/1.0 or HTTP/1.1"},
	{"BREW /hello HTTP/1.1\r\n" HOST "\r\n", 0, 400, "method"},
	{"GET /he llo HTTP/1.1\r\n" HOST "\r\n", 0, 400, "\"code\":\"invalid\""},
	{"GET /hello%zz HTTP/1.1\r\n" HOST "\r\n", 0, 400, "percent-encoding"},
	{"GET /hello%00 HTTP/1.1\r\n" HOST "\r\n", 0, 400, "percent-encoding"},
	{"GET /hello%2 HTTP/1.1\r\n" HOST "\r\n", 0, 400, "percent-encoding"},
	{"GET /hello?a=%g0 HTTP/1.1\r\n" HOST "\r\n", 0, 400, "percent-encoding"},
	{"OPTIONS * HTTP/1.1\r\n" HOST "\r\n", 0, 400, "not a path"},
	{"CONNECT x:1 HTTP/1.1\r\n" HOST "\r\n", 0, 400, "not a path"},
	{"GET /hello HTTP/1.1\r\n" HOST "Bad Name: x\r\n\r\n", 0, 400, "invalid"},
	{"GET /hello HTTP/1.1\r\n" HOST "no colon\r\n\r\n", 0, 400, "invalid"},
	{"GET /hello HTTP/1.1\r\n" HOST ": empty\r\n\r\n", 0, 400, "invalid"},
	{"GET /hello HTTP/1.1\r\n" HOST "X: a\x01z\r\n\r\n", 0, 400, "invalid"},
	{"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\nContent-Length: 5\r\n\r\nbody!", 0,
	 400, "invalid"},
	{"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\nContent-Length: 6\r\n\r\nbody!", 0,
	 400, "invalid"},
	{"POST /echo HTTP/1.1\r\n" HOST "Content-Length: +5\r\n\r\nbody!", 0, 400, "invalid"},
	{"POST /echo HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\nbody!", 0, 400, "invalid"},
	{"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5,5\r\n\r\nbody!", 0, 400, "invalid"},
	{"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999\r\n\r\n", 0, 400,
	 "invalid"},
	{"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
	 0, 400, "invalid"},
	{"POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\n\r\n", 0, 400, "invalid"},
	{"POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 0, 400,
	 "coding"},
	{"POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, identity\r\n\r\n", 0, 400,
	 "invalid"},
	{"POST /echo HTTP/1.1\r\n" HOST
	 "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	 0, 400, "invalid"},
	{"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0, 400, "coding"},
	{"POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 0, 400,
	 "invalid"},
	{"POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n", 0, 400,
	 "invalid"},
	{"POST /echo HTTP/1.1\r\n" HOST
	 "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nabcd\r\n",
	 0, 400, "invalid"},
	{"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1048577\r\n\r\n", 0, 413,
	 "\"code\":\"too_large\""},
	{"POST /echo HTTP/1.1\r\n" HOST "Expect: tea\r\nContent-Length: 1\r\n\r\n", 0, 417,
	 "expect"},
};

static void test_grammar(void **state)
{
	struct http_fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(grammar); i++) {
		const struct grammar_case *c = &grammar[i];
		size_t n = c->n ? c->n : strlen(c->bytes);

		for (int bytewise = 0; bytewise < 2; bytewise++) {
			char *a = http_fixture_exchange(f, c->bytes, n, bytewise ? 1 : n);

			if (http_fixture_status(a) != c->status || !strstr(a, c->holds))
				fail_msg("case %zu, %s: want %d and %s, have: %s", i, c->bytes,
					 c->status, c->holds, a);
			if (c->status >= 400 && c->status != 404) {
				assert_non_null(strstr(a, "{\"error\":{\"code\":\""));
				assert_non_null(strstr(a, "\"hint\":null}}"));
				assert_non_null(strstr(a, "Connection: close\r\n"));
			}
			if (strncmp(c->bytes, "HEAD", 4) == 0)
				assert_null(strstr(a, "hello\n"));
			mem_free(a);
		}
	}
}

static void test_limits(void **state)
{
	struct http_fixture *f = *state;
	struct buf b = {0};
	char *a;

	buf_str(&b, "GET /hello HTTP/1.1\r\n" HOST "Connection: close\r\nX: ");
	for (int i = 0; i < 60000; i++)
		buf_char(&b, 'x');
	buf_str(&b, "\r\n\r\n");
	a = http_fixture_exchange(f, b.data, b.len, b.len);
	assert_int_equal(http_fixture_status(a), 200);
	mem_free(a);
	buf_clear(&b);
	buf_str(&b, "GET /hello HTTP/1.1\r\n" HOST "X: ");
	for (int i = 0; i < 70000; i++)
		buf_char(&b, 'x');
	a = http_fixture_exchange(f, b.data, b.len, b.len); /* no end: refused all the same */
	assert_int_equal(http_fixture_status(a), 431);
	mem_free(a);
	buf_clear(&b);
	buf_str(&b, "GET /hello HTTP/1.1\r\n" HOST);
	for (int i = 0; i < 200; i++)
		buf_printf(&b, "X-%d: y\r\n", i);
	buf_str(&b, "\r\n");
	a = http_fixture_exchange(f, b.data, b.len, b.len);
	assert_int_equal(http_fixture_status(a), 431);
	mem_free(a);
	buf_clear(&b);
	buf_str(&b, "GET /hello?");
	for (int i = 0; i < 100; i++)
		buf_printf(&b, "a%d=b&", i);
	buf_str(&b, " HTTP/1.1\r\n" HOST "\r\n");
	a = http_fixture_exchange(f, b.data, b.len, b.len);
	assert_int_equal(http_fixture_status(a), 400);
	mem_free(a);
	buf_clear(&b); /* a body in chunks beyond body_max */
	buf_str(&b, "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n");
	for (int i = 0; i < 20; i++) {
		buf_str(&b, "10000\r\n");
		memset(buf_reserve(&b, 65536), 'y', 65536);
		buf_added(&b, 65536);
		buf_str(&b, "\r\n");
	}
	a = http_fixture_exchange(f, b.data, b.len, b.len);
	assert_int_equal(http_fixture_status(a), 413);
	mem_free(a);
	buf_clear(&b); /* trailers without end */
	buf_str(&b, "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n");
	for (int i = 0; i < 10000; i++)
		buf_printf(&b, "X-%d: trailer\r\n", i);
	a = http_fixture_exchange(f, b.data, b.len, b.len);
	assert_int_equal(http_fixture_status(a), 413);
	mem_free(a);
	buf_done(&b);
}

/* Many requests in one go, more than are read ahead, are answered in order. */
static void test_pipelining(void **state)
{
	enum { N = 3000 };
	struct http_fixture *f = *state;
	struct buf b = {0};
	int fd = http_fixture_connect(f), flags = fcntl(fd, F_GETFL);
	char *a, *at, want[32];
	size_t sent = 0;

	for (int i = 0; i < N; i++) {
		if (i % 500 == 7)
			buf_printf(&b, "GET /later?ms=5 HTTP/1.1\r\n" HOST "\r\n");
		else
			buf_printf(&b, "GET /echo?q=%d HTTP/1.1\r\n" HOST "X-Test: %040d\r\n\r\n",
				   i, i);
	}
	buf_str(&b, "GET /echo?q=last HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
	assert_int_equal(fcntl(fd, F_SETFL, flags | O_NONBLOCK), 0);
	{
		struct buf in = {0};
		int64_t end = clock_mono_ms() + 20000;

		for (;;) {
			struct pollfd p = {.fd = fd,
					   .events = POLLIN | (sent < b.len ? POLLOUT : 0)};
			ssize_t n;

			assert_true(poll(&p, 1, (int)(end - clock_mono_ms())) > 0);
			if (p.revents & POLLOUT) {
				n = send(fd, b.data + sent, b.len - sent, MSG_NOSIGNAL);
				sent += n > 0 ? (size_t)n : 0;
			}
			if (p.revents & POLLIN) {
				n = recv(fd, buf_reserve(&in, 65536), 65536, 0);
				if (n == 0)
					break;
				if (n > 0)
					buf_added(&in, (size_t)n);
			}
		}
		a = buf_take(&in);
	}
	at = a;
	for (int i = 0; i < N; i++) {
		if (i % 500 == 7)
			snprintf(want, sizeof(want), "later\n");
		else
			snprintf(want, sizeof(want), "GET /echo q=%d ", i);
		at = strstr(at, want);
		if (!at)
			fail_msg("no answer %d", i);
	}
	assert_non_null(strstr(at, "q=last"));
	assert_int_equal(atomic_load(&f->requests), N + 1);
	mem_free(a);
	buf_done(&b);
	close(fd);
}

static void test_expect(void **state)
{
	struct http_fixture *f = *state;
	int fd = http_fixture_connect(f);
	char *a;

	http_fixture_say(fd, "POST /echo HTTP/1.1\r\n" HOST
			     "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
	a = http_fixture_hear(fd, "\r\n\r\n");
	assert_string_equal(a, "HTTP/1.1 100 Continue\r\n\r\n");
	mem_free(a);
	http_fixture_say(fd, "abc");
	a = http_fixture_hear(fd, "abc");
	assert_int_equal(http_fixture_status(a), 200);
	mem_free(a);
	/* the body came along: no 100 */
	http_fixture_say(fd, "POST /echo HTTP/1.1\r\n" HOST
			     "Expect: 100-continue\r\nContent-Length: 3\r\n\r\ndef");
	a = http_fixture_hear(fd, "def");
	assert_int_equal(http_fixture_status(a), 200);
	mem_free(a);
	http_fixture_say(fd, "POST /echo HTTP/1.1\r\n" HOST
			     "Expect: 100-continue\r\nContent-Length: 3000000\r\n\r\n");
	a = http_fixture_hear(fd, NULL);
	assert_int_equal(http_fixture_status(a), 413);
	mem_free(a);
	close(fd);
}

static void test_keep_alive_and_stream(void **state)
{
	struct http_fixture *f = *state;
	int fd = http_fixture_connect(f);
	char *a;

	for (int i = 0; i < 10; i++) {
		http_fixture_say(fd, "GET /stream?n=3 HTTP/1.1\r\n" HOST "\r\n");
		a = http_fixture_hear(fd, "\r\n0\r\n\r\n");
		assert_non_null(strstr(a, "Transfer-Encoding: chunked\r\n"));
		assert_non_null(strstr(a, "\r\n\r\n7\r\nline 3\n\r\n7\r\nline 2\n\r\n7\r\nline "
					  "1\n\r\n0\r\n\r\n"));
		mem_free(a);
	}
	http_fixture_say(fd, "HEAD /stream?n=3 HTTP/1.1\r\n" HOST "\r\n");
	a = http_fixture_hear(fd, "\r\n\r\n");
	mem_free(a);
	http_fixture_say(fd, "GET /hello HTTP/1.1\r\n" HOST
			     "\r\n"); /* nothing of the stream is in between */
	a = http_fixture_hear(fd, "hello\n");
	assert_int_equal(strncmp(a, "HTTP/1.1 200 OK\r\n", 17), 0);
	mem_free(a);
	assert_int_equal(atomic_load(&f->gone), 0);
	close(fd);
}

/* A client that leaves, in each state of its request. */
static void test_gone(void **state)
{
	static const char *const targets[] = {"/never", "/stream?n=1000000", "/later?ms=100000"};
	struct http_fixture *f = *state;
	int fd;

	for (size_t i = 0; i < ARRAY_SIZE(targets) * 2; i++) {
		char rq[128];
		int r = atomic_load(&f->requests);

		fd = http_fixture_connect(f);
		snprintf(rq, sizeof(rq), "GET %s HTTP/1.1\r\n" HOST "\r\n", targets[i / 2]);
		http_fixture_say(fd, rq);
		assert_int_equal(http_fixture_await(&f->requests, r + 1), r + 1);
		if (i % 2)
			shutdown(fd, SHUT_WR);
		else
			close(fd);
		assert_int_equal(http_fixture_await(&f->gone, (int)i + 1), (int)i + 1);
		if (i % 2)
			close(fd);
	}
	/* without an on_gone the handler answers into the void */
	fd = http_fixture_connect(f);
	http_fixture_say(fd, "GET /orphan?ms=50 HTTP/1.1\r\n" HOST "\r\n");
	assert_int_equal(http_fixture_await(&f->requests, 7), 7);
	close(fd);
	assert_int_equal(http_fixture_await(&f->open, 0), 0);
	assert_int_equal(atomic_load(&f->gone), 6);
	/* in the middle of a head and of a body: no request at all */
	fd = http_fixture_connect(f);
	http_fixture_say(fd, "GET /hel");
	close(fd);
	fd = http_fixture_connect(f);
	http_fixture_say(fd, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\nabc");
	close(fd);
	fd = http_fixture_connect(f);
	http_fixture_say(fd,
			 "GET /never HTTP/1.1\r\n" HOST "\r\nGET /hello HTTP/1.1\r\n" HOST "\r\n");
	assert_int_equal(http_fixture_await(&f->requests, 8), 8);
	close(fd); /* with a request waiting behind: gone when the write fails, or at the stop */
}

/* Pipelined and half-closed: all are answered that can be at once. */
static void test_half_close_pipelined(void **state)
{
	struct http_fixture *f = *state;
	int fd = http_fixture_connect(f);
	char *a;

	http_fixture_say(fd, "GET /later?ms=20 HTTP/1.1\r\n" HOST
			     "\r\nGET /echo?q=2 HTTP/1.1\r\n" HOST "\r\n");
	shutdown(fd, SHUT_WR);
	a = http_fixture_hear(fd, NULL);
	assert_non_null(strstr(a, "later\n"));
	assert_non_null(strstr(a, "q=2"));
	mem_free(a);
	close(fd);
}

static void test_slow_reader(void **state)
{
	struct http_fixture *f = *state;
	int fd = http_fixture_connect(f);
	char *a;

	http_fixture_say(fd, "GET /flood HTTP/1.1\r\n" HOST "\r\n");
	assert_int_equal(http_fixture_await(&f->gone, 1), 1); /* cut, though it still listens */
	close(fd);
	fd = http_fixture_connect(f);
	http_fixture_say(fd, "GET /drain?n=50 HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
	a = http_fixture_hear(fd, NULL); /* 3 MiB through a buffer of 256 KiB */
	assert_int_equal(atomic_load(&f->drains), 51);
	mem_free(a);
	close(fd);
}

static void test_flush_time_out(void **state)
{
	struct http_fixture *f = *state;
	int fd;
	char *a;

	f->opts.idle_ms = 100;
	http_fixture_start(f);
	fd = http_fixture_connect(f);
	http_fixture_say(fd, "GET /big?n=20000000 HTTP/1.1\r\n" HOST "\r\n");
	a = http_fixture_hear(fd, "x"); /* and no more: nothing moves */
	mem_free(a);
	for (int64_t end = clock_mono_ms() + 5000; clock_mono_ms() < end;) {
		a = http_fixture_exchange(f, grammar[0].bytes, strlen(grammar[0].bytes), 1000);
		mem_free(a);
		if (atomic_load(&f->connections) == 1)
			break;
	}
	assert_int_equal(atomic_load(&f->connections), 1);
	close(fd);
}

static void test_time_outs(void **state)
{
	struct http_fixture *f = *state;
	int idle, head, body;
	int64_t t;
	char *a;

	f->opts.idle_ms = 60;
	f->opts.head_ms = 120;
	http_fixture_start(f);
	t = clock_mono_ms();
	idle = http_fixture_connect(f);
	head = http_fixture_connect(f);
	body = http_fixture_connect(f);
	http_fixture_say(head, "GET /hel");
	http_fixture_say(body, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\nabc");
	a = http_fixture_hear(idle, NULL);
	assert_string_equal(a, "");
	assert_in_range(clock_mono_ms() - t, 59, 3000);
	mem_free(a);
	a = http_fixture_hear(head, NULL);
	assert_int_equal(http_fixture_status(a), 408);
	assert_in_range(clock_mono_ms() - t, 119, 3000);
	mem_free(a);
	a = http_fixture_hear(body, NULL);
	assert_int_equal(http_fixture_status(a), 408);
	mem_free(a);
	close(idle);
	idle = http_fixture_connect(f); /* an idle time-out after a request, too */
	http_fixture_say(idle,
			 "GET /later?ms=200 HTTP/1.1\r\n" HOST "\r\n"); /* and none during it */
	a = http_fixture_hear(idle, NULL);
	assert_non_null(strstr(a, "later\n"));
	mem_free(a);
	close(idle);
	close(head);
	close(body);
}

static long cpu_us(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000L + u.ru_utime.tv_usec +
	       u.ru_stime.tv_usec;
}

static long rss_kib(void)
{
	long size = 0, rss = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	assert_int_equal(fscanf(f, "%ld %ld", &size, &rss), 2);
	fclose(f);
	return rss * (sysconf(_SC_PAGESIZE) / 1024);
}

static void test_many_idle(void **state)
{
	enum { N = 1000 };
	struct http_fixture *f = *state;
	struct rlimit lim;
	int *fds = malloc(N * sizeof(*fds));
	long rss;
	char *a;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &lim), 0);
	lim.rlim_cur = lim.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &lim), 0);
	if (lim.rlim_cur < 2 * N + 100)
		skip();
	rss = rss_kib();
	for (int i = 0; i < N; i++) {
		fds[i] = http_fixture_connect(f);
		http_fixture_say(fds[i], "GET /hello HTTP/1.1\r\n" HOST "\r\n");
		a = http_fixture_hear(fds[i], "hello\n");
		mem_free(a);
	}
	assert_int_equal(atomic_load(&f->connections), N);
	rss = rss_kib() - rss;
	print_message("1000 idle connections: %ld KiB\n", rss);
#ifndef AICTL_SANITIZED
	assert_true(rss < 4096);
#endif
	a = http_fixture_exchange(f, grammar[0].bytes, strlen(grammar[0].bytes), 1000);
	assert_int_equal(http_fixture_status(a), 200);
	mem_free(a);
	for (int i = 0; i < N; i++)
		close(fds[i]);
	free(fds);
}

/* Without descriptors the server waits, and does not spin. */
static void test_no_descriptors(void **state)
{
	struct http_fixture *f = *state;
	struct rlimit lim, low;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), top;
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	long cpu;
	char *a;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", f->path);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &lim), 0);
	top = open("/dev/null", O_RDONLY | O_CLOEXEC);
	low = lim;
	low.rlim_cur = (rlim_t)top + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	cpu = cpu_us();
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	http_fixture_say(fd, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
	{
		struct pollfd p = {.fd = fd, .events = POLLIN};

		assert_int_equal(poll(&p, 1, 300), 0);
	}
	assert_true(cpu_us() - cpu < 150000);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &lim), 0);
	a = http_fixture_hear(fd, "hello\n");
	assert_int_equal(http_fixture_status(a), 200);
	mem_free(a);
	close(fd);
	close(top);
}

/* Each allocation fails once: the server may drop that client, and serves the next. */
static void test_out_of_memory(void **state)
{
	struct http_fixture *f = *state;
	char *a;

	for (unsigned long n = 1; n < 30; n++) {
		int fd = http_fixture_connect(f);
		char junk[65536];
		struct pollfd p = {.fd = fd, .events = POLLIN};

		mem_fail_after(n);
		http_fixture_say(fd,
				 "POST /hello?a=b HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc"
				 "GET /hello HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
		while (poll(&p, 1, 5000) == 1 && recv(fd, junk, sizeof(junk), 0) > 0)
			;
		mem_fail_after(0);
		close(fd);
		a = http_fixture_exchange(f, grammar[0].bytes, strlen(grammar[0].bytes), 1000);
		assert_int_equal(http_fixture_status(a), 200);
		mem_free(a);
	}
}

/* Stopped with everything under way: see tear_down. */
static void test_stop(void **state)
{
	static const char *const bytes[] = {
		"",
		"GET /hel",
		"GET /never HTTP/1.1\r\n" HOST "\r\n",
		"GET /orphan?ms=20 HTTP/1.1\r\n" HOST "\r\n",
		"GET /stream?n=1000000 HTTP/1.1\r\n" HOST "\r\n",
		"GET /big?n=20000000 HTTP/1.1\r\n" HOST "\r\n",
		"GET /hello HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n",
	};
	struct http_fixture *f = *state;
	int fds[ARRAY_SIZE(bytes)];

	for (size_t i = 0; i < ARRAY_SIZE(bytes); i++) {
		fds[i] = http_fixture_connect(f);
		http_fixture_say(fds[i], bytes[i]);
	}
	assert_int_equal(http_fixture_await(&f->requests, 5), 5);
	uv_async_send(&f->stop);
	for (size_t i = 0; i < ARRAY_SIZE(bytes); i++) {
		mem_free(http_fixture_hear(fds[i], NULL));
		close(fds[i]);
	}
	assert_int_equal(http_fixture_await(&f->gone, 2), 2);
	/* the handle of `stop` is closed: tear_down must not send again */
	uv_thread_join(&f->thread);
	f->joined = true;
}

static void test_tcp(void **state)
{
	struct http_fixture *f = *state;
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), c;
	char *text;

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	http_fixture_start_on(f, fd);
	for (int i = 0; i < 2; i++) { /* an error answer survives what was not read */
		c = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(c, (struct sockaddr *)&a, sizeof(a)), 0);
		if (i == 0) {
			http_fixture_say(c, grammar[0].bytes);
		} else {
			static char body[300000];

			http_fixture_say(c, "POST /echo HTTP/1.1\r\n" HOST
					    "Content-Length: 2000000\r\n\r\n");
			http_fixture_put(c, body, sizeof(body));
		}
		text = http_fixture_hear(c, NULL);
		assert_int_equal(http_fixture_status(text), i ? 413 : 200);
		mem_free(text);
		close(c);
	}
}

#define STARTED(t) cmocka_unit_test_setup_teardown(t, set_up_started, tear_down)
#define FRESH(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STARTED(test_grammar),
		STARTED(test_limits),
		STARTED(test_pipelining),
		STARTED(test_expect),
		STARTED(test_keep_alive_and_stream),
		STARTED(test_gone),
		STARTED(test_half_close_pipelined),
		STARTED(test_slow_reader),
		FRESH(test_flush_time_out),
		FRESH(test_time_outs),
		STARTED(test_many_idle),
		STARTED(test_no_descriptors),
		STARTED(test_out_of_memory),
		STARTED(test_stop),
		FRESH(test_tcp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
