/* arg_limit: see arg_limit.h. The rules are those of Linux's bprm_stack_limits. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/arg_limit.h"

#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "lib/err.h"

#define ONE_MAX_PAGES 32	 /* of one string, with its NUL */
#define ALL_MAX (6u << 20)	 /* whatever the stack is */
#define ALL_MIN (128u << 10)	 /* the same */
#define POINTER sizeof(char *)	 /* the kernel counts one for each string, too */
#define FILE_NAME_MAX (4u << 10) /* it is on the same page */

static uint64_t all_max(uint64_t stack)
{
	uint64_t max = stack / 4;

	return max > ALL_MAX ? ALL_MAX : max < ALL_MIN ? ALL_MIN : max;
}

int arg_limit_check(char *const *argv, char *const *envp, uint64_t stack, struct err **reterr)
{
	size_t max = (size_t)sysconf(_SC_PAGESIZE) * ONE_MAX_PAGES, size;
	uint64_t sum = FILE_NAME_MAX;

	for (size_t i = 0; argv[i]; i++, sum += size + POINTER) {
		size = strlen(argv[i]) + 1;
		if (size > max)
			return err_set(
				reterr, ERR_INVALID,
				"argument %zu of the command has %zu bytes, the kernel takes "
				"at most %zu",
				i, size, max);
	}
	for (size_t i = 0; envp[i]; i++, sum += size + POINTER) {
		size = strlen(envp[i]) + 1;
		if (size > max)
			return err_set(reterr, ERR_INVALID,
				       "environment: %.*s has %zu bytes, the kernel takes at most "
				       "%zu",
				       (int)strcspn(envp[i], "="), envp[i], size, max);
	}
	if (sum <= all_max(stack))
		return 0;
	return err_set(reterr, ERR_INVALID,
		       "command and environment have %llu bytes, the kernel takes at most %llu "
		       "(a quarter of ulimits.stack, from 128KiB to 6MiB)",
		       (unsigned long long)sum, (unsigned long long)all_max(stack));
}
