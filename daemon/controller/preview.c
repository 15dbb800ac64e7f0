/* preview: see preview.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/preview.h"

#include <string.h>

#include "daemon/controller/rollout.h"
#include "lib/err.h"
#include "lib/manifest.h"
#include "lib/mem.h"

#define NEVER INT64_MAX
#define TURNS_MAX 100000 /* a play that goes on longer has lost its way */

/* One replica as the play sees it. */
struct actor {
	struct plan_replica plan;
	enum stop_intent intent;
	int64_t due_mono_ms;	   /* its start or stop is over then; NEVER = nothing under way */
	int64_t start_ms, stop_ms; /* 0 = not known */
	int64_t away_mono_ms; /* since when it is no longer ready; NEVER = it is, or never was */
};

struct play {
	struct actor *actors; /* sorted by index */
	size_t n, cap;
	struct plan_replica *seen; /* as plan_step wants it */
	size_t cap_seen;
	struct plan_desired desired;
	struct preview *result;
	int64_t now;
	unsigned needed;	   /* ready ones that are there now and wanted afterwards */
	int64_t longest_ms;	   /* that a replica was away */
	int64_t down_ms;	   /* that none was ready */
	bool unknown_time;	   /* how long a start takes is not known */
	int64_t start_ms, stop_ms; /* for those that have no record */
};

const char *preview_action_name(enum preview_action a)
{
	static const char *const names[] = {"none", "live", "reload", "replace", "start", "stop"};

	return (unsigned)a < PREVIEW_ACTION_MAX_ ? names[a] : "none";
}

const char *preview_touch_name(enum preview_touch t)
{
	static const char *const names[] = {"start", "stop", "restart", "reload"};

	return names[t];
}

void preview_done(struct preview *p)
{
	buf_done(&p->keys);
	mem_free(p->steps);
	*p = (struct preview){0};
}

static enum preview_action action_of(enum change_class change)
{
	switch (change) {
	case CHANGE_NONE:
		return PREVIEW_NONE;
	case CHANGE_LIVE:
		return PREVIEW_LIVE;
	case CHANGE_RELOAD:
		return PREVIEW_RELOAD;
	case CHANGE_REPLACE:
		break;
	}
	return PREVIEW_REPLACE;
}

/* Afterwards: what may be at zero is started by a request, not by an apply. */
static bool sleeps(const struct preview_present *now, const struct service_spec *want,
		   const struct preview *p)
{
	return want->replicas_max > 0 && want->replicas_min == 0 && p->replicas_override < 0 &&
	       (!now || !now->spec || now->asleep);
}

static bool same_number(const struct service_spec *a, const struct service_spec *b)
{
	return a->replicas == b->replicas && a->replicas_min == b->replicas_min &&
	       a->replicas_max == b->replicas_max;
}

int preview_compare(const struct preview_present *now, const struct service_spec *want,
		    struct preview *ret)
{
	*ret = (struct preview){.replicas_override = -1, .expected_ms = -1};
	if (!want) {
		ret->action = PREVIEW_STOP;
		return 0;
	}
	if (!now || !now->spec) {
		ret->action = PREVIEW_START;
	} else {
		ret->action = action_of(service_spec_diff(now->spec, want, &ret->keys));
		ret->stopped = now->stopped;
		if (same_number(now->spec, want))
			ret->replicas_override = now->replicas_override;
	}
	if (!ret->stopped && !sleeps(now, want, ret))
		ret->desired = (unsigned)(ret->replicas_override >= 0 ? ret->replicas_override
					  : now && now->scaled > 0    ? now->scaled
								      : want->replicas);
	return ret->keys.failed ? -ERR_NOMEM : 0;
}

/* ---- the play ---- */

static struct actor *find(struct play *p, unsigned index)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->actors[i].plan.index == index)
			return &p->actors[i];
	return NULL;
}

static struct actor *add_actor(struct play *p, unsigned index)
{
	size_t at = p->n;

	if (mem_grow(&p->actors, &p->cap, p->n + 1, sizeof(*p->actors)) < 0 ||
	    mem_grow(&p->seen, &p->cap_seen, p->n + 1, sizeof(*p->seen)) < 0)
		return NULL;
	while (at > 0 && p->actors[at - 1].plan.index > index)
		at--;
	memmove(&p->actors[at + 1], &p->actors[at], (p->n - at) * sizeof(*p->actors));
	p->actors[at] = (struct actor){.plan = {.index = index, .current = true},
				       .due_mono_ms = NEVER,
				       .away_mono_ms = NEVER};
	p->n++;
	return &p->actors[at];
}

/* When it is over, by the record: its own, else another's; without one at once. */
static int64_t due(const struct play *p, int64_t own_ms, int64_t others_ms)
{
	return p->now + (own_ms ? own_ms : others_ms);
}

