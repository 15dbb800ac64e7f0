/*
 * http_fixture: see http_fixture.h. Paths:
 *   /hello      "hello\n", also what /a%20b and the like fall back to: 404 with the path as body
 *   /echo       method, path, every `q`, header X-Test and the body
 *   /later      answered after ?ms=
 *   /never      not answered; counts on_gone
 *   /orphan     answered after ?ms= without an on_gone
 *   /stream     ?n= lines by chunks, one a millisecond
 *   /flood      writes until the stream is cut
 *   /drain      ?n= blocks of 64 KiB, each when the one before is taken
 *   /big        ?n= bytes at once
 *   /upgrade    to "echo": says what came early, then echoes until the end; ?ms= later
 */
/* SPDX-License-Identifier: MIT */
#include "tests/unit/http_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/mem.h"
#include "lib/parse.h"
#include "lib/sock.h"

/* A request that is answered later. */
struct fixture_wait {
	uv_timer_t timer; /* data: the wait */
	struct http_fixture *f;
	struct http_request *r;
	int64_t left;
};

static int64_t number(const struct http_request *r, const char *name, int64_t otherwise)
{
	const char *s = http_request_query(r, name);
	int64_t n = otherwise;

	if (s)
		assert_int_equal(parse_i64(s, 0, INT32_MAX, &n, NULL), 0);
	return n;
}

static void on_wait_closed(uv_handle_t *h)
{
	struct fixture_wait *w = h->data;

	atomic_fetch_sub(&w->f->open, 1);
	mem_free(w);
}

static void wait_end(struct fixture_wait *w)
{
	uv_close((uv_handle_t *)&w->timer, on_wait_closed);
}

static void on_gone(struct http_request *r, void *user)
{
	struct fixture_wait *w = user;

	atomic_fetch_add(&w->f->gone, 1);
	http_request_forget(r);
	wait_end(w);
}

static struct fixture_wait *wait_new(struct http_fixture *f, struct http_request *r)
{
	struct fixture_wait *w = mem_alloc(sizeof(*w));

	assert_non_null(w);
	atomic_fetch_add(&f->open, 1);
	w->f = f;
	w->r = r;
	uv_timer_init(&f->loop, &w->timer);
	w->timer.data = w;
	http_request_set_user(r, w, on_gone);
	return w;
}

/* The other protocol: lines of what came, blocking, for at most five seconds. */
static void upgrade(struct http_fixture *f, struct http_request *r)
{
	_cleanup_buf_ struct buf early = {0};
	int fd = -1;
	char data[64];
	ssize_t n;

	if (!http_upgrade_wanted(r, "echo")) {
		http_upgrade_required(r, "echo");
		return;
	}
	if (http_upgrade(r, "echo", &early, &fd) < 0) {
		atomic_fetch_add(&f->gone, 1);
		return;
	}
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	buf_str(&early, "|");
	assert_int_equal(send(fd, early.data, early.len, MSG_NOSIGNAL), early.len);
	while (poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 5000) > 0 &&
	       (n = recv(fd, data, sizeof(data), 0)) > 0)
		assert_int_equal(send(fd, data, (size_t)n, MSG_NOSIGNAL), n);
	close(fd);
}

static void on_later(uv_timer_t *t)
{
	struct fixture_wait *w = t->data;

	if (strcmp(http_request_path(w->r), "/upgrade") == 0)
		upgrade(w->f, w->r);
	else
		http_reply(w->r, 200, "text/plain", "later\n", 6);
	wait_end(w);
}

static void on_tick_taken(struct http_request *r, void *user)
{
	(void)user;
	assert_int_equal(http_stream_pending(r), 0);
}

static void on_stream_tick(uv_timer_t *t)
{
	struct fixture_wait *w = t->data;
	char line[32];
	int n = snprintf(line, sizeof(line), "line %lld\n", (long long)w->left);

	if (w->left-- > 0) {
		(void)http_stream_write(w->r, line, (size_t)n);
		http_stream_on_drain(w->r, on_tick_taken);
		return;
	}
	http_stream_end(w->r);
	wait_end(w);
}

