/*
 * plan: see plan.h. One pass counts (tally), then the bounds say how many may be stopped and
 * started (budget), then a second pass writes the actions, each taking from the budget. Both passes
 * are linear in the number of replicas.
 */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/plan.h"

/* What a replica is to the count. */
enum kind {
	KIND_GONE,  /* only a record: free to be started or removed */
	KIND_GOING, /* is being stopped for good */
	KIND_NEW,   /* what is desired, or about to become it */
	KIND_OLD,   /* outdated and serving */
	KIND_LAME,  /* outdated, not serving */
};

struct tally {
	unsigned members; /* all but gone and going */
	unsigned going;
	unsigned fresh;			     /* KIND_NEW */
	unsigned fresh_ready, fresh_settled; /* of these: ready; and for min_ready, or succeeded */
	unsigned old, old_in_place, lame;
	unsigned strays, lame_strays; /* of old, of lame: neither new nor as before */
	unsigned lame_recycled;	      /* of the lame: they do not wait for their turn */
	bool changes;		      /* there is another revision, not just recycling */
	int64_t settles_mono_ms;      /* when the next of the ready ones has settled */
};

/* How much of each may still be done in this call. */
struct budget {
	unsigned unproven; /* more unproven ones of the new revision, by replacing lame ones */
	bool guarded;	   /* that limit holds */
	bool canary;	   /* nothing outdated becomes a new one */
	unsigned stray_removes, lame_stray_removes; /* besides the two below */
	unsigned lame_removes, old_removes, old_replaces, in_place;
	unsigned starts;	/* of new ones */
	unsigned starts_before; /* of these, the last so many are of the last good revision */
	/* Of KIND_NEW those from these indexes on are too many: of the ready ones, of the others. */
	unsigned ready_from, unready_from;
};

struct out {
	const struct plan_desired *d;
	int64_t now;
	struct plan_action *actions;
	size_t max;
	struct plan_result result;
};

static void add(struct out *o, struct plan_action a)
{
	if (o->result.n_actions < o->max)
		o->actions[o->result.n_actions++] = a;
}

static void add_stop(struct out *o, const struct plan_replica *r, enum stop_intent intent,
		     const char *reason)
{
	add(o, (struct plan_action){PLAN_STOP, r->index, intent, reason, false});
}

