/*
 * aictl-gateway under pressure: clients that do not take their answers, a kernel that is short of
 * descriptors for a moment.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "daemon/gateway/io.h"
#include "lib/clock.h"
#include "lib/mem.h"
#include "tests/unit/gate_rig.h"

#define GET "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
#define LAST "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define BODY 60000
#define REQUESTS 600
#define OTHERS 40
#define PIECES 40 /* the fastest counts: the machine may be busy */
#define FIRST_PIECES 20
#define ACKNOWLEDGED_MS 30 /* the kernel's own patience is 40 at least */

/* A request at the backend, answered by BODY times "x". False: nobody asks for a while. */
static bool answer_next(struct gate_rig *h, int *b, int ms)
{
	static char answer[BODY + 100];
	int n = snprintf(answer, sizeof(answer), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n",
			 BODY);
	struct pollfd p[2] = {{.fd = *b, .events = POLLIN},
			      {.fd = h->backends[0], .events = POLLIN}};

	if (poll(p, 2, ms) <= 0)
		return false;
	if (p[0].revents == 0) {
		mem_closep(b);
		*b = gate_rig_accept(h, 0);
	}
	gate_rig_read(h, *b, "\r\n\r\n");
	memset(answer + n, 'x', BODY);
	assert_int_equal(send(*b, answer, (size_t)n + BODY, MSG_NOSIGNAL), n + BODY);
	return true;
}

/* All that is there; true at the end of file. */
static bool count_x(struct gate_rig *h, int fd, size_t *count)
{
	ssize_t n;

	while ((n = recv(fd, h->text, GATE_RIG_TEXT, MSG_DONTWAIT)) > 0)
		for (ssize_t i = 0; i < n; i++)
			*count += h->text[i] == 'x';
	return n == 0;
}

static void who_takes_no_answers_gets_no_more(void **state)
{
	struct gate_rig *h = *state;
	int c, b = -1, others[OTHERS], done = 0;
	size_t count = 0;

	gate_rig_reap(h, SIGKILL);
	h->fds_max = 200; /* the others want its place */
	gate_rig_start(h);
	gate_rig_route(h, 1);
	c = gate_rig_connect(h);
	for (int i = 0; i < REQUESTS; i++)
		gate_rig_send(c, i == REQUESTS - 1 ? LAST : GET);
	while (done < REQUESTS && answer_next(h, &b, done ? 1000 : GATE_RIG_DEADLINE_MS))
		done++;
	print_message("%d answers before it has to wait\n", done);
	assert_true(done < REQUESTS);
	for (int i = 0; i < OTHERS; i++)
		others[i] = gate_rig_connect(h);
	while (done < REQUESTS) { /* it takes them: nothing was lost */
		struct pollfd p = {.fd = c, .events = POLLIN};

		done += answer_next(h, &b, 1);
		poll(&p, 1, 1);
		if (count_x(h, c, &count))
			break;
	}
	while (count < (size_t)REQUESTS * BODY && !count_x(h, c, &count))
		assert_true(gate_rig_is_readable(c, GATE_RIG_DEADLINE_MS));
	assert_int_equal(count, (size_t)REQUESTS * BODY);
	for (int i = 0; i < OTHERS; i++)
		close(others[i]);
	close(c);
	close(b);
}

static void limit_fds(struct gate_rig *h, rlim_t n)
{
	struct rlimit lim;

	assert_int_equal(prlimit(h->pid, RLIMIT_NOFILE, NULL, &lim), 0);
	lim.rlim_cur = n ? n : lim.rlim_max;
	assert_int_equal(prlimit(h->pid, RLIMIT_NOFILE, &lim, NULL), 0);
}

