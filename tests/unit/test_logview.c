/* test_logview: merge, tail, follow, damage. Segments are made here by the letter of logidx.h. */
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
#include <sys/stat.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/err.h"
#include "lib/fs.h"
#include "lib/logidx.h"
#include "lib/logview.h"
#include "lib/mem.h"
#include "tests/lib/logcheck.h"
#include "tests/unit/log_rig.h"

static struct logview *view(const struct log_rig *p, int64_t index, int64_t tail, bool follow)
{
	return log_rig_open(p,
			    (struct logview_opts){.index = index, .tail = tail, .follow = follow});
}

static void expect_all(const struct log_rig *p, int64_t tail, const char *want)
{
	log_rig_expect(p, (struct logview_opts){.index = -1, .tail = tail}, want);
}

static void nothing_there(void **state)
{
	struct log_rig *p = *state;
	struct logview_opts o = {.log_dir = "/nonexistent/x", .service = "svc", .index = -1};
	static const char *const bad[] = {"", ".", "..", "a/b", "../x"};
	struct logview *v = NULL;

	expect_all(p, -1, "");
	expect_all(p, 10, "");
	assert_int_equal(logview_open(&o, &v, NULL), 0);
	logview_free(v);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		o.service = bad[i];
		assert_int_equal(logview_open(&o, &v, NULL), -ERR_INVALID);
	}
	assert_null(logview_free(NULL));
}

static void streams_are_put_together_each_on_its_own(void **state)
{
	struct log_rig *p = *state;
	struct log_rig_at a = {0, INC_A, 1}, a2 = {0, INC_A, 2};

	log_rig_put(p, a, 1, 1000, "one\ntw");
	log_rig_put(p, a, 2, 1001, "err");
	log_rig_put(p, a, 1, 1002, "o\nthr");
	log_rig_put(p, a2, 2, 1003, "or\n\n");
	log_rig_put(p, a2, 1, 1004, "ee\nlast");
	expect_all(p, -1,
		   "0:1:1000:one|0:1:1000:two|0:2:1001:error|0:2:1003:|0:1:1002:three|0:1:1004:"
		   "last|");
}

static void replicas_and_incarnations_merge_by_time(void **state)
{
	struct log_rig *p = *state;

	log_rig_put(p, (struct log_rig_at){1, INC_A, 1}, 1, 1500, "b\n");
	log_rig_put(p, (struct log_rig_at){0, INC_A, 1}, 1, 1000, "a\n");
	log_rig_put(p, (struct log_rig_at){0, INC_A, 1}, 1, 2500, "d\n");
	log_rig_put(p, (struct log_rig_at){0, INC_B, 1}, 1, 2000, "c\n");
	log_rig_put(p, (struct log_rig_at){0, INC_B, 1}, 1, 3000, "e\n");
	log_rig_put(p, (struct log_rig_at){12, INC_C, 1}, 2, 3001, "f\n");
	expect_all(p, -1, "0:1:1000:a|1:1:1500:b|0:1:2000:c|0:1:2500:d|0:1:3000:e|12:2:3001:f|");
	expect_all(p, 3, "0:1:2500:d|0:1:3000:e|12:2:3001:f|");
	expect_all(p, 0, "");
	expect_all(p, 100, "0:1:1000:a|1:1:1500:b|0:1:2000:c|0:1:2500:d|0:1:3000:e|12:2:3001:f|");
}

static void one_replica_only(void **state)
{
	struct log_rig *p = *state;
	_cleanup_buf_ struct buf b = {0};
	struct logview *v;

	log_rig_put(p, (struct log_rig_at){1, INC_A, 1}, 1, 1500, "b\n");
	log_rig_put(p, (struct log_rig_at){0, INC_A, 1}, 1, 1000, "a\n");
	v = view(p, 1, -1, false);
	assert_string_equal(log_rig_drain(v, &b), "1:1:1500:b|");
	logview_free(v);
	v = view(p, 7, -1, false);
	assert_string_equal(log_rig_drain(v, &b), "");
	logview_free(v);
}

