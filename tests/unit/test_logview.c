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

#define INC_A "0000000003e8aaaaaaaaaaaaaaaaaaaa" /* 1000 ms */
#define INC_B "0000000007d0bbbbbbbbbbbbbbbbbbbb" /* 2000 ms */
#define INC_C "000000000bb8cccccccccccccccccccc" /* 3000 ms */

struct place {
	char dir[64];
};

static int setup(void **state)
{
	struct place *p = mem_alloc(sizeof(*p));

	snprintf(p->dir, sizeof(p->dir), "/tmp/aictl-test-logview-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;

	logcheck_remove(p->dir);
	mem_free(p);
	return 0;
}

static int open_part(const struct place *p, unsigned index, const char *inc, uint32_t seq,
		     enum logidx_kind kind)
{
	char path[256], name[LOGIDX_NAME_SIZE];
	int fd;

	snprintf(path, sizeof(path), "%s/svc", p->dir);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/svc/%u", p->dir, index);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/svc/%u/%s", p->dir, index,
		 logidx_name(name, inc, seq, kind));
	fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	return fd;
}

static void put_entry(const struct place *p, unsigned index, const char *inc, uint32_t seq,
		      const struct logidx_entry *e)
{
	_cleanup_close_ int fd = open_part(p, index, inc, seq, LOGIDX_IDX);
	struct logidx_header h = {.seq = seq};
	uint8_t raw[LOGIDX_HEADER_SIZE];

	if (lseek(fd, 0, SEEK_END) == 0) {
		memcpy(h.incarnation, inc, sizeof(h.incarnation));
		logidx_encode_header(&h, raw);
		assert_int_equal(fs_write_all(fd, raw, LOGIDX_HEADER_SIZE), 0);
	}
	logidx_encode_entry(e, raw);
	assert_int_equal(fs_write_all(fd, raw, LOGIDX_ENTRY_SIZE), 0);
}

struct at {
	unsigned index;
	const char *inc;
	uint32_t seq;
};

static void put_n(const struct place *p, struct at a, uint32_t stream, int64_t ms, const char *text,
		  size_t n)
{
	_cleanup_close_ int fd = open_part(p, a.index, a.inc, a.seq, LOGIDX_LOG);
	struct logidx_entry e = {.length = (uint32_t)n, .stream = stream, .wall_ms = ms};

	e.offset = (uint64_t)lseek(fd, 0, SEEK_END);
	assert_int_equal(fs_write_all(fd, text, n), 0);
	put_entry(p, a.index, a.inc, a.seq, &e);
}

static void put(const struct place *p, struct at a, uint32_t stream, int64_t ms, const char *text)
{
	put_n(p, a, stream, ms, text, strlen(text));
}

static void put_end(const struct place *p, struct at a, uint64_t offset)
{
	put_entry(p, a.index, a.inc, a.seq, &(struct logidx_entry){.offset = offset});
}

static struct logview *view(const struct place *p, int64_t index, int64_t tail, bool follow)
{
	struct logview_opts o = {.log_dir = p->dir,
				 .service = "svc",
				 .index = index,
				 .tail = tail,
				 .follow = follow};
	struct logview *v = NULL;

	assert_int_equal(logview_open(&o, &v, NULL), 0);
	return v;
}

/* All that comes now as "index:stream:ms:text|". */
static const char *drain(struct logview *v, struct buf *b)
{
	struct logview_line l;
	int r;

	buf_clear(b);
	while ((r = logview_next(v, &l, NULL)) == 1) {
		buf_printf(b, "%u:%u:%lld:", l.index, l.stream, (long long)l.wall_ms);
		buf_append(b, l.text, l.len);
		buf_char(b, '|');
	}
	assert_int_equal(r, 0);
	return buf_cstr(b);
}

static void expect_all(const struct place *p, int64_t tail, const char *want)
{
	_cleanup_buf_ struct buf b = {0};
	struct logview *v = view(p, -1, tail, false);

	assert_string_equal(drain(v, &b), want);
	assert_string_equal(drain(v, &b), ""); /* stays at its end */
	logview_free(v);
}

