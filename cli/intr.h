/*
 * intr: Ctrl-C in a command that waits. The program ends at once with code 130; what the daemon
 * was asked to do goes on there. (`up` does not use this: it has something to stop first.)
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_INTR_H
#define AICTL_CLI_INTR_H

/* SIGINT and SIGTERM end the program with 130, quietly. */
void intr_quiet(void);
/* ... with a line that says that the change goes on. */
void intr_change(void);

#endif