/* Its reader has left: what looks for a pattern in gigabytes ends. */
static void it_stops_when_told(void **state)
{
	struct log_rig *p = *state;
	bool stop = false;
	struct logview_opts o = {
		.log_dir = p->dir, .service = "svc", .index = -1, .tail = -1, .stop = &stop};
	struct logview_line line;
	struct logview *v = NULL;

	log_rig_put(p, (struct log_rig_at){0, INC_A, 1}, 1, 1000, "one\ntwo\nthree\n");
	assert_int_equal(logview_open(&o, &v, NULL), 0);
	assert_int_equal(logview_next(v, &line, NULL), 1);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	assert_int_equal(logview_next(v, &line, NULL), -ERR_BUSY);
	logview_free(v);
	o.tail = 2;
	assert_int_equal(logview_open(&o, &v, NULL), -ERR_BUSY);
}

/* Many lines of two streams over several segments; every tail must be a suffix of the whole. */
static void any_tail_is_a_suffix(void **state)
{
	struct log_rig *p = *state;
	_cleanup_buf_ struct buf all = {0};
	unsigned seed = 5, lines = 0;
	struct logview *v;

	for (unsigned i = 0; i < 600; i++) {
		char text[128];
		size_t n = 0;

		seed = seed * 1103515245u + 12345u;
		for (unsigned k = 0; k < 1 + (seed >> 20) % 4; k++)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%u.%u%s", i, k,
					      (seed >> (10 + k)) & 1 ? "\n" : " ");
		log_rig_put_n(p, (struct log_rig_at){0, i < 300 ? INC_A : INC_B, 1 + i / 50},
			      1 + (seed >> 28) % 2, 1000 + i, text, n);
	}
	v = view(p, -1, -1, false);
	log_rig_drain(v, &all);
	logview_free(v);
	for (size_t i = 0; i < all.len; i++)
		lines += all.data[i] == '|';
	assert_true(lines > 500);
	for (unsigned n = 0; n <= lines + 2; n++) {
		_cleanup_buf_ struct buf b = {0};
		size_t at = all.len;

		for (unsigned k = 0; at > 0; at--)
			if (all.data[at - 1] == '|' && k++ == n)
				break;
		v = view(p, -1, n, false);
		assert_string_equal(log_rig_drain(v, &b), all.data + at);
		logview_free(v);
	}
}

static void a_rare_error_line_is_in_the_tail(void **state)
{
	struct log_rig *p = *state;
	struct log_rig_at a = {0, INC_A, 1};
	_cleanup_buf_ struct buf many = {0};

	log_rig_put(p, a, 2, 1000, "warning\n");
	for (int i = 0; i < 5000; i++)
		buf_printf(&many, "line %d\n", i);
	log_rig_put_n(p, a, 1, 1001, many.data, many.len);
	log_rig_put(p, a, 2, 1002, "Traceback\n");
	log_rig_put(p, a, 1, 1003, "x\n");
	expect_all(p, 3, "0:1:1001:line 4999|0:2:1002:Traceback|0:1:1003:x|");
}

static void long_lines_are_cut(void **state)
{
	struct log_rig *p = *state;
	size_t n = LOGVIEW_LINE_MAX + 5000;
	_cleanup_free_ char *text = mem_alloc(n + 1);
	struct logview_line l;
	struct logview *v;

	memset(text, 'x', n);
	log_rig_put_n(p, (struct log_rig_at){0, INC_A, 1}, 1, 1000, text, n);
	log_rig_put(p, (struct log_rig_at){0, INC_A, 1}, 1, 1001, "rest\nnext\n");
	v = view(p, -1, -1, false);
	assert_int_equal(logview_next(v, &l, NULL), 1);
	assert_true(l.cut);
	assert_int_equal(l.len, LOGVIEW_LINE_MAX + strlen(LOGVIEW_CUT));
	assert_memory_equal(l.text + LOGVIEW_LINE_MAX, LOGVIEW_CUT, strlen(LOGVIEW_CUT));
	assert_int_equal(logview_next(v, &l, NULL), 1);
	assert_false(l.cut);
	assert_int_equal(l.len, 4);
	assert_memory_equal(l.text, "next", 4);
	assert_int_equal(logview_next(v, &l, NULL), 0);
	logview_free(v);
}

