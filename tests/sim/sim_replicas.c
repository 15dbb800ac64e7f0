/*
 * sim_replicas: the controller's pure parts (state machine, policy, health, plan) under a fake
 * clock and a fake runtime with random faults. One service after another lives a random life: spawn
 * failures, crashes, hangs, flapping probes, processes that ignore their stop, new revisions,
 * scaling, stops, restarts, a controller that loses its memory and gets it back from a note. Some
 * have a gateway, which comes and goes and hears late who is to get no more requests.
 *
 * Invariants, checked after every step:
 *   - a slot never has two living processes; nothing runs in a state that says nothing runs
 *   - ready only after the readiness probe of this very process passed
 *   - a stop always ends (bounded by stop.drain and the fake runtime's grace)
 *   - while the gateway has requests under way at a replica, that gets no stop signal before
 *     stop.drain is over, unless it was condemned
 *   - an update never has more replicas than wanted + surge, nor fewer available ones than wanted -
 *     unavailable by its own doing, nor more unproven ones than both together while old ones serve
 *   - beside a canary as many stable ones stay as are wanted, and a bad one is taken back
 *   - a rollback goes to, and ends on, the last revision whose rollout completed
 *   - nothing starts while a dependency's condition does not hold, and the last replicas stay while
 *     a dependent runs
 *   - automatic restarts within the budget's window never exceed the budget, but for slow mode's
 *   - what is not wanted disappears, what is wanted is there, once the faults cease
 *
 * Usage: sim_replicas [STEPS [SEED]]; prints the seed of a failure.
 *
 * SPDX-License-Identifier: MIT
 */
#include <string.h>
#include <time.h>

#include "lib/parse.h"
#include "tests/sim/world.h"

static void post(struct world *w, struct rep *r, enum replica_event ev);

static void verdict(struct world *w, struct rep *r, enum health_verdict v)
{
	struct policy_end end = {.now_mono_ms = w->now_ms,
				 .random = (double)between(w, -100, 100) / 100};

	if (v == HEALTH_READY)
		post(w, r, REPLICA_EV_HEALTHY);
	else if (v == HEALTH_UNREADY)
		post(w, r, REPLICA_EV_UNHEALTHY);
	else if (v == HEALTH_DEAD || v == HEALTH_STALLED || v == HEALTH_LATE) {
		end.ready_ms = r->ready_at_ms ? w->now_ms - r->ready_at_ms : 0;
		r->intent = STOP_HEAL;
		r->decision = policy_after_end(&w->spec.restart, &r->policy, &end);
		post(w, r, REPLICA_EV_CONDEMNED);
	}
}

static void act_spawn(struct world *w, struct rep *r)
{
	CHECK(w, !r->slot.alive, "replica %u: second process", r->index);
	r->slot = (struct slot){.alive = true,
				.revision = r->as_before ? r->revision : w->revision,
				.exec_at_ms = w->now_ms + between(w, 0, 3),
				.exit_at_ms = NEVER,
				.clear_at_ms = NEVER,
				.exit_code = -1};
	r->slot.fails_to_start = w->faults && chance(w, 5);
	r->slot.hangs = (w->faults && chance(w, 5)) || w->bad[r->slot.revision];
	if (w->faults && chance(w, 60)) {
		r->slot.exit_at_ms =
			w->now_ms + (chance(w, 70) ? between(w, 3, 5000) : between(w, 3, 300000));
		r->slot.exit_code = chance(w, 20)   ? 0
				    : chance(w, 10) ? -1 /* a signal */
						    : (int)between(w, 1, 7);
	}
	if (w->bad[r->slot.revision] && chance(w, 30)) { /* not before it can be seen starting */
		r->slot.exit_at_ms = w->now_ms + between(w, 3, 500);
		r->slot.exit_code = 1;
	}
	r->revision = r->slot.revision;
	r->recycle = NULL;
	r->in_place = r->as_before = r->spawned = false;
	r->ready_at_ms = 0;
	health_end(&r->health);
}

