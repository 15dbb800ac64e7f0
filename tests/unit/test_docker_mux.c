/* Unit tests of plugins/docker_mux: frames, stamps, cuts, and going on where a predecessor stood. */
/* SPDX-License-Identifier: MIT */
#include "plugins/docker_mux.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "plugins/docker_json.h"

struct wire {
	char data[65536];
	size_t len;
};

struct got {
	char out[2][65536];
	size_t len[2];
	char engine[128];
	size_t n_engine;
};

static struct wire wire;
static struct got got;

static void add(const void *p, size_t n)
{
	memcpy(wire.data + wire.len, p, n);
	wire.len += n;
}

static void frame(int stream, const char *text)
{
	size_t n = strlen(text);
	unsigned char h[8] = {(unsigned char)stream,
			      0,
			      0,
			      0,
			      (unsigned char)(n >> 24),
			      (unsigned char)(n >> 16),
			      (unsigned char)(n >> 8),
			      (unsigned char)n};

	add(h, 8);
	add(text, n);
}

/* Feeds the wire in steps; at most `budget` bytes are written. Returns 0 or -1. */
static int run(struct docker_mux *m, size_t step, size_t budget)
{
	size_t at = 0;

	memset(&got, 0, sizeof(got));
	while (at < wire.len) {
		size_t n = wire.len - at < step ? wire.len - at : step, done = 0;

		while (done < n) {
			struct docker_mux_piece p;
			ssize_t k = docker_mux_next(m, wire.data + at + done, n - done, &p);

			if (k < 0)
				return -1;
			done += (size_t)k;
			if (p.len == 0)
				continue;
			if (p.stream == DOCKER_MUX_ENGINE) {
				memcpy(got.engine + got.n_engine, p.data, p.len);
				got.n_engine += p.len;
				continue;
			}
			if (p.len > budget) {
				memcpy(got.out[p.stream - 1] + got.len[p.stream - 1], p.data,
				       budget);
				got.len[p.stream - 1] += budget;
				docker_mux_wrote(m, &p, budget);
				return 0;
			}
			memcpy(got.out[p.stream - 1] + got.len[p.stream - 1], p.data, p.len);
			got.len[p.stream - 1] += p.len;
			budget -= p.len;
			docker_mux_wrote(m, &p, p.len);
		}
		at += n;
	}
	return 0;
}

static const char *text(int stream)
{
	got.out[stream - 1][got.len[stream - 1]] = '\0';
	return got.out[stream - 1];
}

static int setup(void **state)
{
	(void)state;
	wire.len = 0;
	return 0;
}

static void lines(void)
{
	frame(1, "2026-01-02T03:04:05.000000001Z one\n");
	frame(2, "2026-01-02T03:04:05.000000002Z bad\n");
	frame(1, "2026-01-02T03:04:05.000000002Z two\n");
	frame(1, "2026-01-02T03:04:05.000000002Z \n");
	frame(1, "2026-01-02T03:04:05.000000003Z three\n");
}

#define OUT "one\ntwo\n\nthree\n"
#define ERR "bad\n"

static void test_frames(void **state)
{
	struct docker_mux m;

	(void)state;
	lines();
	for (size_t step = 1; step < 60; step++) {
		docker_mux_init(&m, false, true, NULL);
		assert_int_equal(run(&m, step, SIZE_MAX), 0);
		assert_string_equal(text(1), OUT);
		assert_string_equal(text(2), ERR);
		assert_true(docker_mux_between(&m));
		assert_int_equal(m.written.stamp_ns, 0);
		assert_int_equal(m.written.lines, 5);
		assert_int_equal(m.written.bytes, strlen(OUT ERR));
	}
}

/* Killed after any byte, the next reader writes what is missing, no more and no less. */
static void test_resume(void **state)
{
	static struct got first;
	const size_t all = strlen(OUT) + strlen(ERR);

	(void)state;
	lines();
	for (size_t cut = 0; cut <= all; cut++) {
		struct aictl_log_position at;
		struct docker_mux m;

		docker_mux_init(&m, false, true, NULL);
		assert_int_equal(run(&m, 7, cut), 0);
		first = got;
		at = m.written;
		docker_mux_init(&m, false, true, &at);
		assert_int_equal(run(&m, 11, SIZE_MAX), 0);
		for (int i = 0; i < 2; i++)
			memcpy(first.out[i] + first.len[i], got.out[i], got.len[i] + 1);
		assert_string_equal(first.out[0], OUT);
		assert_string_equal(first.out[1], ERR);
		assert_int_equal(m.written.bytes, all);
	}
}

