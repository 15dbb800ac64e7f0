/* scan: see scan.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/scan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#include "daemon/wire/wire.h"
#include "lib/buf.h"
#include "lib/fs.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/parse.h"

#define PREFIX "AICTL_INCARNATION="
#define PREFIX_LEN (sizeof(PREFIX) - 1)
#define COOKIE_LEN (WIRE_INCARNATION_SIZE - 1)
#define ROUNDS 200
#define PAUSE_MS 20
#define ENVIRON_MAX (8 << 20)

struct scan {
	char **cookies; /* sorted */
	size_t n_cookies;
	int signal;
	int proc_fd;
	pid_t self, parent;
};

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Is one whole entry of the environment (NUL-separated, n bytes) one of the cookies? */
static bool has_cookie(const struct scan *s, const char *env, size_t n)
{
	const char *at = env, *end = env + n;

	while (at < end) {
		size_t len = strnlen(at, (size_t)(end - at));

		if (len == PREFIX_LEN + COOKIE_LEN && memcmp(at, PREFIX, PREFIX_LEN) == 0) {
			const char *cookie = at + PREFIX_LEN; /* its NUL: buf ends in one */

			if (bsearch(&cookie, s->cookies, s->n_cookies, sizeof(char *), compare))
				return true;
		}
		at += len + 1;
	}
	return false;
}

static bool is_ours(const struct scan *s, pid_t pid)
{
	_cleanup_close_ int fd = -1;
	_cleanup_free_ char *env = NULL;
	char path[32];
	size_t n;

	snprintf(path, sizeof(path), "%d/environ", (int)pid);
	fd = openat(s->proc_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fs_read_fd(fd, path, ENVIRON_MAX, &env, &n, NULL) < 0)
		return false;
	return has_cookie(s, env, n);
}

/* True when pid was found to be a left-over; it is signalled through a descriptor that was open
 * when we looked, so a reused pid is never hit. */
static bool visit(const struct scan *s, pid_t pid)
{
	_cleanup_close_ int pidfd = -1;

	if (pid == s->self || pid == s->parent || !is_ours(s, pid))
		return false;
	pidfd = pidfd_open(pid, 0);
	if (pidfd < 0 || !is_ours(s, pid))
		return false;
	if (pidfd_send_signal(pidfd, s->signal, NULL, 0) < 0 && errno == ESRCH)
		return false;
	log_debug("sweep pid=%d signal=%d", (int)pid, s->signal);
	return true;
}

/* One look through /proc: how many were found, or -1. */
static int look(const struct scan *s)
{
	_cleanup_close_ int fd = openat(s->proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int found = 0;

	if (!dir)
		return -1;
	(void)TAKE_FD(fd);
	while ((e = readdir(dir))) {
		int64_t pid;

		if (parse_i64(e->d_name, 2, INT32_MAX, &pid, NULL) == 0 && visit(s, (pid_t)pid))
			found++;
	}
	closedir(dir);
	return found;
}

int scan_main(int argc, char **argv)
{
	struct scan s = {.self = getpid(), .parent = getppid()};
	int64_t signal_number;

	if (argc < 3 || parse_i64(argv[1], 1, 64, &signal_number, NULL) < 0)
		return 2;
	s.signal = (int)signal_number;
	s.cookies = argv + 2;
	s.n_cookies = (size_t)argc - 2;
	for (size_t i = 0; i < s.n_cookies; i++)
		if (strlen(s.cookies[i]) != COOKIE_LEN)
			return 2;
	qsort(s.cookies, s.n_cookies, sizeof(char *), compare);
	s.proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (s.proc_fd < 0)
		return 1;
	for (int i = 0; i < ROUNDS; i++) {
		int found = look(&s);

		if (found <= 0) {
			close(s.proc_fd);
			return found == 0 ? 0 : 1;
		}
		poll(NULL, 0, i == 0 ? 1 : PAUSE_MS); /* let them die */
	}
	close(s.proc_fd);
	return 1;
}
