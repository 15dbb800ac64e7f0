/*
 * control: the gateway's end of the socket to aictld.
 *
 * LISTENER brings a listening socket, LISTENER_OFF ends one, PEER brings the socket to the
 * controller; ROUTED goes back for each routes that were put in force, PONG at once. QUIT: another
 * gateway serves, or none shall: what is under way ends (gateway_drain). The end of the socket
 * without it means that aictld died: on_lost, and everything is served on (orphan.h). A malformed
 * packet or another build's HELLO: on_lost with an error, to end.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_GATEWAY_CONTROL_H
#define AICTL_GATEWAY_CONTROL_H

#include <stdbool.h>

#include "lib/buf.h"

struct channel;
struct gateway;

struct control {
	struct gateway *g;
	struct channel *channel; /* NULL = lost */
	bool greeted, quit;
	bool pong_due, routed_due;
	struct buf out;
	void (*on_lost)(void *user, int err);
	void *user;
};

/* fd is owned from success on. 0 or -errno. */
int control_init(struct control *c, struct gateway *g, int fd);
void control_routed(struct control *c);
void control_close(struct control *c); /* idempotent */

#endif