/* What an engine gives of the wire that is at hand: what has this stamp or a younger one. */
static void since(int64_t stamp_ns)
{
	static struct wire all;
	char stamp[64];

	all = wire;
	wire.len = 0;
	snprintf(stamp, sizeof(stamp), "2026-01-02T03:04:%02d.%09dZ",
		 (int)(stamp_ns / 1000000000 % 60), (int)(stamp_ns % 1000000000));
	for (size_t at = 0; at < all.len;) {
		size_t n = 8 + ((size_t)(unsigned char)all.data[at + 6] << 8) +
			   (unsigned char)all.data[at + 7];

		if (stamp_ns == 0 || strncmp(all.data + at + 8, stamp, 30) >= 0)
			add(all.data + at, n);
		at += n;
	}
}

/* Each stream has its own clock, a little apart, and is read when it is its turn: the stamps are out of
 * order. Killed after any byte. */
static void test_resume_out_of_order(void **state)
{
	static struct got first;
	static struct wire all;
	struct docker_mux m;
	size_t bytes = 0;

	(void)state;
	for (int i = 0; i < 60; i++) {
		int ms = i * 100 - (i % 7 == 3 ? 250 : 0);
		char line[80];

		snprintf(line, sizeof(line), "2026-01-02T03:04:%02d.%03d000000Z line %d\n",
			 ms / 1000, ms % 1000, i);
		frame(i % 7 == 3 ? 2 : 1, line);
		bytes += strlen(line) - 31;
	}
	all = wire;
	docker_mux_init(&m, false, true, NULL);
	run(&m, 100, SIZE_MAX);
	first = got;
	for (size_t cut = 0; cut <= bytes; cut++) {
		static struct got before;
		struct aictl_log_position at;

		wire = all;
		docker_mux_init(&m, false, true, NULL);
		run(&m, 100, cut / 2);
		before = got;
		at = m.written;
		since(at.stamp_ns);
		docker_mux_init(&m, false, true, &at); /* and killed once more */
		run(&m, 100, cut - cut / 2);
		for (int i = 0; i < 2; i++) {
			memcpy(before.out[i] + before.len[i], got.out[i], got.len[i]);
			before.len[i] += got.len[i];
		}
		at = m.written;
		wire = all;
		since(at.stamp_ns);
		docker_mux_init(&m, false, true, &at);
		run(&m, 100, SIZE_MAX);
		for (int i = 0; i < 2; i++) {
			memcpy(before.out[i] + before.len[i], got.out[i], got.len[i]);
			assert_int_equal(before.len[i] + got.len[i], first.len[i]);
			assert_memory_equal(before.out[i], first.out[i], first.len[i]);
		}
	}
	assert_true(m.written.stamp_ns > 0);
}

/* Whole seconds, with an offset, as Podman says them. */
static void test_seconds(void **state)
{
	struct aictl_log_position at;
	struct docker_mux m;

	(void)state;
	frame(1, "2026-01-02T03:04:05+01:00 a\n");
	frame(1, "2026-01-02T03:04:05+01:00 b\n");
	frame(2, "2026-01-02T03:04:05+01:00 c\n");
	frame(1, "2026-01-02T03:04:06+01:00 d\n");
	docker_mux_init(&m, false, true, NULL);
	run(&m, 100, 4);
	assert_int_equal(m.written.lines, 2);
	assert_int_equal(m.written.bytes, 4);
	at = m.written;
	docker_mux_init(&m, false, true, &at);
	run(&m, 100, SIZE_MAX);
	assert_string_equal(text(1), "d\n");
	assert_string_equal(text(2), "c\n");
}

/* The engine has dropped what we stood at: all that it still has is new. */
static void test_rotated(void **state)
{
	struct aictl_log_position at = {.stamp_ns = 1000, .bytes = 5, .lines = 1};
	struct docker_mux m;

	(void)state;
	lines();
	docker_mux_init(&m, false, true, &at);
	run(&m, 5, SIZE_MAX);
	assert_string_equal(text(1), OUT);
}

static void test_clock_back(void **state)
{
	struct aictl_log_position at = {.stamp_ns = 1767323045000000001, .bytes = 4, .lines = 1};
	struct docker_mux m;

	(void)state;
	frame(1, "2026-01-02T03:04:05.000000001Z one\n");
	frame(1, "2026-01-02T03:04:06.000000000Z two\n");
	frame(1, "2026-01-02T03:04:01.000000000Z three\n");
	docker_mux_init(&m, false, true, &at);
	run(&m, 5, SIZE_MAX);
	assert_string_equal(text(1), "two\nthree\n");
}

