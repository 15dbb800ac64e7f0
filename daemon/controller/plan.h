/*
 * plan: what to do next for one service. Pure: desired and observed state and the time go in,
 * actions with reasons come out; the caller performs them and calls again until nothing is left to
 * do.
 *
 * Replicas are counted, not numbered: a new one takes the smallest free index, so after an update
 * that starts first the set of indexes may be {1}. Who is too many goes in this order: outdated,
 * then not ready, then the highest index.
 *
 * An update (another revision, or a recycle: the user's restart, max_age, ...) keeps two bounds: at
 * most replicas + max_surge exist, those that are just being stopped included, and at least
 * replicas - max_unavailable are available: ready, and the new ones among them for min_ready. So at
 * most max_surge + max_unavailable new ones are unproven at any time. A surplus is stopped for
 * good; without one an outdated replica is stopped and started again under its index.
 *
 * Outdated replicas that are not ready serve nobody and are replaced without waiting for a turn,
 * but within that number as long as others of the old revision serve: should the new revision be
 * bad, one that crashed meanwhile comes back as it was (as_before). While an update is paused, or a
 * dependency's condition does not hold, nothing outdated is touched. Scaled up meanwhile, or before an
 * update has paused for a look, the last good revision grows (as_before), for the new one is not to
 * spread.
 *
 * While an update is at a step of a canary, so many new ones run beside all of the old: nothing
 * outdated is replaced, what is missing of the old is started as before, and what there is too much
 * of the old goes, first what is of neither revision.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_PLAN_H
#define AICTL_CONTROLLER_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/controller/replica_sm.h"

struct plan_update {
	bool stop_first;    /* no surge, one unavailable at least */
	unsigned max_surge; /* counts; both 0: one unavailable */
	unsigned max_unavailable;
	int64_t min_ready_ms; /* of another revision's replica before it counts as available */
	unsigned max_new;     /* so many of another revision and no more, for now; 0 = any number */
	bool paused;
	unsigned
		canaries; /* so many new ones beside the replicas, which stay as they are; 0 = not so */
	bool growable; /* the last good revision can be started at an index of its own */
};

struct plan_desired {
	unsigned replicas;
	bool stopped; /* by the user */
	bool idle;    /* nobody asks for it: replicas is 0 for that */
	bool deleted;
	bool frozen;	/* safe mode, shutdown or not loaded: no action at all */
	bool held;	/* a dependency's condition does not hold: nothing new starts */
	bool stop_held; /* a dependent still runs: the last replicas are not stopped yet */
	bool task;	/* once ended, by whatever way, it is started again at run_at */
	bool scheduled; /* a task that starts at no other time: not at first, not when it changes */
	int64_t run_at_mono_ms; /* with task; INT64_MAX = not (again) */
	struct plan_update update;
};

struct plan_replica {
	unsigned index; /* unique; the array is sorted by it */
	enum replica_state state;
	enum stop_intent intent; /* DRAINING, STOPPING, UNKNOWN: what its stop is for */
	bool current;		 /* runs (or ran last) what is desired now */
	bool restorable;	 /* not current, and can be started as it was */
	bool good;		 /* not current, and of the last good revision */
	const char *recycle; /* static reason to replace it all the same, or NULL: "user_restart",
				    "max_age", "memory", "dependency" */
	bool in_place;	     /* recycle: stop first, whatever the update says */
	bool busy;	     /* a hook of it runs: not started, not removed now */
	int64_t next_at_mono_ms; /* BACKOFF */
	int64_t ready_mono_ms;	 /* READY: since when; 0 = long ago */
};

#define PLAN_ACTIONS_MAX 64 /* per round: the real run and preview.c ask for as many */

enum plan_kind {
	PLAN_START,  /* of an existing or a new index */
	PLAN_STOP,   /* with intent */
	PLAN_REMOVE, /* forget the record of an ended, unwanted replica */
	PLAN_WAIT,   /* of an existing or a new index: it waits for its start */
};

struct plan_action {
	enum plan_kind kind;
	unsigned index;
	enum stop_intent intent;
	const char *reason; /* stable token: static */
	bool as_before; /* START: what it ran before, or the last good one, not what is desired now */
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
/* What an update may do: max_surge and max_unavailable as they work out. */
void plan_bounds(const struct plan_update *u, unsigned *ret_surge, unsigned *ret_unavailable);

#endif
