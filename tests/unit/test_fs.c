/* fs: whole files and limits, interrupted and partial writes, directories, joined paths. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/err.h"
#include "lib/fs.h"
#include "lib/mem.h"

static int make_dir(void **state)
{
	const char *tmp = getenv("TMPDIR");
	char *dir = mem_printf("%s/aictl-test-fs-XXXXXX", tmp ? tmp : "/tmp");

	*state = dir;
	return dir && mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	static const char *const names[] = {"file", "a/b/c", "a/b", "a", ""};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_free_ char *path = fs_join(*state, names[i]);

		if (unlink(path) < 0)
			rmdir(path);
	}
	mem_free(*state);
	return 0;
}

static void test_read(void **state)
{
	_cleanup_free_ char *path = fs_join(*state, "file"), *data = NULL;
	_cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	_cleanup_err_ struct err *e = NULL;
	char big[40000];
	size_t len = 0;

	memset(big, 'x', sizeof(big));
	assert_int_equal(fs_write_all(fd, big, sizeof(big)), 0);
	assert_int_equal(fs_read_file(path, sizeof(big), &data, &len, NULL), 0);
	assert_int_equal(len, sizeof(big));
	assert_memory_equal(data, big, sizeof(big));
	assert_int_equal(data[len], 0);
	data = (mem_free(data), NULL);
	assert_int_equal(fs_read_file(path, sizeof(big) - 1, &data, &len, &e), -ERR_INVALID);
	assert_null(data);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(fs_read_file(path, 0, &data, &len, NULL), 0);
	assert_int_equal(len, 0);
	assert_string_equal(data, "");
}

static void test_read_errors(void **state)
{
	_cleanup_err_ struct err *e = NULL, *again = NULL;
	char *data = NULL;
	size_t len = 0;

	assert_int_equal(fs_read_file("/nonexistent/x", 10, &data, &len, &e), -ERR_SYS);
	assert_int_equal(e->sys, ENOENT);
	assert_int_equal(fs_read_file(*state, 10, &data, &len, &again), -ERR_SYS);
	assert_int_equal(again->sys, EISDIR);
	mem_fail_after(1);
	assert_int_equal(fs_read_file("/dev/null", 10, &data, &len, NULL), -ERR_NOMEM);
	mem_fail_after(0);
	assert_null(data);
}

static void on_alarm(int sig)
{
	(void)sig;
}

struct reader {
	int fd;
	size_t total;
};

/* Empties a pipe in small bites, so that the writer blocks, goes on, and is interrupted. */
static void *read_slowly(void *arg)
{
	struct reader *r = arg;
	char bite[997];
	ssize_t n;

	while ((n = read(r->fd, bite, sizeof(bite))) != 0) {
		if (n > 0)
			r->total += (size_t)n;
		else if (errno != EINTR)
			break;
	}
	return NULL;
}

static void test_write_storm(void **state)
{
	static const struct itimerval every = {{0, 200}, {0, 200}}, off;
	struct sigaction act = {.sa_handler = on_alarm}, old;
	struct reader reader = {0};
	size_t size = 8 << 20;
	char *data = calloc(1, size);
	pthread_t thread;
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	reader.fd = fds[0];
	assert_int_equal(sigaction(SIGALRM, &act, &old), 0); /* no SA_RESTART: EINTR everywhere */
	assert_int_equal(pthread_create(&thread, NULL, read_slowly, &reader), 0);
	setitimer(ITIMER_REAL, &every, NULL);
	assert_int_equal(fs_write_all(fds[1], data, size), 0);
	close(fds[1]);
	pthread_join(thread, NULL);
	setitimer(ITIMER_REAL, &off, NULL);
	sigaction(SIGALRM, &old, NULL);
	assert_int_equal(reader.total, size);
	close(fds[0]);
	free(data);
	assert_int_equal(fs_write_all(-1, "x", 1), -EBADF);
	assert_int_equal(fs_write_all(-1, "x", 0), 0);
}

static void test_mkdir(void **state)
{
	_cleanup_free_ char *deep = fs_join(*state, "a/b/c"),
			    *twice = mem_printf("%s/a//b/", (char *)*state);
	_cleanup_free_ char *file = fs_join(*state, "file"), *below = fs_join(*state, "file/x");
	struct stat st;

	assert_int_equal(fs_mkdir_p(deep, 0700, NULL), 0);
	assert_int_equal(stat(deep, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(fs_mkdir_p(deep, 0755, NULL), 0);
	assert_int_equal(fs_mkdir_p(twice, 0755, NULL), 0);
	assert_int_equal(fs_mkdir_p("/", 0755, NULL), 0);
	assert_int_equal(fs_mkdir_p("", 0755, NULL), -ERR_INVALID);
	close(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(fs_mkdir_p(file, 0755, NULL), -ERR_SYS); /* a file is no directory */
	assert_int_equal(fs_mkdir_p(below, 0755, NULL), -ERR_SYS);
}

static void test_paths(void **state)
{
	static const struct {
		const char *base, *path, *want;
	} joins[] = {
		{"/a", "b", "/a/b"}, {"/a/", "b", "/a/b"}, {"/a//", "./b//c/.", "/a/b/c"},
		{"/a", "/b", "/b"},  {"/a", "", "/a"},	   {"/a/", ".", "/a"},
		{"/", "b", "/b"},    {"/", ".", "/"},	   {"/a", "../b", "/a/../b"},
		{".", "x", "./x"},   {"/a", "//b", "/b"},  {"/a", "...", "/a/..."},
	};
	static const struct {
		const char *path, *want;
	} dirs[] = {{"/a/b/c", "/a/b"}, {"/a", "/"},  {"/", "/"},
		    {"a", "."},		{"a/b", "a"}, {"", "."}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(joins); i++) {
		_cleanup_free_ char *got = fs_join(joins[i].base, joins[i].path);

		assert_string_equal(got, joins[i].want);
	}
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		_cleanup_free_ char *got = fs_dirname(dirs[i].path);

		assert_string_equal(got, dirs[i].want);
	}
	mem_fail_after(1);
	assert_null(fs_join("/a", "b"));
	mem_fail_after(1);
	assert_null(fs_dirname("/a/b"));
	mem_fail_after(0);
}

static void test_tmpfs(void **state)
{
	_cleanup_close_ int proc = open("/proc", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_false(fs_is_tmpfs(proc));
	assert_false(fs_is_tmpfs(-1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_read, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_read_errors, make_dir, remove_dir),
		cmocka_unit_test(test_write_storm),
		cmocka_unit_test_setup_teardown(test_mkdir, make_dir, remove_dir),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_tmpfs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
