/* test_ownlog: whole lines, an output that takes nothing, what is lost is counted. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/logger/ownlog.h"
#include "lib/clock.h"
#include "lib/mem.h"

#define DEADLINE_MS 10000

struct bench {
	struct loop loop;
	struct ownlog log;
	int in[2];  /* what a process of ours writes to */
	int out[2]; /* [1] is the logger's fd 2 */
};

static struct bench *bench_new(int out_read, int out_write)
{
	struct bench *b = mem_alloc(sizeof(*b));

	assert_int_equal(loop_init(&b->loop), 0);
	b->out[0] = out_read;
	b->out[1] = out_write;
	assert_int_equal(pipe2(b->in, O_CLOEXEC | O_NONBLOCK), 0);
	ownlog_init(&b->log, &b->loop, out_write);
	ownlog_source(&b->log, 0, b->in[0]);
	return b;
}

static void bench_free(struct bench *b)
{
	ownlog_done(&b->log);
	loop_done(&b->loop);
	mem_closep(&b->in[1]);
	mem_closep(&b->out[0]);
	mem_closep(&b->out[1]);
	mem_free(b);
}

/* Runs the loop until out has n bytes, which go into got. */
static void expect(struct bench *b, char *got, size_t n)
{
	int64_t deadline = clock_mono_ms() + DEADLINE_MS;
	size_t len = 0;

	while (len < n && clock_mono_ms() < deadline) {
		ssize_t k;

		loop_once(&b->loop, 10);
		k = read(b->out[0], got + len, n - len);
		if (k > 0)
			len += (size_t)k;
	}
	assert_int_equal(len, n);
	got[n] = '\0';
}

static void lines_are_whole(struct bench *b)
{
	char got[64];

	assert_int_equal(write(b->in[1], "one\ntw", 6), 6);
	expect(b, got, 4);
	assert_string_equal(got, "one\n");
	loop_once(&b->loop, 10);
	assert_int_equal(read(b->out[0], got, sizeof(got)), -1);
	assert_int_equal(write(b->in[1], "o\n", 2), 2);
	expect(b, got, 4);
	assert_string_equal(got, "two\n");
	assert_int_equal(write(b->in[1], "last words", 10), 10);
	mem_closep(&b->in[1]); /* the writer died: its half line is worth a line */
	expect(b, got, 11);
	assert_string_equal(got, "last words\n");
}

static void through_a_pipe(void **state)
{
	struct bench *b;
	int p[2];

	(void)state;
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	fcntl(p[0], F_SETFL, O_NONBLOCK);
	b = bench_new(p[0], p[1]);
	assert_true(b->log.kind == OWNLOG_PLAIN); /* opened again, without waiting */
	lines_are_whole(b);
	assert_false(fcntl(p[1], F_GETFL) & O_NONBLOCK);
	bench_free(b);
}

static void through_a_pipe_that_cannot_be_opened_again(void **state)
{
	struct bench *b;
	int p[2];

	(void)state;
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	fcntl(p[0], F_SETFL, O_NONBLOCK);
	b = bench_new(p[0], p[1]);
	b->log.kind = OWNLOG_POLLED;
	close(b->log.out);
	b->log.own_out = false;
	b->log.out = p[1];
	lines_are_whole(b);
	bench_free(b);
}

static void through_a_socket(void **state)
{
	struct bench *b;
	int s[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, s), 0);
	fcntl(s[0], F_SETFL, O_NONBLOCK);
	b = bench_new(s[0], s[1]);
	assert_true(b->log.kind == OWNLOG_SOCKET);
	lines_are_whole(b);
	bench_free(b);
}

/* Nobody reads: the loop goes on at once, and later the number of lost lines is said. */
static void an_output_that_takes_nothing(struct bench *b, int sink)
{
	static const char line[] =
		"0123456789012345678901234567890123456789012345678901234567890\n";
	const size_t lines = 20000;
	int64_t from = clock_mono_ms(), deadline = from + DEADLINE_MS;
	size_t written = 0, seen = 0, lost = 0, len = 0;
	char *got = mem_alloc(4 << 20), *report;

	while (written < lines) {
		if (write(b->in[1], line, sizeof(line) - 1) > 0)
			written++;
		else
			loop_once(&b->loop, 10);
		assert_true(clock_mono_ms() < deadline);
	}
	while (clock_mono_ms() < deadline && seen + lost < lines) { /* now it is read */
		ssize_t k;

		loop_once(&b->loop, 5);
		k = read(sink, got + len, (4 << 20) - len - 1);
		len += k > 0 ? (size_t)k : 0;
		got[len] = '\0';
		seen = lost = 0;
		for (char *s = got; (s = strstr(s, line)); s += sizeof(line) - 1)
			seen++;
		report = strstr(got, "lost_lines=");
		if (report)
			assert_int_equal(sscanf(report, "lost_lines=%zu", &lost), 1);
		else if (k <= 0)
			written +=
				write(b->in[1], "more\n", 5) > 0; /* gives the report its chance */
	}
	assert_int_equal(seen + lost, lines);
	assert_true(lost > 0 && seen > 500);
	mem_free(got);
}

static void a_full_pipe(void **state)
{
	struct bench *b;
	int p[2];

	(void)state;
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	fcntl(p[0], F_SETFL, O_NONBLOCK);
	b = bench_new(p[0], p[1]);
	an_output_that_takes_nothing(b, p[0]);
	bench_free(b);
}

static void a_full_terminal(void **state)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK), slave;
	struct bench *b;
	char got[64];

	(void)state;
	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
		skip();
	slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0) {
		close(master);
		skip();
	}
	b = bench_new(master, slave);
	b->log.kind = OWNLOG_POLLED;
	b->log.chunk = 256;
	for (int i = 0; i < 20000; i++)
		if (write(b->in[1], "0123456789012345678901234567890\n", 32) < 0)
			loop_once(&b->loop, 1); /* would hang here if anything waited */
	assert_true(read(master, got, sizeof(got)) > 0);
	bench_free(b);
}

static void a_reader_that_is_gone(void **state)
{
	struct bench *b;
	int p[2];

	(void)state;
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	b = bench_new(p[0], p[1]);
	mem_closep(&b->out[0]);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(write(b->in[1], "line\n", 5), 5);
		loop_once(&b->loop, 1);
	}
	bench_free(b);
}

static void a_line_longer_than_anybody_writes(void **state)
{
	struct bench *b;
	char text[OWNLOG_LINE_MAX + 100], got[OWNLOG_LINE_MAX + 101];
	int p[2];

	(void)state;
	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	fcntl(p[0], F_SETFL, O_NONBLOCK);
	b = bench_new(p[0], p[1]);
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\n';
	assert_int_equal(write(b->in[1], text, sizeof(text)), sizeof(text));
	expect(b, got, sizeof(text));
	assert_int_equal(got[OWNLOG_LINE_MAX - 1], '\n');
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(through_a_pipe),
		cmocka_unit_test(through_a_pipe_that_cannot_be_opened_again),
		cmocka_unit_test(through_a_socket),
		cmocka_unit_test(a_full_pipe),
		cmocka_unit_test(a_full_terminal),
		cmocka_unit_test(a_reader_that_is_gone),
		cmocka_unit_test(a_line_longer_than_anybody_writes),
	};
	struct sigaction ign = {.sa_handler = SIG_IGN};

	sigaction(SIGPIPE, &ign, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
