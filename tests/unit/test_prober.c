/*
 * test_prober: single probes against a server on loopback that answers well, badly, slowly, without
 * end or not at all, chosen by path (a thread for each connection).
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include "daemon/controller/prober.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/mem.h"

#define CONNS_MAX 8192

struct evil {
	int fd;
	unsigned port;
	uv_thread_t acceptor, threads[CONNS_MAX];
	size_t n_threads;
	atomic_int open, open_max;
	char last_head[4096]; /* of the last /ok request */
	uv_mutex_t lock;
};

struct evil_conn {
	struct evil *evil;
	int fd;
};

static void say(int fd, const char *text)
{
	(void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
}

static void until_closed(int fd)
{
	char junk[256];

	while (recv(fd, junk, sizeof(junk), 0) > 0)
		;
}

static void say_many(int fd, const char *text, int64_t times, unsigned pause_us)
{
	while (times-- > 0 && send(fd, text, strlen(text), MSG_NOSIGNAL) > 0)
		if (pause_us)
			usleep(pause_us);
}

static void answer(struct evil *e, int fd, const char *head)
{
	static char kib[1025];
	char path[64] = "";

	memset(kib, 'x', 1024);
	sscanf(head, "GET %63s", path);
	if (strcmp(path, "/ok") == 0) {
		uv_mutex_lock(&e->lock);
		snprintf(e->last_head, sizeof(e->last_head), "%s", head);
		uv_mutex_unlock(&e->lock);
		say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	} else if (strcmp(path, "/204") == 0) {
		say(fd, "HTTP/1.1 204 No Content\r\n\r\n");
	} else if (strcmp(path, "/500") == 0) {
		say(fd, "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n");
	} else if (strcmp(path, "/302") == 0) {
		say(fd, "HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\nContent-Length: "
			"0\r\n\r\n");
	} else if (strcmp(path, "/slow") == 0) {
		say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n");
		say_many(fd, "x", 10000, 2000);
	} else if (strcmp(path, "/slowhead") == 0) {
		say(fd, "HTTP/1.1 200 OK\r\nX: ");
		say_many(fd, "x", 10000, 2000);
	} else if (strcmp(path, "/huge") == 0) {
		say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n");
		say_many(fd, kib, 1 << 20, 0);
	} else if (strcmp(path, "/heads") == 0) {
		say(fd, "HTTP/1.1 200 OK\r\n");
		say_many(fd, "X-Filler: abcdefghijklmnopqrstuvwxyz\r\n", 1 << 20, 0);
	} else if (strcmp(path, "/64k") == 0) {
		say(fd, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
		say_many(fd, kib, 64, 0);
	} else if (strcmp(path, "/64k1") == 0) {
		say(fd, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n.");
		say_many(fd, kib, 64, 0);
	} else if (strcmp(path, "/garbage") == 0) {
		say(fd, "SSH-2.0-OpenSSH_9.2\r\n");
	} else if (strcmp(path, "/partial") == 0) {
		say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab");
	} else if (strcmp(path, "/never") == 0) {
		until_closed(fd);
	}
}

static void conn_run(void *arg)
{
	struct evil_conn *c = arg;
	int now = atomic_fetch_add(&c->evil->open, 1) + 1, max = atomic_load(&c->evil->open_max);
	char head[4096];
	ssize_t n = recv(c->fd, head, sizeof(head) - 1, 0);

	while (now > max && !atomic_compare_exchange_weak(&c->evil->open_max, &max, now))
		;
	if (n > 0) {
		head[n] = '\0';
		answer(c->evil, c->fd, head);
	}
	shutdown(c->fd, SHUT_WR);
	until_closed(c->fd); /* no reset in place of an answer */
	close(c->fd);
	atomic_fetch_sub(&c->evil->open, 1);
	free(c);
}

static void accept_run(void *arg)
{
	struct evil *e = arg;
	int fd;

	while ((fd = accept4(e->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		struct evil_conn *c = malloc(sizeof(*c));

		*c = (struct evil_conn){.evil = e, .fd = fd};
		assert_true(e->n_threads < CONNS_MAX);
		assert_int_equal(uv_thread_create(&e->threads[e->n_threads++], conn_run, c), 0);
	}
}

static int listen_on(unsigned *ret_port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 4096), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*ret_port = ntohs(a.sin_port);
	return fd;
}

struct world {
	struct evil evil;
	uv_loop_t loop;
	struct prober *prober;
	int done, ok;
	bool inside; /* a call of prober_http is on the stack */
};

struct one {
	struct world *w;
	struct probe_result r;
	int times;
};

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	signal(SIGPIPE, SIG_IGN);
	uv_mutex_init(&w->evil.lock);
	w->evil.fd = listen_on(&w->evil.port);
	assert_int_equal(uv_thread_create(&w->evil.acceptor, accept_run, &w->evil), 0);
	assert_int_equal(uv_loop_init(&w->loop), 0);
	assert_int_equal(prober_new(&w->loop, &w->prober, NULL), 0);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	if (w->prober)
		prober_close(w->prober);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&w->loop), 0);
	shutdown(w->evil.fd, SHUT_RDWR);
	uv_thread_join(&w->evil.acceptor);
	close(w->evil.fd);
	for (size_t i = 0; i < w->evil.n_threads; i++)
		uv_thread_join(&w->evil.threads[i]);
	uv_mutex_destroy(&w->evil.lock);
	free(w);
	return 0;
}

static void on_result(const struct probe_result *r, void *user)
{
	struct one *o = user;

	assert_false(o->w->inside);
	o->r = *r;
	o->times++;
	o->w->done++;
	o->w->ok += r->ok;
	uv_stop(&o->w->loop); /* UV_RUN_ONCE would poll after this timer */
}

static struct probe_run *begin(struct world *w, struct one *o, const char *path, int64_t ms)
{
	struct probe_http rq = {
		.host = "127.0.0.1", .port = w->evil.port, .path = path, .timeout_ms = ms};
	struct probe_run *run;

	o->w = w;
	w->inside = true;
	assert_int_equal(prober_http(w->prober, &rq, on_result, o, &run, NULL), 0);
	w->inside = false;
	return run;
}

static void on_alarm(uv_timer_t *t)
{
	*(bool *)t->data = true;
}

/* Runs the loop until `done` runs have ended, at most ms. */
static void run_until(struct world *w, int done, uint64_t ms)
{
	uv_timer_t alarm;
	bool over = false;

	uv_timer_init(&w->loop, &alarm);
	alarm.data = &over;
	uv_update_time(&w->loop);
	uv_timer_start(&alarm, on_alarm, ms, 0);
	while (w->done < done && !over)
		uv_run(&w->loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&alarm, NULL);
	uv_run(&w->loop, UV_RUN_NOWAIT);
}

/* A server at a Unix socket beside the one on loopback; returns what its path was made of. */
static int serve_at(struct evil *other, const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	memccpy(a.sun_path, path, '\0', sizeof(a.sun_path) - 1);
	uv_mutex_init(&other->lock);
	other->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(other->fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(other->fd, 16), 0);
	return uv_thread_create(&other->acceptor, accept_run, other);
}

static void ask_socket(struct world *w, struct one *o, const char *path, bool tcp)
{
	struct probe_http rq = {.host = path, .path = "/ok", .timeout_ms = 10000};
	struct probe_tcp to = {.host = path, .timeout_ms = 10000};
	int done = w->done;

	*o = (struct one){.w = w};
	if (tcp)
		assert_int_equal(prober_tcp(w->prober, &to, on_result, o, NULL, NULL), 0);
	else
		assert_int_equal(prober_http(w->prober, &rq, on_result, o, NULL, NULL), 0);
	run_until(w, done + 1, 20000);
	assert_int_equal(o->times, 1);
}

static size_t count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* The service may put there what it likes: only a socket of that name is asked, no link is followed. */
static void test_socket(void **state)
{
	char dir[] = "/tmp/aictl-test-prober-XXXXXX", at[64], link[64], file[64];
	struct world *w = *state;
	static struct evil other;
	struct one o;
	size_t fds;

	assert_non_null(mkdtemp(dir));
	snprintf(at, sizeof(at), "%s/http", dir);
	snprintf(link, sizeof(link), "%s/link", dir);
	snprintf(file, sizeof(file), "%s/none", dir);
	assert_int_equal(serve_at(&other, at), 0);
	assert_int_equal(symlink(at, link), 0);
	fds = count_fds();
	for (int tcp = 0; tcp < 2; tcp++) {
		ask_socket(w, &o, at, tcp);
		assert_true(o.r.ok);
		ask_socket(w, &o, link, tcp);
		assert_false(o.r.ok);
		assert_string_equal(o.r.message, "cannot connect: Socket operation on non-socket");
		ask_socket(w, &o, file, tcp);
		assert_false(o.r.ok);
		assert_string_equal(o.r.message, "cannot connect: No such file or directory");
	}
	shutdown(other.fd, SHUT_RDWR);
	uv_thread_join(&other.acceptor);
	for (size_t i = 0; i < other.n_threads; i++)
		uv_thread_join(&other.threads[i]);
	assert_int_equal(count_fds(), fds);
	close(other.fd);
	uv_mutex_destroy(&other.lock);
	unlink(at);
	unlink(link);
	rmdir(dir);
}

static void test_results(void **state)
{
	static const struct {
		const char *path;
		bool ok;
		int status;
		const char *message;
	} cases[] = {
		{"/ok", true, 200, "HTTP 200"},
		{"ok", true, 200, "HTTP 200"},
		{"/204", true, 204, "HTTP 204"},
		{"/302", true, 302, "HTTP 302"},
		{"/500", false, 500, "HTTP 500"},
		{"/slow", false, 200, "HTTP 200, but no end within 300ms"},
		{"/slowhead", false, 200, "HTTP 200, but no end within 300ms"},
		{"/never", false, 0, "no answer within 300ms"},
		{"/huge", false, 200, "body over 64 KiB"},
		{"/heads", false, 200, NULL},
		{"/64k", true, 200, "HTTP 200"},
		{"/64k1", false, 200, "body over 64 KiB"},
		{"/garbage", false, 0, "not an HTTP answer"},
		{"/partial", false, 200, "answer cut short"},
		{"/close", false, 0, "connection closed without an answer"},
		{"/a b", false, 0, "bad address or path"},
	};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct one o = {0};
		int64_t t = clock_mono_ms();

		begin(w, &o, cases[i].path, 300);
		run_until(w, (int)i + 1, 3000);
		t = clock_mono_ms() - t;
		print_message("%s: %s (%lld ms)\n", cases[i].path, o.r.message, (long long)t);
		assert_int_equal(o.times, 1);
		assert_int_equal(o.r.ok, cases[i].ok);
		assert_int_equal(o.r.status, cases[i].status);
		if (cases[i].message)
			assert_string_equal(o.r.message, cases[i].message);
		assert_true(t < 300 + 500); /* a few ms, on a machine with nothing else to do */
		if (strstr(o.r.message, "300ms"))
			assert_true(t >= 299);
	}
	assert_int_equal(prober_running(w->prober), 0);
	assert_non_null(strstr(w->evil.last_head, "User-Agent: aictl-probe/" PKGVERSION "\r\n"));
	assert_non_null(strstr(w->evil.last_head, "Connection: close\r\n"));
}

