/*
 * test_evidence: what a cgroup's io.stat says, from directories of our own.
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
#include <unistd.h>

#include "daemon/supervisor/evidence.h"

static int open_dir(char *path)
{
	int fd;

	assert_non_null(mkdtemp(path));
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void put(int dir_fd, const char *text)
{
	int fd = openat(dir_fd, "io.stat", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void what_all_devices_moved(void **state)
{
	char path[] = "/tmp/aictl-evidence-XXXXXX", text[20000] = "";
	int fd = open_dir(path);
	size_t len = 0;

	(void)state;
	assert_int_equal(evidence_block_bytes(fd), 0); /* no io controller */
	put(fd, "");
	assert_int_equal(evidence_block_bytes(fd), 0);
	put(fd, "8:0 rbytes=1459200 wbytes=314773504 rios=192 wios=353 dbytes=7 dios=9\n");
	assert_int_equal(evidence_block_bytes(fd), 1459200 + 314773504);
	put(fd, "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n"
		"253:1 \n" /* without a word, as a device has that is gone */
		"8:16 rbytes=18446744073709551000 wbytes=20 rios=3 wios=4 dbytes=0 dios=0 "
		"cost.usage=8\n");
	assert_true(evidence_block_bytes(fd) == UINT64_C(18446744073709551023));
	put(fd, "rubbish rbytes=x wbytes=\n");
	assert_int_equal(evidence_block_bytes(fd), 0);
	for (int i = 0; i < 300; i++) /* too many: some of them count, and always the same ones */
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"8:%d rbytes=1 wbytes=1 rios=0 wios=0 dbytes=0\n", i);
	put(fd, text);
	assert_in_range(evidence_block_bytes(fd), 200, 600);
	unlinkat(fd, "io.stat", 0);
	close(fd);
	rmdir(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(what_all_devices_moved)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
