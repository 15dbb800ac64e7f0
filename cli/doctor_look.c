/* doctor_look: see doctor_look.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/doctor_look.h"

#include <errno.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "cli/x.h"
#include "lib/clock.h"
#include "lib/fs.h"
#include "lib/mem.h"

#define LOOK_AT "--look-at"
#define LOOKS_MAX 8

extern char **environ;

void doctor_look_at(struct doctor_dir *d, const char *path)
{
	char *at = x_strdup(path), *up;
	struct statfs st;

	d->path = x_strdup(path);
	while (access(at, F_OK) < 0 && strcmp(at, "/") != 0 && strcmp(at, ".") != 0) {
		up = x_check(fs_dirname(at));
		mem_free(at);
		at = up;
	}
	d->looked_at = at;
	d->access = access(at, W_OK | X_OK) < 0 ? errno : 0;
	d->free_bytes = d->total_bytes = -1;
	if (statfs(at, &st) < 0)
		return;
	d->tmpfs = st.f_type == TMPFS_MAGIC || st.f_type == RAMFS_MAGIC;
	d->free_bytes = (int64_t)(geteuid() == 0 ? st.f_bfree : st.f_bavail) * (int64_t)st.f_bsize;
	d->total_bytes = (int64_t)st.f_blocks * (int64_t)st.f_bsize;
}

bool doctor_look_main(int argc, char **argv)
{
	struct doctor_dir d = {0};

	if (argc != 3 || strcmp(argv[1], LOOK_AT) != 0)
		return false;
	doctor_look_at(&d, argv[2]);
	mem_free(d.path);
	mem_free(d.looked_at);
	return true;
}

/* Nothing of ours is left with one that hangs: neither the terminal nor a pipe. */
static pid_t start(const char *path)
{
	char *const argv[] = {(char *)"aictl", (char *)LOOK_AT, (char *)path, NULL};
	posix_spawn_file_actions_t files;
	pid_t pid;
	int r;

	posix_spawn_file_actions_init(&files);
	for (int fd = 0; fd <= 2; fd++)
		posix_spawn_file_actions_addopen(&files, fd, "/dev/null", O_RDWR, 0);
	r = posix_spawn(&pid, "/proc/self/exe", &files, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&files);
	return r == 0 ? pid : 0;
}

/* False: it hangs. */
static bool end(pid_t pid, int64_t until_mono_ms)
{
	_cleanup_close_ int pidfd = pidfd_open(pid, 0);
	struct pollfd p = {.fd = pidfd, .events = POLLIN};
	int64_t left = until_mono_ms - clock_mono_ms();

	if (pidfd >= 0 && poll(&p, 1, left > 0 ? (int)left : 0) == 0) {
		kill(pid, SIGKILL);
		return false;
	}
	waitpid(pid, NULL, 0);
	return true;
}

void doctor_look_all(const char *const *paths, bool *hangs, size_t n)
{
	int64_t until = clock_add(clock_mono_ms(), DOCTOR_LOOK_MS);
	pid_t pids[LOOKS_MAX];

	for (size_t i = 0; i < n && i < LOOKS_MAX; i++)
		pids[i] = start(paths[i]);
	for (size_t i = 0; i < n && i < LOOKS_MAX; i++)
		hangs[i] = pids[i] > 0 && !end(pids[i], until);
}
