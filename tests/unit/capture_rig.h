/*
 * capture_rig: a capture_set in this process, with real pipes and files, for test_capture and its
 * like. They are a thread of nothing else: turn() is one round of the loop.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_TESTS_CAPTURE_RIG_H
#define AICTL_TESTS_CAPTURE_RIG_H

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
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/logger/capture.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "tests/lib/logcheck.h"

#define RIG static inline

#define INC "0199000000000000000000000000%04x"
#define DEADLINE_MS 20000

struct bench {
	char dir[64];
	struct loop loop;
	struct pool pool;
	struct capture_set set;
	unsigned drained; /* told so far */
	int intents;
	int null; /* our own log */
};

RIG int setup(void **state)
{
	struct bench *b = mem_alloc(sizeof(*b));

	b->null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	log_open("test_capture", b->null, LOG_LVL_DEBUG);
	snprintf(b->dir, sizeof(b->dir), "/tmp/aictl-test-capture-XXXXXX");
	assert_non_null(mkdtemp(b->dir));
	assert_int_equal(loop_init(&b->loop), 0);
	pool_init(&b->pool, true);
	assert_int_equal(capture_set_init(&b->set, &b->loop, b->dir, &b->pool), 0);
	b->intents = memfd_create("intents", MFD_CLOEXEC);
	assert_int_equal(ftruncate(b->intents, 8192), 0);
	assert_int_equal(intent_map(&b->pool.intents, dup(b->intents)), 0);
	*state = b;
	return 0;
}

RIG int teardown(void **state)
{
	struct bench *b = *state;

	capture_set_done(&b->set);
	assert_int_equal(b->pool.fds, 0);
	assert_int_equal(b->pool.pipes.used, 0);
	pool_done(&b->pool);
	loop_done(&b->loop);
	close(b->intents);
	log_open("test_capture", STDERR_FILENO, LOG_LVL_ERROR);
	close(b->null);
	logcheck_remove(b->dir);
	mem_free(b);
	return 0;
}

/* Write ends of a capture; -1 = closed. */
struct pipes {
	int out, err;
};

RIG struct pipes begin(struct bench *b, const char *service, unsigned inc, uint64_t max_size,
		       uint32_t max_files)
{
	struct wire_stream m = {
		.intent_index = inc % 500, .logs.max_size = max_size, .logs.max_files = max_files};
	int out[2], err[2];

	snprintf(m.key.service, sizeof(m.key.service), "%s", service);
	snprintf(m.key.incarnation, sizeof(m.key.incarnation), INC, inc);
	assert_int_equal(pipe2(out, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(pipe2(err, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(capture_add(&b->set, &m, (int[]){out[0], err[0], -1}), 0);
	return (struct pipes){out[1], err[1]};
}

RIG void end(struct pipes *p)
{
	mem_closep(&p->out);
	mem_closep(&p->err);
}

RIG void turn(struct bench *b, int ms)
{
	struct capture *c;

	loop_once(&b->loop, ms);
	while ((c = capture_first_drained(&b->set))) {
		b->drained++;
		capture_release(c);
	}
}

RIG void wait_drained(struct bench *b, unsigned n)
{
	int64_t deadline = clock_mono_ms() + DEADLINE_MS;

	while (b->drained < n && clock_mono_ms() < deadline)
		turn(b, 20);
	assert_int_equal(b->drained, n);
}

/* Everything in the pipe of fd was taken. */
RIG void wait_taken(struct bench *b, int fd)
{
	int64_t deadline = clock_mono_ms() + DEADLINE_MS;
	int n = 1;

	while (n > 0 && clock_mono_ms() < deadline) {
		turn(b, 5);
		assert_int_equal(ioctl(fd, FIONREAD, &n), 0);
	}
	assert_int_equal(n, 0);
}

RIG void put(struct bench *b, int fd, const char *text, size_t n)
{
	while (n > 0) {
		ssize_t k = write(fd, text, n);

		if (k < 0) {
			assert_int_equal(errno, EAGAIN);
			turn(b, 20);
			continue;
		}
		text += k;
		n -= (size_t)k;
	}
}

RIG void put_numbered(struct bench *b, int fd, char tag, unsigned from, unsigned to)
{
	char line[32];

	for (unsigned i = from; i < to; i++) {
		snprintf(line, sizeof(line), "%c%07u\n", tag, i);
		put(b, fd, line, 9);
	}
}

RIG void check(const struct bench *b, const char *service, struct logcheck *c)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%s/0", b->dir, service);
	logcheck_read(path, c);
	assert_string_equal(c->problem, "");
}

RIG uint64_t bytes_in(const struct bench *b, const char *service, size_t *files, uint64_t *largest)
{
	_cleanup_free_ struct logidx_segment *v = NULL;
	uint64_t sum = 0;
	char path[160];
	int fd;

	snprintf(path, sizeof(path), "%s/%s/0", b->dir, service);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(logidx_scan(fd, true, &v, files, NULL), 0);
	close(fd);
	*largest = 0;
	for (size_t i = 0; i < *files; i++) {
		sum += v[i].bytes;
		if (v[i].bytes > *largest)
			*largest = v[i].bytes;
	}
	return sum;
}

#endif
