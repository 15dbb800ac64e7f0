/* test_capture_drop: logs.on_full: drop, and what a disk that is full or fails does to captures. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <inttypes.h>
#include <sys/mount.h>

#include "daemon/logger/capture_drop.h"
#include "daemon/logger/capture_fault.h"
#include "tests/unit/capture_rig.h"

#define LINES 40000 /* of 9 bytes: more than a pipe of 64 KiB, less than a large one */

static struct capture *only(struct bench *b)
{
	return capture_next(&b->set, NULL);
}

static struct pipes begin_dropping(struct bench *b)
{
	struct pipes p = begin(b, "svc", 1, 1 << 20, 100);

	only(b)->logs.flags = WIRE_LOGS_DROP;
	b->pool.pipes.max = 0; /* pipes stay small */
	return p;
}

/* The directory cannot be made, until unblock(). */
static void block(struct bench *b)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/svc", b->dir);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
}

static void unblock(struct bench *b)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/svc", b->dir);
	assert_int_equal(unlink(path), 0);
}

/* The notes of a segment say how many lines are missing: what is there and what is not is all. */
struct told {
	uint64_t lines, bytes;
	unsigned notes;
};

static void read_notes(const char *notes, struct told *t)
{
	*t = (struct told){0};
	for (const char *at = notes; *at; at = strchr(at, '\n') + 1, t->notes++) {
		uint64_t lines;
		double size;
		char unit[8];

		assert_int_equal(sscanf(at, "[aictl: %" SCNu64 " line%*[s ](%lf %7[A-Za-z])",
					&lines, &size, unit),
				 3);
		t->lines += lines;
	}
}

/* Numbers rise, and one that is missing was told; so was one whose beginning alone is there. */
static void check_numbers(const char *text, char tag, unsigned n, const struct told *t)
{
	unsigned torn = t->notes;
	unsigned have = 0, last = 0;

	for (const char *at = text; *at; have++) {
		unsigned number;
		char *next = strchr(at, '\n');

		assert_non_null(next);
		if (next - at != 8) {
			assert_true(torn-- > 0);
			have--;
			at = next + 1;
			continue;
		}
		assert_int_equal(at[0], tag);
		assert_int_equal(sscanf(at + 1, "%7u", &number), 1);
		assert_true(have == 0 || number > last);
		last = number;
		at = next + 1;
	}
	assert_int_equal(have + t->lines, n);
	assert_int_equal(last, n - 1); /* the oldest go */
}

static void the_oldest_go_and_are_counted(void **state)
{
	struct bench *b = *state;
	struct pipes p = begin_dropping(b);
	struct logcheck c;
	uint64_t dropped;
	struct told t;

	put_numbered(b, p.out, 'o', 0, 100);
	wait_taken(b, p.out);
	check(b, "svc", &c);
	logcheck_done(&c);
	b->set.store.keep_free = UINT64_MAX; /* there is no room */
	b->set.store.checked_mono_ms = 0;
	put_numbered(b, p.out, 'o', 100, LINES);
	assert_int_equal(only(b)->fault.state, FAULT_DROPPING);
	assert_int_equal(only(b)->fault.err, ENOSPC);
	assert_true(only(b)->fault.dropped_lines > LINES / 2);
	assert_int_equal(only(b)->fault.dropped_bytes, only(b)->fault.dropped_lines * 9);
	b->set.store.keep_free = 1;
	wait_taken(b, p.out);
	assert_int_equal(only(b)->fault.state, FAULT_OK);
	dropped = only(b)->fault.dropped_lines;
	put(b, p.out, "o0040000\n", 9);
	end(&p);
	wait_drained(b, 1);
	check(b, "svc", &c);
	read_notes(buf_cstr(&c.notes), &t);
	assert_int_equal(t.notes, 1);
	assert_int_equal(t.lines, dropped);
	assert_non_null(
		strstr(buf_cstr(&c.notes), " of stdout dropped: No space left on device]\n"));
	check_numbers(buf_cstr(&c.streams[0]), 'o', LINES + 1, &t);
	logcheck_done(&c);
}

