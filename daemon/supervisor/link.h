/*
 * link: aictld's end of the socket to one helper.
 *
 * Sending is level-triggered: nothing is queued here. on_flush is called when the socket takes
 * packets; the owner encodes what is due into `out` and calls link_send until nothing is due or
 * link_send says false. A peer that does not read costs no memory and blocks nobody.
 *
 * PING goes out only while something is outstanding: when 5 s have passed since a packet was sent
 * and nothing has come back; after 15 s of silence the peer is reported as broken.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_LINK_H
#define AICTL_SUPERVISOR_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/buf.h"
#include "lib/loop.h"

struct supervisor;
struct wire_packet;

#define LINK_PING_MS 5000
#define LINK_SILENCE_MS 15000

struct link {
	/* Filled by the owner. */
	struct supervisor *sup;
	void (*on_flush)(void *user);
	void (*on_packet)(void *user, struct wire_packet *p);
	/* Once; close later. why NULL: the peer closed its end, it is about to die. */
	void (*on_broken)(void *user, const char *why);
	void *user;

	struct buf out; /* the packet being sent */
	int fd;		/* -1 = closed */

	/* Private. */
	struct loop_io io;
	struct loop_timer retry, silence;
	int64_t waiting_since_mono_ms; /* 0 = the peer has spoken since we sent */
	bool blocked, ping_due, broken, stalled;
};

void link_init(struct link *l);
int link_open(struct link *l, int fd); /* takes fd; 0 or -errno */
void link_close(struct link *l);
/* True: sent. False: stop flushing; on_flush will be called again when it makes sense. */
bool link_send(struct link *l, const int *fds, unsigned n_fds);
void link_flush(struct link *l);
/* Reads all that a dead peer has left. */
void link_drain(struct link *l);

#endif
