/* state_lock: see state_lock.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/state_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/fs.h"
#include "lib/mem.h"
#include "lib/parse.h"

#define PROC_MAX 65536
#define OPTION "--runtime-dir"

/* From the holder's command line: what the daemon is known by. */
static void read_runtime_dir(struct state_lock_holder *h)
{
	_cleanup_free_ char *text = NULL;
	char path[40];
	size_t len;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", h->pid);
	if (fs_read_file(path, PROC_MAX, &text, &len, NULL) < 0)
		return;
	for (size_t at = 0; at < len; at += strlen(text + at) + 1) {
		const char *value = text + at + sizeof(OPTION);

		if (strcmp(text + at, OPTION) == 0 && at + sizeof(OPTION) < len)
			snprintf(h->runtime_dir, sizeof(h->runtime_dir), "%s", value);
	}
}

static void read_parent(struct state_lock_holder *h)
{
	_cleanup_free_ char *text = NULL;
	int64_t pid;
	char path[40], *at;
	size_t len;

	snprintf(path, sizeof(path), "/proc/%d/status", h->pid);
	if (fs_read_file(path, PROC_MAX, &text, &len, NULL) < 0 ||
	    !(at = strstr(text, "\nPPid:\t")))
		return;
	at += strlen("\nPPid:\t");
	at[strcspn(at, "\n")] = '\0';
	if (parse_i64(at, 2, INT32_MAX, &pid, NULL) == 0)
		h->aictld = (int)pid;
}

static void describe(struct state_lock_holder *h, pid_t pid)
{
	*h = (struct state_lock_holder){.pid = pid > 0 ? pid : 0};
	if (h->pid == 0)
		return;
	read_runtime_dir(h);
	if (*h->runtime_dir)
		read_parent(h);
}

/* Somebody's, or nobody's any more. */
static bool find_holder(int fd, struct state_lock_holder *h)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	*h = (struct state_lock_holder){0};
	if (fcntl(fd, F_GETLK, &l) < 0 || l.l_type == F_UNLCK)
		return false;
	describe(h, l.l_pid);
	return true;
}

int state_lock_take(const char *path, int *ret_fd, struct state_lock_holder *holder)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	_cleanup_close_ int fd =
		open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC, 0600);
	int r = 0;

	if (fd < 0)
		return -errno;
	if (fcntl(fd, F_SETLK, &l) < 0)
		r = errno == EACCES ? -EAGAIN : -errno;
	if (r == -EAGAIN)
		find_holder(fd, holder);
	if (r == 0)
		*ret_fd = TAKE_FD(fd);
	return r;
}

/* The same directory, perhaps by another name. */
static bool is_same(const char *a, const char *b)
{
	struct stat x, y;

	return strcmp(a, b) == 0 || (stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev &&
				     x.st_ino == y.st_ino);
}

bool state_lock_is_foreign(const char *state_dir, const char *runtime_dir,
			   struct state_lock_holder *holder)
{
	_cleanup_free_ char *path = mem_printf("%s/" STATE_LOCK_NAME, state_dir);
	_cleanup_close_ int fd =
		path ? open(path, O_RDONLY | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC) : -1;

	return fd >= 0 && find_holder(fd, holder) && !is_same(holder->runtime_dir, runtime_dir);
}

void state_lock_say(const struct state_lock_holder *h, char *text, size_t size)
{
	if (h->pid == 0)
		snprintf(text, size, "a process of another container or machine");
	else if (!*h->runtime_dir)
		snprintf(text, size, "pid %d", h->pid);
	else if (h->aictld == 0)
		snprintf(text, size, "pid %d (" OPTION " %s)", h->pid, h->runtime_dir);
	else
		snprintf(text, size, "pid %d (the controller of aictld %d with " OPTION " %s)",
			 h->pid, h->aictld, h->runtime_dir);
}
