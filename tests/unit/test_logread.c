/*
 * test_logread: what of the logs a reader asks for: times, streams, patterns, the incarnation
 * before; and what reading must bear: a clock that steps, files that a power cut left, few
 * descriptors.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/fs.h"
#include "lib/loggrep.h"
#include "lib/logseg.h"
#include "lib/mem.h"
#include "tests/unit/log_rig.h"

#define OUT (1U << LOGIDX_STDOUT)
#define ERR (1U << LOGIDX_STDERR)
#define NOTE (1U << LOGIDX_NOTE)

static const struct logview_opts all = {.index = -1, .tail = -1};

static struct loggrep *grep_by(struct logview_opts *o, const char *pattern, bool ignore_case)
{
	struct loggrep *g = NULL;

	assert_int_equal(loggrep_new(pattern, ignore_case, &g, NULL), 0);
	o->filter = loggrep_filter;
	o->filter_user = g;
	return g;
}

/* ---- times ---- */

static void since_and_until(void **state)
{
	struct log_rig *p = *state;
	struct log_rig_at a = {0, INC_A, 1}, a2 = {0, INC_A, 2}, b = {0, INC_B, 1};
	struct logview_opts o = all;

	log_rig_put(p, a, 1, 1000, "one\ntw");
	log_rig_put(p, a, 2, 1001, "err");
	log_rig_put(p, a, 1, 1100, "o\nthree\n");
	log_rig_put(p, a2, 2, 1200, "or\nnext\n");
	log_rig_put(p, a2, 1, 1300, "four\n");
	log_rig_put(p, b, 1, 2000, "five\n");
	log_rig_put(p, b, 1, 2500, "six\n");
	o.since_ms = 1100; /* what began earlier is not shown, and its rest is no line */
	log_rig_expect(p, o,
		       "0:1:1100:three|0:2:1200:next|0:1:1300:four|0:1:2000:five|0:1:2500:six|");
	o.until_ms = 2000;
	log_rig_expect(p, o, "0:1:1100:three|0:2:1200:next|0:1:1300:four|0:1:2000:five|");
	o.tail = 2;
	log_rig_expect(p, o, "0:1:1300:four|0:1:2000:five|");
	o.since_ms = 0;
	o.until_ms = 1050;
	o.tail = -1; /* whole lines, though they end later */
	log_rig_expect(p, o, "0:1:1000:one|0:1:1000:two|0:2:1001:error|");
	o.tail = 1;
	log_rig_expect(p, o, "0:2:1001:error|");
	o.until_ms = 999;
	log_rig_expect(p, o, "");
	o.tail = -1;
	log_rig_expect(p, o, "");
	o.until_ms = 0;
	o.since_ms = 2501;
	log_rig_expect(p, o, "");
	o.since_ms = 1;
	o.tail = 3;
	log_rig_expect(p, o, "0:1:1300:four|0:1:2000:five|0:1:2500:six|");
}

static unsigned next_random(unsigned *seed)
{
	*seed = *seed * 1103515245u + 12345u;
	return *seed >> 8;
}

/*
 * Any bounds give what reading everything and choosing gives. Of one replica: a line that waits for
 * its end comes after younger ones of its replica, and what those are others are merged by.
 */
