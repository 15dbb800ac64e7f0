/*
 * test_segment: where a segment ends: with a line of each stream; though it is not full, when the clock
 * was set back; what becomes of half a step when the disk is full.
 */
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
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/logger/intent.h"
#include "daemon/logger/segment.h"
#include "daemon/logger/store.h"
#include "lib/clock.h"
#include "lib/mem.h"
#include "tests/lib/logcheck.h"
#include "tests/unit/log_rig.h"

struct writer {
	struct store store;
	struct segment s;
	uint64_t word;
	int pipe[2];
};

static void begin(struct writer *w, const struct log_rig *p)
{
	memset(w, 0, sizeof(*w));
	assert_int_equal(store_init(&w->store, p->dir), 0);
	assert_int_equal(pipe2(w->pipe, O_CLOEXEC | O_NONBLOCK), 0);
	w->s = (struct segment){.service = "svc", .incarnation = INC_A, .word = &w->word};
	segment_init(&w->s, 1 << 20, 100);
}

static void store(struct writer *w, const char *text)
{
	assert_int_equal(write(w->pipe[1], text, strlen(text)), strlen(text));
	assert_int_equal(segment_take(&w->s, &w->store, w->pipe[0], LOGIDX_STDOUT), strlen(text));
}

static void end(struct writer *w)
{
	segment_close(&w->s);
	close(w->pipe[0]);
	close(w->pipe[1]);
	store_done(&w->store);
}

/* As if the first entry had been written so much later than it was. */
static void move_entry(const struct log_rig *p, int64_t ms)
{
	char path[256];
	int fd = open(log_rig_path(p, (struct log_rig_at){0, INC_A, 1}, LOGIDX_IDX, path),
		      O_WRONLY | O_CLOEXEC);
	struct logidx_entry e = {0, 4, LOGIDX_STDOUT, clock_wall_ms() + ms};
	uint8_t raw[LOGIDX_ENTRY_SIZE];

	logidx_encode_entry(&e, raw);
	assert_int_equal(pwrite(fd, raw, sizeof(raw), LOGIDX_HEADER_SIZE), sizeof(raw));
	close(fd);
}

static bool has_second(const struct log_rig *p)
{
	char path[256];

	return access(log_rig_path(p, (struct log_rig_at){0, INC_A, 2}, LOGIDX_LOG, path), F_OK) ==
	       0;
}

static void the_clock_is_set_back(void **state)
{
	struct log_rig *p = *state;
	struct writer w;

	begin(&w, p);
	store(&w, "one\n");
	w.s.newest_wall_ms += 500; /* so much it may be corrected */
	store(&w, "two\n");
	assert_false(has_second(p));
	w.s.newest_wall_ms += 10000;
	store(&w, "three\n");
	assert_true(has_second(p));
	store(&w, "four\n");
	assert_int_equal(w.s.seq, 2);
	end(&w);
}

static void it_was_set_back_meanwhile(void **state)
{
	struct log_rig *p = *state;
	struct writer w;

	begin(&w, p);
	store(&w, "one\n");
	end(&w);
	move_entry(p, 0);
	begin(&w, p);
	store(&w, "two\n");
	assert_false(has_second(p));
	end(&w);
	move_entry(p, 3600000); /* its entry is not the last */
	begin(&w, p);
	store(&w, "three\n");
	assert_false(has_second(p));
	w.s.newest_wall_ms += 3600000;
	segment_close(&w.s);
	store(&w, "four\n");
	assert_false(has_second(p)); /* what the files say counts */
	end(&w);
}

static void the_last_entry_is_later_than_now(void **state)
{
	struct log_rig *p = *state;
	struct writer w;

	begin(&w, p);
	store(&w, "one\n");
	end(&w);
	move_entry(p, 3600000);
	begin(&w, p);
	store(&w, "two\n");
	assert_true(has_second(p));
	assert_int_equal(w.s.seq, 2);
	end(&w);
}

#define LINE 100
#define LINES 300
#define SIZE 8192

/* Does what the stream has in this segment end with a line? */
static bool ends_with_line(const struct log_rig *p, uint32_t seq, uint32_t stream)
{
	const struct log_rig_at at = {0, INC_A, seq};
	uint8_t raw[LOGIDX_ENTRY_SIZE];
	struct logidx_entry e;
	char path[256], last = '\n';
	int idx = open(log_rig_path(p, at, LOGIDX_IDX, path), O_RDONLY | O_CLOEXEC);
	int log = open(log_rig_path(p, at, LOGIDX_LOG, path), O_RDONLY | O_CLOEXEC);

	for (off_t i = LOGIDX_HEADER_SIZE;
	     pread(idx, raw, sizeof(raw), i) == (ssize_t)sizeof(raw) &&
	     logidx_decode_entry(raw, &e) == 0;
	     i += LOGIDX_ENTRY_SIZE)
		if (e.stream == stream)
			assert_int_equal(pread(log, &last, 1, (off_t)(e.offset + e.length) - 1), 1);
	close(idx);
	close(log);
	return last == '\n';
}

