/*
 * sim_replicas: the controller's pure parts (state machine, policy, health, plan) under a fake
 * clock and a fake runtime with random faults. One service after another lives a random life: spawn
 * failures, crashes, hangs, flapping probes, processes that ignore their stop, new revisions,
 * scaling, stops, restarts, a controller that loses its memory and gets it back from a note.
 *
 * Invariants, checked after every step:
 *   - a slot never has two living processes; nothing runs in a state that says nothing runs
 *   - ready only after the readiness probe of this very process passed
 *   - a stop always ends (bounded by the fake runtime's grace)
 *   - an update takes at most one ready replica away at a time
 *   - automatic restarts within the budget's window never exceed the budget, but for slow mode's
 *   - what is not wanted disappears, what is wanted is there, once the faults cease
 *
 * Usage: sim_replicas [STEPS [SEED]]; prints the seed of a failure.
 *
 * SPDX-License-Identifier: MIT
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/controller/health.h"
#include "daemon/controller/plan.h"
#include "daemon/controller/policy.h"
#include "daemon/controller/replica_sm.h"
#include "lib/manifest.h"
#include "lib/parse.h"

#define REPLICAS_MAX 8
#define NEVER INT64_MAX
#define SLOT_GRACE_MS 500

/* The fake aictld's slot. */
struct slot {
	bool alive;
	int revision;	     /* what it was started with */
	int64_t exec_at_ms;  /* pending exec, NEVER = done */
	int64_t exit_at_ms;  /* pending exit by itself or by a signal */
	int64_t clear_at_ms; /* pending "no process is left" after a stop */
	int exit_code;	     /* -1 = by a signal */
	bool fails_to_start;
	bool hangs, ready_passed;
};

struct rep {
	bool used;
	unsigned index;
	enum replica_state state;
	int revision;
	bool restart, spawned;
	enum stop_intent intent;
	struct policy_state policy;
	struct policy_decision decision;
	struct health health;
	int64_t next_at_ms, ready_at_ms, stopping_since_ms;
	int64_t probe_done_ms[PROBE_KIND_MAX_]; /* a probe under way ends then */
	struct slot slot;
	uint32_t autos; /* automatic restarts since the policy was reset */
};

struct world {
	uint64_t seed, random;
	int64_t now_ms;
	struct plan_desired desired;
	int revision;
	bool faults;
	struct service_spec spec;
	struct rep reps[REPLICAS_MAX];
	uint64_t steps;
};

static uint64_t rnd(struct world *w)
{
	w->random ^= w->random >> 12;
	w->random ^= w->random << 25;
	w->random ^= w->random >> 27;
	return w->random * UINT64_C(2685821657736338717);
}

static bool chance(struct world *w, unsigned percent)
{
	return rnd(w) % 100 < percent;
}

static int64_t between(struct world *w, int64_t lo, int64_t hi)
{
	return lo + (int64_t)(rnd(w) % (uint64_t)(hi - lo + 1));
}