static void on_drained(struct http_request *r, void *user)
{
	static const char block[65536];
	struct fixture_wait *w = user;

	atomic_fetch_add(&w->f->drains, 1);
	assert_int_equal(http_stream_pending(r), 0);
	if (w->left-- > 0) {
		if (http_stream_write(r, block, sizeof(block)))
			http_stream_on_drain(r, on_drained);
		return;
	}
	http_stream_end(r);
	wait_end(w);
}

static void flood(struct http_request *r)
{
	static const char block[16384];

	http_stream_begin(r, 200, "application/octet-stream");
	for (int i = 0; i < 100000 && http_stream_write(r, block, sizeof(block)); i++)
		;
	http_stream_on_drain(r, on_drained); /* in vain: it was cut */
}

static void echo(struct http_request *r)
{
	_cleanup_buf_ struct buf b = {0};
	const char *v, *body;
	size_t len;

	buf_printf(&b, "%s %s", http_request_method(r), http_request_path(r));
	for (size_t i = 0; (v = http_request_query_nth(r, "q", i)); i++)
		buf_printf(&b, " q=%s", v);
	v = http_request_header(r, "X-TEST");
	buf_printf(&b, " x=%s ", v ? v : "-");
	body = http_request_body(r, &len);
	buf_append(&b, body, len);
	http_reply(r, 200, "text/plain", b.data, b.len);
}

static void big(struct http_request *r)
{
	_cleanup_buf_ struct buf b = {0};
	size_t n = (size_t)number(r, "n", 1);

	memset(buf_reserve(&b, n), 'x', n);
	http_reply(r, 200, "text/plain", b.data, n);
}

static void start_wait(struct http_fixture *f, struct http_request *r, const char *path)
{
	struct fixture_wait *w = wait_new(f, r);

	w->left = number(r, "n", 3);
	if (strcmp(path, "/upgrade") == 0) {
		uv_timer_start(&w->timer, on_later, (uint64_t)number(r, "ms", 0), 0);
	} else if (strcmp(path, "/later") == 0 || strcmp(path, "/orphan") == 0) {
		uv_timer_start(&w->timer, on_later, (uint64_t)number(r, "ms", 10), 0);
		if (path[1] == 'o')
			http_request_set_user(r, NULL, NULL);
	} else if (strcmp(path, "/stream") == 0) {
		http_stream_begin(r, 200, NULL);
		uv_timer_start(&w->timer, on_stream_tick, 1, 1);
	} else if (strcmp(path, "/drain") == 0) {
		http_stream_begin(r, 200, NULL);
		http_stream_on_drain(r, on_drained);
	} else if (strcmp(path, "/flood") == 0) {
		flood(r);
	}
}

static void on_request(struct http_request *r, void *user)
{
	static const char *const waits[] = {"/upgrade", "/later", "/orphan", "/stream",
					    "/drain",	"/flood", "/never"};
	struct http_fixture *f = user;
	const char *path = http_request_path(r);

	atomic_fetch_add(&f->requests, 1);
	atomic_store(&f->connections, (int)http_server_connections(f->server));
	assert_true(http_request_fd(r) >= 0);
	if (strcmp(path, "/upgrade") == 0 && !http_request_query(r, "ms")) {
		upgrade(f, r);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(waits); i++) {
		if (strcmp(path, waits[i]) == 0) {
			start_wait(f, r, path);
			return;
		}
	}
	if (strcmp(path, "/hello") == 0)
		http_reply(r, 200, "text/plain", "hello\n", 6);
	else if (strcmp(path, "/echo") == 0)
		echo(r);
	else if (strcmp(path, "/big") == 0)
		big(r);
	else if (strcmp(path, "/empty") == 0)
		http_reply(r, 204, NULL, NULL, 0);
	else
		http_reply(r, 404, "text/plain", path, strlen(path));
}