static void any_choice_is_the_one_by_hand(void **state)
{
	struct log_rig *p = *state;
	_cleanup_buf_ struct buf whole = {0};
	struct logview *v;
	unsigned seed = 7;

	for (unsigned i = 0; i < 400; i++) {
		char text[96];
		size_t n = 0;

		for (unsigned k = 0; k <= next_random(&seed) % 3; k++)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%u.%u%s", i, k,
					      next_random(&seed) & 1 ? "\n" : " ");
		log_rig_put_n(p,
			      (struct log_rig_at){i % 3, i < 200 ? INC_A : INC_B, 1 + i % 200 / 40},
			      1 + next_random(&seed) % 2, 1000 + i * 5, text, n);
	}
	v = log_rig_open(p, (struct logview_opts){.index = 1, .tail = -1});
	log_rig_drain(v, &whole);
	logview_free(v);
	for (unsigned round = 0; round < 300; round++) {
		struct logview_opts o = {.index = 1,
					 .tail = (int64_t)(next_random(&seed) % 60) - 10};
		_cleanup_buf_ struct buf want = {0};
		_cleanup_free_ char *text = mem_strndup(whole.data, whole.len);
		struct loggrep *grep = NULL;
		char *save = NULL, pattern[8];
		unsigned lines = 0;

		o.tail = o.tail < 0 ? -1 : o.tail;
		o.since_ms = next_random(&seed) % 2 ? 900 + next_random(&seed) % 2300 : 0;
		o.until_ms = next_random(&seed) % 2 ? 900 + next_random(&seed) % 2300 : 0;
		o.streams = next_random(&seed) % 4; /* 0 = all; bit 0 is none */
		o.streams = (o.streams & 1 ? OUT : 0) | (o.streams & 2 ? ERR : 0);
		snprintf(pattern, sizeof(pattern), "%u", next_random(&seed) % 100);
		if (next_random(&seed) % 3 == 0)
			grep = grep_by(&o, pattern, false);
		for (int pass = 0; pass < 2; pass++) {
			unsigned seen = 0;

			mem_free(text);
			text = mem_strndup(whole.data, whole.len);
			for (char *l = strtok_r(text, "|", &save); l;
			     l = strtok_r(NULL, "|", &save)) {
				unsigned index, stream, at = 0;
				long long ms;

				assert_int_equal(sscanf(l, "%u:%u:%lld:%n", &index, &stream, &ms,
							(int *)&at),
						 3);
				if ((o.since_ms && ms < o.since_ms) ||
				    (o.until_ms && ms > o.until_ms) ||
				    (o.streams && !(o.streams & 1U << stream)) ||
				    (grep && !strstr(l + at, pattern)))
					continue;
				seen++;
				if (pass == 1 && (o.tail < 0 || seen + (unsigned)o.tail > lines))
					buf_printf(&want, "%s|", l);
			}
			lines = seen;
		}
		log_rig_expect(p, o, buf_cstr(&want));
		loggrep_free(grep);
	}
}

/* ---- what ---- */

static void streams_and_notes(void **state)
{
	struct log_rig *p = *state;
	struct log_rig_at a = {0, INC_A, 1};
	struct logview_opts o = all;

	log_rig_put(p, a, 1, 1000, "out\nha");
	log_rig_put(p, a, 3, 1001, "[aictl: 3 lines dropped]\n");
	log_rig_put(p, a, 2, 1002, "err\n");
	log_rig_put(p, a, 1, 1003, "lf\n");
	log_rig_expect(
		p, o, "0:1:1000:out|0:3:1001:[aictl: 3 lines dropped]|0:2:1002:err|0:1:1000:half|");
	o.streams = ERR;
	log_rig_expect(p, o, "0:2:1002:err|");
	o.streams = OUT;
	log_rig_expect(p, o, "0:1:1000:out|0:1:1000:half|");
	o.tail = 1;
	log_rig_expect(p, o, "0:1:1000:half|");
	o.streams = NOTE;
	log_rig_expect(p, o, "0:3:1001:[aictl: 3 lines dropped]|");
	o = (struct logview_opts){
		.index = -1, .tail = -1, .raw = true}; /* what it wrote, no more */
	log_rig_expect(p, o, "0:1:1000:out\n|0:1:1000:haerr\n|0:1:1003:lf\n|");
	o.streams = OUT;
	log_rig_expect(p, o, "0:1:1000:out\n|0:1:1000:half\n|");
}

/* With it, no line but those of before. */
static void expect_matches(struct log_rig *p, struct logview_opts o, const char *pattern,
			   bool ignore_case, const char *want)
{
	struct loggrep *g = grep_by(&o, pattern, ignore_case);

	log_rig_expect(p, o, want);
	loggrep_free(g);
}

