/* replica_sm: see replica_sm.h. The cells come from replica_sm.def; a missing one fails the
 * assertion below. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/replica_sm.h"

#include <stddef.h>

enum cell_kind { CELL_MISSING, CELL_EDGE, CELL_CHOICE, CELL_IGNORE, CELL_BUG };

struct cell {
	enum cell_kind kind;
	enum replica_state to;
	enum replica_action action;
	enum replica_state (*choose)(const struct replica_sm_in *in);
};

/* Returns one of BACKOFF, FAILED, SUCCEEDED. */
static enum replica_state after_exit(const struct replica_sm_in *in)
{
	if (in->verdict == POLICY_FAILED)
		return REPLICA_FAILED;
	return in->verdict == POLICY_SUCCEEDED ? REPLICA_SUCCEEDED : REPLICA_BACKOFF;
}

/* Returns one of EXITED, PENDING, BACKOFF, FAILED, SUCCEEDED. */
static enum replica_state after_stop(const struct replica_sm_in *in)
{
	if (in->intent == STOP_HEAL)
		return after_exit(in);
	return in->intent == STOP_REPLACE ? REPLICA_PENDING : REPLICA_EXITED;
}

/* Returns one of DRAINING, STOPPING. */
static enum replica_state before_stop(const struct replica_sm_in *in)
{
	return in->drains ? REPLICA_DRAINING : REPLICA_STOPPING;
}

#define STATE(name, text)
#define EVENT(name, text)
static const struct cell cells[REPLICA_STATE_MAX_][REPLICA_EVENT_MAX_] = {
#define EDGE(from, event, to_, action_)                                                            \
	[REPLICA_##from][REPLICA_EV_##event] = {                                                   \
		.kind = CELL_EDGE, .to = REPLICA_##to_, .action = REPLICA_ACT_##action_},
#define CHOICE(from, event, chooser)                                                               \
	[REPLICA_##from][REPLICA_EV_##event] = {.kind = CELL_CHOICE, .choose = chooser},
#define IGNORE(from, event) [REPLICA_##from][REPLICA_EV_##event] = {.kind = CELL_IGNORE},
#define BUG(from, event) [REPLICA_##from][REPLICA_EV_##event] = {.kind = CELL_BUG},
#include "daemon/controller/replica_sm.def"
#undef EDGE
#undef CHOICE
#undef IGNORE
#undef BUG
};

enum {
	N_CELLS = 0
#define EDGE(from, event, to, action) +1
#define CHOICE(from, event, chooser) +1
#define IGNORE(from, event) +1
#define BUG(from, event) +1
#include "daemon/controller/replica_sm.def"
#undef EDGE
#undef CHOICE
#undef IGNORE
#undef BUG
#undef STATE
#undef EVENT
};
/* With -Werror=override-init (a doubled cell) this proves that every cell is decided. */
_Static_assert(N_CELLS == REPLICA_STATE_MAX_ * REPLICA_EVENT_MAX_,
	       "a cell of replica_sm.def is missing");

#define EDGE(from, event, to, action)
#define CHOICE(from, event, chooser)
#define IGNORE(from, event)
#define BUG(from, event)
static const char *const state_names[] = {
#define STATE(name, text) text,
#define EVENT(name, text)
#include "daemon/controller/replica_sm.def"
#undef STATE
#undef EVENT
};
static const char *const event_names[] = {
#define STATE(name, text)
#define EVENT(name, text) text,
#include "daemon/controller/replica_sm.def"
};

struct replica_sm_out replica_sm_step(enum replica_state from, enum replica_event event,
				      const struct replica_sm_in *in)
{
	const struct cell *c = &cells[from][event];
	struct replica_sm_out out = {.to = from, .action = REPLICA_ACT_NONE};

	switch (c->kind) {
	case CELL_EDGE:
		out.to = c->to;
		out.action = c->action;
		out.handled = true;
		break;
	case CELL_CHOICE:
		out.to = c->choose(in);
		out.action = out.to == REPLICA_STOPPING ? REPLICA_ACT_STOP : REPLICA_ACT_NONE;
		out.handled = true;
		break;
	case CELL_IGNORE:
		break;
	case CELL_MISSING:
	case CELL_BUG:
		out.bug = true;
		break;
	}
	return out;
}

const char *replica_sm_state_name(enum replica_state s)
{
	return (unsigned)s < REPLICA_STATE_MAX_ ? state_names[s] : "unknown";
}

const char *replica_sm_event_name(enum replica_event e)
{
	return (unsigned)e < REPLICA_EVENT_MAX_ ? event_names[e] : "unknown";
}

bool replica_sm_is_live(enum replica_state s)
{
	return s == REPLICA_STARTING || s == REPLICA_READY || s == REPLICA_UNREADY ||
	       s == REPLICA_DRAINING || s == REPLICA_STOPPING || s == REPLICA_UNKNOWN;
}

bool replica_sm_is_ending(enum replica_state s)
{
	return s == REPLICA_DRAINING || s == REPLICA_STOPPING;
}