static void on_stop(uv_async_t *a)
{
	struct http_fixture *f = a->data;

	http_server_close(f->server, NULL, NULL);
	uv_close((uv_handle_t *)a, NULL);
}

static void run(void *arg)
{
	struct http_fixture *f = arg;

	uv_run(&f->loop, UV_RUN_DEFAULT);
	f->loop_close = uv_loop_close(&f->loop);
}

void http_fixture_init(struct http_fixture *f)
{
	memset(f, 0, sizeof(*f));
	f->opts = (struct http_server_opts){
		.body_max = 1u << 20,
		.connections_max = 2000,
		.idle_ms = 60000,
		.head_ms = 10000,
		.stream_buffer_max = 256u * 1024u,
		.on_request = on_request,
		.user = f,
	};
	snprintf(f->dir, sizeof(f->dir), "/tmp/aictl-test-http-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/s", f->dir);
	signal(SIGPIPE, SIG_IGN);
}

void http_fixture_start_on(struct http_fixture *f, int listen_fd)
{
	assert_int_equal(uv_loop_init(&f->loop), 0);
	uv_async_init(&f->loop, &f->stop, on_stop);
	f->stop.data = f;
	assert_int_equal(http_server_new(&f->loop, listen_fd, &f->opts, &f->server, NULL), 0);
	assert_int_equal(uv_thread_create(&f->thread, run, f), 0);
}

void http_fixture_start(struct http_fixture *f)
{
	int fd;

	assert_int_equal(sock_listen(f->path, 0600, (gid_t)-1, 512, &fd, NULL), 0);
	http_fixture_start_on(f, fd);
}

void http_fixture_stop(struct http_fixture *f)
{
	if (!f->joined) {
		uv_async_send(&f->stop);
		uv_thread_join(&f->thread);
	}
	unlink(f->path);
	rmdir(f->dir);
	assert_int_equal(f->loop_close, 0);
	assert_int_equal(atomic_load(&f->open), 0);
}

int http_fixture_connect(const struct http_fixture *f)
{
	int fd;

	assert_int_equal(sock_connect(f->path, 5000, &fd, NULL), 0);
	return fd;
}

int http_fixture_await(atomic_int *v, int want)
{
	int64_t end = clock_mono_ms() + 5000;

	while (atomic_load(v) != want && clock_mono_ms() < end)
		usleep(1000);
	return atomic_load(v);
}

void http_fixture_put(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t k = send(fd, p, n, MSG_NOSIGNAL);

		if (k <= 0)
			return; /* the server may close early */
		p += k;
		n -= (size_t)k;
	}
}

void http_fixture_say(int fd, const char *text)
{
	http_fixture_put(fd, text, strlen(text));
}

/* Reads until `until` is in what came (NULL: the end), at most five seconds. */
char *http_fixture_hear(int fd, const char *until)
{
	struct buf b = {0};
	int64_t end = clock_mono_ms() + 5000;

	while (!until || !strstr(buf_cstr(&b), until)) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ssize_t n;

		if (poll(&p, 1, (int)(end - clock_mono_ms())) <= 0)
			fail_msg("nothing more after: %s", buf_cstr(&b));
		n = recv(fd, buf_reserve(&b, 65536), 65536, 0);
		buf_added(&b, n > 0 ? (size_t)n : 0);
		if (n <= 0)
			break;
	}
	return buf_take(&b);
}

char *http_fixture_exchange(struct http_fixture *f, const char *bytes, size_t n, size_t step)
{
	int fd = http_fixture_connect(f);
	char *answer;

	for (size_t at = 0; at < n; at += step)
		http_fixture_put(fd, bytes + at, n - at < step ? n - at : step);
	answer = http_fixture_hear(fd, NULL);
	close(fd);
	return answer;
}

int http_fixture_status(const char *answer)
{
	int status = 0;

	sscanf(answer, "HTTP/1.1 %d", &status);
	return status;
}