static void patterns(void **state)
{
	struct log_rig *p = *state;
	_cleanup_buf_ struct buf many = {0};
	struct logview_opts o = all;

	log_rig_put(p, (struct log_rig_at){0, INC_A, 1}, 2, 999, "Error: the first\n");
	for (int i = 0; i < 20000; i++)
		buf_printf(&many, "line %d of many, nothing to see\n", i);
	log_rig_put_n(p, (struct log_rig_at){0, INC_A, 1}, 1, 1000, many.data, many.len);
	log_rig_put(p, (struct log_rig_at){1, INC_A, 1}, 1, 1001, "error: the second\n");
	expect_matches(p, o, "rror: the", false,
		       "0:2:999:Error: the first|1:1:1001:error: the second|");
	o.tail = 2; /* the last two that match, not of the last two those */
	expect_matches(p, o, "rror: the", false,
		       "0:2:999:Error: the first|1:1:1001:error: the second|");
	o.tail = 1;
	expect_matches(p, o, "rror: the", false, "1:1:1001:error: the second|");
	o.tail = -1;
	expect_matches(p, o, "^error", false, "1:1:1001:error: the second|");
	expect_matches(p, o, "^error", true,
		       "0:2:999:Error: the first|1:1:1001:error: the second|");
	o.raw = true;
	expect_matches(p, o, "first$|second$", false,
		       "0:2:999:Error: the first\n|1:1:1001:error: the second\n|");
}

/* No silence: what cannot be said about a line is told instead of it. */
static void a_pattern_that_asks_too_much(void **state)
{
	struct log_rig *p = *state;
	_cleanup_buf_ struct buf line = {0};
	struct logview_line l;

	for (int i = 0; i < 5000; i++)
		buf_char(&line, 'a');
	buf_str(&line, "!\n");
	log_rig_put(p, (struct log_rig_at){0, INC_A, 1}, 1, 999, "aa\n");
	log_rig_put_n(p, (struct log_rig_at){0, INC_A, 1}, 1, 1000, line.data, line.len);
	for (int64_t tail = -1; tail < 9; tail += 5) {
		_cleanup_err_ struct err *e = NULL;
		struct logview_opts o = all;
		struct loggrep *g = grep_by(&o, "(a+)+$", false);
		struct logview *v = NULL;
		int r;

		o.log_dir = p->dir;
		o.service = "svc";
		o.tail = tail;
		r = logview_open(&o, &v, &e);
		while (r >= 0 && (r = logview_next(v, &l, &e)) == 1)
			assert_int_equal(l.len, 2);
		assert_int_equal(r, -ERR_INVALID);
		assert_non_null(strstr(err_msg(e), "(a+)+$"));
		logview_free(v);
		loggrep_free(g);
	}
}

static void the_incarnation_before(void **state)
{
	struct log_rig *p = *state;
	struct logview_runs runs[] = {{0, INC_C, ""}, {1, INC_C, INC_A}};
	struct logview_opts o = {.index = -1, .tail = -1, .previous = true};

	log_rig_put(p, (struct log_rig_at){0, INC_A, 1}, 1, 1000, "a0\n");
	log_rig_put(p, (struct log_rig_at){0, INC_B, 1}, 1, 2000, "b0\n");
	log_rig_put(p, (struct log_rig_at){1, INC_A, 1}, 1, 1500, "a1\n");
	log_rig_put(p, (struct log_rig_at){1, INC_B, 1}, 1, 2500, "b1\n");
	log_rig_put(p, (struct log_rig_at){1, INC_C, 1}, 1, 3500, "c1\n");
	log_rig_put(p, (struct log_rig_at){2, INC_A, 1}, 1, 1700, "a2\n"); /* has none before */
	log_rig_expect(p, o, "0:1:1000:a0|1:1:2500:b1|");
	o.runs = runs; /* the present one of replica 0 has written nothing yet */
	o.n_runs = 1;
	log_rig_expect(p, o, "0:1:2000:b0|1:1:2500:b1|");
	o.index = 1;
	log_rig_expect(p, o, "1:1:2500:b1|");
	o.n_runs = 2; /* b1 is a hook's */
	log_rig_expect(p, o, "1:1:1500:a1|");
	o.n_runs = 1;
	o.tail = 1;
	log_rig_expect(p, o, "1:1:2500:b1|");
	o = (struct logview_opts){.index = -1, .tail = -1, .incarnation = INC_A};
	log_rig_expect(p, o, "0:1:1000:a0|1:1:1500:a1|2:1:1700:a2|");
	o.tail = 1;
	log_rig_expect(p, o, "2:1:1700:a2|");
}

