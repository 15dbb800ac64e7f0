/* test_capture: captures, segments and the store in this process, with real pipes and files. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/logger/capture_fault.h"
#include "daemon/logger/capture_keep.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "tests/lib/logcheck.h"
#include "tests/unit/capture_rig.h"

/* ---- the usual ---- */

static void silent_ones_make_no_file(void **state)
{
	struct bench *b = *state;
	struct pipes p[20];

	for (unsigned i = 0; i < 20; i++)
		p[i] = begin(b, "svc", i, 1 << 20, 5);
	for (int i = 0; i < 5; i++)
		turn(b, 5);
	for (unsigned i = 0; i < 20; i++)
		end(&p[i]);
	wait_drained(b, 20);
	assert_int_equal(rmdir(b->dir), 0);
	assert_int_equal(mkdir(b->dir, 0755), 0);
}

static void both_streams_and_a_line_without_newline(void **state)
{
	struct bench *b = *state;
	struct pipes p = begin(b, "svc", 1, 1 << 20, 5);
	struct logcheck c;
	struct stat st;
	char path[160];

	put(b, p.out, "one\n", 4);
	wait_taken(b, p.out);
	put(b, p.err, "bad\n", 4);
	wait_taken(b, p.err);
	put(b, p.out, "last", 4);
	end(&p);
	wait_drained(b, 1);
	check(b, "svc", &c);
	assert_string_equal(buf_cstr(&c.streams[0]), "one\nlast");
	assert_string_equal(buf_cstr(&c.streams[1]), "bad\n");
	assert_int_equal(c.ends, 1);
	logcheck_done(&c);
	snprintf(path, sizeof(path), "%s/svc/0", b->dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07, 0);
}

static void a_single_line_is_stored_at_once(void **state)
{
	struct bench *b = *state;
	struct pipes p = begin(b, "svc", 1, 1 << 20, 5);
	struct logcheck c;

	put(b, p.out, "one\n", 4);
	turn(b, 1000); /* one round is enough: nothing rests */
	check(b, "svc", &c);
	assert_string_equal(buf_cstr(&c.streams[0]), "one\n");
	logcheck_done(&c);
	end(&p);
	wait_drained(b, 1);
}

static void small_pieces_are_collected(void **state)
{
	struct bench *b = *state;
	struct pipes p = begin(b, "svc", 1, 1 << 20, 5);
	int64_t deadline = clock_mono_ms() + 200;
	struct logcheck c;
	unsigned n = 0;

	while (clock_mono_ms() < deadline) {
		put_numbered(b, p.out, 'o', n, n + 1);
		n++;
		turn(b, 0);
	}
	end(&p);
	wait_drained(b, 1);
	check(b, "svc", &c);
	assert_null(logcheck_numbered(&c.streams[0], 'o', n));
	assert_true(n > 1000);
	assert_true(c.entries < 200);
	logcheck_done(&c);
}

/* ---- rotation and retention ---- */

static void rotation_is_at_a_newline(void **state)
{
	struct bench *b = *state;
	struct pipes p = begin(b, "svc", 1, 4096, 1000);
	struct logcheck c;
	uint64_t largest;
	size_t files;

	put_numbered(b, p.out, 'o', 0, 10000);
	end(&p);
	wait_drained(b, 1);
	check(b, "svc", &c);
	assert_null(logcheck_numbered(&c.streams[0], 'o', 10000));
	assert_int_equal(c.segments, (90000 + 4103) / 4104); /* 456 lines of 9 bytes each */
	logcheck_done(&c);
	bytes_in(b, "svc", &files, &largest);
	assert_true(largest < 4104 + 4096);
}

static void a_line_without_end_is_cut_at_twice_the_size(void **state)
{
	struct bench *b = *state;
	struct pipes p = begin(b, "svc", 1, 4096, 1000);
	size_t n = 100000;
	char *text = mem_alloc(n);
	struct logcheck c;

	memset(text, 'x', n);
	put(b, p.out, text, n);
	end(&p);
	wait_drained(b, 1);
	check(b, "svc", &c);
	assert_int_equal(c.streams[0].len, n);
	assert_int_equal(c.segments, (n + 8191) / 8192);
	logcheck_done(&c);
	mem_free(text);
}