static void raw_is_what_was_written(void **state)
{
	struct log_rig *p = *state;
	struct log_rig_at a = {0, INC_A, 1};
	struct logview_opts o = {
		.log_dir = p->dir, .service = "svc", .index = 0, .tail = -1, .raw = true};
	size_t n = LOGVIEW_LINE_MAX * 2 + 77;
	_cleanup_free_ char *text = mem_alloc(n + 1);
	_cleanup_buf_ struct buf got = {0};
	_cleanup_buf_ struct buf want = {0};
	struct logview_line l;
	struct logview *v;

	memset(text, 'x', n);
	log_rig_put(p, a, 1, 1000, "one\ntw");
	log_rig_put(p, a, 2, 1001, "err\n\n");
	log_rig_put_n(p, a, 1, 1002, text, n);
	log_rig_put(p, a, 1, 1003, "\nend");
	buf_printf(&want, "one\ntwerr\n\n%s\nend", text);
	assert_int_equal(logview_open(&o, &v, NULL), 0);
	while (logview_next(v, &l, NULL) == 1)
		buf_append(&got, l.text, l.len);
	logview_free(v);
	assert_int_equal(got.len, want.len);
	assert_memory_equal(got.data, want.data, want.len);
	o.tail = 1;
	assert_int_equal(logview_open(&o, &v, NULL), 0);
	assert_int_equal(logview_next(v, &l, NULL), 1);
	assert_int_equal(l.len, 3);
	assert_memory_equal(l.text, "end", 3);
	logview_free(v);
}

/* ---- following ---- */

static void follow_gives_each_line_once(void **state)
{
	struct log_rig *p = *state;
	struct logview *v = view(p, -1, -1, true);
	_cleanup_buf_ struct buf b = {0};
	struct log_rig_at a = {0, INC_A, 1}, a2 = {0, INC_A, 2}, next = {0, INC_B, 1};

	assert_string_equal(log_rig_drain(v, &b), ""); /* the service is not even there */
	log_rig_put(p, a, 1, 1000, "one\ntw");
	assert_string_equal(log_rig_drain(v, &b), "0:1:1000:one|");
	assert_string_equal(log_rig_drain(v, &b), "");
	log_rig_put(p, a, 1, 1001, "o\n");
	log_rig_put(p, a, 2, 1002, "e");
	assert_string_equal(log_rig_drain(v, &b), "0:1:1000:two|");
	log_rig_put(p, a2, 2, 1003, "rr\nx"); /* rotation in the middle of a line */
	assert_string_equal(log_rig_drain(v, &b), "0:2:1002:err|");
	log_rig_put(p, next, 1, 2000, "again\n"); /* restart; the old one may still drain */
	assert_string_equal(log_rig_drain(v, &b), "0:1:2000:again|");
	log_rig_put(p, a2, 1, 2001, "late\n");
	assert_string_equal(log_rig_drain(v, &b), "0:1:2001:late|");
	log_rig_put_end(p, a2, 0);
	assert_string_equal(log_rig_drain(v, &b),
			    "0:2:1003:x|"); /* its last line, without newline */
	log_rig_put(p, (struct log_rig_at){3, INC_C, 1}, 1, 3000, "replica 3\n");
	assert_string_equal(log_rig_drain(v, &b), "3:1:3000:replica 3|");
	logview_free(v);
}