static void nothing_there(void **state)
{
	struct place *p = *state;
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
	struct place *p = *state;
	struct at a = {0, INC_A, 1}, a2 = {0, INC_A, 2};

	put(p, a, 1, 1000, "one\ntw");
	put(p, a, 2, 1001, "err");
	put(p, a, 1, 1002, "o\nthr");
	put(p, a2, 2, 1003, "or\n\n");
	put(p, a2, 1, 1004, "ee\nlast");
	expect_all(p, -1,
		   "0:1:1000:one|0:1:1000:two|0:2:1001:error|0:2:1003:|0:1:1002:three|0:1:1004:"
		   "last|");
}

static void replicas_and_incarnations_merge_by_time(void **state)
{
	struct place *p = *state;

	put(p, (struct at){1, INC_A, 1}, 1, 1500, "b\n");
	put(p, (struct at){0, INC_A, 1}, 1, 1000, "a\n");
	put(p, (struct at){0, INC_A, 1}, 1, 2500, "d\n");
	put(p, (struct at){0, INC_B, 1}, 1, 2000, "c\n");
	put(p, (struct at){0, INC_B, 1}, 1, 3000, "e\n");
	put(p, (struct at){12, INC_C, 1}, 2, 3001, "f\n");
	expect_all(p, -1, "0:1:1000:a|1:1:1500:b|0:1:2000:c|0:1:2500:d|0:1:3000:e|12:2:3001:f|");
	expect_all(p, 3, "0:1:2500:d|0:1:3000:e|12:2:3001:f|");
	expect_all(p, 0, "");
	expect_all(p, 100, "0:1:1000:a|1:1:1500:b|0:1:2000:c|0:1:2500:d|0:1:3000:e|12:2:3001:f|");
}

static void one_replica_only(void **state)
{
	struct place *p = *state;
	_cleanup_buf_ struct buf b = {0};
	struct logview *v;

	put(p, (struct at){1, INC_A, 1}, 1, 1500, "b\n");
	put(p, (struct at){0, INC_A, 1}, 1, 1000, "a\n");
	v = view(p, 1, -1, false);
	assert_string_equal(drain(v, &b), "1:1:1500:b|");
	logview_free(v);
	v = view(p, 7, -1, false);
	assert_string_equal(drain(v, &b), "");
	logview_free(v);
}

/* Many lines of two streams over several segments; every tail must be a suffix of the whole. */
static void any_tail_is_a_suffix(void **state)
{
	struct place *p = *state;
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
		put_n(p, (struct at){0, i < 300 ? INC_A : INC_B, 1 + i / 50}, 1 + (seed >> 28) % 2,
		      1000 + i, text, n);
	}
	v = view(p, -1, -1, false);
	drain(v, &all);
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
		assert_string_equal(drain(v, &b), all.data + at);
		logview_free(v);
	}
}

static void a_rare_error_line_is_in_the_tail(void **state)
{
	struct place *p = *state;
	struct at a = {0, INC_A, 1};
	_cleanup_buf_ struct buf many = {0};

	put(p, a, 2, 1000, "warning\n");
	for (int i = 0; i < 5000; i++)
		buf_printf(&many, "line %d\n", i);
	put_n(p, a, 1, 1001, many.data, many.len);
	put(p, a, 2, 1002, "Traceback\n");
	put(p, a, 1, 1003, "x\n");
	expect_all(p, 3, "0:1:1001:line 4999|0:2:1002:Traceback|0:1:1003:x|");
}

