/*
 * gateway: all that one aictl-gateway has: a loop, listeners, routes, clients. One thread; with
 * --threads each has one of these for its share of the ports (lane), and a switch (spread) has the
 * sockets to aictld and the controller.
 *
 *   control    the socket to aictld (orphan: to the next one): listeners and PEER come, ROUTED goes
 *   peer       the socket to the controller: ROUTES come, ROUTED and LOAD go
 *   listener   accepts while there is a route for it
 *   client     a connection that came; exchange: its request, and the way of that through a backend
 *   upstream   a connection to a backend, kept for the next request
 *   head, body, rewrite   HTTP, without any I/O; io, deadline,
 *   pieces     the loop, and memory
 *
 * What each connection may hold is bounded: 64 KiB of head or of pipelined requests, 256 KiB of a
 * request that may have to be sent again, one read's worth on its way out.
 *
 * gateway_drain: no more is accepted; what is under way ends, and who waits for a replica is passed on
 * to the next gateway; then gateway_run returns.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_GATEWAY_GATEWAY_H
#define AICTL_GATEWAY_GATEWAY_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "daemon/gateway/access.h"
#include "daemon/gateway/deadline.h"
#include "daemon/gateway/head.h"
#include "daemon/gateway/io.h"
#include "daemon/gateway/measure.h"
#include "daemon/gateway/peer.h"
#include "daemon/gateway/routes.h"
#include "lib/buf.h"

struct client;
struct listener;
struct share_ports;

#define GATEWAY_DRAIN_MS 600000 /* then what is still under way is cut */
#define GATEWAY_END_MS 1000	/* the same when nobody is behind it any more */

struct gateway {
	uv_loop_t uv;
	struct io_loop io;
	struct deadlines deadlines;
	struct measure measure;
	struct access access;
	struct routes routes;
	struct peer peer;
	struct listener *listeners;
	struct client *clients;
	unsigned n_clients, clients_max;
	uv_timer_t drain;
	bool draining, closing;
	bool starved, starved_told;  /* the kernel has no descriptor or memory for a client */
	struct deadline starved_for; /* then accepting goes on */
	struct head head;	     /* the one that is being looked at */
	struct buf scratch;	     /* the one that is being written */
	uint64_t id_base, id_next, turns;
	uint16_t own_ports[2]; /* the kernel gives those to connections: first and last */
	const struct share_ports
		*taken; /* those of other threads' listeners, too; NULL = no others */
	/* ROUTED, to whom the listeners are from. */
	void (*on_routed)(void *user);
	void (*on_drained)(void *user); /* once, when nothing is left after gateway_drain */
	void *user;
};

/* Large: not for the stack. of: so many share the process' descriptors. 0 or -errno. */
int gateway_init(struct gateway *g, unsigned of);
/* Cuts everything, runs the loop until all handles are closed. False: a disk hangs; only _exit helps. */
bool gateway_done(struct gateway *g);
void gateway_drain(struct gateway *g);
/* All replicas have been stopped: idle clients go at once, the others soon. */
void gateway_end(struct gateway *g);
/* A client has gone, or a listener. */
void gateway_left(struct gateway *g);
void gateway_new_id(struct gateway *g, char *id, size_t size);

#endif
