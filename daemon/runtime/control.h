/*
 * control: the socket between aictl-runtime and aictld (daemon/wire/wire_unit.h).
 *
 * What units and the runtime are is a level and sent when it has changed and there is room; other
 * answers wait in the outbox. QUIT closes the plugin and ends; so does the end of the socket, at once.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_RUNTIME_CONTROL_H
#define AICTL_RUNTIME_CONTROL_H

#include <stdbool.h>

#include "daemon/runtime/outbox.h"
#include "daemon/wire/wire.h"
#include "lib/buf.h"
#include "lib/loop.h"

struct runtime;

struct control {
	struct runtime *runtime;
	struct loop_io io;
	struct loop_timer again; /* something is due, or the socket was full */
	int fd;
	bool pong_due, runtime_due, greeted;
	struct outbox outbox;
	struct buf out;
	struct wire_packet packet;
};

/* fd is owned from success on. 0 or -errno. */
int control_init(struct control *c, struct runtime *r, int fd);
void control_done(struct control *c);
void control_say_runtime(struct control *c);
void control_say_unit(struct control *c);		 /* some unit is due */
void control_put_take(struct control *c, struct buf *b); /* a packet for the outbox */

#endif
