/*
 * listen: the stable ports (wire_listen.h). The controller says which there shall be; they are bound
 * here and kept until it does not name them any more, so that a gateway that dies costs clients only
 * time: they wait in the kernel's queue for the next one.
 *
 * Nothing is bound before the gateways of a former aictld have given back theirs (giveback.h): it is
 * the same socket that serves on. What cannot be bound is tried again, after 1 s, doubling to 30 s.
 * While no gateway can be started (its program or its user is missing) nothing is bound that only it
 * would answer.
 *
 * Some are handed to replicas, which accept by themselves (SPAWN, n_listen). They are the same to the
 * gateway, which keeps its copy and accepts where a route leads: so a listener stays the same socket,
 * with the connections that wait in it, over the death of any process of ours and when a port changes
 * from one way to the other. Should aictld and the gateway die together, a replica still has it: it is
 * taken from there. One that a replica has shut down (by shutdown(2), which hits all that share it)
 * listens again at once, ten times a second at most.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_LISTEN_H
#define AICTL_SUPERVISOR_LISTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/wire/wire_listen.h"
#include "lib/loop.h"

struct link;
struct supervisor;
struct wire_packet;

#define LISTEN_AGAIN_MS 1000
#define LISTEN_AGAIN_MAX_MS 30000
#define LISTEN_BACKLOG 4096
#define LISTEN_REPAIR_MS 100

struct listener {
	struct wire_listen_at at;
	bool handed;		/* replicas get it: it is worth having without a gateway, too */
	int fd;			/* -1 = not open */
	int err;		/* errno of the last try; 0 = open, or not tried yet */
	struct loop_io *hangup; /* handed: watched for a shutdown(2); or NULL */
	bool wanted;		/* else it goes when the gateway has been told */
	bool told;	      /* the present gateway has a copy, or of one that is closed by now */
	bool on_due, off_due; /* OFF goes before ON */
	int64_t next_mono_ms, delay_ms; /* of the next try */
};

struct listens {
	struct listener *list;
	size_t n, cap;
	bool asked;    /* this aictld has had a LISTEN: what is not in it is not kept */
	bool told_due; /* LISTENING */
	bool closed;   /* everything has been stopped: nothing is opened any more */
	struct loop_timer timer;
	struct loop_timer repaired; /* those that hung up are watched again then */
};

void listen_init(struct supervisor *sup);
void listen_done(struct supervisor *sup);
/* The controller's LISTEN. 0 or negative. */
int listen_ask(struct supervisor *sup, const struct wire_packet *p);
/* What a former gateway gave back; takes the descriptor. */
void listen_take(struct supervisor *sup, const struct wire_listen_at *at, int fd);
/* Nothing more is given back: binds what is missing, and starts the gateway where there is one to serve. */
void listen_poke(struct supervisor *sup);
/* A replica is to get it: opens it, should the LISTEN that names it be on its way. 0, -EAGAIN: not
 * before all is given back; -errno. */
int listen_need(struct supervisor *sup, const struct wire_listen_at *at);
/* -1 = not open */
int listen_fd(const struct supervisor *sup, const struct wire_listen_at *at);
/* Closes all, for good. */
void listen_close(struct supervisor *sup);

/* A new gateway: it is to have all of them. */
void listen_connected(struct supervisor *sup);
/* For the gateway: what is due; false = the socket is full. */
bool listen_flush(struct supervisor *sup, struct link *l);
/* For the controller: LISTENING. */
bool listen_flush_state(struct supervisor *sup, struct link *l);

#endif
