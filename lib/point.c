/* point: see point.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/point.h"

#ifdef AICTL_POINTS

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VARIABLE "AICTL_POINTS" /* of tests: a directory */

/* Made by the linker. */
extern const char __start_aictl_points[]
				      [POINT_NAME_SIZE];  /* NOLINT(bugprone-reserved-identifier) */
extern const char __stop_aictl_points[][POINT_NAME_SIZE]; /* NOLINT(bugprone-reserved-identifier) */

void point_pass(const char *name)
{
	const char *dir = getenv(VARIABLE);
	int saved = errno;
	char path[512];

	if (dir && snprintf(path, sizeof(path), "%s/%s", dir, name) < (int)sizeof(path) &&
	    unlink(path) == 0)
		raise(SIGSTOP);
	errno = saved;
}

bool point_list(int argc, char **argv)
{
	if (argc != 2 || strcmp(argv[1], "--points") != 0)
		return false;
	for (const char(*p)[POINT_NAME_SIZE] = __start_aictl_points; p < __stop_aictl_points; p++)
		puts(*p);
	return true;
}

#endif