/* ---- the clock ---- */

/* Names rise all the same; lines of a replica stay in the order of their arrival. */
static void a_clock_that_is_set_back(void **state)
{
	struct log_rig *p = *state;
	struct log_rig_at a = {0, INC_A, 1}, b = {0, "0000000003e9bbbbbbbbbbbbbbbbbbbb", 1},
			  c = {0, "0000000003eacccccccccccccccccccc", 1}, other = {1, INC_A, 1};
	_cleanup_buf_ struct buf text = {0};
	struct logview *v;

	log_rig_put(p, a, 1, 1000, "a1\n");
	log_rig_put(p, other, 1, 1005, "o1\n");
	log_rig_put(p, a, 1, 1010, "a2\n");
	log_rig_put(p, a, 1, 500, "a3\n"); /* the step */
	log_rig_put(p, a, 1, 1020, "a4\n");
	log_rig_put(p, b, 1, 600, "b1\n");
	log_rig_put(p, b, 1, 1015, "b2\n");
	log_rig_put(p, c, 1, 610, "c1\n");
	log_rig_expect(p, all,
		       "0:1:1000:a1|1:1:1005:o1|0:1:1010:a2|0:1:500:a3|0:1:1020:a4|0:1:600:b1|"
		       "0:1:1015:b2|0:1:610:c1|");
	for (int64_t n = 0; n < 10; n++) {
		struct logview_opts o = {.index = 0, .tail = n};
		static const char *const lines[] = {"0:1:1000:a1|", "0:1:1010:a2|", "0:1:500:a3|",
						    "0:1:1020:a4|", "0:1:600:b1|",  "0:1:1015:b2|",
						    "0:1:610:c1|"};
		_cleanup_buf_ struct buf want = {0};

		for (int64_t i = n > 7 ? 0 : 7 - n; i < 7; i++)
			buf_str(&want, lines[i]);
		log_rig_expect(p, o, buf_cstr(&want));
	}
	v = log_rig_open(p, (struct logview_opts){.index = 0, .tail = 0, .follow = true});
	assert_string_equal(log_rig_drain(v, &text), "");
	log_rig_put(p, c, 1, 300, "c2\n");
	assert_string_equal(log_rig_drain(v, &text), "0:1:300:c2|");
	log_rig_put(p, (struct log_rig_at){0, "0000000003ebdddddddddddddddddddd", 1}, 1, 200,
		    "d1\n");
	log_rig_put(p, c, 1, 310, "c3\n");
	assert_string_equal(log_rig_drain(v, &text), "0:1:310:c3|0:1:200:d1|");
	logview_free(v);
}

/* Newer incarnations are there, but its logger was stuck and stores the rest only now. */
static void a_former_incarnation_drains_late(void **state)
{
	struct log_rig *p = *state;
	struct log_rig_at a = {0, INC_A, 1}, b = {0, INC_B, 1}, c = {0, INC_C, 1};
	const struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
	_cleanup_buf_ struct buf text = {0};
	struct logview *v;
	char path[256];

	log_rig_put(p, a, 1, 1000, "a1\nhal");
	log_rig_put(p, b, 1, 2000, "b1\n");
	log_rig_put(p, c, 1, 3000, "c1\n");
	v = log_rig_open(p, (struct logview_opts){.index = -1, .tail = -1, .follow = true});
	assert_string_equal(log_rig_drain(v, &text), "0:1:1000:a1|0:1:2000:b1|0:1:3000:c1|");
	log_rig_put(p, a, 1, 3100, "f\na2\nres");
	assert_string_equal(log_rig_drain(v, &text), "0:1:1000:half|0:1:3100:a2|");
	log_rig_path(p, a, LOGIDX_LOG,
		     path); /* nothing came for long: it is given up, not forgotten */
	assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
	log_rig_put(p, (struct log_rig_at){0, INC_A, 2}, 1, 3200, "t\na3\n");
	assert_string_equal(log_rig_drain(v, &text), "0:1:3100:rest|0:1:3200:a3|");
	log_rig_put_end(p, (struct log_rig_at){0, INC_A, 2}, 0);
	assert_string_equal(log_rig_drain(v, &text), "");
	logview_free(v);
	log_rig_put(p, b, 1, 3300, "b2 without end");
	log_rig_path(p, b, LOGIDX_LOG, path);
	assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
	log_rig_put(p, (struct log_rig_at){0, "000000000fffeeeeeeeeeeeeeeeeeeee", 1}, 1, 3500,
		    "e\n");
	v = log_rig_open(p, (struct logview_opts){.index = -1, .tail = 1, .follow = true});
	log_rig_drain(v, &text);
	log_rig_put(p, b, 1, 3600, "and on\n");
	assert_string_equal(log_rig_drain(v, &text), "0:1:3600:and on|");
	logview_free(v);
}

