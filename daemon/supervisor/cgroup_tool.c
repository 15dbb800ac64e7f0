/* cgroup_tool: see cgroup_tool.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/cgroup_tool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/fs.h"
#include "lib/log.h"
#include "lib/mem.h"

#define ROUNDS 200
#define PAUSE_MS 20
#define FROZEN_MS 5 /* between the order to freeze and the first look */
#define DEPTH_MAX 16
#define PROCS_MAX (8 << 20)

int cgroup_tool_write(int dir_fd, const char *file, const char *value)
{
	_cleanup_close_ int fd = openat(dir_fd, file, O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = write(fd, value[0] ? value : "\n", value[0] ? strlen(value) : 1); /* "" clears a set */
	return n < 0 ? -errno : 0;
}

/* For the user, by way of aictld: the limit and the reason. Only the first fits. */
static void say(const char *file, int err)
{
	char text[128];
	int n = snprintf(text, sizeof(text), "%s: %s\n", file, strerror(err));

	if (n > 0 && (size_t)n < sizeof(text))
		fs_write_all(STDOUT_FILENO, text, (size_t)n);
}

static int write_all(int dir_fd, const char *dir, char **assignments, int n)
{
	int failed = 0;

	for (int i = 0; i < n; i++) {
		char *value = strchr(assignments[i], '=');
		int r;

		if (!value)
			return 2;
		*value++ = '\0';
		r = cgroup_tool_write(dir_fd, assignments[i], value);
		if (r == 0 || r == -ENOENT)
			continue;
		say(assignments[i], -r);
		errno = -r;
		log_warn("cgroup=%s cannot write %s to %s: %m", dir, value, assignments[i]);
		failed = 1;
	}
	return failed;
}

/* ---- the tree below a cgroup ---- */

/* user: what the function of it may need. */
typedef int child_fn(int fd, const char *name, int depth, int user);

/* Calls fn for each directory in fd; the first result that is not 0 ends it. */
static int each_child(int fd, int depth, child_fn *fn, int user)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *e;

	if (!d) {
		mem_closep(&copy);
		return -errno;
	}
	while (r == 0 && (e = readdir(d)))
		if (e->d_type == DT_DIR && e->d_name[0] != '.')
			r = fn(fd, e->d_name, depth, user);
	closedir(d);
	return r;
}

static int remove_one(int parent_fd, const char *name, int depth, int unused)
{
	_cleanup_close_ int fd = -1;
	int r;

	if (unlinkat(parent_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	if (errno != EBUSY || depth >= DEPTH_MAX)
		return -errno;
	fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	r = fd < 0 ? -errno : each_child(fd, depth + 1, remove_one, unused);
	if (r < 0)
		return r;
	return unlinkat(parent_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? -errno : 0;
}

int cgroup_tool_remove(int parent_fd, const char *name)
{
	return remove_one(parent_fd, name, 0, 0);
}

/* Calls fn for each process of the cgroup; the first result that is not 0 ends it. Or -1. */
static int each_pid(int fd, int (*fn)(int pid, int user), int user)
{
	_cleanup_close_ int procs = openat(fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *text = NULL;
	int pid = 0, r = 0;
	size_t len;

	if (procs < 0 || fs_read_fd(procs, "cgroup.procs", PROCS_MAX, &text, &len, NULL) < 0)
		return -1;
	for (size_t i = 0; r == 0 && i < len; i++) {
		if (text[i] >= '0' && text[i] <= '9') {
			pid = pid * 10 + (text[i] - '0');
			continue;
		}
		r = fn(pid, user);
		pid = 0;
	}
	return r;
}

/* ---- looking ---- */

static int is_pid(int pid, int wanted)
{
	return pid == wanted;
}

static int holds_in(int fd, int depth, int pid);

static int child_holds(int parent_fd, const char *name, int depth, int pid)
{
	_cleanup_close_ int fd =
		openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd >= 0 && depth < DEPTH_MAX && holds_in(fd, depth + 1, pid);
}

static int holds_in(int fd, int depth, int pid)
{
	return each_pid(fd, is_pid, pid) == 1 || each_child(fd, depth, child_holds, pid) == 1;
}

bool cgroup_tool_holds(int dir_fd, int pid)
{
	return holds_in(dir_fd, 0, pid);
}

/* ---- killing by hand ---- */

static int kill_in(int fd, int depth);

static int kill_child(int parent_fd, const char *name, int depth, int unused)
{
	_cleanup_close_ int fd =
		openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r = fd < 0 || depth >= DEPTH_MAX ? 0 : kill_in(fd, depth + 1);

	(void)r;
	(void)unused;
	return 0;
}

static int kill_pid(int pid, int unused)
{
	(void)unused;
	if (pid > 1)
		kill(pid, SIGKILL);
	return 0;
}

/* SIGKILL to all of cgroup.procs, here and below. 0 or -errno. */
static int kill_in(int fd, int depth)
{
	each_child(fd, depth, kill_child, 0);
	return each_pid(fd, kill_pid, 0);
}

static bool is_populated(int fd)
{
	_cleanup_close_ int events = openat(fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
	char text[256];
	ssize_t n = events < 0 ? -1 : read(events, text, sizeof(text) - 1);

	if (n < 0)
		return false; /* it is gone */
	text[n] = '\0';
	return strstr(text, "populated 1") != NULL;
}

/* Frozen, so that nothing forks while we look: a pid that was listed stays that process until our
 * signal ends it. */
static int kill_all(int fd)
{
	for (int i = 0; i < ROUNDS && is_populated(fd); i++) {
		cgroup_tool_write(fd, "cgroup.freeze", "1");
		poll(NULL, 0, FROZEN_MS);
		kill_in(fd, 0);
		poll(NULL, 0, i == 0 ? 1 : PAUSE_MS);
	}
	cgroup_tool_write(fd, "cgroup.freeze", "0");
	return is_populated(fd) ? 1 : 0;
}

/* aictld's own descriptor as stdin: by now the name may be that of the slot's next cgroup. */
static int open_dir(const char *dir)
{
	struct stat st;

	if (fstat(STDIN_FILENO, &st) == 0 && S_ISDIR(st.st_mode))
		return openat(STDIN_FILENO, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

int cgroup_tool_main(int argc, char **argv)
{
	bool writes = strcmp(argv[0], "--cgroup-write") == 0;
	_cleanup_close_ int fd = -1;

	if (argc < 2 || (!writes && argc != 2))
		return 2;
	fd = open_dir(argv[1]);
	if (fd < 0) {
		log_warn("cgroup=%s cannot open it: %m", argv[1]);
		return errno == ENOENT ? 0 : 1; /* its slot is gone, and all that was in it */
	}
	return writes ? write_all(fd, argv[1], argv + 2, argc - 2) : kill_all(fd);
}
