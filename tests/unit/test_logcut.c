/*
 * test_logcut: what a power cut leaves. A run of a logger is made in memory, and its files written
 * as they may be found afterwards: each one shorter than it was, ending within an entry or a line,
 * ending in zeros, empty, or not there; the log ahead of the index or behind it. Every view of that
 * opens, and shows each line that is whole in both, in order. AICTL_CUT_SEED and AICTL_CUT_ROUNDS.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/fs.h"
#include "lib/mem.h"
#include "lib/parse.h"
#include "tests/lib/logcheck.h"
#include "tests/unit/log_rig.h"

#define SEGMENTS 4
#define STEPS 40 /* in each */
#define LINES_MAX 2000
#define ROUNDS 400

struct segment {
	struct buf log, idx;
	size_t log_left, idx_left; /* bytes that are as they were */
};

struct line {
	char text[32]; /* with its newline */
	uint32_t stream;
	unsigned first, last; /* segments */
	size_t end;	      /* behind its last byte, in the last one */
	uint64_t entry;	      /* that its last byte is of */
};

struct run {
	struct segment v[SEGMENTS];
	struct line lines[LINES_MAX];
	size_t n;
	unsigned seed;
};

static unsigned next(struct run *r, unsigned below)
{
	r->seed = r->seed * 1103515245u + 12345u;
	return (r->seed >> 8) % below;
}

static void add_entry(struct segment *s, uint32_t stream, size_t begin, int64_t ms)
{
	struct logidx_entry e = {begin, (uint32_t)(s->log.len - begin), stream, ms};
	uint8_t raw[LOGIDX_ENTRY_SIZE];

	logidx_encode_entry(&e, raw);
	buf_append(&s->idx, raw, sizeof(raw));
}

/* Lines of two streams in chunks that end anywhere, also at a segment's end. */
static void make_run(struct run *r)
{
	struct line open[2] = {0}; /* the one that each stream is in */
	size_t done[2] = {0};

	for (unsigned i = 0; i < SEGMENTS * STEPS; i++) {
		struct segment *s = &r->v[i / STEPS];
		unsigned stream = next(r, 3) == 0, chunk = 1 + next(r, 60);
		size_t begin = s->log.len;

		for (struct line *l = &open[stream]; chunk > 0; chunk--) {
			if (done[stream] == 0) {
				snprintf(l->text, sizeof(l->text), "%c%u.%u%.*s\n", "oe"[stream], i,
					 chunk, (int)next(r, 12), "-----------");
				l->first = i / STEPS;
			}
			buf_char(&s->log, l->text[done[stream]++]);
			if (l->text[done[stream]])
				continue;
			l->stream = stream + 1;
			l->last = i / STEPS;
			l->end = s->log.len;
			l->entry = i % STEPS;
			done[stream] = 0;
			assert_true(r->n < LINES_MAX);
			r->lines[r->n++] = *l;
		}
		add_entry(s, stream + 1, begin, 1000 + i);
	}
}

static void make_headers(struct run *r)
{
	for (unsigned i = 0; i < SEGMENTS; i++) {
		struct logidx_header h = {.incarnation = INC_A, .seq = i + 1};
		uint8_t raw[LOGIDX_HEADER_SIZE];

		logidx_encode_header(&h, raw);
		buf_append(&r->v[i].idx, raw, sizeof(raw));
	}
}

/* Writes one file as it may be found; how much of it is as it was. */
static size_t write_cut(struct run *r, const char *path, const struct buf *b)
{
	size_t left = next(r, 3) ? b->len : next(r, (unsigned)b->len + 1);
	size_t zeros = left < b->len && next(r, 2) ? next(r, (unsigned)(b->len - left) + 1) : 0;
	int fd;

	if (left < b->len && next(r, 4) == 0)
		left = 0;
	if (left == 0 && next(r, 2) == 0)
		return 0; /* not even the name */
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(fs_write_all(fd, b->data, left), 0);
	assert_int_equal(ftruncate(fd, (off_t)(left + zeros)), 0);
	close(fd);
	return left;
}

