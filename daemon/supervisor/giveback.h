/*
 * giveback: where helpers that outlived their aictld bring what they hold: JOIN, a GIVE_BACK for
 * each incarnation (a gateway: GIVE_LISTENER for each listener), GIVE_BACK_END over
 * <runtime-dir>/sup/sup.sock, then they wait for QUIT.
 *
 * Only a helper that the table's header names is listened to: it has two seconds (a gateway five),
 * then it is killed, for it may hang or be stopped. The socket exists only while somebody is
 * expected, and not before the slots are loaded and their pipes held (stream_hold).
 *
 * What loggers bring is kept as streams of the slots (stream.h). When the new logger has been sent
 * all of them, the old ones get their QUIT; until then they keep their copies. Adoption waits for
 * loggers, and not for gateways: what these bring goes to listen.h, and they serve on until the new
 * one does (gateway.h); but one that never had routes goes at once. One that has its QUIT may take minutes to end: the next aictld knows of it, and
 * waits for nothing from it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_GIVEBACK_H
#define AICTL_SUPERVISOR_GIVEBACK_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/supervisor/table.h"
#include "lib/loop.h"

struct err;
struct supervisor;

#define GIVEBACK_LOGGERS 2
#define GIVEBACK_PEERS (GIVEBACK_LOGGERS + TABLE_GATEWAYS)
#define GIVEBACK_MS 2000 /* from our start to its GIVE_BACK_END */
#define GIVEBACK_GATEWAY_MS 5000
#define GIVEBACK_KILL_MS 1000 /* from SIGKILL on; then it is left alone */

struct giveback_peer { /* one that lived when we started */
	struct supervisor *sup;
	uint32_t role; /* enum wire_role */
	int pid;
	int pidfd;   /* -1 = none, or gone */
	int conn_fd; /* -1 = not connected */
	struct loop_io pidfd_io, conn_io;
	bool joined;
	bool ended;  /* nothing more is expected of it */
	bool killed; /* by us: it did not come in time */
	bool serves; /* a gateway: it had routes when the former aictld last heard of it */
	int64_t deadline_mono_ms;
};

struct giveback {
	struct giveback_peer peers[GIVEBACK_PEERS]; /* loggers first */
	int listen_fd;
	struct loop_io listen_io;
	struct loop_timer timer;
	unsigned n_given;
	bool cut_short; /* a logger that lived in giveback_begin never said GIVE_BACK_END */
};

/* Finds the helpers that the table names and that live. */
void giveback_init(struct supervisor *sup);
void giveback_done(struct supervisor *sup);
/* The slots are loaded: what is given has its place. Listens, when somebody is expected. */
void giveback_begin(struct supervisor *sup);
/* No logger is waited for any more; no gateway. */
bool giveback_is_complete(const struct supervisor *sup);
bool giveback_gateways_are_complete(const struct supervisor *sup);
/* The new logger has been sent everything. */
void giveback_quit(struct supervisor *sup);
/* The new gateway serves. */
void giveback_quit_gateways(struct supervisor *sup);
/* Nothing is served any more: the former gateways end, too. */
void giveback_kill_gateways(struct supervisor *sup);
/* Former ones that live. */
uint32_t giveback_count_gateways(const struct supervisor *sup);

#endif
