/*
 * launch: from a service's specification to the SPAWN message: environment, expansion of ${...},
 * the paths to try. No file-system call: the child itself searches PATH (execve per candidate, as
 * execvp does).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_LAUNCH_H
#define AICTL_CONTROLLER_LAUNCH_H

#include <stdbool.h>
#include <stdint.h>

struct buf;
struct controller;
struct err;
struct replica;

/* standby: see wire.h. Appends the packet for r (its incarnation and port are set) with note to out. */
int launch_encode(struct controller *c, const struct replica *r, bool standby,
		  const struct buf *note, struct buf *out, struct err **reterr);
/* What every service's environment starts from; NULL when out of memory. Caller frees with
 * mem_strv_free. */
char **launch_base_env(char *const *environ_or_null);

#endif
