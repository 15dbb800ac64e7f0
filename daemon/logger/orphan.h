/*
 * orphan: the logger without its aictld: it works on until the next one has taken back what it
 * holds.
 *
 * The next aictld listens on <runtime-dir>/sup/sup.sock. The directory is watched (inotify), so
 * nothing is due while nobody comes. When the socket is there: connect, JOIN, stop reading the pipes,
 * GIVE_BACK each incarnation with its descriptors, GIVE_BACK_END, and wait for QUIT: by then a new
 * logger reads. If that aictld dies before QUIT, the pipes are read on. But at no time are they when
 * another logger has been started meanwhile (intent_is_owner): then this one only holds what it has,
 * for the aictld after that.
 *
 * A step that is under way at that moment is waited for, but not for long: where a file system hangs
 * its streams are given back all the same. Their next logger waits until the step has ended, or this
 * thread has (steps.h).
 *
 * It ends without QUIT when nobody can ever come (the directory is gone) or the aictld that is there
 * does not want it, as soon as it has nothing to read any more.
 *
 * Used by main after control has seen the end of aictld; captures and the own log go on meanwhile.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LOGGER_ORPHAN_H
#define AICTL_LOGGER_ORPHAN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/logger/roster.h"
#include "daemon/wire/wire.h"
#include "lib/buf.h"
#include "lib/loop.h"

enum orphan_state { ORPHAN_WAITING, ORPHAN_GIVING, ORPHAN_GIVEN };

struct orphan {
	struct loop *loop;
	struct roster *roster;
	const char *sup_dir; /* borrowed */
	uid_t uid;	     /* of aictld: nobody else is given anything */
	int32_t pid;	     /* ours */
	enum orphan_state state;
	bool refused; /* the aictld that is there closes the door again and again */
	bool lost;    /* sup_dir is gone */

	int watch_fd; /* inotify; -1: looks once a second */
	struct loop_io watch_io;
	struct loop_timer next_try;
	int64_t delay_ms, try_until_mono_ms;

	int fd; /* to the next aictld, or -1 */
	struct loop_io io;
	struct loop_timer again; /* the socket was full */
	pid_t peer;		 /* who that was last */
	unsigned tries_of_peer;
	struct roster_at given;	     /* the last one that went out */
	int64_t quiet_until_mono_ms; /* so long steps are waited for */
	unsigned n_given;
	int send_error;
	bool end_due, pong_due;
	struct buf out;
	struct wire_packet packet;
};

/* Runs the loop until QUIT or until there is nothing to wait for. Large: not for the stack. 0 or
 * -errno. */
int orphan_run(struct orphan *o, struct loop *loop, struct roster *roster, const char *sup_dir,
	       uid_t uid);

#endif
