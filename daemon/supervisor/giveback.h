/*
 * giveback: where loggers that outlived their aictld bring what they hold: JOIN, a GIVE_BACK for
 * each incarnation, GIVE_BACK_END over <runtime-dir>/sup/sup.sock, then they wait for QUIT.
 *
 * Only a logger that the table's header names is listened to: it has two seconds, then it is killed,
 * for it may hang or be stopped. The socket exists only while somebody is expected.
 *
 * What comes is kept as streams of the slots (stream.h). When the new logger has been sent all of
 * them, the old ones get their QUIT; until then they keep their copies.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_GIVEBACK_H
#define AICTL_SUPERVISOR_GIVEBACK_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/loop.h"

struct err;
struct supervisor;

#define GIVEBACK_LOGGERS 2
#define GIVEBACK_MS 2000      /* from our start to its GIVE_BACK_END */
#define GIVEBACK_KILL_MS 1000 /* from SIGKILL on; then it is left alone */

struct giveback_logger { /* one that lived when we started */
	struct supervisor *sup;
	int pid;
	int pidfd;   /* -1 = none, or gone */
	int conn_fd; /* -1 = not connected */
	struct loop_io pidfd_io, conn_io;
	bool joined;
	bool ended;  /* nothing more is expected of it */
	bool killed; /* by us: it did not come in time */
};

struct giveback {
	struct giveback_logger loggers[GIVEBACK_LOGGERS];
	int listen_fd;
	struct loop_io listen_io;
	struct loop_timer timer;
	unsigned n_given;
};

/* Listens, when the table names a logger that lives. Before the API's socket appears. */
int giveback_init(struct supervisor *sup, struct err **reterr);
void giveback_done(struct supervisor *sup);
/* The slots are loaded: what is given has its place. */
void giveback_begin(struct supervisor *sup);
/* Nobody is waited for any more. */
bool giveback_is_complete(const struct supervisor *sup);
/* The new logger has been sent everything. */
void giveback_quit(struct supervisor *sup);

#endif