/* ---- few descriptors ---- */

static unsigned open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void more_replicas_than_descriptors(void **state)
{
	struct log_rig *p = *state;
	_cleanup_buf_ struct buf want = {0};
	_cleanup_buf_ struct buf got = {0};
	unsigned before = open_files();
	struct logview_line l;
	struct logview *v;

	for (unsigned i = 0; i < 40; i++) {
		_cleanup_buf_ struct buf text = {0};

		for (unsigned k = 0; k < 500; k++) /* more than a block */
			buf_printf(&text,
				   "%u %u ................................................\n", i,
				   k);
		log_rig_put_n(p, (struct log_rig_at){i, INC_A, 1}, 1, 1000 + i, text.data,
			      text.len / 2);
		log_rig_put_n(p, (struct log_rig_at){i, INC_A, 1}, 2, 2000 + i,
			      text.data + text.len / 2, text.len - text.len / 2);
	}
	v = log_rig_open(p, all);
	log_rig_drain(v, &want);
	logview_free(v);
	v = log_rig_open(p, (struct logview_opts){.index = -1, .tail = -1, .files_max = 3});
	while (logview_next(v, &l, NULL) == 1) {
		assert_in_range(open_files(), before, before + 8);
		buf_printf(&got, "%u:%u:%lld:", l.index, l.stream, (long long)l.wall_ms);
		buf_append(&got, l.text, l.len);
		buf_char(&got, '|');
	}
	logview_free(v);
	assert_string_equal(got.data, want.data);
	assert_int_equal(open_files(), before);
	v = log_rig_open(
		p, (struct logview_opts){.index = -1, .tail = 0, .files_max = 3, .follow = true});
	assert_string_equal(log_rig_drain(v, &got), "");
	for (unsigned i = 0; i < 40; i++)
		log_rig_put(p, (struct log_rig_at){i, INC_A, 1}, 2, 3000 + i, "more\n");
	log_rig_drain(v, &got);
	for (unsigned i = 0; i < 40; i++) {
		char line[64];

		snprintf(line, sizeof(line), "%u:2:%u:more|", i, 3000 + i);
		assert_non_null(strstr(got.data, line));
	}
	logview_free(v);
}

/* ---- compressed segments ---- */

static void put_many(const struct log_rig *p, struct log_rig_at a, unsigned seed)
{
	for (unsigned i = 0; i < 60; i++) {
		_cleanup_buf_ struct buf text = {0};

		for (unsigned k = 0; k < 200; k++)
			buf_printf(&text, "%u %u %u ..............................%s", seed, i, k,
				   next_random(&seed) % 5 ? "\n" : "");
		log_rig_put_n(p, a, 1 + next_random(&seed) % 2, 1000 + 10 * i, text.data, text.len);
	}
}

