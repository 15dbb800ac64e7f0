/*
 * gateway: what aictld and aictl-gateway say to each other, and the socket that the gateway and the
 * controller get for their own talk (PEER, wire_routes.h).
 *
 * It is started when there is a listener to serve (listen.h), and stays. Those of a former aictld
 * serve on beside it, until it has the listeners and has put routes in force (ROUTED): then they are
 * sent QUIT.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_GATEWAY_H
#define AICTL_SUPERVISOR_GATEWAY_H

#include <stdbool.h>

struct link;
struct supervisor;
struct wire_packet;

enum gateway_end { GATEWAY_END_CONTROLLER, GATEWAY_END_GATEWAY, GATEWAY_ENDS };

struct gateway {
	bool wanted; /* it has been started once */
	bool hello_due, synced_due, level_due, quit_due;
	bool routed;		/* the present one serves */
	int ends[GATEWAY_ENDS]; /* of the next PEER, until it is sent; -1 = none */
};

void gateway_init(struct supervisor *sup);
void gateway_done(struct supervisor *sup);
/* Its program or its user is not there. Says so in the log, once. */
bool gateway_is_missing(struct supervisor *sup);
void gateway_start(struct supervisor *sup);
void gateway_connected(struct supervisor *sup);
void gateway_quit(struct supervisor *sup);
void gateway_log_level(struct supervisor *sup);
/* Link callbacks; user is the struct helper. */
void gateway_flush(void *user);
void gateway_packet(void *user, struct wire_packet *p);
/* The controller or the gateway has been started: both get a new socket, when both are there. */
void gateway_pair(struct supervisor *sup);
/* PEER; false = the socket is full. */
bool gateway_flush_peer(struct supervisor *sup, struct link *l, enum gateway_end which);

#endif