static void test_refused(void **state)
{
	struct world *w = *state;
	struct one o = {.w = w}, v6 = {.w = w};
	struct probe_http rq = {.host = "127.0.0.1", .path = "/", .timeout_ms = 1000};
	int fd = listen_on(&rq.port);

	close(fd);
	setenv("http_proxy", "http://127.0.0.1:9", 1);
	assert_int_equal(prober_http(w->prober, &rq, on_result, &o, NULL, NULL), 0);
	run_until(w, 1, 2000);
	assert_string_equal(o.r.message, "connection refused");
	rq.host = "::1";
	assert_int_equal(prober_http(w->prober, &rq, on_result, &v6, NULL, NULL), 0);
	run_until(w, 2, 2000);
	assert_false(v6.r.ok);
	rq = (struct probe_http){
		.host = "127.0.0.1", .port = w->evil.port, .path = "/ok", .timeout_ms = 1000};
	assert_int_equal(prober_http(w->prober, &rq, on_result, &o, NULL, NULL), 0);
	run_until(w, 3, 2000); /* no proxy, whatever the environment says */
	assert_true(o.r.ok);
	unsetenv("http_proxy");
}

static void tcp(struct world *w, struct one *o, unsigned port, int64_t ms)
{
	const struct probe_tcp rq = {.host = "127.0.0.1", .port = port, .timeout_ms = ms};
	int before = w->done;

	o->w = w;
	assert_int_equal(prober_tcp(w->prober, &rq, on_result, o, NULL, NULL), 0);
	run_until(w, before + 1, 3000);
}

