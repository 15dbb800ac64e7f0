/*
 * fuzz_logzst: any bytes as a compressed segment. What opens has the size that it says, or fails to
 * be read; a place in it gives what reading from the beginning gave there. Besides, any bytes as
 * content come back from the writer.
 */
/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/fs.h"
#include "lib/logzst.h"
#include "lib/mem.h"
#include "tests/fuzz/fuzz.h"

#define BLOCK 65536
#define READ_MAX (64U << 20) /* of a file that claims a lot */

const char fuzz_name[] = "logzst";

/* The magic numbers, a descriptor, and a raw block. */
const char *const fuzz_words[] = {"\x28\xb5\x2f\xfd",
				  "\x5e\x2a\x4d\x18",
				  "\xb1\xea\x92\x8f",
				  "\x80",
				  "\xff\xff\xff\xff",
				  "\x01",
				  "\x11",
				  NULL};

static int make_file(const void *p, size_t n)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd < 0 || fs_write_all(fd, p, n) < 0)
		abort();
	return fd;
}

/* The same bytes again, at a place that is not the next. */
static void check_place(struct logzst *z, const uint8_t *block, size_t n, uint64_t at)
{
	uint8_t again[64];
	size_t from = n / 3, k = n - from < sizeof(again) ? n - from : sizeof(again);

	if (logzst_pread(z, again, k, at + from, NULL) != (ssize_t)k ||
	    memcmp(again, block + from, k) != 0)
		abort();
}

static void read_all(struct logzst *z, uint8_t *block)
{
	uint64_t at = 0, size = logzst_size(z);
	ssize_t n;

	while (at < READ_MAX && (n = logzst_pread(z, block, BLOCK, at, NULL)) > 0) {
		if (n > BLOCK || (uint64_t)n > size - at || (n < BLOCK && at + (uint64_t)n != size))
			abort();
		check_place(z, block, (size_t)n, at);
		at += (uint64_t)n;
	}
	if (logzst_pread(z, block, BLOCK, size, NULL) != 0)
		abort();
}

static void check_reader(const uint8_t *data, size_t size, uint8_t *block)
{
	_cleanup_close_ int fd = make_file(data, size);
	struct logzst *z;

	if (logzst_open(fd, &z, NULL) < 0)
		return;
	read_all(z, block);
	logzst_close(z);
}

static void check_writer(const uint8_t *data, size_t size, uint8_t *block)
{
	_cleanup_close_ int fd = make_file("", 0);
	struct logzst_writer *w = logzst_writer_new(fd);
	size_t first = size / 2;
	struct logzst *z;

	if (!w || (first && logzst_writer_frame(w, data, first) < 0) ||
	    (size && logzst_writer_frame(w, data + first, size - first) < 0) ||
	    logzst_writer_end(w) < 0 || logzst_open(fd, &z, NULL) < 0)
		abort();
	if (logzst_size(z) != size || logzst_pread(z, block, BLOCK, 0, NULL) != (ssize_t)size ||
	    memcmp(block, data, size) != 0)
		abort();
	logzst_close(z);
	logzst_writer_free(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ uint8_t *block = malloc(BLOCK);

	if (!block || size > BLOCK)
		abort();
	check_reader(data, size, block);
	check_writer(data, size, block);
	return 0;
}