static void wake_at(struct out *o, int64_t mono_ms)
{
	if (mono_ms < o->result.wake_mono_ms)
		o->result.wake_mono_ms = mono_ms;
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

static unsigned less(unsigned a, unsigned b)
{
	return a > b ? a - b : 0;
}

static bool outdated(const struct plan_replica *r)
{
	return !r->current || r->recycle;
}

static const char *change_of(const struct plan_replica *r)
{
	return r->recycle ? r->recycle : "manifest_changed";
}

static const char *unwanted_reason(const struct plan_desired *d)
{
	return d->deleted ? "deleted" : d->stopped ? "user_stop" : d->idle ? "idle" : "scale_down";
}

void plan_bounds(const struct plan_update *u, unsigned *ret_surge, unsigned *ret_unavailable)
{
	*ret_surge = u->stop_first ? 0 : u->max_surge;
	*ret_unavailable = u->max_unavailable;
	if (*ret_surge == 0 && *ret_unavailable == 0)
		*ret_unavailable = 1;
}

/* ---- a service of which nothing is wanted ---- */

static void step_unwanted(struct out *o, const struct plan_replica *r)
{
	switch (r->state) {
	case REPLICA_EXITED:
		if (!r->busy)
			add(o, (struct plan_action){PLAN_REMOVE, r->index, STOP_REMOVE,
						    unwanted_reason(o->d), false});
		break;
	case REPLICA_DRAINING:
	case REPLICA_STOPPING:
	case REPLICA_UNKNOWN:
		break;
	case REPLICA_STARTING:
	case REPLICA_READY:
	case REPLICA_UNREADY:
		if (o->d->stop_held)
			break;
		/* fall through */
	case REPLICA_PENDING:
	case REPLICA_WAITING:
	case REPLICA_BACKOFF:
	case REPLICA_FAILED:
	case REPLICA_SUCCEEDED:
	case REPLICA_STATE_MAX_:
		add_stop(o, r, STOP_REMOVE, unwanted_reason(o->d));
		break;
	}
}

/* ---- counting ---- */

static enum kind kind_of(const struct plan_replica *r)
{
	switch (r->state) {
	case REPLICA_EXITED:
		return r->busy ? KIND_GOING : KIND_GONE;
	case REPLICA_PENDING:
	case REPLICA_WAITING:
		return KIND_NEW;
	case REPLICA_DRAINING:
	case REPLICA_STOPPING:
		if (r->intent == STOP_HEAL)
			break;
		return r->intent == STOP_REMOVE ? KIND_GOING : KIND_NEW;
	case REPLICA_READY:
		return outdated(r) ? KIND_OLD : KIND_NEW;
	case REPLICA_STARTING:
	case REPLICA_UNREADY:
	case REPLICA_BACKOFF:
	case REPLICA_FAILED:
	case REPLICA_SUCCEEDED:
	case REPLICA_UNKNOWN:
	case REPLICA_STATE_MAX_:
		break;
	}
	return outdated(r) ? KIND_LAME : KIND_NEW;
}

static bool is_stray(const struct plan_replica *r)
{
	return !r->current && !r->good;
}

static void count_new(const struct out *o, const struct plan_replica *r, struct tally *t)
{
	int64_t settled = r->ready_mono_ms ? r->ready_mono_ms + o->d->update.min_ready_ms : 0;

	t->fresh++;
	if (r->state == REPLICA_SUCCEEDED) {
		t->fresh_ready++;
		t->fresh_settled++;
	} else if (r->state == REPLICA_READY) {
		t->fresh_ready++;
		if (settled <= o->now)
			t->fresh_settled++;
		else if (settled < t->settles_mono_ms)
			t->settles_mono_ms = settled;
	}
}

static struct tally count(const struct out *o, const struct plan_replica *replicas, size_t n)
{
	struct tally t = {.settles_mono_ms = INT64_MAX};

	for (size_t i = 0; i < n; i++) {
		const struct plan_replica *r = &replicas[i];
		enum kind kind = kind_of(r);

		t.going += kind == KIND_GOING;
		t.lame += kind == KIND_LAME;
		t.lame_recycled += kind == KIND_LAME && r->current;
		t.old += kind == KIND_OLD && !r->in_place;
		t.old_in_place += kind == KIND_OLD && r->in_place;
		t.strays += kind == KIND_OLD && is_stray(r);
		t.lame_strays += kind == KIND_LAME && is_stray(r);
		t.changes |= !r->current && (kind == KIND_OLD || kind == KIND_LAME ||
					     replica_sm_is_ending(r->state));
		if (kind == KIND_NEW)
			count_new(o, r, &t);
	}
	t.members = t.fresh + t.old + t.old_in_place + t.lame;
	return t;
}

/* ---- what may be done ---- */

static bool is_good(const struct plan_replica *r)
{
	return r->state == REPLICA_READY || r->state == REPLICA_SUCCEEDED;
}

/* Which of those that are as desired are too many: `n` of them, first those that are not ready, and
 * always from the highest index on. */
static void choose_new(struct budget *b, const struct plan_replica *replicas, size_t count,
		       unsigned n, const struct tally *t)
{
	unsigned ready = less(n, t->fresh - t->fresh_ready), unready = n - ready;

	b->ready_from = b->unready_from = UINT32_MAX;
	for (size_t i = count; i-- > 0 && ready + unready > 0;) {
		bool good = is_good(&replicas[i]);
		unsigned *left = good ? &ready : &unready;

		if (*left == 0 || kind_of(&replicas[i]) != KIND_NEW)
			continue;
		*(good ? &b->ready_from : &b->unready_from) = replicas[i].index;
		(*left)--;
	}
}

/* How many more of what is desired there may be. */
static unsigned more_new(const struct plan_desired *d, const struct tally *t)
{
	bool limited = d->update.max_new > 0 && t->changes;

	return less(limited ? least(d->replicas, d->update.max_new) : d->replicas, t->fresh);
}

/* Of the outdated ones: how many go, how many are replaced where they are. */
static void budget_old(struct budget *b, const struct plan_desired *d, const struct tally *t,
		       unsigned available, unsigned unproven)
{
	unsigned surge, unavailable, excess, spare, floor;
	bool rests = d->update.paused || d->held;

	plan_bounds(&d->update, &surge, &unavailable);
	excess = less(t->members, d->replicas + (rests ? least(surge, t->fresh) : 0));
	b->lame_removes = least(t->lame, less(excess, rests ? 0 : least(unproven, surge)));
	excess -= b->lame_removes;
	floor = less(d->replicas, unavailable);
	spare = less(available, floor);
	b->old_removes = least(least(t->old, spare), excess);
	if (!rests)
		b->old_replaces = least(least(t->old, spare) - b->old_removes, more_new(d, t));
	spare = less(available - b->old_removes - b->old_replaces,
		     less(d->replicas, unavailable ? unavailable : 1));
	if (!d->held)
		b->in_place = least(t->old_in_place, spare);
}

/* Of so many that are missing: which the new revision is not to have, for now. */
static unsigned before(const struct plan_desired *d, const struct tally *t, unsigned missing)
{
	if (!d->update.growable || !t->changes || t->old + t->lame == 0)
		return 0;
	if (d->update.paused)
		return missing;
	return d->update.max_new > 0 ? less(missing, more_new(d, t)) : 0;
}

static void budget_new(struct budget *b, const struct plan_desired *d, const struct tally *t,
		       unsigned unproven)
{
	unsigned surge, unavailable, room, want;

	plan_bounds(&d->update, &surge, &unavailable);
	b->guarded = t->old + t->old_in_place > 0;
	b->unproven = less(surge + unavailable, unproven);
	if (d->update.max_new > 0 && b->guarded)
		b->unproven = least(b->unproven, more_new(d, t));
	b->starts = less(d->replicas, t->members + t->going);
	b->starts_before = before(d, t, b->starts);
	if (t->old == 0 || d->update.paused || d->held)
		return;
	room = less(d->replicas + surge, t->members + t->going);
	want = least(less(more_new(d, t), b->old_replaces + b->in_place), t->old);
	b->unproven = less(b->unproven, b->old_replaces);
	want = least(least(room, want), b->unproven);
	b->unproven -= want;
	if (want > b->starts)
		b->starts = want;
}

/* At a step of a canary. What the user wants replaced waits until it is over. */
static struct budget budget_canary(const struct plan_desired *d,
				   const struct plan_replica *replicas, size_t n,
				   const struct tally *t)
{
	unsigned stable = t->old + t->old_in_place + t->lame, excess = less(stable, d->replicas);
	unsigned left = t->members - excess, spare = less(t->old, d->replicas);
	unsigned canaries = d->held ? least(d->update.canaries, t->fresh) : d->update.canaries;
	struct budget b = {.canary = true};
	unsigned over;

	b.lame_stray_removes = least(excess, t->lame_strays);
	excess -= b.lame_stray_removes;
	b.stray_removes = least(least(excess, t->strays), spare);
	excess -= b.stray_removes;
	b.lame_removes = least(excess, t->lame - t->lame_strays);
	excess -= b.lame_removes;
	b.old_removes = least(least(excess, t->old - t->strays), spare - b.stray_removes);
	b.starts = less(d->replicas + canaries, t->members + t->going);
	if (d->update.growable)
		b.starts_before = least(b.starts, less(d->replicas, stable));
	b.starts = least(b.starts, b.starts_before + less(canaries, t->fresh));
	over = d->held ? 0 : less(t->fresh, canaries);
	if (!d->update.growable) /* what is missing of the stable ones cannot be started */
		over = least(over, less(left, d->replicas + canaries));
	choose_new(&b, replicas, n, over, t);
	return b;
}

static struct budget budget(struct out *o, const struct plan_replica *replicas, size_t n,
			    const struct tally *t)
{
	const struct plan_desired *d = o->d;
	unsigned good = t->changes ? t->fresh_settled : t->fresh_ready;
	unsigned unproven = t->fresh - good + t->lame_recycled, left, over, surge, unavailable;
	struct budget b = {0};

	if (d->update.canaries > 0 && (t->changes || d->update.growable))
		return budget_canary(d, replicas, n, t);
	budget_old(&b, d, t, good + t->old + t->old_in_place, unproven);
	budget_new(&b, d, t, unproven);
	if (t->changes && t->old > 0)
		wake_at(o, t->settles_mono_ms);
	plan_bounds(&d->update, &surge, &unavailable);
	left = t->old + t->old_in_place + t->lame - b.lame_removes - b.old_removes;
	over = less(t->members - b.lame_removes - b.old_removes,
		    d->replicas + (left ? least(surge, t->fresh) : 0));
	choose_new(&b, replicas, n, least(over, t->fresh), t);
	return b;
}

/* ---- the actions ---- */

static void start(struct out *o, const struct plan_replica *r, const char *reason, bool as_before)
{
	if (r->busy)
		return;
	if (!o->d->held)
		add(o, (struct plan_action){PLAN_START, r->index, STOP_REMOVE, reason, as_before});
	else if (r->state != REPLICA_WAITING)
		add(o, (struct plan_action){PLAN_WAIT, r->index, STOP_REMOVE, reason, false});
}

/* Not started at any other time than its schedule's. */
static void start_first(struct out *o, const struct plan_replica *r, const char *reason)
{
	if (!o->d->scheduled || r->recycle || o->d->run_at_mono_ms <= o->now) {
		start(o, r, reason, false);
		return;
	}
	wake_at(o, o->d->run_at_mono_ms);
	if (r->state != REPLICA_WAITING && !r->busy)
		add(o, (struct plan_action){PLAN_WAIT, r->index, STOP_REMOVE, "scheduled", false});
}

/* May a lame one become one of the new revision now? */
static bool converts(struct budget *b, const struct out *o, const struct plan_replica *r)
{
	if (!outdated(r) || (o->d->scheduled && !r->recycle))
		return false;
	if (r->current) /* a recycle: nothing unproven comes of it */
		return true;
	if (b->canary || o->d->update.paused || (b->guarded && b->unproven == 0))
		return false;
	if (b->unproven > 0)
		b->unproven--;
	return true;
}

static void step_backoff(struct out *o, struct budget *b, const struct plan_replica *r)
{
	if (converts(b, o, r))
		start(o, r, change_of(r), false);
	else if (r->next_at_mono_ms <= o->now)
		start(o, r, "exited", !r->current && r->restorable && !o->d->scheduled);
	else
		wake_at(o, r->next_at_mono_ms);
}

static void step_ended(struct out *o, struct budget *b, const struct plan_replica *r)
{
	if (converts(b, o, r)) {
		start(o, r, change_of(r), false);
		return;
	}
	if (!o->d->task)
		return;
	if (o->d->run_at_mono_ms <= o->now)
		start(o, r, "scheduled", false);
	else
		wake_at(o, o->d->run_at_mono_ms);
}

static void step_old(struct out *o, struct budget *b, const struct plan_replica *r)
{
	unsigned *left = r->in_place	      ? &b->in_place
			 : b->old_removes > 0 ? &b->old_removes
					      : &b->old_replaces;

	if (*left == 0)
		return;
	add_stop(o, r, left == &b->old_removes ? STOP_REMOVE : STOP_REPLACE, change_of(r));
	(*left)--;
}

/* Stays a member of the service. */
static void step_member(struct out *o, struct budget *b, const struct plan_replica *r)
{
	switch (r->state) {
	case REPLICA_PENDING:
	case REPLICA_WAITING:
		start_first(o, r, outdated(r) ? change_of(r) : "not_started");
		break;
	case REPLICA_BACKOFF:
		step_backoff(o, b, r);
		break;
	case REPLICA_FAILED:
	case REPLICA_SUCCEEDED:
		step_ended(o, b, r);
		break;
	case REPLICA_STARTING:
	case REPLICA_UNREADY:
		if (converts(b, o, r)) /* serves nobody: no need to wait for its turn */
			add_stop(o, r, STOP_REPLACE, change_of(r));
		break;
	case REPLICA_READY:
		if (outdated(r) && (!o->d->scheduled || r->recycle))
			step_old(o, b, r);
		break;
	case REPLICA_DRAINING:
	case REPLICA_STOPPING:
	case REPLICA_EXITED:
	case REPLICA_UNKNOWN:
	case REPLICA_STATE_MAX_:
		break;
	}
}

/* A stop under way, or one that does not end, is enough. */
static void step_surplus(struct out *o, const struct plan_replica *r, const char *reason)
{
	if (!replica_sm_is_ending(r->state) && r->state != REPLICA_UNKNOWN)
		add_stop(o, r, STOP_REMOVE, reason);
}

static bool is_surplus(const struct budget *b, const struct plan_replica *r)
{
	return r->index >= (is_good(r) ? b->ready_from : b->unready_from);
}

static bool take_stray(struct budget *b, bool lame)
{
	unsigned *left = lame ? &b->lame_stray_removes : &b->stray_removes;

	if (*left == 0)
		return false;
	(*left)--;
	return true;
}

static void step_one(struct out *o, struct budget *b, const struct plan_replica *r)
{
	enum kind kind = kind_of(r);

	if ((kind == KIND_OLD || kind == KIND_LAME) && is_stray(r) &&
	    take_stray(b, kind == KIND_LAME)) {
		step_surplus(o, r, change_of(r));
		return;
	}
	switch (kind) {
	case KIND_LAME:
		if (b->lame_removes > 0) {
			b->lame_removes--;
			step_surplus(o, r, change_of(r));
			return;
		}
		break;
	case KIND_NEW:
		if (is_surplus(b, r)) {
			step_surplus(o, r, unwanted_reason(o->d));
			return;
		}
		break;
	case KIND_GONE:
	case KIND_GOING:
		return;
	case KIND_OLD:
		break;
	}
	step_member(o, b, r);
}

static void step_start(struct out *o, const struct budget *b, const struct plan_replica *r)
{
	if (b->starts > b->starts_before)
		start_first(o, r, outdated(r) ? change_of(r) : "not_started");
	else
		start(o, r, "not_started", true);
}

/* New ones take the smallest free indexes; records that nobody takes go. */
static void step_free(struct out *o, struct budget *b, const struct plan_replica *replicas,
		      size_t n)
{
	size_t at = 0;

	for (unsigned index = 0; b->starts > 0 || at < n; index++) {
		struct plan_replica none = {
			.index = index, .state = REPLICA_EXITED, .current = true};
		const struct plan_replica *r = &none;

		if (b->starts == 0)
			index = replicas[at].index;
		if (at < n && replicas[at].index == index) {
			r = &replicas[at++];
			if (kind_of(r) != KIND_GONE)
				continue;
		}
		if (b->starts > 0) {
			step_start(o, b, r);
			b->starts--;
		} else {
			add(o, (struct plan_action){PLAN_REMOVE, r->index, STOP_REMOVE,
						    unwanted_reason(o->d), false});
		}
	}
}

struct plan_result plan_step(const struct plan_desired *desired,
			     const struct plan_replica *replicas, size_t n, int64_t now_mono_ms,
			     struct plan_action *actions, size_t max)
{
	struct out o = {.d = desired,
			.now = now_mono_ms,
			.actions = actions,
			.max = max,
			.result = {.wake_mono_ms = INT64_MAX}};
	struct tally t;
	struct budget b;

	if (desired->frozen)
		return o.result;
	if (desired->stopped || desired->deleted || desired->replicas == 0) {
		for (size_t i = 0; i < n; i++)
			step_unwanted(&o, &replicas[i]);
		return o.result;
	}
	t = count(&o, replicas, n);
	b = budget(&o, replicas, n, &t);
	for (size_t i = 0; i < n; i++)
		step_one(&o, &b, &replicas[i]);
	step_free(&o, &b, replicas, n);
	return o.result;
}
