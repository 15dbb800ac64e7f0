/* log_where: see log_where.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/log_where.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/report.h"
#include "cli/x.h"
#include "lib/err.h"
#include "lib/fs.h"
#include "lib/mem.h"
#include "lib/paths.h"

#define COMMAND_MAX (256 << 10)

/* The value of an option in words that each end with NUL; NULL: it is not there. */
static const char *value_of(const char *words, size_t n, const char *option)
{
	const char *end = words + n;
	size_t len = strlen(option);

	for (const char *p = words; p < end; p += strlen(p) + 1) {
		if (strncmp(p, option, len) != 0)
			continue;
		if (p[len] == '=')
			return p + len + 1;
		if (p[len] == '\0' && p + len + 1 < end)
			return p + len + 1;
	}
	return NULL;
}

/* Paths in a command line are of the directory that stands before it. */
static char *in_words(const char *words, size_t n)
{
	const char *log = value_of(words, n, "--log-dir");
	const char *state = value_of(words, n, "--state-dir");

	if (log)
		return x_check(fs_join(words, log));
	if (!state || geteuid() == 0) /* root's logs do not follow the state */
		return NULL;
	{
		_cleanup_free_ char *dir = x_check(fs_join(words, state));

		return x_printf("%s/log", dir);
	}
}

/* By what a daemon left in its runtime directory. Only root and we ourselves are believed. */
static char *left_in(const char *runtime_dir)
{
	_cleanup_free_ char *path = x_printf("%s/sup/command", runtime_dir), *words = NULL;
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;
	size_t n;

	if (fd < 0 || fstat(fd, &st) < 0 || (st.st_uid != geteuid() && st.st_uid != 0) ||
	    fs_read_fd(fd, path, COMMAND_MAX, &words, &n, NULL) < 0 || n == 0 || words[n - 1])
		return NULL;
	return in_words(words, n);
}

static bool is_readable(const char *dir)
{
	return dir && access(dir, R_OK | X_OK) == 0;
}

/* Takes dir when it is the one; *found is it then. */
static bool choose(char *dir, char **found)
{
	if (!is_readable(dir)) {
		mem_free(dir);
		return false;
	}
	*found = dir;
	return true;
}

static bool look_in(const char *runtime_dir, const char *log_dir, char **found)
{
	return choose(left_in(runtime_dir), found) || choose(x_strdup(log_dir), found);
}

static bool look_at(struct paths *p, const char *only, char **found)
{
	bool is = (!only || strcmp(only, p->runtime_dir) == 0) &&
		  look_in(p->runtime_dir, p->log_dir, found);

	paths_done(p);
	return is;
}

char *log_where_find(const struct cli *cli)
{
	const char *env = getenv("AICTL_SOCKET");
	const char *socket = cli->socket ? cli->socket : env && *env ? env : NULL;
	_cleanup_free_ char *only = socket ? x_check(fs_dirname(socket)) : NULL;
	_cleanup_err_ struct err *e = NULL;
	char *found = NULL;
	struct paths p;

	if (only && choose(left_in(only), &found))
		return found;
	if (paths_up(cli->dir ? cli->dir : ".", &p, &e) < 0)
		report_die(e);
	if (look_at(&p, only, &found))
		return found;
	if (paths_defaults(&p, &e) < 0)
		report_die(e);
	if (look_at(&p, only, &found))
		return found;
	if (!only || strcmp(only, "/run/aictl") == 0)
		look_in("/run/aictl", "/var/log/aictl", &found);
	return found;
}
