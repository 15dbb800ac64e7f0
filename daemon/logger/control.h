/*
 * control: the logger's end of the socket to aictld.
 *
 * HELLO brings the intent table and the own-log pipe, STREAM an incarnation and its pipes, GONE
 * that its main process ended; DRAINED goes back once everything of it is stored, PONG at once. All
 * of it may be resent at any time. What does not fit into the socket waits in the queue of drained
 * captures, so no message needs memory of its own.
 *
 * LOG_FAULT goes back when what is wrong with an incarnation's storing has changed: at once, if none
 * went within the last second, else after it. So a disk that fills and empties all the time, below a
 * thousand of them, is one packet of each per second.
 *
 * With HELLO comes the vault, a socket that is not read while aictld lives. After its death it holds
 * STREAMs of processes that were being started just then (daemon/supervisor/vault.h). And the pipe of
 * the witness (witness.h), by which aictld learns at once that this process was killed.
 *
 * QUIT is the end of the logger: the loop stops with CONTROL_END and the caller drains. The end of
 * the socket without it means that aictld died: CONTROL_LOST (orphan.h goes on). A malformed packet
 * or another build's HELLO stops the loop with 1.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LOGGER_CONTROL_H
#define AICTL_LOGGER_CONTROL_H

#include <stdbool.h>

#include "daemon/logger/forward.h"
#include "daemon/logger/ownlog.h"
#include "daemon/logger/roster.h"
#include "daemon/wire/wire.h"
#include "lib/buf.h"
#include "lib/loop.h"

#define CONTROL_END 0
#define CONTROL_LOST 3

struct control {
	struct loop *loop;
	struct loop_io io;
	struct loop_timer again; /* the socket was full */
	int fd;
	int vault_fd; /* or -1 */
	bool pong_due, done_due, greeted;
	bool fault_due; /* in fault: the socket was full */
	struct buf fault;
	int64_t faults_mono_ms;	   /* when some were told last */
	struct wire_log_done done; /* to be told while done_due */
	struct roster *roster;
	struct ownlog *ownlog;
	struct forward *forward;
	struct buf out;
	struct wire_packet packet;
};

/* fd is owned. Large: not for the stack. 0 or -errno. */
int control_init(struct control *c, struct loop *loop, int fd, struct roster *roster,
		 struct ownlog *ownlog, struct forward *forward);
void control_done(struct control *c); /* idempotent; closes fd */

#endif