static void act_stop(struct world *w, struct rep *r, bool condemned)
{
	CHECK(w,
	      !w->served || !w->gateway || r->requests == 0 || !r->slot.alive || condemned ||
		      (r->draining_since_ms && w->now_ms - r->draining_since_ms >= DRAIN_MS),
	      "replica %u is stopped with %u requests under way", r->index, r->requests);
	w->cuts += r->requests > 0;
	health_end(&r->health);
	r->stopping_since_ms = w->now_ms;
	if (r->slot.alive) {
		int64_t at = w->now_ms + between(w, 0, SLOT_GRACE_MS);

		if (at < r->slot.exit_at_ms)
			r->slot.exit_at_ms = at;
		if (r->slot.exec_at_ms != NEVER)
			r->slot.exec_at_ms = NEVER;
	} else {
		r->slot.clear_at_ms = w->now_ms + between(w, 0, 20);
	}
}

static void post(struct world *w, struct rep *r, enum replica_event ev)
{
	const struct replica_sm_in in = {.verdict = r->decision.verdict,
					 .intent = r->intent,
					 .drains = w->served && w->gateway};
	enum replica_state from = r->state;
	struct replica_sm_out out = replica_sm_step(from, ev, &in);

	CHECK(w, !out.bug, "replica %u: event %s in state %s", r->index, replica_sm_event_name(ev),
	      replica_sm_state_name(from));
	if (!out.handled)
		return;
	r->state = out.to;
	if (out.to == REPLICA_READY) {
		CHECK(w, r->slot.ready_passed || !w->spec.probes[PROBE_READINESS].enabled,
		      "replica %u ready without a passed probe", r->index);
		if (from != REPLICA_READY && r->ready_at_ms == 0)
			r->ready_at_ms = w->now_ms;
	}
	if (out.to == REPLICA_BACKOFF && from != REPLICA_BACKOFF) {
		r->next_at_ms = r->decision.next_at_mono_ms;
		CHECK(w, r->next_at_ms >= w->now_ms - SLOT_GRACE_MS - 10000,
		      "next attempt in the past");
	}
	if (out.to == REPLICA_DRAINING && from != REPLICA_DRAINING) {
		health_end(&r->health);
		r->draining_since_ms = w->now_ms;
		r->told_at_ms = w->now_ms + between(w, 0, 60);
		w->drains++;
	}
	if (!replica_sm_is_live(out.to))
		health_end(&r->health);
	if (out.action == REPLICA_ACT_SPAWN)
		act_spawn(w, r);
	else if (out.action == REPLICA_ACT_STOP)
		act_stop(w, r, ev == REPLICA_EV_CONDEMNED);
	else if (out.action == REPLICA_ACT_PROBE) {
		r->spawned = true;
		verdict(w, r, health_begin(&r->health, w->spec.probes, w->now_ms));
	}
}

/* ---- the fake runtime ---- */

/* What the rules and success codes of make_rules ask for, said in another way. */
static void check_decision(const struct world *w, const struct policy_end *end,
			   const struct policy_decision *d)
{
	bool rules = w->spec.restart.rules.n > 0, codes = w->spec.restart.success_exit_codes.n > 0;
	bool success = end->exited && (end->code == 0 || (codes && end->code == 4));

	if (rules && end->exited && end->code == 5)
		CHECK(w, d->verdict == POLICY_FAILED && !d->budget_spent, "rule: fail");
	else if (rules && end->exited && (end->code == 6 || end->code == 7))
		CHECK(w, d->verdict == POLICY_SUCCEEDED, "rule: succeed");
	else if (rules && end->exited && end->code == 3)
		CHECK(w, d->verdict == POLICY_RESTART || d->budget_spent, "rule: restart");
	else if (success && w->spec.restart.policy != RESTART_ALWAYS)
		CHECK(w, d->verdict == POLICY_SUCCEEDED, "a success");
	else if (d->verdict == POLICY_SUCCEEDED)
		CHECK(w, false, "no success");
	else if (d->verdict == POLICY_FAILED)
		CHECK(w, d->budget_spent || w->spec.restart.policy == RESTART_NEVER, "no reason");
}

