/* test_http_client: the CLI's client against http_server and against peers that misbehave. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/http_client.h"
#include "lib/mem.h"
#include "lib/sock.h"
#include "tests/unit/http_fixture.h"

static struct http_client_request get(const char *target)
{
	return (struct http_client_request){
		.method = "GET", .target = target, .deadline_mono_ms = clock_mono_ms() + 5000};
}

static void test_call(void **state)
{
	struct http_fixture f;
	struct http_client *c;
	struct http_client_request rq;
	struct http_client_answer a;
	int fd = -1;

	(void)state;
	http_fixture_init(&f);
	http_fixture_start(&f);
	assert_int_equal(http_client_new(f.path, &c, NULL), 0);
	for (int i = 0; i < 50; i++) {
		rq = get("/hello");
		assert_int_equal(http_client_call(c, &rq, &a, NULL), 0);
		assert_int_equal(a.status, 200);
		assert_string_equal(a.body, "hello\n");
		mem_free(a.body);
		if (i > 0)
			assert_int_equal(http_client_fd(c), fd); /* the same connection */
		fd = http_client_fd(c);
	}
	rq = get("/echo?q=a%20b&q=c");
	rq.method = "POST";
	rq.body = "{\"x\":1}";
	rq.body_len = 7;
	assert_int_equal(http_client_call(c, &rq, &a, NULL), 0);
	assert_string_equal(a.body, "POST /echo q=a b q=c x=- {\"x\":1}");
	mem_free(a.body);
	rq = get("/big?n=5000000");
	assert_int_equal(http_client_call(c, &rq, &a, NULL), 0);
	assert_int_equal(a.len, 5000000);
	mem_free(a.body);
	rq.body_max = 1000;
	assert_int_equal(http_client_call(c, &rq, &a, NULL), -ERR_INVALID);
	rq = get("/empty");
	assert_int_equal(http_client_call(c, &rq, &a, NULL), 0);
	assert_int_equal(a.status, 204);
	mem_free(a.body);
	rq = get("/hello");
	rq.method = "HEAD";
	assert_int_equal(http_client_call(c, &rq, &a, NULL), 0);
	assert_int_equal(a.len, 0);
	mem_free(a.body);
	http_client_free(c);
	http_fixture_stop(&f);
}

static void test_big_body(void **state)
{
	struct http_fixture f;
	struct http_client *c;
	struct http_client_request rq;
	struct http_client_answer a;
	char *body = malloc(3u << 20);

	(void)state;
	memset(body, 'y', 3u << 20);
	http_fixture_init(&f);
	http_fixture_start(&f);
	assert_int_equal(http_client_new(f.path, &c, NULL), 0);
	rq = get("/echo");
	rq.method = "PUT";
	rq.body = body;
	rq.body_len = 900000;
	assert_int_equal(http_client_call(c, &rq, &a, NULL), 0);
	assert_int_equal(a.status, 200);
	assert_int_equal(a.len, strlen("PUT /echo x=- ") + 900000);
	mem_free(a.body);
	rq.body_len = 3u << 20; /* refused before it is sent */
	assert_int_equal(http_client_call(c, &rq, &a, NULL), 0);
	assert_int_equal(a.status, 413);
	assert_non_null(strstr(a.body, "\"too_large\""));
	mem_free(a.body);
	http_client_free(c);
	http_fixture_stop(&f);
	free(body);
}

