/*
 * plan: what to do next for one service. Pure: desired and observed state and the time go in,
 * actions with reasons come out; the caller performs them and calls again until nothing is left to
 * do.
 *
 * A replaced revision goes stop-first, one replica at a time: an outdated replica that is ready is
 * stopped only while every other wanted replica is ready on the desired revision or still waits for
 * its turn; outdated replicas that are not ready serve nobody and are replaced at once.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_PLAN_H
#define AICTL_CONTROLLER_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/controller/replica_sm.h"

struct plan_desired {
	unsigned replicas;
	bool stopped; /* by the user */
	bool deleted;
	bool frozen; /* safe mode, shutdown or not loaded: no action at all */
};

struct plan_replica {
	unsigned index; /* unique; the array is sorted by it */
	enum replica_state state;
	bool current;		 /* runs (or ran last) what is desired now */
	bool restart;		 /* the user asked for a restart and it has not begun */
	int64_t next_at_mono_ms; /* BACKOFF */
};

#define PLAN_ACTIONS_MAX 64 /* per round: the real run and preview.c ask for as many */

enum plan_kind {
	PLAN_START,  /* of an existing or a new index */
	PLAN_STOP,   /* with intent */
	PLAN_REMOVE, /* forget the record of an ended, unwanted replica */
};

struct plan_action {
	enum plan_kind kind;
	unsigned index;
	enum stop_intent intent;
	const char *reason; /* stable token: static */
};

struct plan_result {
	size_t n_actions;
	int64_t wake_mono_ms; /* call again then; INT64_MAX = only on events */
};

/*
 * Writes at most max actions (more follow on the next call). replicas sorted by index, n of them.
 */
struct plan_result plan_step(const struct plan_desired *desired,
			     const struct plan_replica *replicas, size_t n, int64_t now_mono_ms,
			     struct plan_action *actions, size_t max);

#endif