static void a_torn_line_is_ended(void **state)
{
	struct bench *b = *state;
	struct pipes p = begin_dropping(b);
	char text[9000];
	struct logcheck c;

	put(b, p.err, "begun ", 6);
	wait_taken(b, p.err);
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\n';
	b->set.store.keep_free = UINT64_MAX;
	b->set.store.checked_mono_ms = 0;
	for (int i = 0; i < 20; i++)
		put(b, p.err, text, sizeof(text));
	b->set.store.keep_free = 1;
	wait_taken(b, p.err);
	put(b, p.err, "last\n", 5);
	end(&p);
	wait_drained(b, 1);
	check(b, "svc", &c);
	assert_memory_equal(buf_cstr(&c.streams[1]), "begun \nxxx", 10);
	assert_memory_equal(c.streams[1].data + c.streams[1].len - 7, "x\nlast\n", 7);
	assert_non_null(strstr(buf_cstr(&c.notes), " of stderr dropped: "));
	logcheck_done(&c);
}

/* A line that is longer than the pipe: its end is dropped with it. */
static void a_long_line_goes_as_a_whole(void **state)
{
	struct bench *b = *state;
	struct pipes p = begin_dropping(b);
	char text[1000];
	struct logcheck c;

	block(b);
	memset(text, 'x', sizeof(text));
	for (int i = 0; i < 300; i++)
		put(b, p.out, text, sizeof(text));
	put(b, p.out, "end\nnext\n", 9);
	unblock(b);
	end(&p);
	wait_drained(b, 1);
	check(b, "svc", &c);
	assert_string_equal(buf_cstr(&c.streams[0]), "next\n");
	assert_non_null(
		strstr(buf_cstr(&c.notes), "[aictl: 1 line (293.0 KiB) of stdout dropped: "));
	logcheck_done(&c);
}

static void put_endless(struct bench *b, int fd, int kib)
{
	char text[1024];

	memset(text, 'x', sizeof(text));
	for (int i = 0; i < kib; i++)
		put(b, fd, text, sizeof(text));
}

/* What is lost of it is counted, and what comes when the disk stores again is stored. */
static void a_line_that_never_ends(void **state)
{
	struct bench *b = *state;
	struct pipes p = begin_dropping(b);
	uint64_t dropped;
	struct logcheck c;

	block(b);
	put_endless(b, p.out, 200);
	for (int i = 0; i < 20; i++) {
		dropped = only(b)->fault.dropped_bytes;
		put_endless(b, p.out, 100);
		turn(b, 10);
		assert_int_equal(only(b)->fault.state, FAULT_DROPPING);
		assert_true(only(b)->fault.dropped_bytes > dropped);
	}
	unblock(b);
	while (only(b)->fault.state != FAULT_OK)
		turn(b, 20);
	wait_taken(b, p.out);
	dropped = only(b)->fault.dropped_bytes;
	put_endless(b, p.out, 100);
	end(&p);
	wait_drained(b, 1);
	check(b, "svc", &c);
	assert_int_equal(c.streams[0].len + dropped, 2300 << 10);
	assert_non_null(strstr(buf_cstr(&c.notes), "[aictl: 0 lines ("));
	logcheck_done(&c);
}

/* The disk was slow only. The rest of the line goes too, but not all that ever comes. */
static void the_rest_of_a_line_is_bounded(void **state)
{
	struct bench *b = *state;
	struct pipes p = begin_dropping(b);
	struct capture_stream *s = &only(b)->streams[0];
	struct logcheck c;

	put(b, p.out, "one\n", 4);
	wait_taken(b, p.out);
	s->drop.bytes = s->drop.lines = 1; /* as if one had gone before this step */
	s->drop.in_line = true;
	put_endless(b, p.out, 1);
	wait_taken(b, p.out);
	assert_true(s->drop.in_line);
	assert_int_equal(only(b)->fault.dropped_bytes, 1 << 10);
	put_endless(b, p.out, 300);
	wait_taken(b, p.out);
	assert_false(s->drop.in_line);
	assert_in_range(only(b)->fault.dropped_bytes, 64 << 10, 200 << 10);
	end(&p);
	wait_drained(b, 1);
	check(b, "svc", &c);
	assert_true(c.streams[0].len > 100 << 10);
	logcheck_done(&c);
}