static int64_t longer(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static void post(struct play *p, struct actor *a, enum replica_event event)
{
	const struct replica_sm_in in = {.verdict = POLICY_RESTART, .intent = a->intent};

	bool was_ready = a->plan.state == REPLICA_READY;

	a->plan.state = replica_sm_step(a->plan.state, event, &in).to;
	if (was_ready && a->plan.state != REPLICA_READY)
		a->away_mono_ms = p->now;
	if (!was_ready && a->plan.state == REPLICA_READY)
		a->plan.ready_mono_ms = p->now;
	if (a->plan.state == REPLICA_READY && a->away_mono_ms != NEVER) {
		p->longest_ms = longer(p->longest_ms, p->now - a->away_mono_ms);
		a->away_mono_ms = NEVER;
	}
	a->due_mono_ms = NEVER;
	if (a->plan.state == REPLICA_STARTING) {
		a->due_mono_ms = due(p, a->start_ms, p->start_ms);
		p->unknown_time |= !a->start_ms && !p->start_ms;
	}
	if (a->plan.state == REPLICA_STOPPING)
		a->due_mono_ms = due(p, a->stop_ms, p->stop_ms);
	if (a->plan.state == REPLICA_BACKOFF)
		a->plan.next_at_mono_ms = p->now;
}

/* A stop and a start of the same replica are a restart, at the place of the stop. */
static int note(struct play *p, unsigned index, enum preview_touch touch)
{
	struct preview *r = p->result;

	for (size_t i = 0; i < r->n_steps; i++) {
		if (r->steps[i].index != index)
			continue;
		if (r->steps[i].touch != touch)
			r->steps[i].touch = PREVIEW_TOUCH_RESTART;
		return 0;
	}
	if (mem_grow(&r->steps, &r->cap_steps, r->n_steps + 1, sizeof(*r->steps)) < 0)
		return -ERR_NOMEM;
	r->steps[r->n_steps++] = (struct preview_step){index, touch};
	return 0;
}

static int start(struct play *p, unsigned index)
{
	struct actor *a = find(p, index);
	/* its next attempt comes with or without the apply */
	bool due_anyway =
		a && a->plan.state == REPLICA_BACKOFF && a->plan.current && !a->plan.recycle;

	if (!a)
		a = add_actor(p, index);
	if (!a)
		return -ERR_NOMEM;
	a->plan.current = true;
	a->plan.recycle = NULL;
	a->plan.in_place = false;
	post(p, a, REPLICA_EV_START);
	return due_anyway ? 0 : note(p, index, PREVIEW_TOUCH_START);
}

static int perform(struct play *p, const struct plan_action *act)
{
	struct actor *a = find(p, act->index);

	if (!a && act->kind == PLAN_WAIT && !(a = add_actor(p, act->index)))
		return -ERR_NOMEM;
	if (!a && act->kind != PLAN_START)
		return 0;
	switch (act->kind) {
	case PLAN_START:
		return start(p, act->index);
	case PLAN_STOP:
		a->intent = a->plan.intent = act->intent;
		post(p, a, REPLICA_EV_STOP);
		return note(p, act->index, PREVIEW_TOUCH_STOP);
	case PLAN_REMOVE:
		p->n--;
		memmove(a, a + 1, (size_t)(p->actors + p->n - a) * sizeof(*a));
		break;
	case PLAN_WAIT:
		post(p, a, REPLICA_EV_WAIT);
		break;
	}
	return 0;
}

/* One round as service_settle does it: the number of actions, or -ERR_NOMEM. */
static int plan_round(struct play *p, int64_t *wake_mono_ms)
{
	struct plan_action actions[PLAN_ACTIONS_MAX];
	struct plan_result res;
	int r = 0;

	for (size_t i = 0; i < p->n; i++)
		p->seen[i] = p->actors[i].plan;
	res = plan_step(&p->desired, p->seen, p->n, p->now, actions, PLAN_ACTIONS_MAX);
	for (size_t i = 0; i < res.n_actions && r == 0; i++)
		r = perform(p, &actions[i]);
	*wake_mono_ms = res.wake_mono_ms;
	return r < 0 ? r : (int)res.n_actions;
}

static unsigned ready(const struct play *p)
{
	unsigned n = 0;

	for (size_t i = 0; i < p->n; i++)
		n += p->actors[i].plan.state == REPLICA_READY;
	return n;
}

/* What holds until `until`. */
static void account(struct play *p, int64_t until)
{
	unsigned have = ready(p);

	if (have >= p->needed)
		return;
	if (p->needed - have > p->result->unavailable)
		p->result->unavailable = p->needed - have;
	p->result->down |= have == 0;
	if (have == 0)
		p->down_ms += until - p->now;
}

/* Time goes on to the next end of a start or stop, or plan's own time; false: nothing comes. */
static bool advance(struct play *p, int64_t wake_mono_ms)
{
	int64_t next = wake_mono_ms;

	for (size_t i = 0; i < p->n; i++)
		if (p->actors[i].due_mono_ms < next)
			next = p->actors[i].due_mono_ms;
	if (next == NEVER)
		return false;
	if (next < p->now)
		next = p->now;
	account(p, next);
	p->now = next;
	for (size_t i = 0; i < p->n; i++) {
		struct actor *a = &p->actors[i];

		if (a->due_mono_ms <= p->now)
			post(p, a,
			     a->plan.state == REPLICA_STOPPING	 ? REPLICA_EV_CLEARED
			     : a->plan.state == REPLICA_DRAINING ? REPLICA_EV_DRAINED
								 : REPLICA_EV_HEALTHY);
	}
	return true;
}

static int enter(struct play *p, const struct preview_present *now, uint64_t hash)
{
	for (size_t i = 0; now && i < now->n_replicas; i++) {
		const struct preview_replica *r = &now->replicas[i];
		struct actor *a = add_actor(p, r->index);

		if (!a)
			return -ERR_NOMEM;
		a->plan = (struct plan_replica){.index = r->index,
						.state = r->state,
						.current = r->launch_hash == hash,
						.intent = r->intent,
						.recycle = r->recycle,
						.in_place = r->in_place,
						.next_at_mono_ms = r->next_at_mono_ms};
		a->intent = r->intent;
		a->start_ms = r->start_ms;
		a->stop_ms = r->stop_ms;
		if (replica_sm_is_live(r->state) && r->state != REPLICA_READY &&
		    r->state != REPLICA_UNKNOWN) /* under way already: as good as over */
			a->due_mono_ms = p->now;
		p->start_ms = longer(p->start_ms, r->start_ms);
		p->stop_ms = longer(p->stop_ms, r->stop_ms);
	}
	return 0;
}

/* Those that nothing else happens to, in their order. */
static int reload_rest(struct play *p)
{
	int r = 0;

	for (size_t i = 0; i < p->n && r == 0; i++) {
		const struct plan_replica *a = &p->actors[i].plan;
		bool touched = false;

		for (size_t k = 0; k < p->result->n_steps; k++)
			touched |= p->result->steps[k].index == a->index;
		if (!touched && a->current && replica_sm_is_live(a->state))
			r = note(p, a->index, PREVIEW_TOUCH_RELOAD);
	}
	return r;
}

/* A service that goes takes all of its replicas along, for good. */
static void conclude(struct play *p, bool goes)
{
	struct preview *r = p->result;

	if (goes && r->of) {
		r->unavailable = r->of;
		r->down = true;
	} else if (!p->unknown_time || !r->unavailable) {
		r->expected_ms = !r->unavailable ? 0 : r->down ? p->down_ms : p->longest_ms;
	}
}

/* At each apply, whatever it changes. */
static bool runs_again(const struct service_spec *want)
{
	return want && want->type == SPEC_TASK && want->run_again == AGAIN_ALWAYS &&
	       !want->schedule.enabled;
}

/* Its runs do not overlap; a scheduled one starts nothing at an apply. */
static void become_task(struct play *p, const struct service_spec *want)
{
	p->desired.task = true;
	p->desired.scheduled = want->schedule.enabled;
	p->desired.run_at_mono_ms = runs_again(want) ? p->now : NEVER;
	p->desired.update =
		(struct plan_update){.stop_first = true, .max_unavailable = MANIFEST_REPLICAS_MAX};
	for (size_t i = 0; i < p->n; i++)
		p->actors[i].plan.current |=
			want->schedule.enabled || want->run_again == AGAIN_NEVER;
}

int preview_play(const struct preview_present *now, const struct service_spec *want,
		 int64_t now_mono_ms, struct preview *res)
{
	static const struct rollout all = {.state = ROLLOUT_COMPLETE}; /* without its pause */
	struct play p = {.result = res, .now = now_mono_ms};
	int r = enter(&p, now, want ? service_spec_hash(want) : 0);
	bool acts = res->action != PREVIEW_NONE || runs_again(want);
	int64_t wake = NEVER;

	p.desired = (struct plan_desired){
		.replicas = res->desired, .stopped = res->stopped, .deleted = !want};
	if (want)
		p.desired.update = rollout_bounds(&want->update, &all, res->desired);
	if (want && want->type == SPEC_TASK)
		become_task(&p, want);
	res->of = ready(&p);
	if (res->desired && res->of > res->desired)
		res->of = res->desired; /* what goes is not missed */
	p.needed = res->desired ? res->of : 0;
	for (int turn = 0; r == 0 && acts && turn < TURNS_MAX; turn++) {
		while ((r = plan_round(&p, &wake)) > 0)
			;
		if (r == 0 && !advance(&p, wake))
			break;
	}
	if (r == 0 && res->action == PREVIEW_RELOAD)
		r = reload_rest(&p);
	if (r == 0)
		conclude(&p, res->desired == 0);
	mem_free(p.actors);
	mem_free(p.seen);
	return r;
}