static void a_file_ends_with_a_line_of_each_stream(void **state)
{
	struct log_rig *p = *state;
	char line[LINE + 1];
	int other[2];
	struct writer w;
	ssize_t n;

	begin(&w, p);
	segment_init(&w.s, SIZE, 100);
	assert_int_equal(pipe2(other, O_CLOEXEC | O_NONBLOCK), 0);
	snprintf(line, sizeof(line), "%*s\n", LINE - 1, "x");
	for (int i = 0; i < LINES; i++) {
		assert_int_equal(write(w.pipe[1], line, LINE), LINE);
		assert_int_equal(write(other[1], line, LINE), LINE);
	}
	do {
		n = segment_take(&w.s, &w.store, w.pipe[0], LOGIDX_STDOUT);
		if (segment_take(&w.s, &w.store, other[0], LOGIDX_STDERR) > 0)
			n = 1;
	} while (n > 0);
	assert_int_equal(n, -EAGAIN);
	assert_in_range(w.s.seq, 2 * LINE * LINES / SIZE - 1, 2 * LINE * LINES / SIZE + 1);
	for (uint32_t seq = 1; seq <= w.s.seq; seq++) {
		assert_true(ends_with_line(p, seq, LOGIDX_STDOUT));
		assert_true(ends_with_line(p, seq, LOGIDX_STDERR));
	}
	/* one that does not end its line is waited for, but not for long */
	while (w.s.size >= SIZE || w.s.size < SIZE - LINE)
		store(&w, line);
	for (int i = 0; i < 2; i++)
		assert_int_equal(write(other[1], line, LINE - 1), LINE - 1);
	while (segment_take(&w.s, &w.store, other[0], LOGIDX_STDERR) > 0)
		;
	assert_int_equal(w.s.cut, LOGIDX_STDERR);
	for (uint32_t seq = w.s.seq; w.s.seq == seq;) {
		assert_true(w.s.size < SIZE + SIZE / 8 + LINE);
		store(&w, line);
	}
	close(other[0]);
	close(other[1]);
	end(&w);
}

static void limit_files(rlim_t max)
{
	struct rlimit lim;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &lim), 0);
	lim.rlim_cur = max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &lim), 0);
}

/* What a killed logger left cannot be indexed, for the disk is full; later it can. */
static void half_a_step_on_a_full_disk(void **state)
{
	static const struct log_rig_at at = {0, INC_A, 1};
	struct log_rig *p = *state;
	struct logcheck c;
	struct writer w;
	struct stat st;
	char path[256];
	int fd;

	signal(SIGXFSZ, SIG_IGN);
	begin(&w, p);
	store(&w, "one\n");
	end(&w);
	fd = open(log_rig_path(p, at, LOGIDX_LOG, path), O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_int_equal(write(fd, "two\n", 4), 4);
	close(fd);
	assert_int_equal(stat(log_rig_path(p, at, LOGIDX_IDX, path), &st), 0);
	begin(&w, p);
	intent_set(&w.word, INC_A, LOGIDX_STDERR, 4);
	limit_files((rlim_t)st.st_size);
	assert_int_equal(segment_recover(&w.s, &w.store), -EFBIG);
	assert_int_equal(write(w.pipe[1], "three\n", 6), 6);
	assert_int_equal(segment_take(&w.s, &w.store, w.pipe[0], LOGIDX_STDOUT), -EFBIG);
	limit_files(RLIM_INFINITY);
	assert_int_equal(segment_take(&w.s, &w.store, w.pipe[0], LOGIDX_STDOUT), 6);
	end(&w);
	snprintf(path, sizeof(path), "%s/svc/0", p->dir);
	logcheck_read(path, &c);
	assert_string_equal(c.problem, "");
	assert_string_equal(buf_cstr(&c.streams[0]), "one\nthree\n");
	assert_string_equal(buf_cstr(&c.streams[1]), "two\n");
	logcheck_done(&c);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, log_rig_setup, log_rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_clock_is_set_back),
		TEST(it_was_set_back_meanwhile),
		TEST(the_last_entry_is_later_than_now),
		TEST(a_file_ends_with_a_line_of_each_stream),
		TEST(half_a_step_on_a_full_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