static void long_lines_are_cut(void **state)
{
	struct place *p = *state;
	size_t n = LOGVIEW_LINE_MAX + 5000;
	_cleanup_free_ char *text = mem_alloc(n + 1);
	struct logview_line l;
	struct logview *v;

	memset(text, 'x', n);
	put_n(p, (struct at){0, INC_A, 1}, 1, 1000, text, n);
	put(p, (struct at){0, INC_A, 1}, 1, 1001, "rest\nnext\n");
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
	struct place *p = *state;
	struct at a = {0, INC_A, 1};
	struct logview_opts o = {
		.log_dir = p->dir, .service = "svc", .index = 0, .tail = -1, .raw = true};
	size_t n = LOGVIEW_LINE_MAX * 2 + 77;
	_cleanup_free_ char *text = mem_alloc(n + 1);
	_cleanup_buf_ struct buf got = {0};
	_cleanup_buf_ struct buf want = {0};
	struct logview_line l;
	struct logview *v;

	memset(text, 'x', n);
	put(p, a, 1, 1000, "one\ntw");
	put(p, a, 2, 1001, "err\n\n");
	put_n(p, a, 1, 1002, text, n);
	put(p, a, 1, 1003, "\nend");
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
	struct place *p = *state;
	struct logview *v = view(p, -1, -1, true);
	_cleanup_buf_ struct buf b = {0};
	struct at a = {0, INC_A, 1}, a2 = {0, INC_A, 2}, next = {0, INC_B, 1};

	assert_string_equal(drain(v, &b), ""); /* the service is not even there */
	put(p, a, 1, 1000, "one\ntw");
	assert_string_equal(drain(v, &b), "0:1:1000:one|");
	assert_string_equal(drain(v, &b), "");
	put(p, a, 1, 1001, "o\n");
	put(p, a, 2, 1002, "e");
	assert_string_equal(drain(v, &b), "0:1:1000:two|");
	put(p, a2, 2, 1003, "rr\nx"); /* rotation in the middle of a line */
	assert_string_equal(drain(v, &b), "0:2:1002:err|");
	put(p, next, 1, 2000, "again\n"); /* restart; the old one may still drain */
	assert_string_equal(drain(v, &b), "0:1:2000:again|");
	put(p, a2, 1, 2001, "late\n");
	assert_string_equal(drain(v, &b), "0:1:2001:late|");
	put_end(p, a2, 0);
	assert_string_equal(drain(v, &b), "0:2:1003:x|"); /* its last line, without newline */
	put(p, (struct at){3, INC_C, 1}, 1, 3000, "replica 3\n");
	assert_string_equal(drain(v, &b), "3:1:3000:replica 3|");
	logview_free(v);
}

static void follow_from_the_end(void **state)
{
	struct place *p = *state;
	_cleanup_buf_ struct buf b = {0};
	struct at a = {0, INC_A, 1};
	struct logview *v;

	put(p, a, 1, 1000, "one\ntwo\nthr");
	v = view(p, -1, 0, true);
	assert_string_equal(drain(v, &b), "");
	put(p, a, 1, 1001, "ee\nfour\n");
	assert_string_equal(drain(v, &b), "0:1:1000:three|0:1:1001:four|");
	logview_free(v);
	v = view(p, -1, 1, true);
	assert_string_equal(drain(v, &b), "0:1:1001:four|");
	logview_free(v);
}

static void follow_is_woken(void **state)
{
	struct place *p = *state;
	_cleanup_buf_ struct buf b = {0};
	struct at a = {0, INC_A, 1};
	struct pollfd fd = {.events = POLLIN};
	struct logview *v;

	put(p, a, 1, 1000, "one\n");
	v = view(p, -1, -1, true);
	fd.fd = logview_fd(v);
	if (fd.fd < 0) {
		logview_free(v);
		skip();
	}
	drain(v, &b);
	drain(v, &b);
	assert_int_equal(poll(&fd, 1, 0), 0); /* nothing new, nothing to read */
	put(p, a, 1, 1001, "two\n");
	assert_int_equal(poll(&fd, 1, 5000), 1);
	assert_string_equal(drain(v, &b), "0:1:1001:two|");
	put(p, (struct at){0, INC_A, 2}, 1, 1002, "three\n");
	assert_int_equal(poll(&fd, 1, 5000), 1);
	assert_string_equal(drain(v, &b), "0:1:1002:three|");
	put(p, (struct at){9, INC_B, 1}, 1, 2002, "nine\n");
	assert_int_equal(poll(&fd, 1, 5000), 1);
	assert_string_equal(drain(v, &b), "9:1:2002:nine|");
	logview_free(v);
}