static void process_ended(struct world *w, struct rep *r, bool never_ran)
{
	struct policy_end end = {.exited = r->slot.exit_code >= 0 && !never_ran,
				 .code = r->slot.exit_code,
				 .now_mono_ms = w->now_ms,
				 .random = (double)between(w, -100, 100) / 100};

	r->slot.alive = false;
	r->slot.exec_at_ms = r->slot.exit_at_ms = NEVER;
	r->requests = 0; /* they fail */
	if (replica_sm_is_ending(r->state)) {
		r->slot.clear_at_ms = w->now_ms + between(w, 0, 20);
		post(w, r, REPLICA_EV_EXITED);
		return;
	}
	end.ready_ms = r->ready_at_ms ? w->now_ms - r->ready_at_ms : 0;
	r->decision = policy_after_end(&w->spec.restart, &r->policy, &end);
	check_decision(w, &end, &r->decision);
	if (r->decision.verdict == POLICY_RESTART)
		r->autos++;
	post(w, r, never_ran ? REPLICA_EV_SPAWN_FAILED : REPLICA_EV_EXITED);
}

static void run_slot(struct world *w, struct rep *r)
{
	struct slot *s = &r->slot;

	if (s->alive && s->exec_at_ms <= w->now_ms) {
		s->exec_at_ms = NEVER;
		if (s->fails_to_start) {
			process_ended(w, r, true);
			return;
		}
		post(w, r, REPLICA_EV_SPAWNED);
	}
	if (s->alive && s->exit_at_ms <= w->now_ms)
		process_ended(w, r, false);
	if (!s->alive && s->clear_at_ms <= w->now_ms) {
		s->clear_at_ms = NEVER;
		post(w, r, REPLICA_EV_CLEARED);
	}
}

static void run_probes(struct world *w, struct rep *r)
{
	int kind;

	for (int k = 0; k < PROBE_KIND_MAX_; k++) {
		bool ok = r->slot.alive && !r->slot.hangs && !(w->faults && chance(w, 4));

		if (!r->health.probes[k].running || r->probe_done_ms[k] > w->now_ms)
			continue;
		if (ok && k == PROBE_READINESS)
			r->slot.ready_passed = true;
		verdict(w, r,
			health_result(&r->health, w->spec.probes, (enum probe_kind)k, ok,
				      w->now_ms));
	}
	if (health_look_due(&r->health, w->spec.probes, w->now_ms))
		verdict(w, r,
			health_looked(&r->health, w->spec.probes,
				      r->slot.alive && !r->slot.hangs && chance(w, 50), w->now_ms));
	while ((kind = health_due(&r->health, w->now_ms)) >= 0) {
		CHECK(w, r->health.started == (kind != PROBE_STARTUP), "probe %d at the wrong time",
		      kind);
		r->probe_done_ms[kind] = w->now_ms + between(w, 0, 30);
	}
}

/* ---- the fake gateway, and the glue that traffic.c is ---- */

static void run_requests(struct world *w, struct rep *r)
{
	r->taken_out = r->state != REPLICA_READY &&
		       (r->state != REPLICA_DRAINING || r->told_at_ms <= w->now_ms);
	if (!w->gateway || !r->slot.alive)
		r->requests = 0;
	else if (!r->taken_out && chance(w, 30))
		r->requests++;
	for (unsigned i = r->requests; i-- > 0;)
		r->requests -= chance(w, 20);
	if (r->state != REPLICA_DRAINING)
		return;
	CHECK(w, w->now_ms - r->draining_since_ms <= DRAIN_MS + STEP_MS,
	      "replica %u: draining does not end", r->index);
	if (!w->gateway || (r->taken_out && r->requests == 0) ||
	    w->now_ms - r->draining_since_ms >= DRAIN_MS)
		post(w, r, REPLICA_EV_DRAINED);
}

/* ---- the glue that service.c is ---- */

static size_t snapshot(struct world *w, struct plan_replica *seen)
{
	bool canary = w->desired.update.canaries > 0;
	size_t n = 0;

	for (unsigned i = 0; i < REPLICAS_MAX; i++)
		if (w->reps[i].used)
			seen[n++] = (struct plan_replica){
				.index = i,
				.state = w->reps[i].state,
				.current = w->reps[i].revision == w->revision,
				.restorable = true,
				.good = w->good && w->reps[i].revision == w->good,
				.intent = w->reps[i].intent,
				.recycle = canary ? NULL : w->reps[i].recycle,
				.in_place = !canary && w->reps[i].in_place,
				.next_at_mono_ms = w->reps[i].next_at_ms,
				.ready_mono_ms = w->reps[i].ready_at_ms};
	return n;
}

