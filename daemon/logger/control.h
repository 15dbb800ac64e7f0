/*
 * control: the logger's end of the socket to aictld.
 *
 * HELLO brings the intent table and the own-log pipe, STREAM an incarnation and its pipes, GONE
 * that its main process ended; DRAINED goes back once everything of it is stored, PONG at once. All
 * of it may be resent at any time. What does not fit into the socket waits in the queue of drained
 * captures, so no message needs memory of its own.
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

#include "daemon/logger/capture.h"
#include "daemon/logger/ownlog.h"
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
	bool pong_due, greeted;
	struct capture_set *set;
	struct ownlog *ownlog;
	struct buf out;
	struct wire_packet packet;
};

/* fd is owned. Large: not for the stack. 0 or -errno. */
int control_init(struct control *c, struct loop *loop, int fd, struct capture_set *set,
		 struct ownlog *ownlog);
void control_done(struct control *c); /* idempotent; closes fd */

#endif