static void segments_deleted_under_the_reader(void **state)
{
	struct place *p = *state;
	_cleanup_buf_ struct buf b = {0};
	char path[256], name[LOGIDX_NAME_SIZE];
	struct logview *v;

	for (uint32_t seq = 1; seq <= 4; seq++)
		put(p, (struct at){0, INC_A, seq}, 1, 1000 + seq, seq == 2 ? "cut" : "whole\n");
	v = view(p, -1, -1, false);
	for (uint32_t seq = 1; seq <= 3; seq += 2) {
		snprintf(path, sizeof(path), "%s/svc/0/%s", p->dir,
			 logidx_name(name, INC_A, seq, LOGIDX_LOG));
		assert_int_equal(unlink(path), 0);
	}
	assert_string_equal(drain(v, &b), "0:1:1002:cut|0:1:1004:whole|");
	logview_free(v);
	snprintf(path, sizeof(path), "%s/svc", p->dir);
	v = view(p, -1, -1, true);
	drain(v, &b);
	logcheck_remove(path); /* the whole service goes and comes back */
	assert_string_equal(drain(v, &b), "");
	put(p, (struct at){0, INC_B, 1}, 1, 2000, "new\n");
	assert_string_equal(drain(v, &b), "0:1:2000:new|");
	logview_free(v);
}

/* ---- damage ---- */

static void truncated_files(void **state)
{
	struct place *p = *state;
	_cleanup_buf_ struct buf b = {0};
	struct at a = {0, INC_A, 1}, a2 = {0, INC_A, 2};
	char log[256], idx[256], name[LOGIDX_NAME_SIZE];

	for (int i = 0; i < 20; i++)
		put(p, a, 1 + i % 2, 1000 + i, i % 3 ? "abc\n" : "de");
	put(p, a2, 1, 2000, "after\n");
	snprintf(log, sizeof(log), "%s/svc/0/%s", p->dir, logidx_name(name, INC_A, 1, LOGIDX_LOG));
	snprintf(idx, sizeof(idx), "%s/svc/0/%s", p->dir, logidx_name(name, INC_A, 1, LOGIDX_IDX));
	for (off_t n = LOGIDX_HEADER_SIZE + 20 * LOGIDX_ENTRY_SIZE; n >= 0; n -= 5) {
		struct logview *v;

		assert_int_equal(truncate(idx, n), 0); /* what is not indexed counts as stdout */
		for (int tail = -1; tail < 40; tail += 13) {
			v = view(p, -1, tail, false);
			drain(v, &b);
			if (tail != 0)
				assert_non_null(strstr(buf_cstr(&b), "after|"));
			logview_free(v);
		}
	}
	for (off_t n = 60; n >= 0; n--) {
		struct logview *v;

		assert_int_equal(truncate(log, n), 0);
		v = view(p, -1, -1, false);
		drain(v, &b);
		assert_non_null(strstr(buf_cstr(&b), "after|"));
		logview_free(v);
	}
}

static void garbage_in_the_index(void **state)
{
	struct place *p = *state;
	struct at a = {0, INC_A, 1};
	char idx[256], name[LOGIDX_NAME_SIZE];
	unsigned seed = 99;

	for (int i = 0; i < 10; i++)
		put(p, a, 1 + i % 2, 1000 + i, "abc\n");
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
		drain(v, &b);
		logview_free(v);
	}
}

static void out_of_memory_is_reported(void **state)
{
	struct place *p = *state;
	struct logview_opts o = {.log_dir = p->dir, .service = "svc", .index = -1, .tail = 2};
	unsigned long n;

	put(p, (struct at){0, INC_A, 1}, 1, 1000, "one\ntw");
	put(p, (struct at){1, INC_A, 1}, 1, 1000, "one\ntw");
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

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_there),
		TEST(streams_are_put_together_each_on_its_own),
		TEST(replicas_and_incarnations_merge_by_time),
		TEST(one_replica_only),
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
