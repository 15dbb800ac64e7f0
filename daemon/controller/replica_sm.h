/*
 * replica_sm: the replica's state machine as a table (replica_sm.def), and the pure step through
 * it. No clock, no I/O: the caller (replica.c, or the simulation) performs the returned action and
 * writes the state in one place.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_REPLICA_SM_H
#define AICTL_CONTROLLER_REPLICA_SM_H

#include <stdbool.h>

enum replica_state {
#define STATE(name, text) REPLICA_##name,
#define EVENT(name, text)
#define EDGE(from, event, to, action)
#define CHOICE(from, event, chooser)
#define IGNORE(from, event)
#define BUG(from, event)
#include "daemon/controller/replica_sm.def"
#undef STATE
#undef EVENT
	REPLICA_STATE_MAX_
};

enum replica_event {
#define STATE(name, text)
#define EVENT(name, text) REPLICA_EV_##name,
#include "daemon/controller/replica_sm.def"
#undef STATE
#undef EVENT
#undef EDGE
#undef CHOICE
#undef IGNORE
#undef BUG
	REPLICA_EVENT_MAX_
};

enum replica_action {
	REPLICA_ACT_NONE,
	REPLICA_ACT_SPAWN, /* send SPAWN with a new incarnation */
	REPLICA_ACT_STOP,  /* send STOP */
	REPLICA_ACT_PROBE, /* begin its health checks */
};

/* What a stop is for: decides the state after it. */
enum stop_intent {
	STOP_REMOVE,  /* not wanted any more -> exited */
	STOP_REPLACE, /* to be started again at once (new revision, the user's restart) -> pending
		       */
	STOP_HEAL,    /* condemned by a probe: as after an exit, by the restart policy */
};

/* What the restart policy says of an ended replica (policy.h). */
enum policy_verdict { POLICY_RESTART, POLICY_FAILED, POLICY_SUCCEEDED };

struct replica_sm_in {
	enum policy_verdict verdict; /* for EXITED, SPAWN_FAILED and a STOP_HEAL's CLEARED */
	enum stop_intent intent;     /* for CLEARED */
	bool drains;		     /* for STOP: requests may be under way, and are to end first */
};

struct replica_sm_out {
	enum replica_state to;
	enum replica_action action;
	bool handled; /* false: IGNORE or BUG, to == from */
	bool bug;
};

struct replica_sm_out replica_sm_step(enum replica_state from, enum replica_event event,
				      const struct replica_sm_in *in);
const char *replica_sm_state_name(enum replica_state s);
const char *replica_sm_event_name(enum replica_event e);
/* A process of the replica may exist in this state. */
bool replica_sm_is_live(enum replica_state s);
/* Its stop is under way: it drains, or has its signal. */
bool replica_sm_is_ending(enum replica_state s);

#endif