static void test_stream(void **state)
{
	struct http_fixture f;
	struct http_client *c;
	struct http_client_request rq = get("/stream?n=20");
	const char *line, *data;
	char want[32];
	int status, r;
	size_t len;

	(void)state;
	http_fixture_init(&f);
	http_fixture_start(&f);
	assert_int_equal(http_client_new(f.path, &c, NULL), 0);
	assert_int_equal(http_client_begin(c, &rq, &status, NULL), 0);
	for (int i = 20; i > 0; i--) {
		while ((r = http_client_line(c, 0, &line, NULL)) == -ERR_TIMEOUT) {
			struct pollfd p = {.fd = http_client_fd(c), .events = POLLIN};

			assert_int_equal(poll(&p, 1, 5000), 1);
		}
		assert_int_equal(r, 1);
		snprintf(want, sizeof(want), "line %d", i);
		assert_string_equal(line, want);
	}
	assert_int_equal(http_client_line(c, clock_mono_ms() + 5000, &line, NULL), 0);
	assert_int_equal(http_client_line(c, clock_mono_ms() + 5000, &line, NULL), 0);

	rq = get("/drain?n=3"); /* the same connection, by bytes */
	assert_int_equal(http_client_begin(c, &rq, &status, NULL), 0);
	for (size_t sum = 0;; sum += len) {
		r = http_client_read(c, clock_mono_ms() + 5000, &data, &len, NULL);
		if (r == 0) {
			assert_int_equal(sum, 3 * 65536);
			break;
		}
		assert_int_equal(r, 1);
	}
	rq = get("/never"); /* an abandoned answer does not spoil the next request */
	rq.deadline_mono_ms = clock_mono_ms() + 50;
	assert_int_equal(http_client_begin(c, &rq, &status, NULL), -ERR_TIMEOUT);
	rq = get("/stream?n=1000");
	assert_int_equal(http_client_begin(c, &rq, &status, NULL), 0);
	assert_int_equal(http_client_line(c, clock_mono_ms() + 5000, &line, NULL), 1);
	rq = get("/hello");
	assert_int_equal(http_client_begin(c, &rq, &status, NULL), 0);
	assert_int_equal(http_client_line(c, clock_mono_ms() + 5000, &line, NULL), 1);
	assert_string_equal(line, "hello");
	assert_int_equal(http_fixture_await(&f.gone, 2), 2);
	http_client_free(c);
	http_fixture_stop(&f);
}

/* The server drops kept connections when idle: nobody notices. */
static void test_stale(void **state)
{
	struct http_fixture f;
	struct http_client *c;
	struct http_client_request rq;
	struct http_client_answer a;

	(void)state;
	http_fixture_init(&f);
	f.opts.idle_ms = 20;
	http_fixture_start(&f);
	assert_int_equal(http_client_new(f.path, &c, NULL), 0);
	for (int i = 0; i < 3; i++) {
		struct pollfd p;

		rq = get("/hello");
		assert_int_equal(http_client_call(c, &rq, &a, NULL), 0);
		mem_free(a.body);
		p = (struct pollfd){.fd = http_client_fd(c), .events = POLLIN};
		assert_int_equal(poll(&p, 1, 5000), 1); /* closed by the server */
	}
	http_client_free(c);
	http_fixture_stop(&f);
}

static void test_unreachable(void **state)
{
	_cleanup_err_ struct err *e = NULL;
	struct http_client *c;
	struct http_client_request rq = get("/");
	struct http_client_answer a;

	(void)state;
	assert_int_equal(http_client_new("/nonexistent/aictl.sock", &c, NULL), 0);
	assert_int_equal(http_client_call(c, &rq, &a, &e), -ERR_UNREACHABLE);
	assert_non_null(strstr(err_msg(e), "/nonexistent/aictl.sock"));
	assert_int_equal(http_client_fd(c), -1);
	http_client_free(c);
}

struct peer {
	int listen_fd;
	const char *answer[4]; /* one per connection; NULL: none, and the connection stays open */
	atomic_int accepted;
};