/* Its replica is gone: nothing waits for the disk. */
static void the_end_is_not_held_up(void **state)
{
	struct bench *b = *state;
	struct wire_key key = {.service = "svc"};
	struct pipes p;
	struct capture *c;

	b->set.drain_ms = 150;
	p = begin_dropping(b);
	snprintf(key.incarnation, sizeof(key.incarnation), INC, 1);
	block(b);
	put(b, p.out, "one\n", 4);
	for (int i = 0; i < 5; i++)
		turn(b, 20);
	c = only(b);
	assert_true(c->stalled);
	end(&p);
	capture_gone(&b->set, &key);
	while (c->stage == CAPTURE_LIVING)
		loop_once(&b->loop, 20);
	assert_int_equal(c->fault.dropped_lines, 1);
	assert_int_equal(b->set.n_stalled, 0);
	wait_drained(b, 1);
	unblock(b);
}

/* From one to the other, while nothing can be stored. */
static void a_change_takes_effect_at_once(void **state)
{
	struct bench *b = *state;
	struct pipes p = begin_dropping(b);
	struct wire_stream m = {.intent_index = 1,
				.logs = {.max_size = 1 << 20, .max_files = 100},
				.key.service = "svc"};
	char text[4096];
	int fds[2][2];
	struct logcheck c;

	snprintf(m.key.incarnation, sizeof(m.key.incarnation), INC, 1);
	for (unsigned flags = 0; flags <= WIRE_LOGS_DROP; flags++) { /* block, then drop */
		assert_int_equal(pipe2(fds[0], O_CLOEXEC), 0);
		assert_int_equal(pipe2(fds[1], O_CLOEXEC), 0);
		m.logs.flags = flags;
		if (flags == 0)
			block(b);
		memset(text, '\n', sizeof(text));
		if (flags == 0)
			put(b, p.out, "one\n", 4);
		for (int i = 0; i < 3; i++)
			turn(b, 20);
		assert_true(only(b)->stalled);
		assert_int_equal(capture_add(&b->set, &m, (int[]){fds[0][0], fds[1][0], -1}), 0);
		assert_int_equal(only(b)->fault.state, flags ? FAULT_DROPPING : FAULT_STALLED);
		while (flags == 0 && write(p.out, text, sizeof(text)) > 0)
			;
		for (int i = 0; i < 5; i++)
			turn(b, 20);
		assert_int_equal(only(b)->fault.dropped_bytes > 0, flags);
		close(fds[0][1]);
		close(fds[1][1]);
	}
	unblock(b);
	end(&p);
	wait_drained(b, 1);
	check(b, "svc", &c);
	assert_true(c.notes.len > 0);
	logcheck_done(&c);
}

/* A real full disk: the writer is never held up for long, and all that is missing is told. */
static void a_full_disk(void **state)
{
	struct bench *b = *state;
	struct pipes p;
	struct logcheck c;
	struct told t;
	char filler[160];
	uint64_t dropped;
	int fd;

	if (geteuid() != 0 || mount("aictl-test", b->dir, "tmpfs", 0, "size=2m") < 0) {
		print_message("needs root and mount(2)\n");
		skip();
	}
	b->set.store.keep_free = 1; /* so that the disk really becomes full */
	snprintf(filler, sizeof(filler), "%s/filler", b->dir);
	fd = open(filler, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_int_equal(posix_fallocate(fd, 0, (2 << 20) - (64 << 10)), 0);
	p = begin_dropping(b);
	put_numbered(b, p.out, 'o', 0, LINES);
	dropped = only(b)->fault.dropped_lines;
	assert_true(dropped > 0);
	assert_int_equal(only(b)->fault.err, ENOSPC);
	assert_int_equal(ftruncate(fd, 0), 0);
	close(fd);
	wait_taken(b, p.out);
	put(b, p.out, "o0040000\n", 9);
	end(&p);
	wait_drained(b, 1);
	check(b, "svc", &c);
	read_notes(buf_cstr(&c.notes), &t);
	assert_true(t.lines >= dropped);
	check_numbers(buf_cstr(&c.streams[0]), 'o', LINES + 1, &t);
	logcheck_done(&c);
	mem_closep(&b->set.store.dir_fd);
	assert_int_equal(umount2(b->dir, MNT_DETACH), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_oldest_go_and_are_counted), TEST(a_torn_line_is_ended),
		TEST(a_long_line_goes_as_a_whole),   TEST(a_line_that_never_ends),
		TEST(the_rest_of_a_line_is_bounded), TEST(the_end_is_not_held_up),
		TEST(a_change_takes_effect_at_once), TEST(a_full_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