static void the_sum_is_limited(void **state)
{
	struct bench *b = *state;
	uint64_t sum, largest, limit = 5 * 8192;
	struct logcheck c;
	size_t files;

	for (unsigned i = 1; i <= 4; i++) {
		struct pipes p = begin(b, "svc", i, 8192, 5);

		put_numbered(b, p.out, 'o', 0, 5000);
		wait_taken(b, p.out);
		sum = bytes_in(b, "svc", &files, &largest);
		assert_true(sum <= limit + 16384);
		end(&p);
		wait_drained(b, i);
	}
	sum = bytes_in(b, "svc", &files, &largest);
	assert_true(sum <= limit && sum > limit / 2);
	check(b, "svc", &c); /* the newest bytes are the ones that are left */
	assert_memory_equal(c.streams[0].data + c.streams[0].len - 9, "o0004999\n", 9);
	logcheck_done(&c);
}

static void the_number_is_limited_over_incarnations(void **state)
{
	struct bench *b = *state;
	uint64_t largest;
	size_t files;

	for (unsigned i = 1; i <= 80; i++) {
		struct pipes p = begin(b, "svc", i, 1 << 20, 5);

		put(b, p.out, "crash\n", 6);
		end(&p);
		wait_drained(b, i);
	}
	bytes_in(b, "svc", &files, &largest);
	assert_int_equal(files, 64);
}

static void a_segment_in_use_is_never_deleted(void **state)
{
	struct bench *b = *state;
	struct pipes old = begin(b, "svc", 1, 4096, 1), p;
	struct logcheck c;

	put(b, old.out, "old\n", 4);
	wait_taken(b, old.out);
	p = begin(b, "svc", 2, 4096, 1);
	put_numbered(b, p.out, 'o', 0, 3000);
	wait_taken(b, p.out); /* once the old one is over its segment may go */
	put(b, old.out, "still\n", 6);
	end(&old);
	wait_drained(b, 1);
	check(b, "svc", &c);
	assert_memory_equal(buf_cstr(&c.streams[0]), "old\nstill\n", 10);
	logcheck_done(&c);
	end(&p);
	wait_drained(b, 2);
}

/* ---- the end of an incarnation ---- */

static void gone_with_a_grandchild(void **state)
{
	struct bench *b = *state;
	struct wire_key key = {.service = "svc"};
	struct pipes p;
	struct logcheck c;
	int64_t from;

	b->set.drain_ms = 150;
	snprintf(key.incarnation, sizeof(key.incarnation), INC, 1);
	p = begin(b, "svc", 1, 1 << 20, 5);
	put(b, p.out, "a\n", 2);
	wait_taken(b, p.out);
	capture_gone(&b->set, &key);
	capture_gone(&b->set, &key);   /* resent */
	for (int i = 0; i < 10; i++) { /* it goes on writing: not over */
		turn(b, 50);
		assert_int_equal(b->drained, 0);
		put(b, p.out, "b\n", 2);
	}
	from = clock_mono_ms();
	wait_drained(b, 1);
	assert_true(clock_mono_ms() - from >= 140);
	check(b, "svc", &c);
	assert_int_equal(c.streams[0].len, 22);
	logcheck_done(&c);
	end(&p);
}

static void a_known_incarnation_keeps_its_pipes(void **state)
{
	struct bench *b = *state;
	struct pipes p = begin(b, "svc", 1, 1 << 20, 5), again = begin(b, "svc", 1, 1 << 20, 5);
	struct logcheck c;

	end(&again);
	put(b, p.out, "one\n", 4);
	end(&p);
	wait_drained(b, 1);
	check(b, "svc", &c);
	assert_string_equal(buf_cstr(&c.streams[0]), "one\n");
	logcheck_done(&c);
}

/* ---- trouble ---- */

static void file_path(const struct bench *b, char *path, size_t n, unsigned inc,
		      enum logidx_kind kind)
{
	char name[LOGIDX_NAME_SIZE], incarnation[40];

	snprintf(incarnation, sizeof(incarnation), INC, inc);
	snprintf(path, n, "%s/svc/0/%s", b->dir, logidx_name(name, incarnation, 1, kind));
}