static void write_run(struct run *r, const struct log_rig *p)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/svc", p->dir);
	logcheck_remove(path);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/svc/0", p->dir);
	mkdir(path, 0755);
	for (unsigned i = 0; i < SEGMENTS; i++) {
		struct log_rig_at a = {0, INC_A, i + 1};
		struct segment *s = &r->v[i];

		s->log_left = write_cut(r, log_rig_path(p, a, LOGIDX_LOG, path), &s->log);
		s->idx_left = write_cut(r, log_rig_path(p, a, LOGIDX_IDX, path), &s->idx);
	}
}

/* Bytes of the segment that are there, and of which it is known whose they are. */
static bool is_whole(const struct segment *s, size_t end, uint64_t entry)
{
	return s->log_left >= end &&
	       s->idx_left >= LOGIDX_HEADER_SIZE + (entry + 1) * LOGIDX_ENTRY_SIZE;
}

static bool is_kept(const struct run *r, const struct line *l)
{
	for (unsigned i = l->first; i < l->last; i++)
		if (!is_whole(&r->v[i], r->v[i].log.len, STEPS - 1))
			return false;
	return is_whole(&r->v[l->last], l->end, l->entry);
}

/*
 * Each whole line of the stream, in order. Before one there may stand what is left of another,
 * where the bytes between were lost and nothing says so.
 */
static void expect_lines(const struct run *r, const char *shown, uint32_t stream)
{
	for (size_t i = 0; i < r->n; i++) {
		const struct line *l = &r->lines[i];
		char want[40];

		if (l->stream != stream || !is_kept(r, l))
			continue;
		snprintf(want, sizeof(want), "%.*s|", (int)strlen(l->text) - 1, l->text);
		shown = strstr(shown, want);
		if (!shown)
			fail_msg("%s is lost", want);
		shown += strlen(want);
	}
}

static void look(struct run *r, const struct log_rig *p)
{
	struct logview_opts o = {.index = -1, .tail = -1};
	_cleanup_buf_ struct buf all = {0};
	_cleanup_buf_ struct buf some = {0};
	struct logview *v = log_rig_open(p, o);

	log_rig_drain(v, &all);
	assert_true(all.len == 0 || !memchr(all.data, '\0', all.len));
	expect_lines(r, buf_cstr(&all), LOGIDX_STDOUT);
	expect_lines(r, buf_cstr(&all), LOGIDX_STDERR);
	logview_free(v);
	o.tail = next(r, 30);
	v = log_rig_open(p, o);
	log_rig_drain(v, &some); /* a tail is the end of it, but for lines that others broke */
	logview_free(v);
	o.since_ms = 1000 + next(r, SEGMENTS * STEPS);
	o.until_ms = next(r, 2) ? 1000 + next(r, SEGMENTS * STEPS) : 0;
	o.streams = next(r, 4);
	o.raw = next(r, 2);
	o.follow = next(r, 2);
	v = log_rig_open(p, o);
	log_rig_drain(v, &some);
	log_rig_drain(v, &some);
	logview_free(v);
}

static unsigned option(const char *name, unsigned fallback)
{
	const char *text = getenv(name);
	int64_t v;

	return text && parse_i64(text, 0, UINT32_MAX, &v, NULL) == 0 ? (unsigned)v : fallback;
}

static void any_cut_opens_to_the_last_whole_line(void **state)
{
	struct run *r = mem_alloc(sizeof(*r));

	r->seed = option("AICTL_CUT_SEED", 6);
	make_headers(r);
	make_run(r);
	for (unsigned i = option("AICTL_CUT_ROUNDS", ROUNDS); i > 0; i--) {
		write_run(r, *state);
		look(r, *state);
	}
	for (unsigned i = 0; i < SEGMENTS; i++) {
		buf_done(&r->v[i].log);
		buf_done(&r->v[i].idx);
	}
	mem_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(any_cut_opens_to_the_last_whole_line, log_rig_setup,
						log_rig_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
