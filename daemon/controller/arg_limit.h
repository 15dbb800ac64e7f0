/*
 * arg_limit: whether the kernel's execve takes a command and its environment, said with sizes
 * before it is tried: its own E2BIG names neither what is too big nor the limit.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_ARG_LIMIT_H
#define AICTL_CONTROLLER_ARG_LIMIT_H

#include <stdint.h>

struct err;

/* stack: the soft limit that the process will have, UINT64_MAX = unlimited. */
int arg_limit_check(char *const *argv, char *const *envp, uint64_t stack, struct err **reterr);

#endif