/* Accepts, reads a request, sends the canned bytes, closes. Ends with the listener. */
static void peer_run(void *arg)
{
	struct peer *p = arg;
	char junk[4096];

	for (size_t i = 0;; i++) {
		int fd = accept4(p->listen_fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			return;
		atomic_fetch_add(&p->accepted, 1);
		if (recv(fd, junk, sizeof(junk), 0) > 0 && i < 4 && p->answer[i]) {
			send(fd, p->answer[i], strlen(p->answer[i]), MSG_NOSIGNAL);
		} else {
			while (recv(fd, junk, sizeof(junk), 0) > 0)
				;
		}
		close(fd);
	}
}

/* Calls once against the canned answer; returns the code. */
static int against(struct peer *p, int64_t ms, struct http_client_answer *a, char *msg, size_t n)
{
	_cleanup_err_ struct err *e = NULL;
	char dir[] = "/tmp/aictl-test-peer-XXXXXX", path[64];
	struct http_client_request rq = get("/");
	struct http_client *c;
	uv_thread_t t;
	int r, flags;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	assert_int_equal(sock_listen(path, 0600, (gid_t)-1, 8, &p->listen_fd, NULL), 0);
	flags = fcntl(p->listen_fd, F_GETFL);
	assert_int_equal(fcntl(p->listen_fd, F_SETFL, flags & ~O_NONBLOCK), 0);
	assert_int_equal(uv_thread_create(&t, peer_run, p), 0);
	assert_int_equal(http_client_new(path, &c, NULL), 0);
	rq.deadline_mono_ms = clock_mono_ms() + ms;
	r = http_client_call(c, &rq, a, &e);
	snprintf(msg, n, "%s", err_msg(e));
	http_client_free(c);
	shutdown(p->listen_fd, SHUT_RDWR);
	uv_thread_join(&t);
	close(p->listen_fd);
	unlink(path);
	rmdir(dir);
	return r;
}

static void test_bad_peers(void **state)
{
	static const struct {
		const char *answer;
		int want;
		const char *says;
	} cases[] = {
		{"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", -ERR_UNREACHABLE,
		 "in the middle"},
		{"", -ERR_UNREACHABLE, "before an answer"},
		{"SSH-2.0-OpenSSH\r\n", -ERR_INVALID, "does not speak HTTP"},
		{NULL, -ERR_TIMEOUT, "in time"},
		{"HTTP/1.1 200 OK\r\n\r\nuntil the end", 0, ""},
		{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok",
		 0, ""},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
		 -ERR_UNREACHABLE, "in the middle"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct peer p = {.answer = {cases[i].answer}};
		struct http_client_answer a = {0};
		char msg[256];
		int64_t begin = clock_mono_ms();

		print_message("case %zu\n", i);
		assert_int_equal(against(&p, cases[i].answer ? 5000 : 100, &a, msg, sizeof(msg)),
				 cases[i].want);
		assert_true(clock_mono_ms() - begin < 4000);
		if (cases[i].want != 0)
			assert_non_null(strstr(msg, cases[i].says));
		mem_free(a.body);
	}
}

static void test_upgrade(void **state)
{
	_cleanup_buf_ struct buf early = {0};
	struct http_fixture f;
	struct http_client *c;
	struct http_client_request rq = get("/upgrade");
	struct http_client_answer a;
	int status, fd;
	char data[8];

	(void)state;
	http_fixture_init(&f);
	http_fixture_start(&f);
	assert_int_equal(http_client_new(f.path, &c, NULL), 0);
	rq.upgrade = "another";
	assert_int_equal(http_client_call(c, &rq, &a, NULL), 0);
	assert_int_equal(a.status, 426); /* an answer like any other */
	assert_non_null(strstr(a.body, "upgrade_required"));
	mem_free(a.body);
	rq.upgrade = "echo";
	rq.method = "POST";
	rq.body = "{}";
	rq.body_len = 2;
	assert_int_equal(http_client_begin(c, &rq, &status, NULL), 0);
	assert_int_equal(status, 101);
	fd = http_client_take(c, &early);
	while (early.len == 0 || early.data[early.len - 1] != '|') {
		ssize_t n = recv(fd, data, sizeof(data), 0);

		assert_true(n > 0);
		buf_append(&early, data, (size_t)n);
	}
	assert_string_equal(early.data, "|"); /* in the head's segment or behind it */
	http_fixture_say(fd, "mine");
	assert_int_equal(recv(fd, data, 4, MSG_WAITALL), 4);
	assert_memory_equal(data, "mine", 4);
	assert_int_equal(http_client_fd(c), -1);
	close(fd);
	rq = get("/hello"); /* on a new connection */
	assert_int_equal(http_client_call(c, &rq, &a, NULL), 0);
	assert_string_equal(a.body, "hello\n");
	mem_free(a.body);
	rq = get("/hello"); /* a server that does not change */
	rq.upgrade = "echo";
	assert_int_equal(http_client_begin(c, &rq, &status, NULL), 0);
	assert_int_equal(status, 200);
	http_client_free(c);
	http_fixture_stop(&f);
}

static void test_escape(void **state)
{
	_cleanup_buf_ struct buf b = {0};

	(void)state;
	http_client_escape(&b, "a b/c&d=\xc3\xa9~");
	assert_string_equal(buf_cstr(&b), "a%20b%2Fc%26d%3D%C3%A9~");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_call),	    cmocka_unit_test(test_big_body),
		cmocka_unit_test(test_stream),	    cmocka_unit_test(test_stale),
		cmocka_unit_test(test_unreachable), cmocka_unit_test(test_bad_peers),
		cmocka_unit_test(test_upgrade),	    cmocka_unit_test(test_escape),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
