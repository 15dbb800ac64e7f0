/*
 * exec: sessions of `aictl exec`: a command in a replica's context, its streams carried as frames
 * (lib/exec_frame.h) over a connection that has left HTTP.
 *
 * With a terminal we hold its master and the command all of the slave; else there are three pipes.
 * Every direction is bounded: what the client does not take is not read from the command, and what
 * the command does not take is not read from the client. When the client goes, the command gets
 * SIGHUP and, two seconds later, SIGKILL, both to its group. When the command has ended, what lies
 * in its pipes is still sent (not what a process it left behind goes on writing), then END. A session
 * ends with the incarnation of the replica that it was opened beside.
 *
 * At most EXEC_SESSIONS_MAX at a time; exec_close_all at the controller's end. Commands do not
 * outlive the controller: aictld sees to that.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_EXEC_H
#define AICTL_CONTROLLER_EXEC_H

#include <stdbool.h>

#include "daemon/controller/run.h"

struct buf;
struct controller;
struct err;
struct exec;
struct replica;

#define EXEC_SESSIONS_MAX 32

struct exec_opts {
	struct launch_what what;
	const char *cwd; /* NULL = the service's */
	bool tty;
	unsigned rows, columns; /* 0 = not known */
};

/* Starts the command; nothing is read or sent before exec_attach. -ERR_BUSY: too many sessions. */
int exec_start(struct controller *c, const struct replica *r, const struct exec_opts *o,
	       struct exec **ret, struct err **reterr);
/* The session's client: fd (owned from now on) and what it has sent already. */
void exec_attach(struct exec *x, int fd, const struct buf *early);
/* In place of exec_attach: nobody is there. */
void exec_abandon(struct exec *x);
/* The process beside which they run is gone: SIGHUP and soon SIGKILL for r's sessions, whose clients
 * are told so. */
void exec_end_of(struct controller *c, const struct replica *r, const char *incarnation);
void exec_close_all(struct controller *c);

#endif
