/* sock: modes, stale files, long paths, time-outs, credentials; every descriptor is CLOEXEC. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/clock.h"
#include "lib/err.h"
#include "lib/fs.h"
#include "lib/mem.h"
#include "lib/sock.h"

static int make_dir(void **state)
{
	const char *tmp = getenv("TMPDIR");
	char *dir = mem_printf("%s/aictl-test-sock-XXXXXX", tmp ? tmp : "/tmp");

	*state = dir;
	return dir && mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	_cleanup_free_ char *path = fs_join(*state, "s");

	unlink(path);
	rmdir(*state);
	mem_free(*state);
	return 0;
}

static void assert_flags(int fd, bool nonblocking)
{
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0, nonblocking);
}

/* Connects, is accepted, and passes a byte each way. */
static void talk(const char *path, int listener)
{
	_cleanup_close_ int client = -1;
	_cleanup_close_ int server = -1;
	struct err *e = NULL;
	char c = 0;

	if (sock_connect(path, 1000, &client, &e) < 0)
		fail_msg("%s", err_msg(e));
	assert_flags(client, false);
	server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(server >= 0);
	assert_int_equal(send(client, "x", 1, MSG_NOSIGNAL), 1);
	assert_int_equal(recv(server, &c, 1, 0), 1);
	assert_int_equal(c, 'x');
}

static void test_listen(void **state)
{
	_cleanup_free_ char *path = fs_join(*state, "s");
	_cleanup_close_ int fd = -1;
	_cleanup_close_ int again = -1;
	struct stat st;

	assert_int_equal(sock_listen(path, 0600, (gid_t)-1, 8, &fd, NULL), 0);
	assert_flags(fd, true);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	talk(path, fd);
	assert_int_equal(sock_listen(path, 0660, getgid(), 8, &again, NULL), 0); /* replaces it */
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	talk(path, again);
}

static void test_listen_errors(void **state)
{
	_cleanup_free_ char *path = fs_join(*state, "s"), *below = fs_join(*state, "none/s");
	_cleanup_err_ struct err *e = NULL, *gone = NULL;
	struct stat st;
	int fd = -1;

	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(sock_listen(path, 0600, (gid_t)-1, 8, &fd, &e), -ERR_CONFLICT);
	assert_int_equal(stat(path, &st), 0); /* a file that is no socket is not touched */
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(sock_listen(below, 0600, (gid_t)-1, 8, &fd, NULL), -ERR_SYS);
	assert_int_equal(sock_listen("", 0600, (gid_t)-1, 8, &fd, NULL), -ERR_INVALID);
	assert_int_equal(sock_connect("", 0, &fd, NULL), -ERR_INVALID);
	assert_int_equal(sock_connect(below, 0, &fd, &gone), -ERR_SYS);
	assert_int_equal(gone->sys, ENOENT);
	assert_int_equal(fd, -1);
}

/* Longer than sun_path: by way of /proc/self/fd. */
static void test_long_path(void **state)
{
	_cleanup_free_ char *dir = mem_printf("%s/%0150d", (char *)*state, 7);
	_cleanup_free_ char *path = fs_join(dir, "s"), *too_long = mem_printf("%s/%070d", dir, 7);
	_cleanup_close_ int fd = -1;
	int none = -1;

	assert_int_equal(mkdir(dir, 0700), 0);
	assert_int_equal(sock_listen(path, 0600, (gid_t)-1, 8, &fd, NULL), 0);
	talk(path, fd);
	assert_int_equal(sock_connect(too_long, 0, &none, NULL), -ERR_INVALID);
	unlink(path);
	assert_int_equal(sock_connect(path, 0, &none, NULL), -ERR_SYS);
	rmdir(dir);
	assert_int_equal(sock_connect(path, 0, &none, NULL), -ERR_SYS);
}

static void test_timeout(void **state)
{
	_cleanup_free_ char *path = fs_join(*state, "s");
	_cleanup_close_ int fd = -1;
	_cleanup_close_ int client = -1;
	int64_t start;
	char c;

	assert_int_equal(sock_listen(path, 0600, (gid_t)-1, 8, &fd, NULL), 0);
	assert_int_equal(sock_connect(path, 100, &client, NULL), 0);
	start = clock_mono_ms();
	assert_int_equal(recv(client, &c, 1, 0), -1);
	assert_int_equal(errno, EAGAIN);
	assert_true(clock_mono_ms() - start >= 90);
}

static void test_pair_and_peer(void **state)
{
	gid_t groups[256];
	int fds[2], n = getgroups(256, groups);
	struct sock_peer p;
	char got[8];

	(void)state;
	assert_int_equal(sock_pair(fds), 0);
	assert_flags(fds[0], true);
	assert_flags(fds[1], true);
	assert_int_equal(send(fds[0], "one", 3, MSG_NOSIGNAL), 3);
	assert_int_equal(send(fds[0], "two", 3, MSG_NOSIGNAL), 3);
	assert_int_equal(recv(fds[1], got, sizeof(got), 0), 3); /* packets stay apart */
	assert_int_equal(sock_peer(fds[1], &p), 0);
	assert_int_equal(p.pid, getpid());
	assert_int_equal(p.uid, geteuid());
	assert_true(sock_peer_in_group(fds[1], getegid()));
	for (int i = 0; i < n; i++)
		assert_true(sock_peer_in_group(fds[1], groups[i]));
	assert_false(sock_peer_in_group(fds[1], 54321));
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(sock_peer(-1, &p), -EBADF);
	assert_false(sock_peer_in_group(-1, getegid()));
}

/* More groups than the first try has room for; needs root to be in them. */
static void test_many_groups(void **state)
{
	gid_t many[300], old[256];
	int fds[2], n = getgroups(256, old);

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = 60000 + i;
	if (n < 0 || setgroups(ARRAY_SIZE(many), many) < 0) {
		print_message("not root: not tried\n");
		skip();
	}
	assert_int_equal(sock_pair(fds), 0);
	assert_int_equal(setgroups((size_t)n, old), 0);
	assert_true(sock_peer_in_group(fds[0], 60299));
	assert_false(sock_peer_in_group(fds[0], 60300));
	mem_fail_after(1);
	assert_false(sock_peer_in_group(fds[0], 60299));
	mem_fail_after(0);
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_listen, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_listen_errors, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_long_path, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(test_timeout, make_dir, remove_dir),
		cmocka_unit_test(test_pair_and_peer),
		cmocka_unit_test(test_many_groups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