static void new_rep(const struct world *w, struct rep *r, unsigned index)
{
	*r = (struct rep){.used = true,
			  .index = index,
			  .revision = w->revision,
			  .slot = {.exec_at_ms = NEVER, .exit_at_ms = NEVER, .clear_at_ms = NEVER}};
}

static void start(struct world *w, struct rep *r, unsigned index, bool as_before)
{
	if (!r->used)
		new_rep(w, r, index);
	r->as_before = as_before;
	if (as_before && r->state != REPLICA_BACKOFF)
		r->revision = w->good;
	if (r->recycle || (r->revision != w->revision && !as_before)) {
		policy_reset(&r->policy);
		r->autos = 0;
	}
	post(w, r, REPLICA_EV_START);
}

/* What the bounds of an update are about, counted in another way than plan does. */
struct view {
	unsigned there;	    /* replicas that exist, those that are just being stopped included */
	unsigned available; /* ready, the new ones for min_ready */
	unsigned old;	    /* ready ones that are to be replaced */
	unsigned unproven;  /* new ones that are not available (yet) */
};

static bool is_old(const struct world *w, const struct rep *r)
{
	return r->revision != w->revision || r->recycle;
}

static struct view look(const struct world *w)
{
	struct view v = {0};
	bool changes = false;

	for (unsigned i = 0; i < REPLICAS_MAX; i++)
		changes |= w->reps[i].used && replica_sm_is_live(w->reps[i].state) &&
			   w->reps[i].revision != w->revision;
	for (unsigned i = 0; i < REPLICAS_MAX; i++) {
		const struct rep *r = &w->reps[i];
		bool old = is_old(w, r), good = r->state == REPLICA_SUCCEEDED && !old;

		if (!r->used || r->state == REPLICA_EXITED)
			continue;
		v.there++;
		if (r->state == REPLICA_READY)
			good = old || !changes ||
			       w->now_ms - r->ready_at_ms >= w->desired.update.min_ready_ms;
		v.available += good;
		v.old += old && r->state == REPLICA_READY;
		v.unproven += !old && !good &&
			      (!replica_sm_is_ending(r->state) || r->intent != STOP_REMOVE);
	}
	return v;
}

static void check_start(const struct world *w, const struct rep *r, const struct plan_action *a)
{
	struct view v = look(w);
	unsigned surge, unavailable;
	bool fresh = !r->used || r->state == REPLICA_EXITED;

	plan_bounds(&w->desired.update, &surge, &unavailable);
	surge += w->desired.update.canaries;
	CHECK(w, !w->desired.held, "replica %u starts while it is held", a->index);
	CHECK(w, !fresh || v.there < w->desired.replicas + surge,
	      "replica %u is one too many: %u of %u + %u", a->index, v.there, w->desired.replicas,
	      surge);
	if (v.old > 0 && v.there >= w->desired.replicas && !a->as_before &&
	    (fresh || r->state == REPLICA_BACKOFF) && (fresh || r->revision != w->revision))
		CHECK(w, v.unproven < surge + unavailable, "replica %u: %u are unproven", a->index,
		      v.unproven);
	if (a->as_before)
		CHECK(w,
		      (fresh ? w->good > 0 && w->good != w->revision
			     : r->revision != w->revision) &&
			      v.old + w->desired.update.paused + w->desired.update.canaries,
		      "replica %u has nothing to go back to", a->index);
}

/* Ready ones of what may be returned to. */
static unsigned stable(const struct world *w)
{
	unsigned n = 0;

	for (unsigned i = 0; i < REPLICAS_MAX; i++)
		n += w->reps[i].used && w->reps[i].state == REPLICA_READY &&
		     w->reps[i].revision == w->good;
	return n;
}

