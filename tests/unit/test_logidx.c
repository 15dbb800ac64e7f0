/* test_logidx: the format on disk. */
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
#include <unistd.h>

#include "lib/err.h"
#include "lib/logidx.h"
#include "lib/mem.h"

#define INC "0123456789abcdef0123456789abcdef"

static void the_layout_is_the_documented_one(void **state)
{
	static const uint8_t head[LOGIDX_HEADER_SIZE] =
		"AICTLIDX\1\0\0\0\30\0\0\0" INC "\10\7\6\5\4\3\2\1\52\0\0\0";
	static const uint8_t entry[LOGIDX_ENTRY_SIZE + 1] = "\1\0\0\0\0\0\0\0\4\3\2\1\2\0\0\0"
							    "\377\377\377\377\377\377\377\377";
	struct logidx_header h = {.incarnation = INC,
				  .seq = 42,
				  .created_wall_ms = 0x0102030405060708},
			     h2;
	struct logidx_entry e = {1, 0x01020304, LOGIDX_STDERR, -1}, e2;
	uint8_t out[LOGIDX_HEADER_SIZE];

	(void)state;
	logidx_encode_header(&h, out);
	assert_memory_equal(out, head, sizeof(out));
	assert_int_equal(logidx_decode_header(out, &h2), 0);
	assert_string_equal(h2.incarnation, INC);
	assert_int_equal(h2.seq, 42);
	assert_int_equal(h2.created_wall_ms, h.created_wall_ms);
	logidx_encode_entry(&e, out);
	assert_memory_equal(out, entry, LOGIDX_ENTRY_SIZE);
	assert_int_equal(logidx_decode_entry(out, &e2), 0);
	assert_memory_equal(&e, &e2, sizeof(e));
}

static void bad_headers_and_entries(void **state)
{
	static const struct logidx_entry bad[] = {{0, 1, 4, 0},
						  {0, 1, 0, 0},
						  {0, 0, 1, 0},
						  {INT64_MAX, 1, 1, 0},
						  {UINT64_MAX, 4, 2, 0}};
	struct logidx_header h = {.incarnation = INC, .seq = 1}, h2;
	uint8_t out[LOGIDX_HEADER_SIZE];
	struct logidx_entry e;

	(void)state;
	for (size_t i = 0; i < 48; i++) { /* magic, version, size of entries, incarnation */
		logidx_encode_header(&h, out);
		out[i] ^= 0x80;
		assert_int_equal(logidx_decode_header(out, &h2), -ERR_INVALID);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		logidx_encode_entry(&bad[i], out);
		assert_int_equal(logidx_decode_entry(out, &e), -ERR_INVALID);
	}
}

static void names(void **state)
{
	static const char *const bad[] = {"",
					  ".",
					  "..",
					  INC,
					  INC "-",
					  INC "-00001.log",
					  INC "-000001.txt",
					  INC "-000001.logx",
					  INC "-000001.log.zst.",
					  "." INC "-000001.log.zst",
					  INC "-000001",
					  INC "-00000a.log",
					  INC "-99999999999.log",
					  "0123456789ABCDEF0123456789abcdef-000001.log",
					  "x" INC "-000001.log"};
	char name[LOGIDX_NAME_SIZE], inc[LOGIDX_INCARNATION_SIZE];
	uint32_t seq;

	(void)state;
	assert_string_equal(logidx_name(name, INC, 7, LOGIDX_LOG), INC "-000007.log");
	assert_int_equal(logidx_parse_name(name, inc, &seq), LOGIDX_LOG);
	assert_string_equal(inc, INC);
	assert_int_equal(seq, 7);
	assert_string_equal(logidx_name(name, INC, UINT32_MAX, LOGIDX_IDX), INC "-4294967295.idx");
	assert_int_equal(logidx_parse_name(name, inc, &seq), LOGIDX_IDX);
	assert_int_equal(seq, UINT32_MAX);
	assert_string_equal(logidx_name(name, INC, 12, LOGIDX_ZST), INC "-000012.log.zst");
	assert_int_equal(logidx_parse_name(name, inc, &seq), LOGIDX_ZST);
	assert_int_equal(seq, 12);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(logidx_parse_name(bad[i], inc, &seq), LOGIDX_OTHER);
	assert_string_equal(logidx_stream_name(LOGIDX_STDERR), "stderr");
	assert_string_equal(logidx_stream_name(LOGIDX_NOTE), "aictl");
	assert_string_equal(logidx_stream_name(99), "?");
	assert_int_equal(logidx_incarnation_ms("0000000003e8aaaa"), 1000);
	assert_int_equal(logidx_incarnation_ms("no"), 0);
}

static void touch(int dir, const char *name)
{
	int fd = openat(dir, name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "12345", 5), 5);
	close(fd);
}

static void a_directory(void **state)
{
	static const char *const files[] = {
		"b" INC "-000001.log", /* a foreign file */
		"0200000000000000000000000000aaaa-000001.idx",
		"0199000000000000000000000000aaaa-000010.log",
		"0199000000000000000000000000aaaa-000009.log",
		"0199000000000000000000000000aaaa-000010.idx",
		"0199000000000000000000000000aaaa-000009.log.zst",
		"README",
	};
	struct logidx_segment *v = NULL;
	char dir[] = "/tmp/aictl-test-logidx-XXXXXX";
	size_t n = 0;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		touch(fd, files[i]);
	assert_int_equal(logidx_scan(fd, true, &v, &n, NULL), 0);
	assert_int_equal(n, 3);
	assert_int_equal(v[0].seq, 9);
	assert_true(v[0].has_log && !v[0].has_idx && v[0].has_zst && v[0].bytes == 10);
	assert_int_equal(v[1].seq, 10);
	assert_true(v[1].has_log && v[1].has_idx && !v[1].has_zst && v[1].bytes == 10);
	assert_true(!v[2].has_log && v[2].has_idx);
	mem_free(v);
	assert_int_equal(logidx_scan(fd, false, &v, &n, NULL), 0); /* again, sizes not asked */
	assert_int_equal(n, 3);
	assert_int_equal(v[1].bytes, 0);
	mem_free(v);
	v = NULL;
	mem_fail_after(1);
	assert_int_equal(logidx_scan(fd, false, &v, &n, NULL), -ERR_NOMEM);
	mem_fail_after(0);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		unlinkat(fd, files[i], 0);
	close(fd);
	assert_int_equal(rmdir(dir), 0);
	assert_true(logidx_scan(-1, false, &v, &n, NULL) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_layout_is_the_documented_one),
		cmocka_unit_test(bad_headers_and_entries),
		cmocka_unit_test(names),
		cmocka_unit_test(a_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
