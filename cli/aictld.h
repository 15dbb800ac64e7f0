/*
 * aictld: starts an aictld: for `aictl up` and `aictl daemon attach`. posix_spawn, because nothing
 * of ours forks.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_AICTLD_H
#define AICTL_CLI_AICTLD_H

#include <stddef.h>

/* Its number in aictld: not 3, which a listener takes when aictld re-executes. */
#define AICTLD_LIFE_FD 9

/* Beside our own binary (a build tree), else where it is installed. Caller frees. */
char *aictld_find(void);

struct aictld_start {
	const char *const *argv; /* argv[0] is the program's path */
	const char *dir;	 /* working directory; NULL = ours */
	int log_fd;		 /* its stdout and stderr */
	int life_fd;		 /* becomes AICTLD_LIFE_FD; -1 = none */
};
/* A session of its own, nothing blocked or ignored, stdin /dev/null. 0 or an errno. */
int aictld_spawn(const struct aictld_start *s, int *ret_pid);
/* The last lines of its log to stderr, of what stands behind begin. */
void aictld_show_log(const char *path, size_t begin);

#endif