static void check_stop(const struct world *w, const struct rep *r, const struct plan_action *a)
{
	struct view v = look(w);
	unsigned surge, unavailable, wanted = w->desired.replicas;
	bool by_update = r->state == REPLICA_READY && is_old(w, r) && wanted > 0 &&
			 !w->desired.stopped && !w->desired.deleted;

	plan_bounds(&w->desired.update, &surge, &unavailable);
	for (unsigned i = 0; i < REPLICAS_MAX && unavailable == 0; i++)
		unavailable = w->reps[i].in_place;
	if (by_update)
		CHECK(w, v.available - 1 + unavailable >= wanted,
		      "replica %u is missed: %u of %u - %u available", a->index, v.available,
		      wanted, unavailable);
	if (by_update && w->desired.update.canaries && r->revision == w->good)
		CHECK(w, stable(w) > wanted, "replica %u: only %u of %u stable ones", a->index,
		      stable(w), wanted);
	if (a->intent == STOP_REPLACE)
		CHECK(w, is_old(w, r), "replica %u is replaced for nothing", a->index);
	if (w->desired.stop_held && (wanted == 0 || w->desired.stopped || w->desired.deleted))
		CHECK(w, !replica_sm_is_live(r->state), "replica %u is needed by a dependent",
		      a->index);
}

static void perform(struct world *w, const struct plan_action *a)
{
	struct rep *r = &w->reps[a->index];

	CHECK(w, a->index < REPLICAS_MAX, "index %u", a->index);
	switch (a->kind) {
	case PLAN_WAIT:
		if (!r->used)
			new_rep(w, r, a->index);
		post(w, r, REPLICA_EV_WAIT);
		break;
	case PLAN_START:
		check_start(w, r, a);
		start(w, r, a->index, a->as_before);
		break;
	case PLAN_STOP:
		check_stop(w, r, a);
		r->intent = a->intent;
		post(w, r, REPLICA_EV_STOP);
		break;
	case PLAN_REMOVE:
		CHECK(w, !r->slot.alive, "replica %u forgotten while it runs", a->index);
		policy_reset(&r->policy);
		*r = (struct rep){0};
		break;
	}
}

/* ---- the glue that service_rollout.c is ---- */

static void new_revision(struct world *w, bool bad)
{
	if (w->newest + 1 == REVISIONS_MAX)
		return;
	if (w->ro.state == ROLLOUT_COMPLETE || w->ro.state == ROLLOUT_ROLLED_BACK ||
	    w->ro.state == ROLLOUT_ROLLING_BACK)
		w->good = w->completed[w->revision] ? w->revision : 0;
	w->revision = ++w->newest;
	w->bad[w->revision] = bad;
	w->worse[w->revision] = w->faults && chance(w, 30);
	rollout_begin(&w->ro, (uint64_t)w->revision, (uint64_t)w->revision, w->now_ms, w->now_ms);
	w->ro.canary = w->spec.update.strategy == UPDATE_CANARY && w->good;
}

static void see_replica(const struct world *w, const struct rep *r, struct rollout_seen *seen)
{
	int64_t settled = r->ready_at_ms + w->spec.update.min_ready_ms;

	if (r->revision == w->revision &&
	    (r->state == REPLICA_SUCCEEDED ||
	     (r->state == REPLICA_READY &&
	      (settled <= w->now_ms || w->ro.state == ROLLOUT_ROLLING_BACK)))) {
		seen->available++;
		return;
	}
	seen->others++;
	if (r->revision != w->revision)
		return;
	if (r->state == REPLICA_READY && settled < seen->settles_mono_ms)
		seen->settles_mono_ms = settled;
	seen->given_up |= r->state == REPLICA_FAILED ||
			  (r->state == REPLICA_STOPPING && r->intent == STOP_HEAL);
	if (r->policy.streak > seen->ends)
		seen->ends = r->policy.streak;
}