#define CHECK(w, cond, ...)                                                                        \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "sim: seed %" PRIu64 " step %" PRIu64 " t=%" PRId64 ": ",  \
				(w)->seed, (w)->steps, (w)->now_ms);                               \
			fprintf(stderr, __VA_ARGS__);                                              \
			fprintf(stderr, " (%s)\n", #cond);                                         \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

static void post(struct world *w, struct rep *r, enum replica_event ev);

static void verdict(struct world *w, struct rep *r, enum health_verdict v)
{
	struct policy_end end = {.now_mono_ms = w->now_ms,
				 .random = (double)between(w, -100, 100) / 100};

	if (v == HEALTH_READY)
		post(w, r, REPLICA_EV_HEALTHY);
	else if (v == HEALTH_UNREADY)
		post(w, r, REPLICA_EV_UNHEALTHY);
	else if (v == HEALTH_DEAD || v == HEALTH_STALLED) {
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
				.revision = w->revision,
				.exec_at_ms = w->now_ms + between(w, 0, 3),
				.exit_at_ms = NEVER,
				.clear_at_ms = NEVER,
				.exit_code = -1};
	r->slot.fails_to_start = w->faults && chance(w, 5);
	r->slot.hangs = w->faults && chance(w, 5);
	if (w->faults && chance(w, 60)) {
		r->slot.exit_at_ms =
			w->now_ms + (chance(w, 70) ? between(w, 3, 5000) : between(w, 3, 300000));
		r->slot.exit_code = chance(w, 20)   ? 0
				    : chance(w, 10) ? -1 /* a signal */
						    : (int)between(w, 1, 7);
	}
	r->revision = w->revision;
	r->restart = r->spawned = false;
	r->ready_at_ms = 0;
	health_end(&r->health);
}

static void act_stop(struct world *w, struct rep *r)
{
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
	const struct replica_sm_in in = {.verdict = r->decision.verdict, .intent = r->intent};
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
	if (!replica_sm_is_live(out.to))
		health_end(&r->health);
	if (out.action == REPLICA_ACT_SPAWN)
		act_spawn(w, r);
	else if (out.action == REPLICA_ACT_STOP)
		act_stop(w, r);
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
	if (r->state == REPLICA_STOPPING) {
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
	while ((kind = health_due(&r->health, w->now_ms)) >= 0) {
		CHECK(w, r->health.started == (kind != PROBE_STARTUP), "probe %d at the wrong time",
		      kind);
		r->probe_done_ms[kind] = w->now_ms + between(w, 0, 30);
	}
}

/* ---- the glue that service.c is ---- */

static size_t snapshot(struct world *w, struct plan_replica *seen)
{
	size_t n = 0;

	for (unsigned i = 0; i < REPLICAS_MAX; i++)
		if (w->reps[i].used)
			seen[n++] =
				(struct plan_replica){.index = i,
						      .state = w->reps[i].state,
						      .current = w->reps[i].revision == w->revision,
						      .restart = w->reps[i].restart,
						      .next_at_mono_ms = w->reps[i].next_at_ms};
	return n;
}

static void start(struct world *w, struct rep *r, unsigned index)
{
	if (!r->used)
		*r = (struct rep){
			.used = true,
			.index = index,
			.revision = w->revision,
			.slot = {.exec_at_ms = NEVER, .exit_at_ms = NEVER, .clear_at_ms = NEVER}};
	if (r->restart || r->revision != w->revision) {
		policy_reset(&r->policy);
		r->autos = 0;
	}
	post(w, r, REPLICA_EV_START);
}

static void perform(struct world *w, const struct plan_action *a)
{
	struct rep *r = &w->reps[a->index];
	unsigned ready = 0, wanted = w->desired.replicas;

	for (unsigned i = 0; i < REPLICAS_MAX; i++)
		ready += w->reps[i].used && i < wanted &&
			 (w->reps[i].state == REPLICA_READY ||
			  (w->reps[i].state == REPLICA_SUCCEEDED &&
			   w->reps[i].revision == w->revision));
	switch (a->kind) {
	case PLAN_START:
		start(w, r, a->index);
		break;
	case PLAN_STOP:
		if (a->intent == STOP_REPLACE && r->state == REPLICA_READY)
			CHECK(w, ready == wanted,
			      "update takes a second replica away: %u of %u ready", ready, wanted);
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

static void settle(struct world *w)
{
	struct plan_replica seen[REPLICAS_MAX];
	struct plan_action actions[4]; /* small: the rest must come in the next round */
	struct plan_result result;
	int rounds = 0;

	do {
		size_t n = snapshot(w, seen);

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
	switch (rnd(w) % 6) {
	case 0:
		w->revision++;
		break;
	case 1:
		w->desired.replicas = (unsigned)between(w, 0, REPLICAS_MAX);
		break;
	case 2:
		w->desired.stopped = chance(w, 30);
		break;
	case 3:
		for (unsigned i = 0; i < REPLICAS_MAX; i++)
			w->reps[i].restart = w->reps[i].used && chance(w, 80);
		break;
	case 4:
		w->desired.frozen = chance(w, 20);
		break;
	default:
		w->desired.deleted = chance(w, 5);
	}
}

/* A new controller: what the note does not hold is gone. */
static void lose_memory(struct world *w)
{
	for (unsigned i = 0; i < REPLICAS_MAX; i++) {
		struct rep *r = &w->reps[i];

		if (!r->used || !r->health.active || !r->slot.alive)
			continue;
		health_resume(&r->health, w->spec.probes, w->now_ms,
			      (double)between(w, 0, 100) / 100);
	}
}

static void step(struct world *w)
{
	w->steps++;
	w->now_ms += chance(w, 98) ? between(w, 0, 50) : between(w, 0, 3000);
	if (w->faults && rnd(w) % 2000 == 0)
		user_does_something(w);
	if (w->faults && rnd(w) % 500 == 0)
		lose_memory(w);
	for (unsigned i = 0; i < REPLICAS_MAX; i++) {
		if (!w->reps[i].used)
			continue;
		run_slot(w, &w->reps[i]);
		run_probes(w, &w->reps[i]);
	}
	settle(w);
	check(w);
}

static void probe_defaults(struct probe_spec *p, bool enabled, int64_t period_ms)
{
	*p = (struct probe_spec){.enabled = enabled,
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
	*w = (struct world){
		.seed = seed, .random = seed | 1, .now_ms = 1000000, .revision = 1, .faults = true};
	w->desired.replicas = (unsigned)between(w, 1, REPLICAS_MAX);
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
	w->desired.frozen = false;
	w->revision++; /* a new revision: nothing failed is left as it is */
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

int main(int argc, char **argv)
{
	int64_t steps = 1000000, seed = (int64_t)time(NULL);
	uint64_t done = 0, worlds = 0;
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
		done += w.steps;
		for (int i = 0; i < REPLICAS_MAX; i++)
			policy_reset(&w.reps[i].policy);
	}
	printf("sim_replicas: %" PRIu64 " steps in %" PRIu64 " services, first seed %" PRId64 "\n",
	       done, worlds, seed);
	printf("[  PASSED  ] 1 test(s).\n");
	return 0;
}