/* A directory that cannot be made: writers wait, nothing is lost, then it goes on. */
static void what_cannot_be_stored_waits(void **state)
{
	struct bench *b = *state;
	struct pipes p = begin(b, "svc", 1, 1 << 20, 5);
	int64_t until = clock_mono_ms() + 300;
	struct capture *c1;
	struct logcheck c;
	char path[160];
	int n;

	snprintf(path, sizeof(path), "%s/svc", b->dir);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	put(b, p.out, "one\n", 4);
	put(b, p.err, "two\n", 4);
	while (clock_mono_ms() < until)
		turn(b, 20);
	assert_int_equal(ioctl(p.out, FIONREAD, &n), 0);
	assert_int_equal(n, 4);
	assert_int_equal(b->set.n_stalled, 1);
	c1 = capture_fault_first(&b->set);
	assert_int_equal(c1->fault.state, FAULT_STALLED);
	assert_int_equal(c1->fault.err, ENOTDIR);
	capture_fault_drop(c1);
	capture_fault_again_all(&b->set);
	assert_ptr_equal(capture_fault_first(&b->set), c1);
	capture_fault_drop(c1);
	assert_int_equal(unlink(path), 0);
	wait_taken(b, p.out);
	assert_ptr_equal(capture_fault_first(&b->set), c1);
	assert_int_equal(c1->fault.state, FAULT_OK);
	end(&p);
	wait_drained(b, 1);
	assert_int_equal(b->set.n_stalled, 0);
	check(b, "svc", &c);
	assert_string_equal(buf_cstr(&c.streams[0]), "one\n");
	assert_string_equal(buf_cstr(&c.streams[1]), "two\n");
	logcheck_done(&c);
}

static void a_removed_directory_is_made_again(void **state)
{
	struct bench *b = *state;
	struct pipes p = begin(b, "svc", 1, 1 << 20, 5);
	int64_t deadline = clock_mono_ms() + DEADLINE_MS;
	struct logcheck c = {0};
	char path[160];

	put(b, p.out, "one\n", 4);
	wait_taken(b, p.out);
	snprintf(path, sizeof(path), "%s/svc", b->dir);
	logcheck_remove(path);
	while (clock_mono_ms() < deadline && c.streams[0].len == 0) { /* seen within a second */
		put(b, p.out, "x\n", 2);
		turn(b, 50);
		logcheck_done(&c);
		check(b, "svc", &c);
	}
	assert_true(c.streams[0].len > 0);
	logcheck_done(&c);
	end(&p);
	wait_drained(b, 1);
}

static void below_the_floor_old_segments_go_then_writers_wait(void **state)
{
	struct bench *b = *state;
	struct pipes p = begin(b, "old", 1, 1 << 20, 5);
	int64_t until;
	struct logcheck c;
	int n;

	put(b, p.out, "old\n", 4);
	end(&p);
	wait_drained(b, 1);
	b->set.store.keep_free = UINT64_MAX; /* never enough */
	b->set.store.checked_mono_ms = 0;
	p = begin(b, "svc", 2, 1 << 20, 5);
	put(b, p.out, "new\n", 4);
	until = clock_mono_ms() + 300;
	while (clock_mono_ms() < until)
		turn(b, 20);
	check(b, "old", &c);
	assert_int_equal(c.segments, 0);
	logcheck_done(&c);
	assert_int_equal(ioctl(p.out, FIONREAD, &n), 0);
	assert_int_equal(n, 4);
	b->set.store.keep_free = 1;
	wait_taken(b, p.out);
	end(&p);
	wait_drained(b, 2);
	check(b, "svc", &c);
	assert_string_equal(buf_cstr(&c.streams[0]), "new\n");
	logcheck_done(&c);
}