static void watch(struct world *w)
{
	struct rollout_seen seen = {.wanted = w->desired.replicas,
				    .good = w->good != 0,
				    .idle = w->desired.stopped || w->desired.held ||
					    w->desired.replicas == 0,
				    .why = "",
				    .settles_mono_ms = INT64_MAX};
	static const enum judge_verdict verdicts[] = {JUDGE_WAITS, JUDGE_DOUBT, JUDGE_GOOD,
						      JUDGE_GOOD};
	const struct judge_result judged = {.verdict = w->worse[w->revision] && chance(w, 50)
							       ? JUDGE_BAD
							       : verdicts[rnd(w) % 4]};
	enum rollout_state before = w->ro.state;

	seen.judged = &judged;
	if (w->desired.frozen || w->desired.deleted)
		return;
	for (unsigned i = 0; i < REPLICAS_MAX; i++)
		if (w->reps[i].used)
			see_replica(w, &w->reps[i], &seen);
	if (rollout_step(&w->ro, &w->spec.update, &seen, w->now_ms, w->now_ms).verdict ==
	    ROLLOUT_TAKE_BACK) {
		CHECK(w, w->completed[w->good] && w->good != w->revision,
		      "revision %d was not good", w->good);
		CHECK(w, w->spec.update.on_failure == UPDATE_ROLLBACK, "nobody asked for it");
		w->revision = w->good;
		w->rollbacks++;
	}
	if (w->ro.state == ROLLOUT_COMPLETE && before != ROLLOUT_COMPLETE) {
		CHECK(w,
		      !w->bad[w->revision] || !w->spec.probes[PROBE_READINESS].enabled ||
			      w->spec.restart.policy != RESTART_ALWAYS || w->spec.restart.rules.n,
		      "revision %d is complete and never got ready", w->revision);
		w->completed[w->revision] = true;
		w->good = 0;
	}
	if (w->ro.state == ROLLOUT_ROLLED_BACK && before != ROLLOUT_ROLLED_BACK)
		for (unsigned i = 0; i < REPLICAS_MAX && w->desired.replicas; i++)
			CHECK(w, !w->reps[i].used || w->reps[i].revision == w->good,
			      "replica %u is at revision %d after a rollback to %d", i,
			      w->reps[i].revision, w->good);
	w->desired.update = rollout_bounds(&w->spec.update, &w->ro, w->desired.replicas);
	w->desired.update.growable = w->good != 0 && w->good != w->revision;
}

static void settle(struct world *w)
{
	struct plan_replica seen[REPLICAS_MAX];
	struct plan_action actions[4]; /* small: the rest must come in the next round */
	struct plan_result result;
	int rounds = 0;

	do {
		size_t n;

		watch(w);
		n = snapshot(w, seen);

		result = plan_step(&w->desired, seen, n, w->now_ms, actions, 4);
		for (size_t i = 0; i < result.n_actions; i++)
			perform(w, &actions[i]);
		CHECK(w, ++rounds < 100, "planning does not come to rest");
	} while (result.n_actions);
}

static void check(struct world *w)
{
	for (unsigned i = 0; i < REPLICAS_MAX; i++) {
		struct rep *r = &w->reps[i];

		if (!r->used)
			continue;
		CHECK(w, !r->slot.alive || replica_sm_is_live(r->state),
		      "replica %u runs in state %s", i, replica_sm_state_name(r->state));
		CHECK(w,
		      r->state != REPLICA_STOPPING ||
			      w->now_ms - r->stopping_since_ms < SLOT_GRACE_MS + 10000,
		      "replica %u: a stop does not end", i);
		if (w->spec.restart.budget_restarts && !r->policy.slow)
			CHECK(w, r->policy.n_recent <= (uint32_t)w->spec.restart.budget_restarts,
			      "budget exceeded: %u", r->policy.n_recent);
	}
}

static void user_does_something(struct world *w)
{
	switch (rnd(w) % 9) {
	case 0:
		new_revision(w, chance(w, 30));
		break;
	case 1:
		w->desired.replicas = (unsigned)between(w, 0, WANTED_MAX);
		break;
	case 2:
		w->desired.stopped = chance(w, 30);
		break;
	case 3:
		for (unsigned i = 0; i < REPLICAS_MAX; i++)
			if (w->reps[i].used && chance(w, 80)) {
				w->reps[i].recycle = chance(w, 50) ? "user_restart" : "max_age";
				w->reps[i].in_place = chance(w, 20);
			}
		break;
	case 4:
		w->desired.frozen = chance(w, 20);
		break;
	case 5:
		if (chance(w, 30))
			rollout_pause(&w->ro, "by the user");
		else
			rollout_resume(&w->ro, w->now_ms);
		break;
	case 6:
		w->desired.held = chance(w, 30);
		break;
	case 7:
		w->desired.stop_held = chance(w, 30);
		break;
	default:
		w->desired.deleted = chance(w, 5);
	}
}