static int64_t cpu_ms(pid_t pid)
{
	struct timespec t;
	clockid_t id;

	assert_int_equal(clock_getcpuclockid(pid, &id), 0);
	assert_int_equal(clock_gettime(id, &t), 0);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void a_shortage_passes(void **state)
{
	struct gate_rig *h = *state;
	int c[4], b[4];
	int64_t before;

	gate_rig_route(h, 1);
	c[0] = gate_rig_connect(h);
	gate_rig_send(c[0], GET);
	b[0] = gate_rig_take(h, 0, "\r\n\r\n");
	limit_fds(h, 3);
	for (int i = 1; i < 4; i++) {
		c[i] = gate_rig_connect(h);
		gate_rig_send(c[i], GET);
	}
	before = cpu_ms(h->pid);
	assert_false(gate_rig_is_readable(h->backends[0], 500));
	assert_true(cpu_ms(h->pid) - before < 200);
	limit_fds(h, 0);
	for (int i = 1; i < 4; i++) /* all at once */
		b[i] = gate_rig_take(h, 0, "\r\n\r\n");
	for (int i = 0; i < 4; i++)
		gate_rig_send(b[i], OK);
	for (int i = 0; i < 4; i++) {
		gate_rig_read(h, c[i], "\r\n\r\nok");
		close(c[i]);
		close(b[i]);
	}
}

static void without_clients_a_shortage_costs_nothing(void **state)
{
	struct gate_rig *h = *state;
	int64_t before;
	int c, b;

	gate_rig_route(h, 1);
	limit_fds(h, 3);
	c = gate_rig_connect(h);
	gate_rig_send(c, GET);
	before = cpu_ms(h->pid);
	assert_false(gate_rig_is_readable(h->backends[0], 500));
	assert_true(cpu_ms(h->pid) - before < 200);
	limit_fds(h, 0);
	b = gate_rig_take(h, 0, "\r\n\r\n");
	gate_rig_send(b, OK);
	gate_rig_read(h, c, "\r\n\r\nok");
	close(c);
	close(b);
}

struct told {
	struct io io;
	int full, room;
};

static void on_room(struct io *io, bool full)
{
	struct told *t = (struct told *)io;

	*(full ? &t->full : &t->room) += 1;
}

static void on_closed(struct io *io)
{
	(void)io;
}

/* Also where io_write itself has found that no more fits: deadlines hang on it. */
static void the_owner_hears_of_a_full_socket(void **state)
{
	static const struct io_ops ops = {.room = on_room, .closed = on_closed};
	static char much[1 << 20];
	struct told t = {0};
	struct io_loop l;
	uv_loop_t uv;
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair),
			 0);
	assert_int_equal(uv_loop_init(&uv), 0);
	assert_int_equal(io_loop_init(&l, &uv), 0);
	assert_int_equal(io_open(&t.io, &l, pair[0], &ops), 0);
	io_write(&t.io, much, sizeof(much));
	assert_true(io_is_full(&t.io));
	uv_run(&uv, UV_RUN_NOWAIT);
	assert_int_equal(t.full, 1);
	for (int i = 0; i < 1000 && t.room == 0; i++) {
		while (recv(pair[1], much, sizeof(much), 0) > 0)
			;
		uv_run(&uv, UV_RUN_NOWAIT);
	}
	assert_int_equal(t.full, 1);
	assert_int_equal(t.room, 1);
	io_close(&t.io);
	io_loop_close(&l);
	uv_run(&uv, UV_RUN_DEFAULT);
	io_loop_done(&l);
	assert_int_equal(uv_loop_close(&uv), 0);
	close(pair[1]);
}

/* The reset comes behind the request, and before anybody looks: nothing was sent, so it goes elsewhere. */
static void a_connection_that_was_reset_gets_no_post(void **state)
{
	static const struct linger now = {.l_onoff = 1};
	struct gate_rig *h = *state;
	int c, b, status;

	gate_rig_route(h, 1);
	c = gate_rig_connect(h);
	gate_rig_send(c, GET);
	b = gate_rig_take(h, 0, "\r\n\r\n");
	gate_rig_send(b, OK);
	gate_rig_read(h, c, "ok");
	gate_rig_expect_active(h, 0, 0);
	kill(h->pid, SIGSTOP);
	assert_int_equal(waitpid(h->pid, &status, WUNTRACED), h->pid);
	gate_rig_send(c, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx");
	assert_int_equal(setsockopt(b, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
	close(b);
	kill(h->pid, SIGCONT);
	b = gate_rig_take(h, 0, "\r\n\r\nx");
	gate_rig_send(b, OK);
	gate_rig_read(h, c, "ok");
	close(c);
	close(b);
}

/* The second piece leaves when the first is acknowledged. How long the other side waits for it. */
static int64_t send_in_pieces(struct gate_rig *h, int from, const char *head, const char *body,
			      int *to)
{
	int64_t begin = clock_mono_ms();

	gate_rig_send(from, head);
	gate_rig_send(from, body);
	if (*to < 0)
		*to = gate_rig_accept(h, 0);
	gate_rig_read(h, *to, body);
	return clock_mono_ms() - begin;
}

/* A new connection's first pieces are acknowledged at once anyway, by the kernel. */
static void a_head_alone_is_acknowledged(void **state)
{
	struct gate_rig *h = *state;
	int64_t there = INT64_MAX, back = INT64_MAX, ms;
	int c, b = -1;

	gate_rig_route(h, 1);
	c = gate_rig_connect(h);
	for (int i = 0; i < PIECES; i++) {
		ms = send_in_pieces(h, c, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n",
				    "ping", &b);
		there = i >= FIRST_PIECES && ms < there ? ms : there;
		ms = send_in_pieces(h, b, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", "pong",
				    &c);
		back = i >= FIRST_PIECES && ms < back ? ms : back;
	}
	print_message("%lld ms there, %lld ms back\n", (long long)there, (long long)back);
	assert_true(there < ACKNOWLEDGED_MS && back < ACKNOWLEDGED_MS);
	close(c);
	close(b);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, gate_rig_setup, gate_rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(who_takes_no_answers_gets_no_more),
		TEST(a_shortage_passes),
		TEST(without_clients_a_shortage_costs_nothing),
		TEST(a_connection_that_was_reset_gets_no_post),
		TEST(a_head_alone_is_acknowledged),
		cmocka_unit_test(the_owner_hears_of_a_full_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