static void follow_from_the_end(void **state)
{
	struct log_rig *p = *state;
	_cleanup_buf_ struct buf b = {0};
	struct log_rig_at a = {0, INC_A, 1};
	struct logview *v;

	log_rig_put(p, a, 1, 1000, "one\ntwo\nthr");
	v = view(p, -1, 0, true);
	assert_string_equal(log_rig_drain(v, &b), "");
	log_rig_put(p, a, 1, 1001, "ee\nfour\n");
	assert_string_equal(log_rig_drain(v, &b), "0:1:1000:three|0:1:1001:four|");
	logview_free(v);
	v = view(p, -1, 1, true);
	assert_string_equal(log_rig_drain(v, &b), "0:1:1001:four|");
	logview_free(v);
}

static void follow_is_woken(void **state)
{
	struct log_rig *p = *state;
	_cleanup_buf_ struct buf b = {0};
	struct log_rig_at a = {0, INC_A, 1};
	struct pollfd fd = {.events = POLLIN};
	struct logview *v;

	log_rig_put(p, a, 1, 1000, "one\n");
	v = view(p, -1, -1, true);
	fd.fd = logview_fd(v);
	if (fd.fd < 0) {
		logview_free(v);
		skip();
	}
	log_rig_drain(v, &b);
	log_rig_drain(v, &b);
	assert_int_equal(poll(&fd, 1, 0), 0); /* nothing new, nothing to read */
	log_rig_put(p, a, 1, 1001, "two\n");
	assert_int_equal(poll(&fd, 1, 5000), 1);
	assert_string_equal(log_rig_drain(v, &b), "0:1:1001:two|");
	log_rig_put(p, (struct log_rig_at){0, INC_A, 2}, 1, 1002, "three\n");
	assert_int_equal(poll(&fd, 1, 5000), 1);
	assert_string_equal(log_rig_drain(v, &b), "0:1:1002:three|");
	log_rig_put(p, (struct log_rig_at){9, INC_B, 1}, 1, 2002, "nine\n");
	assert_int_equal(poll(&fd, 1, 5000), 1);
	assert_string_equal(log_rig_drain(v, &b), "9:1:2002:nine|");
	logview_free(v);
}

static void segments_deleted_under_the_reader(void **state)
{
	struct log_rig *p = *state;
	_cleanup_buf_ struct buf b = {0};
	char path[256], name[LOGIDX_NAME_SIZE];
	struct logview *v;

	for (uint32_t seq = 1; seq <= 4; seq++)
		log_rig_put(p, (struct log_rig_at){0, INC_A, seq}, 1, 1000 + seq,
			    seq == 2 ? "cut" : "whole\n");
	v = view(p, -1, -1, false);
	for (uint32_t seq = 1; seq <= 3; seq += 2) {
		snprintf(path, sizeof(path), "%s/svc/0/%s", p->dir,
			 logidx_name(name, INC_A, seq, LOGIDX_LOG));
		assert_int_equal(unlink(path), 0);
	}
	assert_string_equal(log_rig_drain(v, &b), "0:1:1002:cut|0:1:1004:whole|");
	logview_free(v);
	snprintf(path, sizeof(path), "%s/svc", p->dir);
	v = view(p, -1, -1, true);
	log_rig_drain(v, &b);
	logcheck_remove(path); /* the whole service goes and comes back */
	assert_string_equal(log_rig_drain(v, &b), "");
	log_rig_put(p, (struct log_rig_at){0, INC_B, 1}, 1, 2000, "new\n");
	assert_string_equal(log_rig_drain(v, &b), "0:1:2000:new|");
	logview_free(v);
}

/* ---- damage ---- */