/* A new controller: what the note does not hold is gone. */
static void lose_memory(struct world *w)
{
	w->ro.best = 0;
	for (unsigned i = 0; i < REPLICAS_MAX; i++) {
		struct rep *r = &w->reps[i];

		if (r->used && r->state == REPLICA_DRAINING) /* says it anew */
			r->told_at_ms = w->now_ms + between(w, 0, 60);
		if (!r->used || !r->health.active || !r->slot.alive)
			continue;
		health_resume(&r->health, w->spec.probes, w->now_ms,
			      (double)between(w, 0, 100) / 100);
	}
}

static void step(struct world *w)
{
	w->steps++;
	w->now_ms += chance(w, 98) ? between(w, 0, 50) : between(w, 0, STEP_MS);
	if (w->faults && rnd(w) % 300 == 0)
		user_does_something(w);
	if (w->faults && rnd(w) % 500 == 0)
		lose_memory(w);
	if (w->faults && w->served && rnd(w) % 400 == 0)
		w->gateway = !w->gateway;
	for (unsigned i = 0; i < REPLICAS_MAX; i++) {
		if (!w->reps[i].used)
			continue;
		run_slot(w, &w->reps[i]);
		run_probes(w, &w->reps[i]);
		run_requests(w, &w->reps[i]);
	}
	settle(w);
	check(w);
}

static void probe_defaults(struct probe_spec *p, bool enabled, int64_t period_ms)
{
	*p = (struct probe_spec){.enabled = enabled,
				 .http = true,
				 .period_ms = period_ms,
				 .timeout_ms = 30,
				 .success_threshold = 1,
				 .failure_threshold = 3,
				 .stall_ms = 5000};
}

/* Codes with a meaning of their own in some worlds: see check_decision. */
static void make_rules(struct world *w)
{
	static int64_t fail[] = {5}, succeed[] = {5, 6, 7}, again[] = {3}, good[] = {4, 0};
	static struct restart_rule rules[] = {{.exit = {fail, 1}, .then = RULE_FAIL},
					      {.exit = {succeed, 3}, .then = RULE_SUCCEED},
					      {.exit = {again, 1}, .then = RULE_RESTART}};

	if (chance(w, 50))
		w->spec.restart.rules = (struct spec_table){rules, 3};
	if (chance(w, 50))
		w->spec.restart.success_exit_codes = (struct spec_ints){good, 2};
}

static void new_world(struct world *w, uint64_t seed)
{
	static char tenth[] = "10%/2s", half[] = "50%/5s", all[] = "100%";
	static char *steps[] = {tenth, half, all, NULL};

	*w = (struct world){
		.seed = seed, .random = seed | 1, .now_ms = 1000000, .revision = 1, .faults = true};
	w->desired.replicas = (unsigned)between(w, 1, WANTED_MAX);
	w->newest = w->revision;
	w->spec.update = (struct update_spec){.strategy = chance(w, 40),
					      .steps = steps,
					      .order = chance(w, 30),
					      .max_surge = chance(w, 20) ? -25 : between(w, 0, 3),
					      .max_unavailable = between(w, 0, 3),
					      .min_ready_ms = between(w, 0, 2) * 500,
					      .deadline_ms = between(w, 5, 60) * 1000,
					      .pause_after = chance(w, 20) ? between(w, 1, 3) : 0,
					      .on_failure = (int64_t)(rnd(w) % 3)};
	w->served = w->gateway = chance(w, 60);
	rollout_begin(&w->ro, 1, 1, w->now_ms, w->now_ms);
	probe_defaults(&w->spec.probes[PROBE_STARTUP], chance(w, 50), 200);
	probe_defaults(&w->spec.probes[PROBE_READINESS], chance(w, 70), 500);
	probe_defaults(&w->spec.probes[PROBE_LIVENESS], chance(w, 70), 1000);
	w->spec.restart = (struct restart_spec){.policy = (int64_t)(rnd(w) % 3),
						.backoff_initial_ms = chance(w, 20) ? 0 : 1000,
						.backoff_factor = 2,
						.backoff_max_ms = 60000,
						.backoff_jitter = 0.2,
						.budget_restarts = (int64_t)(rnd(w) % 12),
						.budget_window_ms = 600000,
						.budget_then = (int64_t)(rnd(w) % 2)};
	make_rules(w);
}

