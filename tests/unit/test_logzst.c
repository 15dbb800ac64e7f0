/*
 * test_logzst: what is written comes back from any place; what zstd itself reads; and files that
 * are damaged, cut short or made to hurt.
 */
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
#include <sys/mman.h>
#include <unistd.h>
#include <zstd.h>

#include "lib/err.h"
#include "lib/fs.h"
#include "lib/logzst.h"
#include "lib/mem.h"

#define CONTENT (LOGZST_FRAME * 2 + 12345)

static int make_file(void)
{
	int fd = memfd_create("logzst", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

/* Lines that compress about as logs do. Caller frees. */
static uint8_t *make_content(size_t n)
{
	uint8_t *p = malloc(n + 128);
	uint32_t x = 1;

	for (size_t at = 0; at < n; x = x * 1664525 + 1013904223)
		at += (size_t)snprintf((char *)p + at, 128, "INFO request %08x took %u ms\n", x,
				       x % 977);
	return p;
}

static int pack(const uint8_t *p, size_t n)
{
	int fd = make_file();
	struct logzst_writer *w = logzst_writer_new(fd);

	assert_non_null(w);
	for (size_t at = 0; at < n; at += LOGZST_FRAME)
		assert_int_equal(logzst_writer_frame(w, p + at,
						     n - at < LOGZST_FRAME ? n - at : LOGZST_FRAME),
				 0);
	assert_int_equal(logzst_writer_end(w), 0);
	logzst_writer_free(w);
	return fd;
}

static size_t load(int fd, uint8_t *p, size_t cap)
{
	ssize_t n = pread(fd, p, cap, 0);

	assert_true(n >= 0);
	return (size_t)n;
}

static int file_of(const void *p, size_t n)
{
	int fd = make_file();

	assert_int_equal(fs_write_all(fd, p, n), 0);
	return fd;
}

static void what_is_written_comes_back(void **state)
{
	static const size_t sizes[] = {0,      1, LOGZST_FRAME - 1, LOGZST_FRAME, LOGZST_FRAME + 1,
				       CONTENT};
	_cleanup_free_ uint8_t *want = make_content(CONTENT), *got = malloc(CONTENT + 1);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		_cleanup_close_ int fd = pack(want, sizes[i]);
		struct logzst *z;

		assert_int_equal(logzst_open(fd, &z, NULL), 0);
		assert_int_equal(logzst_size(z), sizes[i]);
		assert_int_equal(logzst_pread(z, got, CONTENT + 1, 0, NULL), sizes[i]);
		assert_memory_equal(got, want, sizes[i]);
		assert_int_equal(logzst_pread(z, got, 1, sizes[i], NULL), 0);
		assert_int_equal(logzst_pread(z, got, 1, UINT64_MAX, NULL), 0);
		assert_null(logzst_close(z));
	}
}

static void any_place_can_be_read(void **state)
{
	_cleanup_free_ uint8_t *want = make_content(CONTENT), *got = malloc(CONTENT);
	_cleanup_close_ int fd = pack(want, CONTENT);
	struct logzst *z;

	(void)state;
	assert_int_equal(logzst_open(fd, &z, NULL), 0);
	srandom(1);
	for (int i = 0; i < 300; i++) {
		size_t at = (size_t)random() % CONTENT, n = (size_t)random() % 100000;
		size_t there = CONTENT - at < n ? CONTENT - at : n;

		assert_int_equal(logzst_pread(z, got, n, at, NULL), there);
		assert_memory_equal(got, want + at, there);
	}
	logzst_close(z);
}

/* What `zstdcat` does. */
static void plain_zstd_reads_it(void **state)
{
	_cleanup_free_ uint8_t *want = make_content(CONTENT), *got = malloc(CONTENT + 1);
	_cleanup_free_ uint8_t *file = malloc(CONTENT);
	_cleanup_close_ int fd = pack(want, CONTENT);
	size_t n = load(fd, file, CONTENT);

	(void)state;
	assert_true(n < CONTENT / 2);
	assert_int_equal(ZSTD_decompress(got, CONTENT + 1, file, n), CONTENT);
	assert_memory_equal(got, want, CONTENT);
}

static void expect_refused(const void *p, size_t n, const char *why)
{
	_cleanup_close_ int fd = file_of(p, n);
	_cleanup_err_ struct err *e = NULL;
	struct logzst *z = NULL;

	assert_int_equal(logzst_open(fd, &z, &e), -ERR_INVALID);
	assert_null(z);
	assert_non_null(strstr(err_msg(e), "damaged compressed log segment"));
	assert_non_null(strstr(err_msg(e), why));
}

static void a_file_cut_short_is_refused(void **state)
{
	_cleanup_free_ uint8_t *want = make_content(LOGZST_FRAME + 100), *file = malloc(CONTENT);
	_cleanup_close_ int fd = pack(want, LOGZST_FRAME + 100);
	size_t n = load(fd, file, CONTENT);

	(void)state;
	for (size_t k = 0; k < n; k += k < 100 || n - k < 100 ? 1 : 37)
		expect_refused(file, k, "it has no seek table");
	expect_refused("", 0, "it has no seek table");
	expect_refused(file + 1, n - 1, "does not fit its size");
}

/* Never another content than the one that was written. */
static void a_changed_byte_is_noticed(void **state)
{
	_cleanup_free_ uint8_t *want = make_content(40000), *file = malloc(CONTENT),
			       *got = malloc(40000);
	_cleanup_close_ int good = pack(want, 40000);
	size_t n = load(good, file, CONTENT), refused = 0;

	(void)state;
	for (size_t at = 0; at < n; at += n - at < 40 || at < 20 ? 1 : 97) {
		_cleanup_close_ int fd = -1;
		struct logzst *z = NULL;

		file[at] ^= 0x10;
		fd = file_of(file, n);
		if (logzst_open(fd, &z, NULL) < 0 || logzst_pread(z, got, 40000, 0, NULL) < 0)
			refused++;
		else
			assert_memory_equal(got, want, 40000);
		logzst_close(z);
		file[at] ^= 0x10;
	}
	assert_true(refused > n / 97);
}

static void put(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

/* What a table of one frame says. */
struct said {
	uint32_t packed, content, n_frames;
	uint8_t descriptor;
};

static size_t make_table(uint8_t *out, const void *frame, uint32_t packed, struct said t)
{
	uint8_t *p = out + packed;

	memcpy(out, frame, packed);
	put(p, 0x184D2A5E);
	put(p + 4, 8 + 9);
	put(p + 8, t.packed);
	put(p + 12, t.content);
	put(p + 16, t.n_frames);
	p[20] = t.descriptor;
	put(p + 21, 0x8F92EAB1);
	return packed + 25;
}

static void a_table_that_lies_is_refused(void **state)
{
	uint8_t frame[64], out[128];
	uint32_t k = (uint32_t)ZSTD_compress(frame, sizeof(frame), "hello\n", 6, 3);

	(void)state;
	expect_refused(out, make_table(out, frame, k, (struct said){k + 1, 6, 1, 0}),
		       "does not fit its size");
	expect_refused(out, make_table(out, frame, k, (struct said){k, UINT32_MAX, 1, 0}),
		       "a frame is too large");
	expect_refused(out, make_table(out, frame, k, (struct said){UINT32_MAX, 6, 1, 0}),
		       "a frame is too large");
	expect_refused(out, make_table(out, frame, k, (struct said){k, 6, UINT32_MAX, 0}),
		       "too many frames");
	expect_refused(out, make_table(out, frame, k, (struct said){k, 6, 1000000, 0}),
		       "cut short");
	expect_refused(out, make_table(out, frame, k, (struct said){k, 6, 0, 0}), "no head");
	expect_refused(out, make_table(out, frame, k, (struct said){k, 6, 1, 0x80}), "no head");
	expect_refused(out, make_table(out, frame, k, (struct said){k, 6, 1, 0x04}),
		       "no seek table");
}

static void expect_unreadable(const void *p, size_t n)
{
	_cleanup_close_ int fd = file_of(p, n);
	_cleanup_err_ struct err *e = NULL;
	struct logzst *z;
	char got[32];

	assert_int_equal(logzst_open(fd, &z, &e), 0);
	assert_int_equal(logzst_pread(z, got, sizeof(got), 0, &e), -ERR_INVALID);
	assert_non_null(strstr(err_msg(e), "damaged compressed log segment"));
	logzst_close(z);
}

static void a_frame_that_lies_fails_the_read(void **state)
{
	/* A frame header that claims 4 GiB - 1 of content, in a window as large. */
	static const uint8_t huge[] = {0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0xff,
				       0xff, 0xff, 0xff, 1,    0,    0};
	uint8_t frame[64], out[128];
	uint32_t k = (uint32_t)ZSTD_compress(frame, sizeof(frame), "hello\n", 6, 3);

	(void)state;
	expect_unreadable(
		out, make_table(out, huge, sizeof(huge), (struct said){sizeof(huge), 6, 1, 0}));
	expect_unreadable(out, make_table(out, frame, k, (struct said){k, 5, 1, 0}));
	expect_unreadable(out, make_table(out, frame, k, (struct said){k, 7, 1, 0}));
	expect_unreadable(out, make_table(out, "no frame at all", 15, (struct said){15, 6, 1, 0}));
	expect_unreadable(out, make_table(out, "", 0, (struct said){0, 6, 1, 0}));
}

/* As other writers of the format make them: checksums in the table, frames without content. */
static void files_of_others_are_read(void **state)
{
	uint8_t frame[64], out[160], *p;
	uint32_t k = (uint32_t)ZSTD_compress(frame, sizeof(frame), "hello\n", 6, 3);
	_cleanup_close_ int fd = -1;
	struct logzst *z;
	char got[16];

	(void)state;
	memcpy(out, frame, k);
	p = out + k;
	put(p, 0x184D2A5E);
	put(p + 4, 3 * 12 + 9);
	memset(p + 8, 0, 3 * 12);
	put(p + 8 + 12, k);
	put(p + 8 + 16, 6);
	put(p + 8 + 36, 3);
	p[8 + 40] = 0x80;
	put(p + 8 + 41, 0x8F92EAB1);
	fd = file_of(out, k + 8 + 45);
	assert_int_equal(logzst_open(fd, &z, NULL), 0);
	assert_int_equal(logzst_pread(z, got, sizeof(got), 1, NULL), 5);
	assert_memory_equal(got, "ello\n", 5);
	assert_int_equal(logzst_pread(z, got, sizeof(got), 0, NULL), 6);
	logzst_close(z);
}

static void one_that_shrinks_while_open(void **state)
{
	_cleanup_free_ uint8_t *want = make_content(CONTENT), *got = malloc(CONTENT);
	_cleanup_close_ int fd = pack(want, CONTENT);
	_cleanup_err_ struct err *e = NULL;
	struct logzst *z;

	(void)state;
	assert_int_equal(logzst_open(fd, &z, NULL), 0);
	assert_int_equal(ftruncate(fd, 10), 0);
	assert_int_equal(logzst_pread(z, got, CONTENT, 0, &e), -ERR_INVALID);
	assert_non_null(strstr(err_msg(e), "shorter"));
	logzst_close(z);
}

static void no_memory_is_an_error(void **state)
{
	_cleanup_free_ uint8_t *want = make_content(1000), *got = malloc(1000);
	_cleanup_close_ int fd = pack(want, 1000);

	(void)state;
	for (unsigned long nth = 1; nth <= 2; nth++) {
		struct logzst *z;

		mem_fail_after(nth);
		assert_int_equal(logzst_open(fd, &z, NULL), -ERR_NOMEM);
		assert_int_equal(logzst_open(fd, &z, NULL), 0);
		mem_fail_after(nth);
		assert_int_equal(logzst_pread(z, got, 1000, 0, NULL), -ERR_NOMEM);
		assert_int_equal(logzst_pread(z, got, 1000, 0, NULL), 1000);
		assert_memory_equal(got, want, 1000);
		logzst_close(z);
		mem_fail_after(nth);
		assert_null(logzst_writer_new(fd));
		mem_fail_after(0);
	}
}

static void a_full_disk_is_an_error(void **state)
{
	_cleanup_close_ int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct logzst_writer *w = logzst_writer_new(fd);

	(void)state;
	assert_int_equal(logzst_writer_frame(w, "x", 0), -EINVAL);
	assert_int_equal(logzst_writer_frame(w, "x", 1), -ENOSPC);
	assert_int_equal(logzst_writer_end(w), -ENOSPC);
	logzst_writer_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_comes_back),
		cmocka_unit_test(any_place_can_be_read),
		cmocka_unit_test(plain_zstd_reads_it),
		cmocka_unit_test(a_file_cut_short_is_refused),
		cmocka_unit_test(a_changed_byte_is_noticed),
		cmocka_unit_test(a_table_that_lies_is_refused),
		cmocka_unit_test(a_frame_that_lies_fails_the_read),
		cmocka_unit_test(files_of_others_are_read),
		cmocka_unit_test(one_that_shrinks_while_open),
		cmocka_unit_test(no_memory_is_an_error),
		cmocka_unit_test(a_full_disk_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
