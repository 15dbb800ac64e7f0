/*
 * exec_session: the client's side of `aictl exec` after the Upgrade (lib/exec_frame.h): our streams
 * to the command and back.
 *
 * Nothing blocks but poll: what stdout does not take is not read from the daemon, what the daemon
 * does not take is not read from stdin. With a terminal it is in raw mode meanwhile, whose settings
 * are restored on every way out: the command's end, a lost connection, SIGTERM, SIGHUP. Without one
 * SIGINT, SIGTERM and SIGQUIT go to the command; the second one ends us.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_EXEC_SESSION_H
#define AICTL_CLI_EXEC_SESSION_H

#include <stdbool.h>

struct buf;

/* What exec itself could not do; 126 and 127 are as a shell has them. */
#define EXEC_SESSION_FAILED 125

struct exec_session_opts {
	const char *what; /* the command's name, for messages */
	bool tty;	  /* it has a terminal */
	bool stdin_too;	  /* ours is forwarded; else it reads the end of file */
};

/* fd is closed. The exit code for us: the command's own, 128 + its signal's number, or 125. */
int exec_session_run(int fd, const struct buf *early, const struct exec_session_opts *o);

#endif