/* A real full disk, in both files: a tmpfs of 128 KiB, root only. */
static void a_full_disk_loses_nothing(void **state)
{
	struct bench *b = *state;
	char filler[160];
	struct logcheck c;
	struct pipes p;
	int fd;

	if (geteuid() != 0 || mount("aictl-test", b->dir, "tmpfs", 0, "size=128k") < 0) {
		print_message("needs root and mount(2)\n");
		skip();
	}
	mem_closep(&b->set.store.dir_fd);
	b->set.store.keep_free = 1; /* so that the disk really becomes full */
	snprintf(filler, sizeof(filler), "%s/filler", b->dir);
	fd = open(filler, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_int_equal(posix_fallocate(fd, 0, 100 << 10), 0);
	p = begin(b, "svc", 1, 64 << 10, 100);
	for (unsigned i = 0; i < 4000; i += 100) { /* 36,000 bytes do not fit beside it */
		put_numbered(b, p.out, 'o', i, i + 100);
		turn(b, 2);
	}
	for (int i = 0; i < 1000 && b->set.n_stalled == 0; i++)
		turn(b, 20);
	assert_int_equal(b->set.n_stalled, 1);
	end(&p);
	assert_int_equal(ftruncate(fd, 0), 0);
	close(fd);
	wait_drained(b, 1);
	check(b, "svc", &c);
	assert_null(logcheck_numbered(&c.streams[0], 'o', 4000));
	logcheck_done(&c);
	mem_closep(&b->set.store.dir_fd);
	assert_int_equal(umount2(b->dir, MNT_DETACH), 0);
}

static void without_splice(void **state)
{
	struct bench *b = *state;
	struct pipes p = begin(b, "svc", 1, 4096, 1000);
	struct logcheck c;

	b->set.store.copying = true;
	for (unsigned i = 0; i < 20000; i += 1000) {
		put_numbered(b, p.out, 'o', i, i + 1000);
		put_numbered(b, p.err, 'e', i, i + 1000);
	}
	end(&p);
	wait_drained(b, 1);
	check(b, "svc", &c);
	assert_null(logcheck_numbered(&c.streams[0], 'o', 20000));
	assert_null(logcheck_numbered(&c.streams[1], 'e', 20000));
	logcheck_done(&c);
}

static void few_descriptors(void **state)
{
	struct bench *b = *state;
	struct pipes p[30];
	struct logcheck c;
	char name[16];

	b->pool.fds_max = 60 + 6; /* the pipes and three segments */
	for (unsigned i = 0; i < 30; i++) {
		snprintf(name, sizeof(name), "svc%u", i);
		p[i] = begin(b, name, i, 1 << 20, 5);
	}
	for (unsigned round = 0; round < 5; round++)
		for (unsigned i = 0; i < 30; i++) {
			put_numbered(b, p[i].out, 'o', round, round + 1);
			wait_taken(b, p[i].out);
			assert_true(b->pool.fds <= b->pool.fds_max);
		}
	for (unsigned i = 0; i < 30; i++)
		end(&p[i]);
	wait_drained(b, 30);
	for (unsigned i = 0; i < 30; i++) {
		snprintf(name, sizeof(name), "svc%u", i);
		check(b, name, &c);
		assert_int_equal(c.segments, 1);
		assert_null(logcheck_numbered(&c.streams[0], 'o', 5));
		logcheck_done(&c);
	}
}

static void a_full_pipe_grows_within_the_budget(void **state)
{
	struct bench *b = *state;
	struct pipes p = begin(b, "svc", 1, 1 << 20, 5), q;
	char text[4096];

	memset(text, '\n', sizeof(text));
	while (write(p.out, text, sizeof(text)) > 0)
		;
	wait_taken(b, p.out);
	if (fcntl(p.out, F_GETPIPE_SZ) != 1 << 20) {
		print_message("pipes cannot grow here\n");
		end(&p);
		skip();
	}
	assert_int_equal(b->pool.pipes.used, (1 << 20) - (64 << 10));
	b->pool.pipes.max = b->pool.pipes.used + 1000;
	q = begin(b, "svc", 2, 1 << 20, 5);
	while (write(q.out, text, sizeof(text)) > 0)
		;
	wait_taken(b, q.out);
	assert_int_equal(fcntl(q.out, F_GETPIPE_SZ), 64 << 10);
	end(&p);
	end(&q);
	wait_drained(b, 2);
	assert_int_equal(b->pool.pipes.used, 0);
}

/* ---- after a death ---- */

/*
 * Leaves what a kill after the splice leaves: bytes, no entry, and the word (or a word of somebody
 * else). What comes back must be attributed to the stream that the word names.
 */
static void half_a_step_is_completed(void **state)
{
	struct bench *b = *state;

	for (unsigned inc = 1; inc <= 3; inc++) {
		struct pipes p = begin(b, "svc", inc, 1 << 20, 5);
		char log[256], idx[256], incarnation[40];
		uint64_t *word = &b->pool.intents.words[inc];
		struct logcheck c;
		int fd;

		put(b, p.out, "one\n", 4);
		wait_taken(b, p.out);
		capture_set_done(&b->set); /* the logger dies */
		file_path(b, log, sizeof(log), inc, LOGIDX_LOG);
		file_path(b, idx, sizeof(idx), inc, LOGIDX_IDX);
		fd = open(log, O_WRONLY | O_APPEND | O_CLOEXEC);
		assert_int_equal(write(fd, "two\n", 4), 4);
		close(fd);
		fd = open(idx, O_WRONLY | O_APPEND | O_CLOEXEC);
		assert_int_equal(write(fd, "half", 4), 4); /* of an entry */
		close(fd);
		assert_int_equal(capture_set_init(&b->set, &b->loop, b->dir, &b->pool), 0);
		assert_int_equal(intent_map(&b->pool.intents, dup(b->intents)), 0);
		word = &b->pool.intents.words[inc];
		snprintf(incarnation, sizeof(incarnation), INC, inc);
		if (inc == 1)
			intent_set(word, incarnation, 2, 4);
		else if (inc == 2)
			intent_set(word, "somebody else", 2, 4);
		else
			intent_set(word, incarnation, 2, 5); /* not where the index ends */
		end(&p);
		p = begin(b, "svc", inc, 1 << 20, 5);
		put(b, p.out, "three\n", 6);
		end(&p);
		wait_drained(b, inc);
		check(b, "svc", &c);
		if (inc == 1) {
			assert_string_equal(buf_cstr(&c.streams[0]), "one\nthree\n");
			assert_string_equal(buf_cstr(&c.streams[1]), "two\n");
		} else {
			assert_non_null(strstr(buf_cstr(&c.streams[0]), "one\ntwo\nthree\n"));
		}
		logcheck_done(&c);
	}
}

static void a_damaged_index_is_left_alone(void **state)
{
	struct bench *b = *state;
	struct pipes p = begin(b, "svc", 1, 1 << 20, 5);
	char idx[256], dir[160];
	struct logcheck c;
	int fd;

	put(b, p.out, "one\n", 4);
	wait_taken(b, p.out);
	capture_set_done(&b->set);
	file_path(b, idx, sizeof(idx), 1, LOGIDX_IDX);
	fd = open(idx, O_WRONLY | O_CLOEXEC);
	assert_int_equal(write(fd, "garbage", 7), 7);
	close(fd);
	assert_int_equal(capture_set_init(&b->set, &b->loop, b->dir, &b->pool), 0);
	end(&p);
	p = begin(b, "svc", 1, 1 << 20, 5);
	put(b, p.out, "two\n", 4);
	end(&p);
	wait_drained(b, 1);
	snprintf(dir, sizeof(dir), "%s/svc/0", b->dir);
	logcheck_read(dir, &c);
	assert_int_equal(c.segments, 2); /* it went on in a new one */
	assert_string_equal(buf_cstr(&c.streams[0]), "two\n");
	logcheck_done(&c);
}

static void symlinks_are_not_followed(void **state)
{
	struct bench *b = *state;
	char path[160], target[160];
	int64_t until = clock_mono_ms() + 100;
	struct pipes p;

	snprintf(target, sizeof(target), "%s/elsewhere", b->dir);
	snprintf(path, sizeof(path), "%s/svc", b->dir);
	assert_int_equal(mkdir(target, 0755), 0);
	assert_int_equal(symlink(target, path), 0);
	p = begin(b, "svc", 1, 1 << 20, 5);
	put(b, p.out, "one\n", 4);
	while (clock_mono_ms() < until)
		turn(b, 20);
	assert_int_equal(b->set.n_stalled, 1);
	assert_int_equal(rmdir(target), 0); /* empty */
	end(&p);
}

/* A death asks little of the processor at first: the successor needs it. */
static void a_bare_end_waits(void **state)
{
	struct bench *b = *state;
	struct pipes p = begin(b, "svc", 1, 1 << 20, 5);
	int64_t began = clock_mono_ms();

	end(&p);
	turn(b, 1000);
	assert_true(b->drained == 0 || clock_mono_ms() - began >= 4);
	wait_drained(b, 1);
}

static void draining_at_the_end(void **state)
{
	struct bench *b = *state;
	struct pipes p = begin(b, "svc", 1, 1 << 20, 5);
	struct logcheck c;

	put(b, p.out, "one", 3);
	put(b, p.err, "two", 3);
	capture_drain_all(&b->set, 1000);
	capture_set_done(&b->set);
	check(b, "svc", &c);
	assert_string_equal(buf_cstr(&c.streams[0]), "one");
	assert_string_equal(buf_cstr(&c.streams[1]), "two");
	logcheck_done(&c);
	end(&p);
	assert_int_equal(capture_set_init(&b->set, &b->loop, b->dir, &b->pool), 0);
}

/* Asks for the old logs to be deleted, once, as another thread would while a step is under way. */
static void ask_within(void *user, bool begins)
{
	static const struct wire_log_work all = {
		.id = 7, .what = WIRE_LOG_PRUNE, .service = "svc", .index = -1};
	struct capture_set *set = user;

	if (begins && set->keeping && !set->work)
		assert_true(capture_keep_ask(set, &all));
}

static uint64_t wait_pruned(struct bench *b)
{
	int64_t deadline = clock_mono_ms() + DEADLINE_MS;
	struct wire_log_done done = {0};

	while (!capture_keep_answer(&b->set, &done) && clock_mono_ms() < deadline)
		turn(b, 20);
	assert_int_equal(done.id, 7);
	return done.files;
}

static void what_is_asked_for_is_done(void **state)
{
	static const struct wire_log_work all = {
		.id = 7, .what = WIRE_LOG_PRUNE, .service = "svc", .index = -1};
	struct bench *b = *state;

	for (unsigned inc = 1; inc <= 2; inc++) {
		struct pipes p = begin(b, "svc", inc, 1 << 20, 5);

		put(b, p.out, "one\n", 4);
		end(&p);
		wait_drained(b, inc);
		if (inc == 1) { /* in the middle of what is done anyway */
			b->set.user = &b->set;
			b->set.on_step = ask_within;
			loop_timer_arm(&b->loop, &b->set.keep_timer, 0);
			turn(b, 20);
			b->set.on_step = NULL;
		} else { /* something else becomes due before it is begun */
			assert_true(capture_keep_ask(&b->set, &all));
			b->set.store.due_wall_ms = clock_wall_ms() + 3600000;
			capture_keep_soon(&b->set);
		}
		assert_int_equal(wait_pruned(b), 1);
	}
}

/* Another thread comes to give everything away while a step is under way. */
static void pause_within(void *user, bool begins)
{
	struct capture_set *set = user;

	if (begins && !set->paused)
		capture_pause(set);
}

/* Its main process is gone, a grandchild may still write: the pipes are given away open. */
static void paused_while_it_looks_for_the_last_bytes(void **state)
{
	struct bench *b = *state;
	struct pipes p = begin(b, "svc", 1, 1 << 20, 5);
	struct capture *c = capture_next(&b->set, NULL);
	int64_t until;

	put(b, p.out, "one\n", 4);
	wait_taken(b, p.out);
	b->set.drain_ms = 20;
	b->set.user = &b->set;
	b->set.on_step = pause_within;
	capture_gone(&b->set, &c->key);
	for (until = clock_mono_ms() + DEADLINE_MS; !b->set.paused && clock_mono_ms() < until;)
		turn(b, 20);
	assert_true(b->set.paused);
	assert_true(c->streams[0].fd >= 0);
	assert_true(c->streams[1].fd >= 0);
	b->set.on_step = NULL;
	capture_resume(&b->set);
	wait_drained(b, 1);
	end(&p);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(silent_ones_make_no_file),
		TEST(both_streams_and_a_line_without_newline),
		TEST(a_single_line_is_stored_at_once),
		TEST(small_pieces_are_collected),
		TEST(rotation_is_at_a_newline),
		TEST(a_line_without_end_is_cut_at_twice_the_size),
		TEST(the_sum_is_limited),
		TEST(the_number_is_limited_over_incarnations),
		TEST(a_segment_in_use_is_never_deleted),
		TEST(gone_with_a_grandchild),
		TEST(a_known_incarnation_keeps_its_pipes),
		TEST(what_cannot_be_stored_waits),
		TEST(a_removed_directory_is_made_again),
		TEST(below_the_floor_old_segments_go_then_writers_wait),
		TEST(a_full_disk_loses_nothing),
		TEST(without_splice),
		TEST(few_descriptors),
		TEST(a_full_pipe_grows_within_the_budget),
		TEST(half_a_step_is_completed),
		TEST(a_damaged_index_is_left_alone),
		TEST(symlinks_are_not_followed),
		TEST(a_bare_end_waits),
		TEST(draining_at_the_end),
		TEST(what_is_asked_for_is_done),
		TEST(paused_while_it_looks_for_the_last_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