static void test_terminal(void **state)
{
	static const char log[] = "2026-01-02T03:04:05.000000001Z one\r\n"
				  "2026-01-02T03:04:05.000000002Z \r\n"
				  "no stamp here\r\n";
	struct docker_mux m;

	(void)state;
	add(log, sizeof(log) - 1);
	for (size_t step = 1; step < 50; step++) {
		docker_mux_init(&m, true, true, NULL);
		assert_int_equal(run(&m, step, SIZE_MAX), 0);
		assert_string_equal(text(1), "one\r\n\r\nno stamp here\r\n");
	}
	docker_mux_init(&m, true, false, NULL);
	run(&m, 9, SIZE_MAX);
	assert_string_equal(text(1), log);
}

/* A long line is cut by dockerd, with a stamp before each part. */
static void test_long_line(void **state)
{
	static char line[16384 + 1];
	struct docker_mux m;

	(void)state;
	memset(line, 'x', 16384);
	add("2026-01-02T03:04:05.000000001Z ", 31);
	add(line, 16384);
	add("2026-01-02T03:04:05.000000001Z ", 31);
	add("tail\n", 5);
	docker_mux_init(&m, true, true, NULL);
	run(&m, 100, SIZE_MAX);
	assert_int_equal(got.len[0], 16384 + 5);
	assert_string_equal(text(1) + 16384, "tail\n");
}

static void test_garbage(void **state)
{
	struct docker_mux m;

	(void)state;
	add("HTTP/1.1 500 Oops\r\n", 19);
	docker_mux_init(&m, false, true, NULL);
	assert_int_equal(run(&m, 3, SIZE_MAX), -1);
}

static void test_odd_frames(void **state)
{
	struct docker_mux m;

	(void)state;
	frame(3, "Error grabbing logs");
	frame(1, "");
	frame(1, "2026-01-02T03:04"); /* ends within the stamp */
	frame(1, "no stamp\n");
	frame(1, "nostampatallbutverylongindeed0123456789012345678901234567890\n");
	frame(0, "2026-01-02T03:04:05.000000001Z zero\n");
	for (size_t step = 1; step < 70; step++) {
		docker_mux_init(&m, false, true, NULL);
		assert_int_equal(run(&m, step, SIZE_MAX), 0);
		assert_string_equal(text(1),
				    "2026-01-02T03:04no stamp\n"
				    "nostampatallbutverylongindeed0123456789012345678901234567890\n"
				    "zero\n");
		assert_memory_equal(got.engine, "Error grabbing logs", 19);
	}
}

static void test_exec(void **state)
{
	struct docker_mux m;

	(void)state;
	frame(1, "2026-01-02T03:04:05.000000001Z is output\n");
	frame(2, "e");
	docker_mux_init(&m, false, false, NULL);
	run(&m, 6, SIZE_MAX);
	assert_string_equal(text(1), "2026-01-02T03:04:05.000000001Z is output\n");
	assert_string_equal(text(2), "e");
	assert_int_equal(m.written.bytes, 0);
}

static void test_stamps(void **state)
{
	static const char *const bad[] = {"",
					  "2026-01-02T03:04:05",
					  "2026-01-02 03:04:05Z",
					  "0001-01-01T00:00:00Z",
					  "2026-13-02T03:04:05Z",
					  "2026-01-02T03:04:05+01",
					  "2026-01-02T0x:04:05Z"};
	int64_t ns;
	size_t len;

	(void)state;
	assert_true(docker_json_stamp("1970-01-01T00:00:01.5Z", 22, &ns, &len));
	assert_int_equal(ns, 1500000000);
	assert_int_equal(len, 22);
	assert_true(docker_json_stamp("2024-02-29T12:00:00-01:30 x", 27, &ns, &len));
	assert_int_equal(ns, 1709213400000000000);
	assert_int_equal(len, 25);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(docker_json_stamp(bad[i], strlen(bad[i]), &ns, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_frames, setup),
		cmocka_unit_test_setup(test_resume, setup),
		cmocka_unit_test_setup(test_resume_out_of_order, setup),
		cmocka_unit_test_setup(test_seconds, setup),
		cmocka_unit_test_setup(test_rotated, setup),
		cmocka_unit_test_setup(test_clock_back, setup),
		cmocka_unit_test_setup(test_terminal, setup),
		cmocka_unit_test_setup(test_long_line, setup),
		cmocka_unit_test_setup(test_garbage, setup),
		cmocka_unit_test_setup(test_odd_frames, setup),
		cmocka_unit_test_setup(test_exec, setup),
		cmocka_unit_test_setup(test_stamps, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