static void truncated_files(void **state)
{
	struct log_rig *p = *state;
	_cleanup_buf_ struct buf b = {0};
	struct log_rig_at a = {0, INC_A, 1}, a2 = {0, INC_A, 2};
	char log[256], idx[256], name[LOGIDX_NAME_SIZE];

	for (int i = 0; i < 20; i++)
		log_rig_put(p, a, 1 + i % 2, 1000 + i, i % 3 ? "abc\n" : "de");
	log_rig_put(p, a2, 1, 2000, "after\n");
	snprintf(log, sizeof(log), "%s/svc/0/%s", p->dir, logidx_name(name, INC_A, 1, LOGIDX_LOG));
	snprintf(idx, sizeof(idx), "%s/svc/0/%s", p->dir, logidx_name(name, INC_A, 1, LOGIDX_IDX));
	for (off_t n = LOGIDX_HEADER_SIZE + 20 * LOGIDX_ENTRY_SIZE; n >= 0; n -= 5) {
		struct logview *v;

		assert_int_equal(truncate(idx, n), 0); /* what is not indexed counts as stdout */
		for (int tail = -1; tail < 40; tail += 13) {
			v = view(p, -1, tail, false);
			log_rig_drain(v, &b);
			if (tail != 0)
				assert_non_null(strstr(buf_cstr(&b), "after|"));
			logview_free(v);
		}
	}
	for (off_t n = 60; n >= 0; n--) {
		struct logview *v;

		assert_int_equal(truncate(log, n), 0);
		v = view(p, -1, -1, false);
		log_rig_drain(v, &b);
		assert_non_null(strstr(buf_cstr(&b), "after|"));
		logview_free(v);
	}
}

static void garbage_in_the_index(void **state)
{
	struct log_rig *p = *state;
	struct log_rig_at a = {0, INC_A, 1};
	char idx[256], name[LOGIDX_NAME_SIZE];
	unsigned seed = 99;

	for (int i = 0; i < 10; i++)
		log_rig_put(p, a, 1 + i % 2, 1000 + i, "abc\n");
	snprintf(idx, sizeof(idx), "%s/svc/0/%s", p->dir, logidx_name(name, INC_A, 1, LOGIDX_IDX));
	for (int round = 0; round < 300; round++) {
		_cleanup_buf_ struct buf b = {0};
		int fd = open(idx, O_WRONLY | O_CLOEXEC);
		struct logview *v;

		for (int i = 0; i < 3; i++) {
			uint8_t byte;

			seed = seed * 1103515245u + 12345u;
			byte = (uint8_t)(seed >> 16);
			assert_int_equal(pwrite(fd, &byte, 1, (seed >> 24) % 304), 1);
		}
		close(fd);
		v = view(p, -1, round % 12 - 1, round % 2);
		log_rig_drain(v, &b);
		logview_free(v);
	}
}

static void out_of_memory_is_reported(void **state)
{
	struct log_rig *p = *state;
	struct logview_opts o = {.log_dir = p->dir, .service = "svc", .index = -1, .tail = 2};
	unsigned long n;

	log_rig_put(p, (struct log_rig_at){0, INC_A, 1}, 1, 1000, "one\ntw");
	log_rig_put(p, (struct log_rig_at){1, INC_A, 1}, 1, 1000, "one\ntw");
	for (n = 1; n < 1000; n++) {
		struct logview *v = NULL;
		struct logview_line l;
		int r;

		mem_fail_after(n);
		r = logview_open(&o, &v, NULL);
		while (r == 0 && (r = logview_next(v, &l, NULL)) == 1)
			r = 0;
		mem_fail_after(0);
		if (r == 0 && v && n > 40) {
			logview_free(v);
			break;
		}
		assert_true(r == -ERR_NOMEM || r == 0);
		logview_free(v);
	}
	assert_true(n < 1000);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, log_rig_setup, log_rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_there),
		TEST(streams_are_put_together_each_on_its_own),
		TEST(replicas_and_incarnations_merge_by_time),
		TEST(one_replica_only),
		TEST(it_stops_when_told),
		TEST(any_tail_is_a_suffix),
		TEST(a_rare_error_line_is_in_the_tail),
		TEST(long_lines_are_cut),
		TEST(raw_is_what_was_written),
		TEST(follow_gives_each_line_once),
		TEST(follow_from_the_end),
		TEST(follow_is_woken),
		TEST(segments_deleted_under_the_reader),
		TEST(truncated_files),
		TEST(garbage_in_the_index),
		TEST(out_of_memory_is_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
