/*
 * exec_fds: the descriptors of one command of `aictl exec`: three pipes, or a pseudo-terminal. Ours
 * are non-blocking.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_EXEC_FDS_H
#define AICTL_CONTROLLER_EXEC_FDS_H

#include <stdbool.h>

struct err;

struct exec_fds {
	int in, out, err; /* our ends; with a terminal only out: its master */
	int child[3];	  /* the command's stdin, stdout, stderr */
};

/* All are -1 on failure. */
int exec_fds_open(struct exec_fds *f, bool tty, struct err **reterr);
/* Those that are not -1. */
void exec_fds_close(struct exec_fds *f);
/* Of a terminal's master; 0 = not known. */
void exec_fds_resize(int master, unsigned rows, unsigned columns);

#endif
