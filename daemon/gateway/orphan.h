/*
 * orphan: the gateway without its aictld: everything is served on, by the last routes, until the next
 * aictld has taken the listeners back.
 *
 * That one listens on <runtime-dir>/sup/sup.sock. The directory is watched (inotify), so nothing is
 * due while nobody comes. When the socket is there: connect, JOIN, GIVE_LISTENER for each with its
 * descriptor, GIVE_BACK_END, and wait for QUIT: by then a new gateway accepts, and this one ends with
 * what is under way. If that aictld dies before QUIT, the next one is waited for.
 *
 * It ends by itself when nobody can ever come (the directory is gone) or the aictld that is there
 * does not want it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_GATEWAY_ORPHAN_H
#define AICTL_GATEWAY_ORPHAN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "lib/buf.h"

struct channel;
struct wire_listen_at;

enum orphan_state { ORPHAN_OFF, ORPHAN_WAITING, ORPHAN_GIVING, ORPHAN_GIVEN };

/* Whose listeners they are. */
struct orphan_of {
	uv_loop_t *uv;
	/* The i-th; false: there are no more. */
	bool (*listener)(void *user, unsigned i, const struct wire_listen_at **at, int *fd);
	void (*drain)(void *user); /* another one serves, or nobody ever will: end */
	void *user;
};

struct orphan {
	struct orphan_of of;
	const char *sup_dir; /* borrowed */
	uid_t uid;	     /* of aictld: nobody else is given anything */
	enum orphan_state state;
	int watch_fd; /* inotify; -1: looks once a second */
	uv_poll_t watch;
	uv_timer_t next_try;
	uint64_t delay_ms, try_until;
	struct channel *channel; /* to the next aictld, or NULL */
	pid_t peer;		 /* who that was last */
	unsigned tries_of_peer;
	unsigned n_given;
	bool pong_due, ending;
	struct buf out;
};

void orphan_begin(struct orphan *o, const struct orphan_of *of, const char *sup_dir, uid_t uid);
void orphan_close(struct orphan *o); /* idempotent; its handles close with the loop */

#endif
