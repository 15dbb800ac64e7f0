/* opener: see opener.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/opener.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/supervisor/manifests.h"
#include "daemon/supervisor/opener_path.h"
#include "daemon/wire/wire.h"
#include "lib/clock.h"
#include "lib/mem.h"

#define FILES_MAX 1000

/* Sends one packet; fd -1 = refused because of `error`. */
static int send_file(const char *name, const char *error, int fd)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov[2] = {{.iov_base = (void *)(uintptr_t)name, .iov_len = strlen(name) + 1},
			       {.iov_base = (void *)(uintptr_t)error, .iov_len = strlen(error)}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
	ssize_t n;

	if (fd >= 0) {
		struct cmsghdr *c;

		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control.space);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	do {
		n = sendmsg(WIRE_HELPER_FD, &msg, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -1 : 0;
}

static int send_error(const char *name, const char *what, int errnum)
{
	char text[256];

	errno = errnum;
	snprintf(text, sizeof(text), "%s: %m", what);
	return send_file(name, text, -1);
}

static int send_one(int dir_fd, const char *name)
{
	_cleanup_close_ int fd =
		openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	const char *why;
	struct stat st;

	if (fd < 0 && errno == ELOOP)
		return send_file(name, "a symbolic link", -1);
	if (fd < 0 || fstat(fd, &st) < 0)
		return send_error(name, "cannot open", errno);
	why = opener_path_refusal(&st, false);
	if (why)
		return send_file(name, why, -1);
	return send_file(name, "", fd);
}

static bool is_manifest(const char *name)
{
	const char *dot = strrchr(name, '.');

	return name[0] != '.' && dot && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0);
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted names, NULL-terminated; NULL when it cannot be read. */
static char **list(int dir_fd)
{
	int fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 0);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	char **names = NULL;
	size_t n = 0, cap = 0;
	struct dirent *e;

	if (!dir || mem_grow(&names, &cap, 1, sizeof(*names)) < 0)
		return NULL; /* the process ends now */
	while ((e = readdir(dir))) {
		if (!is_manifest(e->d_name))
			continue;
		if (n == FILES_MAX || mem_grow(&names, &cap, n + 2, sizeof(*names)) < 0)
			return NULL;
		names[n] = mem_strdup(e->d_name);
		if (!names[n++])
			return NULL;
	}
	closedir(dir);
	qsort(names, n, sizeof(*names), compare);
	names[n] = NULL;
	return names;
}

static int send_list(const char *dir)
{
	_cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_strv_ char **names = NULL;
	const char *why;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return send_error(dir, "cannot open", errno);
	why = opener_path_refusal(&st, true);
	if (why)
		return send_file(dir, why, -1);
	names = list(fd);
	if (!names)
		return send_file(dir, "cannot be listed (more than 1000 files?)", -1);
	for (size_t i = 0; names[i]; i++)
		if (send_one(fd, names[i]) < 0)
			return -1;
	return 0;
}

/* The next request in path; its length, 0 = none will come. */
static size_t receive_path(char *path, int64_t until_mono_ms)
{
	struct pollfd p = {.fd = WIRE_HELPER_FD, .events = POLLIN};
	int64_t left;
	ssize_t n;

	for (;;) {
		left = until_mono_ms - clock_mono_ms();
		if (left <= 0)
			return 0;
		if (poll(&p, 1, (int)left) <= 0)
			continue;
		n = recv(WIRE_HELPER_FD, path, OPENER_PATH_MAX - 1, MSG_DONTWAIT);
		if (n > 0)
			path[n] = '\0';
		if (n >= 0 || (errno != EAGAIN && errno != EINTR))
			return n > 0 ? (size_t)n : 0;
	}
}

/* Until the reader closes its end. 0, or -1 when it cannot be told. */
static int answer(void)
{
	int64_t until = clock_mono_ms() + MANIFESTS_ANSWER_MS;
	char path[OPENER_PATH_MAX], why[OPENER_PATH_MAX + 128];
	size_t n;

	while ((n = receive_path(path, until)) > 0) {
		_cleanup_close_ int fd = -1;

		if (strlen(path) != n)
			return -1;
		fd = opener_path_open(path, why, sizeof(why));
		if (send_file(path, fd < 0 ? why : "", fd) < 0)
			return -1;
	}
	return 0;
}

int opener_main(const char *dir)
{
	/* The socket came non-blocking; here a slow reader may be waited for. */
	if (fcntl(WIRE_HELPER_FD, F_SETFL, 0) < 0)
		return 1;
	if (send_list(dir) < 0 || send_file("", "", -1) < 0 || answer() < 0)
		return 1;
	return 0;
}