static int connect_to(unsigned port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	a.sin_port = htons((uint16_t)port);
	(void)!connect(fd, (struct sockaddr *)&a, sizeof(a));
	return fd;
}

static void test_tcp(void **state)
{
	struct world *w = *state;
	struct one o = {0}, http = {0};
	unsigned port;
	int fd = listen_on(&port), peer, held[8];
	char byte;

	tcp(w, &o, port, 1000);
	assert_true(o.r.ok);
	assert_int_equal(o.r.status, 0);
	assert_string_equal(o.r.message, "connected");
	peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	assert_int_equal(recv(peer, &byte, 1, 0), 0); /* closed again, and nothing was said */
	close(peer);
	tcp(w, &o, port, 1000); /* the easy handle is used again */
	assert_true(o.r.ok);
	begin(w, &http, "/ok", 1000); /* ... and for http */
	run_until(w, 3, 2000);
	assert_string_equal(http.r.message, "HTTP 200");
	assert_int_equal(listen(fd, 0), 0);
	for (size_t i = 0; i < ARRAY_SIZE(held); i++) /* a backlog that is full takes no more */
		held[i] = connect_to(port);
	tcp(w, &o, port, 300);
	assert_false(o.r.ok);
	assert_string_equal(o.r.message, "no connection within 300ms");
	for (size_t i = 0; i < ARRAY_SIZE(held); i++)
		close(held[i]);
	close(fd);
	tcp(w, &o, port, 1000);
	assert_false(o.r.ok);
	assert_string_equal(o.r.message, "connection refused");
	assert_int_equal(o.times, 4);
}

