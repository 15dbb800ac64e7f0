/* plan: see plan.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/plan.h"

struct out {
	struct plan_action *actions;
	size_t max;
	struct plan_result result;
};

static void add(struct out *o, enum plan_kind kind, unsigned index, enum stop_intent intent,
		const char *reason)
{
	if (o->result.n_actions < o->max)
		o->actions[o->result.n_actions++] =
			(struct plan_action){kind, index, intent, reason};
}

static bool wanted(const struct plan_desired *d, unsigned index)
{
	return !d->stopped && !d->deleted && index < d->replicas;
}

static bool outdated(const struct plan_replica *r)
{
	return !r->current || r->restart;
}

static const char *unwanted_reason(const struct plan_desired *d)
{
	return d->deleted ? "deleted" : d->stopped ? "user_stop" : "scale_down";
}

static void step_unwanted(struct out *o, const struct plan_desired *d, const struct plan_replica *r)
{
	switch (r->state) {
	case REPLICA_EXITED:
		add(o, PLAN_REMOVE, r->index, STOP_REMOVE, unwanted_reason(d));
		break;
	case REPLICA_STOPPING:
	case REPLICA_UNKNOWN:
		break;
	case REPLICA_PENDING:
	case REPLICA_WAITING:
	case REPLICA_STARTING:
	case REPLICA_READY:
	case REPLICA_UNREADY:
	case REPLICA_DRAINING:
	case REPLICA_BACKOFF:
	case REPLICA_FAILED:
	case REPLICA_SUCCEEDED:
	case REPLICA_STATE_MAX_:
		add(o, PLAN_STOP, r->index, STOP_REMOVE, unwanted_reason(d));
		break;
	}
}

static void step_wanted(struct out *o, const struct plan_replica *r, int64_t now)
{
	const char *change = r->restart ? "user_restart" : "manifest_changed";

	switch (r->state) {
	case REPLICA_PENDING:
	case REPLICA_EXITED:
		add(o, PLAN_START, r->index, STOP_REMOVE, outdated(r) ? change : "not_started");
		break;
	case REPLICA_BACKOFF:
		if (outdated(r) || r->next_at_mono_ms <= now)
			add(o, PLAN_START, r->index, STOP_REMOVE, outdated(r) ? change : "exited");
		else if (r->next_at_mono_ms < o->result.wake_mono_ms)
			o->result.wake_mono_ms = r->next_at_mono_ms;
		break;
	case REPLICA_FAILED:
	case REPLICA_SUCCEEDED:
		if (outdated(r))
			add(o, PLAN_START, r->index, STOP_REMOVE, change);
		break;
	case REPLICA_STARTING:
	case REPLICA_UNREADY:
		if (outdated(r)) /* serves nobody: no need to wait for its turn */
			add(o, PLAN_STOP, r->index, STOP_REPLACE, change);
		break;
	case REPLICA_READY: /* step_rolling */
	case REPLICA_WAITING:
	case REPLICA_DRAINING:
	case REPLICA_STOPPING:
	case REPLICA_UNKNOWN:
	case REPLICA_STATE_MAX_:
		break;
	}
}

/* The next ready but outdated replica, one at a time. */
static void step_rolling(struct out *o, const struct plan_desired *d,
			 const struct plan_replica *replicas, size_t n)
{
	const struct plan_replica *next = NULL;
	unsigned settled = 0;

	for (size_t i = 0; i < n; i++) {
		const struct plan_replica *r = &replicas[i];

		if (!wanted(d, r->index))
			continue;
		if (r->state == REPLICA_READY && outdated(r) && !next)
			next = r;
		if (r->state == REPLICA_READY || (r->state == REPLICA_SUCCEEDED && !outdated(r)))
			settled++;
	}
	if (next && settled == d->replicas)
		add(o, PLAN_STOP, next->index, STOP_REPLACE,
		    next->restart ? "user_restart" : "manifest_changed");
}

/* Wanted indexes without a record. */
static void step_missing(struct out *o, const struct plan_desired *d,
			 const struct plan_replica *replicas, size_t n)
{
	size_t at = 0;

	if (d->stopped || d->deleted)
		return;
	for (unsigned index = 0; index < d->replicas; index++) {
		while (at < n && replicas[at].index < index)
			at++;
		if (at == n || replicas[at].index != index)
			add(o, PLAN_START, index, STOP_REMOVE, "not_started");
	}
}

struct plan_result plan_step(const struct plan_desired *desired,
			     const struct plan_replica *replicas, size_t n, int64_t now_mono_ms,
			     struct plan_action *actions, size_t max)
{
	struct out o = {.actions = actions, .max = max, .result = {.wake_mono_ms = INT64_MAX}};

	if (desired->frozen)
		return o.result;
	for (size_t i = 0; i < n; i++) {
		if (wanted(desired, replicas[i].index))
			step_wanted(&o, &replicas[i], now_mono_ms);
		else
			step_unwanted(&o, desired, &replicas[i]);
	}
	step_missing(&o, desired, replicas, n);
	step_rolling(&o, desired, replicas, n);
	return o.result;
}