static void compressed_segments_read_the_same(void **state)
{
	struct log_rig *p = *state;
	struct log_rig_at at[] = {{0, INC_A, 1}, {0, INC_A, 2}, {1, INC_A, 1}, {1, INC_B, 1}};
	struct logview_opts o[] = {all, all, all, all, all};
	struct loggrep *grep;
	struct buf want[5] = {0};

	for (unsigned i = 0; i < ARRAY_SIZE(at); i++)
		put_many(p, at[i], i);
	o[1].tail = 123;
	o[2].since_ms = 1333;
	grep = grep_by(&o[3], "9 1", false);
	o[4].raw = true;
	for (unsigned i = 0; i < ARRAY_SIZE(o); i++) {
		struct logview *v = log_rig_open(p, o[i]);

		assert_true(strlen(log_rig_drain(v, &want[i])) > 1000);
		logview_free(v);
	}
	log_rig_compress(p, at[0]);
	log_rig_compress(p, at[2]);
	for (unsigned i = 0; i < ARRAY_SIZE(o); i++) {
		log_rig_expect(p, o[i], want[i].data);
		buf_done(&want[i]);
	}
	loggrep_free(grep);
}

static void compressed_under_the_reader(void **state)
{
	struct log_rig *p = *state;
	struct log_rig_at at[] = {{0, INC_A, 1}, {1, INC_A, 1}, {2, INC_A, 1}};
	_cleanup_buf_ struct buf want = {0};
	_cleanup_buf_ struct buf got = {0};
	struct logview_line l;
	struct logview *v;
	unsigned n = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(at); i++)
		put_many(p, at[i], i);
	v = log_rig_open(p, all);
	log_rig_drain(v, &want);
	logview_free(v);
	v = log_rig_open(p, (struct logview_opts){.index = -1, .tail = -1, .files_max = 1});
	while (logview_next(v, &l, NULL) == 1) {
		if (++n % 3000 == 0 && n / 3000 <= ARRAY_SIZE(at))
			log_rig_compress(p, at[n / 3000 - 1]);
		buf_printf(&got, "%u:%u:%lld:", l.index, l.stream, (long long)l.wall_ms);
		buf_append(&got, l.text, l.len);
		buf_char(&got, '|');
	}
	logview_free(v);
	assert_true(n > 10000);
	assert_string_equal(got.data, want.data);
}