static void test_cancel(void **state)
{
	struct world *w = *state;
	struct one gone = {0}, here = {0};
	struct probe_run *run;

	run = begin(w, &gone, "/never", 100);
	prober_cancel(run);
	run = begin(w, &gone, "/never", 100);
	begin(w, &here, "/never", 150);
	uv_run(&w->loop, UV_RUN_NOWAIT);
	prober_cancel(run);
	run_until(w, 1, 2000);
	assert_int_equal(here.times, 1);
	assert_int_equal(gone.times, 0);
	assert_int_equal(prober_running(w->prober), 0);
}

static void test_many(void **state)
{
	enum { N = 3000 };
	struct world *w = *state;
	struct one *o = calloc(N, sizeof(*o));
	size_t fds = count_fds();

	for (int i = 0; i < N; i++)
		begin(w, &o[i], "/ok", 20000);
	assert_int_equal(prober_running(w->prober), N);
	run_until(w, N, 60000);
	assert_int_equal(w->done, N);
	assert_int_equal(w->ok, N);
	assert_true(atomic_load(&w->evil.open_max) <= 2 * PROBER_RUNNING_MAX);
	assert_true(count_fds() <= fds + 2 * PROBER_RUNNING_MAX);
	free(o);
}

/* Waiting runs start as others end, and their time-out begins then. */
static void test_queue(void **state)
{
	enum { FULL = PROBER_RUNNING_MAX, N = FULL + 10 };
	struct world *w = *state;
	struct one *o = calloc(N, sizeof(*o));
	struct probe_run *first = NULL;

	for (int i = 0; i < N; i++) {
		struct probe_run *run =
			begin(w, &o[i], i < FULL ? "/never" : "/ok", i < FULL ? 60000 : 1000);

		first = first ? first : run;
	}
	run_until(w, 1, 1200); /* longer than the time-out of those that wait */
	assert_int_equal(w->done, 0);
	prober_cancel(first); /* room for one: all ten pass through it */
	run_until(w, 10, 20000);
	assert_int_equal(w->ok, 10);
	assert_int_equal(prober_running(w->prober), FULL - 1);
	prober_close(TAKE_PTR(w->prober)); /* with all these under way: no callbacks */
	run_until(w, 11, 50);
	assert_int_equal(w->done, 10);
	free(o);
}

/* A callback may start the next run and close the prober. */
static void on_result_close(const struct probe_result *r, void *user)
{
	struct one *o = user;

	on_result(r, o);
	if (o->w->done == 3)
		prober_close(TAKE_PTR(o->w->prober));
	else
		prober_http(o->w->prober,
			    &(struct probe_http){.host = "127.0.0.1",
						 .port = o->w->evil.port,
						 .path = "/ok",
						 .timeout_ms = 1000},
			    on_result_close, o, NULL, NULL);
}

static void test_from_callback(void **state)
{
	struct world *w = *state;
	struct one o = {.w = w}, never = {0};
	struct probe_http rq = {
		.host = "127.0.0.1", .port = w->evil.port, .path = "/ok", .timeout_ms = 1000};

	begin(w, &never, "/never", 60000);
	assert_int_equal(prober_http(w->prober, &rq, on_result_close, &o, NULL, NULL), 0);
	run_until(w, 3, 5000);
	assert_int_equal(o.times, 3);
	assert_null(w->prober);
	assert_int_equal(never.times, 0);
}

static void test_out_of_memory(void **state)
{
	struct world *w = *state;
	struct one o = {.w = w};
	struct probe_http rq = {
		.host = "127.0.0.1", .port = w->evil.port, .path = "/ok", .timeout_ms = 200};

	for (unsigned long n = 1; n <= 3; n++) {
		int r;

		mem_fail_after(n);
		r = prober_http(w->prober, &rq, on_result, &o, NULL, NULL);
		assert_int_equal(r, n < 3 ? -ERR_NOMEM : 0);
		run_until(w, 1, n < 3 ? 20 : 5000);
		mem_fail_after(0);
	}
	assert_int_equal(o.times, 1); /* its descriptor could not be watched */
	assert_string_equal(o.r.message, "no answer within 200ms");
}

int main(void)
{
	struct rlimit lim;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_socket, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_results, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_tcp, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cancel, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_many, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_queue, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_from_callback, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_out_of_memory, set_up, tear_down),
	};

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &lim), 0);
	lim.rlim_cur = lim.rlim_max; /* both ends of 512 connections are ours */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &lim), 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
