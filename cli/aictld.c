/* aictld: see aictld.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/aictld.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/x.h"
#include "lib/fs.h"
#include "lib/mem.h"

#define LOG_MAX ((size_t)64 << 20)
#define LOG_LINES 15

char *aictld_find(void)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	_cleanup_free_ char *dir = NULL;
	char *path;

	if (n > 0) {
		self[n] = '\0';
		dir = x_check(fs_dirname(self));
		path = x_printf("%s/aictld", dir);
		if (access(path, X_OK) == 0)
			return path;
		mem_free(path);
	}
	return x_strdup(SBINDIR "/aictld");
}

int aictld_spawn(const struct aictld_start *s, int *ret_pid)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int r;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, s->log_fd, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&files, s->log_fd, STDERR_FILENO);
	if (s->life_fd >= 0)
		posix_spawn_file_actions_adddup2(&files, s->life_fd, AICTLD_LIFE_FD);
	if (s->dir)
		posix_spawn_file_actions_addchdir_np(&files, s->dir);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
						POSIX_SPAWN_SETSID);
	r = posix_spawn(ret_pid, s->argv[0], &files, &attr, (char *const *)(uintptr_t)s->argv,
			environ);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	return r;
}

void aictld_show_log(const char *path, size_t begin)
{
	_cleanup_free_ char *text = NULL;
	size_t len, lines = 0;
	const char *p;

	if (fs_read_file(path, LOG_MAX, &text, &len, NULL) < 0 || len <= begin)
		return;
	for (p = text + len - 1; p > text + begin; p--)
		if (p[-1] == '\n' && ++lines == LOG_LINES)
			break;
	fprintf(stderr, "the end of %s:\n%s", path, p);
}