/* What cannot be unpacked is passed over, and what is behind it is there. */
static void a_damaged_compressed_segment(void **state)
{
	struct log_rig *p = *state;
	struct log_rig_at a = {0, INC_A, 1}, a2 = {0, INC_A, 2};
	char path[256];
	struct stat st;
	off_t size;

	put_many(p, a, 1);
	log_rig_put(p, a2, 1, 5000, "\nbehind it\n");
	log_rig_compress(p, a);
	assert_int_equal(stat(log_rig_path(p, a, LOGIDX_ZST, path), &st), 0);
	for (size = st.st_size; size > 0; size = size * 2 / 3) {
		_cleanup_buf_ struct buf b = {0};
		_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
		struct logview *v;

		assert_int_equal(pwrite(fd, "damage", 6, size / 2), 6);
		v = log_rig_open(p, all);
		assert_non_null(strstr(log_rig_drain(v, &b), "behind it|"));
		logview_free(v);
		assert_int_equal(ftruncate(fd, size), 0);
		v = log_rig_open(p, all);
		assert_non_null(strstr(log_rig_drain(v, &b), "behind it|"));
		logview_free(v);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, log_rig_setup, log_rig_teardown)

/* path becomes a link to what it was, which now stands beside the log directory. */
static void move_behind_link(const struct log_rig *p, const char *path)
{
	_cleanup_free_ char *away = mem_printf("%s.away", p->dir);

	assert_non_null(away);
	assert_int_equal(rename(path, away), 0);
	assert_int_equal(symlink(away, path), 0);
}

static void move_back(const struct log_rig *p, const char *path)
{
	_cleanup_free_ char *away = mem_printf("%s.away", p->dir);

	assert_int_equal(unlink(path), 0);
	assert_int_equal(rename(away, path), 0);
}

/* Who reads may read more than who could plant a link, and shows it. */
/* Reads all; what is told afterwards, each once. */
static void expect_told(const struct log_rig *p, struct logview_opts o, const char *lines,
			unsigned times, const char *what)
{
	_cleanup_buf_ struct buf b = {0};
	struct logview *v = log_rig_open(p, o);
	char text[512];
	unsigned n = 0;

	assert_string_equal(log_rig_drain(v, &b), lines);
	for (; logview_warning(v, text, sizeof(text)); n++)
		assert_non_null(strstr(text, what));
	assert_int_equal(n, times);
	assert_int_equal(logview_lost(v), times);
	logview_free(v);
}

/* The first, the last, one between: named once, and only when it is asked for. */
static void a_damaged_segment_is_told(void **state)
{
	static const char *const left[] = {"0:1:2000:two|0:1:3000:three|",
					   "0:1:1000:one|0:1:3000:three|",
					   "0:1:1000:one|0:1:2000:two|"};
	static const char *const lines[] = {"one\n", "two\n", "three\n"};
	struct log_rig *p = *state;
	struct logview_opts o = all;
	char path[256], kept[264];

	for (uint32_t i = 0; i < 3; i++) {
		struct log_rig_at a = {0, INC_A, i + 1};

		log_rig_put(p, a, 1, 1000 * (i + 1), lines[i]);
		log_rig_compress(p, a);
	}
	expect_told(p, all, "0:1:1000:one|0:1:2000:two|0:1:3000:three|", 0, "");
	for (uint32_t i = 0; i < 3; i++) {
		log_rig_path(p, (struct log_rig_at){0, INC_A, i + 1}, LOGIDX_ZST, path);
		snprintf(kept, sizeof(kept), "%s.kept", path);
		assert_int_equal(rename(path, kept), 0);
		close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)); /* cut short */
		expect_told(p, all, left[i], 1, path);
		o = all;
		o.raw = true;
		o.tail = 9;
		{
			_cleanup_buf_ struct buf b = {0};
			struct logview *v = log_rig_open(p, o);
			char text[512];

			log_rig_drain(v, &b);
			assert_true(logview_warning(v, text, sizeof(text)));
			assert_false(logview_warning(v, text, sizeof(text)));
			logview_free(v);
		}
		assert_int_equal(rename(kept, path), 0);
	}
	close(open(path, O_WRONLY | O_TRUNC | O_CLOEXEC)); /* the last */
	o = all;
	o.until_ms = 1500;
	expect_told(p, o, "0:1:1000:one|", 0, "");
	log_rig_path(p, (struct log_rig_at){0, INC_A, 2}, LOGIDX_ZST, path);
	assert_int_equal(unlink(path), 0); /* gone is another thing */
	expect_told(p, all, "0:1:1000:one|", 2, "lines are missing");
}

static void links_are_not_followed(void **state)
{
	struct log_rig *p = *state;
	struct log_rig_at a = {0, INC_A, 1};
	char paths[4][256];

	log_rig_put(p, a, 1, 1000, "secret\n");
	log_rig_path(p, a, LOGIDX_LOG, paths[0]);
	log_rig_path(p, a, LOGIDX_LOG, paths[1]);
	*strrchr(paths[1], '/') = '\0'; /* the replica's directory */
	snprintf(paths[2], sizeof(paths[2]), "%s", paths[1]);
	*strrchr(paths[2], '/') = '\0'; /* the service's */
	for (size_t i = 0; i < 3; i++) {
		log_rig_expect(p, all, "0:1:1000:secret|");
		move_behind_link(p, paths[i]);
		log_rig_expect(p, all, "");
		move_back(p, paths[i]);
	}
	log_rig_compress(p, a);
	log_rig_path(p, a, LOGIDX_ZST, paths[3]);
	log_rig_expect(p, all, "0:1:1000:secret|");
	move_behind_link(p, paths[3]);
	log_rig_expect(p, all, "");
	move_back(p, paths[3]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(since_and_until),
		TEST(any_choice_is_the_one_by_hand),
		TEST(streams_and_notes),
		TEST(patterns),
		TEST(a_pattern_that_asks_too_much),
		TEST(the_incarnation_before),
		TEST(a_clock_that_is_set_back),
		TEST(a_former_incarnation_drains_late),
		TEST(more_replicas_than_descriptors),
		TEST(compressed_segments_read_the_same),
		TEST(compressed_under_the_reader),
		TEST(a_damaged_compressed_segment),
		TEST(a_damaged_segment_is_told),
		TEST(links_are_not_followed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
