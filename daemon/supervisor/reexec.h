/*
 * reexec: aictld becomes another program: the one that lies at its path now. The pid stays, the
 * children stay ours, signals stay blocked; everything else the new program finds as after a crash.
 *
 * First the new program is run as `aictld --check-state OUR OPTIONS...` (check_state.h) with the
 * table as stdin; what it writes is the reason why not. It has CHECK_MS. Then aictld detaches
 * (detach.h) and reexec_exec gives the new program what a crash would have taken: the instance lock
 * (AICTLD_LOCK_FD; another aictld never gets in between), the API's listener (activation.h: clients
 * wait), the services' notify sockets (push_keep.h), the service manager's socket, stderr.
 *
 * Should exec fail after all, our own program is run again.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_REEXEC_H
#define AICTL_SUPERVISOR_REEXEC_H

#include <stdbool.h>

#include "daemon/supervisor/child.h"
#include "lib/loop.h"

struct supervisor;

#define REEXEC_CHECK_MS 5000
#define REEXEC_TEXT_MAX 1024

/* How this program was started; made once by main. */
struct reexec_self {
	char *const *argv; /* main's */
	char *program;	   /* the path at which the next build will lie */
	int lock_fd;	   /* the instance lock of what we were before; -1 = none */
	bool alone;	   /* what we were before had no child of another origin */
};

struct reexec {
	struct child check;
	struct child_job job;
	struct loop_timer timer; /* its deadline */
	char **argv;		 /* its command line */
	char *paths[2];
	int text_fd; /* read end of what it writes; -1 = it does not run */
	char text[REEXEC_TEXT_MAX];
};

/* Reads the environment, and removes what it read. 0 or -errno. */
int reexec_remember(struct reexec_self *self, char *const *argv);
void reexec_forget(struct reexec_self *self);

/* Leaves our command line in sup/command, for `aictl daemon attach`; not that of an `aictl up`. */
void reexec_note_command(const struct supervisor *sup);

void reexec_init(struct supervisor *sup);
void reexec_done(struct supervisor *sup);
/* Answers with detach_checked, at once or later. */
void reexec_check(struct supervisor *sup);
/* After the loop has ended. Returns the exit code when nothing could be run. */
int reexec_exec(struct supervisor *sup);

#endif