/* The faults cease: in the end everything is as wanted. */
static void calm_down(struct world *w)
{
	unsigned there = 0, good = 0;

	w->faults = false;
	w->desired.frozen = w->desired.held = w->desired.stop_held = false;
	w->spec.update.pause_after = 0;
	new_revision(w, false); /* nothing failed is left as it is */
	for (unsigned i = 0; i < REPLICAS_MAX; i++)
		w->reps[i].slot.hangs = false;
	for (int i = 0; i < 20000; i++) /* over slow mode's pause */
		step(w);
	for (unsigned i = 0; i < REPLICAS_MAX; i++) {
		there += w->reps[i].used;
		good += w->reps[i].used && w->reps[i].state == REPLICA_READY &&
			w->reps[i].revision == w->revision;
	}
	if (w->desired.stopped || w->desired.deleted)
		CHECK(w, there == 0, "%u replicas of an unwanted service are left", there);
	else
		CHECK(w, there == w->desired.replicas, "%u of %u replicas there", there,
		      w->desired.replicas);
	if (w->spec.restart.policy == RESTART_ALWAYS && !w->desired.stopped && !w->desired.deleted)
		CHECK(w, good == w->desired.replicas, "%u of %u good", good, w->desired.replicas);
}

/* Until it is taken back those of before serve all the time. */
static void is_taken_back(struct world *w, int good)
{
	for (int i = 0; i < 20000 && w->ro.state != ROLLOUT_ROLLED_BACK; i++) {
		unsigned surge, unavailable, ready = 0;

		step(w);
		plan_bounds(&w->desired.update, &surge, &unavailable);
		if (w->desired.update.canaries)
			unavailable = 0;
		for (unsigned k = 0; k < REPLICAS_MAX; k++)
			ready += w->reps[k].used && w->reps[k].state == REPLICA_READY &&
				 w->reps[k].revision == good;
		CHECK(w, ready + unavailable >= w->desired.replicas, "%u of %u serve", ready,
		      w->desired.replicas);
	}
	CHECK(w, w->ro.state == ROLLOUT_ROLLED_BACK && w->revision == good, "no rollback: %s",
	      rollout_state_name(w->ro.state));
}

/* Then a bad revision, and one that is only worse. */
static void bad_update(struct world *w)
{
	int good = w->revision;

	if (w->spec.restart.policy != RESTART_ALWAYS || w->desired.stopped || w->desired.deleted ||
	    w->desired.replicas == 0 || !w->spec.probes[PROBE_READINESS].enabled)
		return;
	CHECK(w, w->ro.state == ROLLOUT_COMPLETE, "the update is %s, not complete",
	      rollout_state_name(w->ro.state));
	w->spec.update.on_failure = UPDATE_ROLLBACK;
	new_revision(w, true);
	is_taken_back(w, good);
	if (w->spec.update.strategy != UPDATE_CANARY)
		return;
	new_revision(w, false);
	w->worse[w->revision] = true;
	is_taken_back(w, good);
}

int main(int argc, char **argv)
{
	int64_t steps = 1000000, seed = (int64_t)time(NULL);
	uint64_t done = 0, worlds = 0, rollbacks = 0, drains = 0, cuts = 0;
	struct world w;

	if ((argc > 1 && parse_i64(argv[1], 1, INT64_MAX, &steps, NULL) < 0) ||
	    (argc > 2 && parse_i64(argv[2], 1, INT64_MAX, &seed, NULL) < 0)) {
		fprintf(stderr, "usage: sim_replicas [STEPS [SEED]]\n");
		return 2;
	}
	while (done < (uint64_t)steps) {
		new_world(&w, (uint64_t)seed + worlds++);
		for (int i = 0; i < 30000; i++)
			step(&w);
		calm_down(&w);
		bad_update(&w);
		rollbacks += w.rollbacks;
		drains += w.drains;
		cuts += w.cuts;
		done += w.steps;
		for (int i = 0; i < REPLICAS_MAX; i++)
			policy_reset(&w.reps[i].policy);
	}
	printf("sim_replicas: %" PRIu64 " steps in %" PRIu64 " services, %" PRIu64
	       " rollbacks, %" PRIu64 " drained, %" PRIu64 " cut, first seed %" PRId64 "\n",
	       done, worlds, rollbacks, drains, cuts, seed);
	printf("[  PASSED  ] 1 test(s).\n");
	return 0;
}
