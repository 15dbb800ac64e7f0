/*
 * preview: what an apply makes of one service. Pure: what is there and what the manifest wants go
 * in, a verdict comes out. `apply` does what preview_compare says, `plan` shows the same, so that
 * the two cannot differ.
 *
 * Which replicas are touched, and in which order, is found by letting plan_step, the one that also
 * decides in the real run, drive the replicas' own state machine with a runtime that is only
 * played: a stop ends, a start becomes ready. How long each takes is what the replica remembers of
 * its last time (or another replica of the service, when it has none); from these times comes how
 * long replicas are away.
 *
 * What the play cannot know: a start that fails, an update by somebody else meanwhile.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_PREVIEW_H
#define AICTL_CONTROLLER_PREVIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/controller/plan.h"
#include "lib/buf.h"

struct service_spec;

#define PREVIEW_REPLICAS_MAX 20000 /* of one plan, over all services */

enum preview_action {
	PREVIEW_NONE,
	PREVIEW_LIVE,	 /* changed without replacing a process */
	PREVIEW_RELOAD,	 /* its replicas are asked to reload */
	PREVIEW_REPLACE, /* its replicas are replaced */
	PREVIEW_START,	 /* new */
	PREVIEW_STOP,	 /* removed */
	PREVIEW_ACTION_MAX_
};

struct preview_replica {
	unsigned index;
	enum replica_state state;
	uint64_t launch_hash; /* of what it runs (or ran last) */
	const char *recycle;  /* see plan.h */
	bool in_place;
	enum stop_intent intent;   /* STOPPING */
	int64_t next_at_mono_ms;   /* BACKOFF */
	int64_t start_ms, stop_ms; /* of its last start and stop; 0 = not known */
};

struct preview_present {
	const struct service_spec *spec; /* NULL: not known (its manifest is lost) */
	bool stopped;			 /* by the user */
	bool asleep;			 /* at zero, until a request comes */
	int64_t replicas_override;	 /* -1 = none */
	int64_t scaled; /* what a scaler would go on with in the range that is wanted; 0 = none */
	const struct preview_replica *replicas; /* sorted by index; compare does not look at them */
	size_t n_replicas;
};

enum preview_touch {
	PREVIEW_TOUCH_START,
	PREVIEW_TOUCH_STOP,
	PREVIEW_TOUCH_RESTART,
	PREVIEW_TOUCH_RELOAD,
};

struct preview_step {
	unsigned index;
	enum preview_touch touch;
};

struct preview {
	enum preview_action action;
	struct buf keys;	   /* what differs, as service_spec_diff writes it */
	bool stopped;		   /* afterwards */
	int64_t replicas_override; /* afterwards */
	unsigned desired;	   /* replicas wanted afterwards */
	/* filled by preview_play: */
	struct preview_step *steps; /* in the order in which replicas are first touched */
	size_t n_steps, cap_steps;
	unsigned unavailable, of; /* at worst so many of those that are ready now and stay wanted */
	bool down;		  /* at some time none is left of them */
	/* How long the service is down, else how long one replica is away at most; -1 = not known, or
	 * for good. */
	int64_t expected_ms;
};

/* now NULL: no such service yet; want NULL: it is to be removed. -ERR_NOMEM. */
int preview_compare(const struct preview_present *now, const struct service_spec *want,
		    struct preview *ret);
/* After preview_compare with the same arguments: steps and unavailability. -ERR_NOMEM. */
int preview_play(const struct preview_present *now, const struct service_spec *want,
		 int64_t now_mono_ms, struct preview *p);
void preview_done(struct preview *p);
/* "none", "live", "reload", "replace", "start", "stop" */
const char *preview_action_name(enum preview_action a);
/* "start", "stop", "restart", "reload" */
const char *preview_touch_name(enum preview_touch t);

#endif
