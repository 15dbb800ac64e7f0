/*
 * sim_order: services that depend on each other (deps, plan, the state machine and the restart
 * policy) under a fake clock and a fake runtime with random faults: crashes, readiness that comes and
 * goes, users who stop, start, scale and restart, a controller that is away while things happen and
 * reads the exit records afterwards. Each world is a random graph without cycles.
 *
 * Invariants, by an account of its own, in which every start and end has a number:
 *   - nothing starts while a condition does not hold, unless it may be missing and its time is over
 *   - a condition is a level: that it no longer holds ends nothing that runs, and that it comes and
 *     goes loses no start (no flapping)
 *   - of several that are to stop, none stops while one that depends on it runs
 *   - on_dependency_restart: no reaction without a replacement, no replacement without its reaction,
 *     whatever the controller has missed
 *   - once the faults cease all that is wanted is there; once all are to stop, all end
 *
 * Usage: sim_order [STEPS [SEED]]; prints the seed of a failure. A step is one of one service.
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

#include "daemon/controller/deps.h"
#include "daemon/controller/plan.h"
#include "daemon/controller/policy.h"
#include "daemon/controller/replica_sm.h"
#include "lib/manifest.h"
#include "lib/parse.h"

#define SERVICES_MAX 8
#define WANTED_MAX 3
#define REPLICAS_MAX 10
#define NEVER INT64_MAX
#define SPANS_MAX 64
#define CRASHES 40 /* in so many thousand steps of a replica */

struct rep {
	bool used, spawned, given_up;
	unsigned index;
	enum replica_state state;
	enum stop_intent intent;
	const char *recycle, *cause; /* cause: of the stop under way */
	struct policy_state policy;
	struct policy_decision decision;
	int64_t next_at_ms, ready_since_ms;
	/* the fake runtime's */
	bool alive, ended; /* ended: nobody has looked yet */
	int code;
	int64_t ready_at_ms, exit_at_ms, clear_at_ms;
	uint64_t birth; /* its number */
	/* reaction */
	uint32_t marks[SERVICES_MAX];
	uint64_t unseen_end; /* its process's birth, until reaction_look */
};

struct svc {
	char name[16];
	bool task, reacts, stopped;
	unsigned wanted;
	struct depend_spec deps[SERVICES_MAX];
	unsigned dep_of[SERVICES_MAX]; /* which service */
	size_t n_deps;
	struct plan_update update;
	struct restart_spec restart;
	struct rep reps[REPLICAS_MAX];
	uint64_t life;
	int64_t waiting_ms;
	enum deps_kind kind;
	bool held, stop_held;
	uint64_t last_end; /* number of its last process that ended, not by scaling */
	struct span {
		uint64_t birth, end;
	} spans[SPANS_MAX]; /* the last ones of those */
	size_t n_spans;
	uint64_t scaled; /* number of the last change of wanted */
};

struct world {
	uint64_t seed, random, steps, number;
	int64_t now_ms, away_until_ms;
	bool faults;
	struct svc services[SERVICES_MAX];
	unsigned n;
	uint64_t reactions, held, given_up, checked;
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

/* ---- what a service is now ---- */

static bool runs(const struct rep *r)
{
	return r->used && r->spawned &&
	       (r->state == REPLICA_STARTING || r->state == REPLICA_READY ||
		r->state == REPLICA_UNREADY);
}

static bool is_live(const struct svc *s)
{
	for (unsigned i = 0; i < REPLICAS_MAX; i++)
		if (s->reps[i].used && replica_sm_is_live(s->reps[i].state))
			return true;
	return false;
}

static unsigned desired(const struct svc *s)
{
	return s->stopped ? 0 : s->wanted;
}

static bool is_settled(const struct svc *s)
{
	unsigned n = 0, good = 0;

	for (unsigned i = 0; i < REPLICAS_MAX; i++) {
		const struct rep *r = &s->reps[i];

		n += r->used;
		good += r->used && !r->recycle &&
			(r->state == REPLICA_READY || r->state == REPLICA_SUCCEEDED);
	}
	return n == desired(s) && good == n;
}

static struct deps_fact fact_of(const struct svc *s)
{
	struct deps_fact f = {.known = true};
	unsigned succeeded = 0;

	for (unsigned i = 0; i < REPLICAS_MAX; i++) {
		f.started |= runs(&s->reps[i]);
		f.ready |= s->reps[i].used && s->reps[i].state == REPLICA_READY;
		succeeded += s->reps[i].used && s->reps[i].state == REPLICA_SUCCEEDED;
	}
	f.completed = desired(s) > 0 && succeeded == desired(s);
	return f;
}

static void look_at_ends(struct svc *s)
{
	for (unsigned i = 0; i < REPLICAS_MAX; i++) {
		struct rep *r = &s->reps[i];
		unsigned others = 0;
		bool younger = false;

		if (!r->used || !r->unseen_end)
			continue;
		for (unsigned k = 0; k < REPLICAS_MAX; k++) {
			if (k == i || !runs(&s->reps[k]))
				continue;
			others++;
			younger |= s->reps[k].birth > r->unseen_end;
		}
		deps_life_ended(&s->life, others, desired(s), younger);
		r->unseen_end = 0;
	}
}

static uint32_t mark_of(struct svc *d)
{
	look_at_ends(d); /* it may be settled after who asks */
	return deps_life_mark(d->name, d->life);
}

/* ---- the fake runtime ---- */

/* The account of the first invariant: the condition in words of its own. */
static void check_start(struct world *w, const struct svc *s)
{
	for (size_t i = 0; i < s->n_deps; i++) {
		const struct depend_spec *spec = &s->deps[i];
		const struct svc *d = &w->services[s->dep_of[i]];
		const struct deps_fact f = fact_of(d);
		bool holds = spec->condition == DEPEND_READY	 ? f.ready
			     : spec->condition == DEPEND_STARTED ? f.started || f.completed
								 : f.completed;
		bool over = !spec->required && spec->timeout_ms > 0 && s->waiting_ms &&
			    w->now_ms - s->waiting_ms >= spec->timeout_ms;

		CHECK(w, holds || over, "%s starts without %s", s->name, d->name);
	}
}

static void act_spawn(struct world *w, struct svc *s, struct rep *r)
{
	CHECK(w, !r->alive, "%s/%u: second process", s->name, r->index);
	check_start(w, s);
	r->alive = true;
	r->ended = r->spawned = r->given_up = false;
	r->recycle = r->cause = NULL;
	r->birth = ++w->number;
	r->ready_since_ms = 0;
	r->ready_at_ms = w->now_ms + between(w, 0, 300);
	r->exit_at_ms = s->task ? w->now_ms + between(w, 10, 800) : NEVER;
	r->code = w->faults && chance(w, 20) ? 1 : 0;
	r->clear_at_ms = NEVER;
	for (size_t i = 0; i < s->n_deps; i++)
		r->marks[i] = mark_of(&w->services[s->dep_of[i]]);
}

static bool depends_on(const struct world *w, const struct svc *s, const struct svc *d)
{
	for (size_t i = 0; i < s->n_deps; i++)
		if (&w->services[s->dep_of[i]] == d)
			return true;
	return false;
}

/* Somebody who depends on it is to stop, too, and runs. */
static bool is_needed(const struct world *w, const struct svc *s)
{
	for (unsigned i = 0; i < w->n; i++)
		if (w->services[i].stopped && depends_on(w, &w->services[i], s) &&
		    is_live(&w->services[i]))
			return true;
	return false;
}

static void act_stop(struct world *w, struct svc *s, struct rep *r)
{
	unsigned stay = 0, live = 0; /* of the others; what is replaced in its place stays */

	for (unsigned i = 0; i < REPLICAS_MAX; i++) {
		const struct rep *x = &s->reps[i];

		if (x == r || !x->used)
			continue;
		stay += x->state != REPLICA_STOPPING || x->intent != STOP_REMOVE;
		live += x->alive && x->state != REPLICA_STOPPING;
	}
	CHECK(w, s->stopped || r->recycle || stay >= s->wanted || !r->alive,
	      "%s/%u is stopped for nothing", s->name, r->index);
	CHECK(w, !s->stopped || !r->alive || live || !is_needed(w, s),
	      "%s stops before what depends on it", s->name);
	r->cause = s->stopped ? "user" : r->recycle ? r->recycle : "scale";
	if (!r->alive)
		r->clear_at_ms = w->now_ms + between(w, 0, 20);
	else
		r->exit_at_ms = w->now_ms + between(w, 0, 300);
}

static void post(struct world *w, struct svc *s, struct rep *r, enum replica_event ev)
{
	const struct replica_sm_in in = {.verdict = r->decision.verdict, .intent = r->intent};
	struct replica_sm_out out = replica_sm_step(r->state, ev, &in);

	CHECK(w, !out.bug, "%s/%u: event %s in state %s", s->name, r->index,
	      replica_sm_event_name(ev), replica_sm_state_name(r->state));
	if (!out.handled)
		return;
	r->state = out.to;
	if (out.to == REPLICA_BACKOFF)
		r->next_at_ms = r->decision.next_at_mono_ms;
	if (out.to == REPLICA_READY && !r->ready_since_ms)
		r->ready_since_ms = w->now_ms;
	if (out.action == REPLICA_ACT_SPAWN)
		act_spawn(w, s, r);
	else if (out.action == REPLICA_ACT_STOP)
		act_stop(w, s, r);
	else if (out.action == REPLICA_ACT_PROBE)
		r->spawned = true;
}

/* The exit record is handled. */
static void take_end(struct world *w, struct svc *s, struct rep *r)
{
	struct policy_end end = {.exited = true,
				 .code = r->code,
				 .now_mono_ms = w->now_ms,
				 .ready_ms = r->ready_since_ms ? w->now_ms - r->ready_since_ms : 0};
	bool scaled = r->state == REPLICA_STOPPING && r->cause && strcmp(r->cause, "scale") == 0;

	r->ended = false;
	if (!scaled) {
		r->unseen_end = r->birth;
		s->last_end = w->number;
		s->spans[s->n_spans++ % SPANS_MAX] = (struct span){r->birth, w->number};
	}
	if (r->state == REPLICA_STOPPING) {
		r->clear_at_ms = w->now_ms + between(w, 0, 20);
		post(w, s, r, REPLICA_EV_EXITED);
		return;
	}
	r->decision = policy_after_end(&s->restart, &r->policy, &end);
	post(w, s, r, REPLICA_EV_EXITED);
}

/* What goes on without the controller. */
static void run_process(struct world *w, struct svc *s, struct rep *r)
{
	if (r->alive && w->faults && !s->task && rnd(w) % 1000 < CRASHES / 10)
		r->exit_at_ms = w->now_ms;
	if (r->alive && r->exit_at_ms <= w->now_ms) {
		r->alive = false;
		r->ended = true;
		r->exit_at_ms = NEVER;
		if (s->task && r->state != REPLICA_STOPPING && !w->faults)
			r->code = 0;
		w->number++;
	}
}

static void hear(struct world *w, struct svc *s, struct rep *r)
{
	if ((r->alive || r->ended) && !r->spawned && r->state == REPLICA_STARTING)
		post(w, s, r, REPLICA_EV_SPAWNED);
	if (r->ended)
		take_end(w, s, r);
	if (!r->alive && r->clear_at_ms <= w->now_ms) {
		r->clear_at_ms = NEVER;
		post(w, s, r, REPLICA_EV_CLEARED);
	}
	if (!r->alive || !r->spawned || s->task)
		return;
	if (r->state == REPLICA_STARTING && r->ready_at_ms <= w->now_ms)
		post(w, s, r, REPLICA_EV_HEALTHY);
	else if (r->state == REPLICA_READY && w->faults && rnd(w) % 100 == 0)
		post(w, s, r, REPLICA_EV_UNHEALTHY);
	else if (r->state == REPLICA_UNREADY && (!w->faults || chance(w, 5)))
		post(w, s, r, REPLICA_EV_HEALTHY);
}

/* ---- the glue that order.c, reaction.c and service.c are ---- */

static bool any_running(const struct svc *s)
{
	for (unsigned i = 0; i < REPLICAS_MAX; i++)
		if (runs(&s->reps[i]))
			return true;
	return false;
}

static void react(struct world *w, struct svc *s)
{
	for (unsigned k = 0; k < REPLICAS_MAX && s->reacts && !s->stopped; k++) {
		struct rep *r = &s->reps[k];

		for (size_t i = 0; runs(r) && !r->recycle && i < s->n_deps; i++) {
			struct svc *d = &w->services[s->dep_of[i]];

			if (r->marks[i] == mark_of(d) || !is_settled(d) || !any_running(d))
				continue;
			CHECK(w, d->last_end > r->birth, "%s/%u reacts, and %s is what it was",
			      s->name, k, d->name);
			r->recycle = "dependency";
			w->reactions++;
		}
	}
}

static void judge(struct world *w, struct svc *s)
{
	struct deps_fact facts[SERVICES_MAX];
	enum deps_kind before = s->kind;
	bool waiting = false;

	for (unsigned i = 0; i < REPLICAS_MAX; i++)
		waiting |= s->reps[i].used && s->reps[i].state == REPLICA_WAITING;
	if (!waiting)
		s->waiting_ms = 0;
	else if (!s->waiting_ms)
		s->waiting_ms = w->now_ms;
	for (size_t i = 0; i < s->n_deps; i++)
		facts[i] = fact_of(&w->services[s->dep_of[i]]);
	s->kind = deps_judge(s->deps, facts, s->n_deps, s->waiting_ms ? s->waiting_ms : w->now_ms,
			     w->now_ms)
			  .kind;
	s->held = s->kind != DEPS_OPEN;
	w->held += s->held;
	for (unsigned i = 0; i < REPLICAS_MAX; i++) {
		struct rep *r = &s->reps[i];

		if (r->used && s->kind == DEPS_FAILED && r->state == REPLICA_WAITING) {
			r->recycle = NULL;
			post(w, s, r, REPLICA_EV_GIVE_UP);
			r->given_up = true;
			w->given_up++;
		} else if (r->used && r->given_up && s->kind == DEPS_OPEN && before != DEPS_OPEN) {
			r->recycle = "dependency";
		}
	}
}

static void perform(struct world *w, struct svc *s, const struct plan_action *a)
{
	struct rep *r = &s->reps[a->index];

	CHECK(w, a->index < REPLICAS_MAX, "index %u", a->index);
	if ((a->kind == PLAN_WAIT || a->kind == PLAN_START) && !r->used)
		*r = (struct rep){
			.used = true, .index = a->index, .exit_at_ms = NEVER, .clear_at_ms = NEVER};
	if (a->kind == PLAN_WAIT) {
		post(w, s, r, REPLICA_EV_WAIT);
	} else if (a->kind == PLAN_START) {
		CHECK(w, !s->held, "%s/%u starts while it is held", s->name, a->index);
		post(w, s, r, REPLICA_EV_START);
	} else if (a->kind == PLAN_STOP) {
		r->intent = a->intent;
		post(w, s, r, REPLICA_EV_STOP);
	} else {
		CHECK(w, !r->alive, "%s/%u forgotten while it runs", s->name, a->index);
		policy_reset(&r->policy);
		*r = (struct rep){0};
	}
}

static size_t plan_round(struct world *w, struct svc *s)
{
	struct plan_replica seen[REPLICAS_MAX];
	struct plan_action actions[8];
	struct plan_desired want = {.replicas = desired(s),
				    .stopped = s->stopped,
				    .stop_held = s->stopped && is_needed(w, s),
				    .task = s->task,
				    .run_at_mono_ms = NEVER,
				    .update = s->update};
	struct plan_result result;
	size_t n = 0;

	look_at_ends(s);
	judge(w, s);
	react(w, s);
	want.held = s->held;
	for (unsigned i = 0; i < REPLICAS_MAX; i++)
		if (s->reps[i].used)
			seen[n++] =
				(struct plan_replica){.index = i,
						      .state = s->reps[i].state,
						      .current = true,
						      .intent = s->reps[i].intent,
						      .recycle = s->reps[i].recycle,
						      .next_at_mono_ms = s->reps[i].next_at_ms,
						      .ready_mono_ms = s->reps[i].ready_since_ms};
	result = plan_step(&want, seen, n, w->now_ms, actions, 8);
	for (size_t i = 0; i < result.n_actions; i++)
		perform(w, s, &actions[i]);
	return result.n_actions;
}

static void settle(struct world *w, struct svc *s)
{
	int rounds = 0;

	while (plan_round(w, s) > 0)
		CHECK(w, ++rounds < 100, "planning of %s does not come to rest", s->name);
	if (is_settled(s) && any_running(s))
		deps_life_settled(&s->life);
}

/* ---- the world ---- */

static void user_does_something(struct world *w, struct svc *s)
{
	switch (rnd(w) % 4) {
	case 0:
		s->stopped = chance(w, 30);
		break;
	case 1:
		if (!s->task)
			s->wanted = (unsigned)between(w, 1, WANTED_MAX);
		s->scaled = ++w->number;
		break;
	case 2:
		for (unsigned i = 0; i < REPLICAS_MAX; i++)
			if (runs(&s->reps[i]) && !s->reps[i].recycle)
				s->reps[i].recycle = "user_restart";
		break;
	default:
		for (unsigned i = 0; chance(w, 30) && i < w->n; i++)
			w->services[i].stopped = true;
	}
}

static void step(struct world *w)
{
	unsigned first = (unsigned)(rnd(w) % w->n);
	bool away;

	w->now_ms += between(w, 0, 60);
	if (w->faults && rnd(w) % 150 == 0)
		user_does_something(w, &w->services[rnd(w) % w->n]);
	if (w->faults && rnd(w) % 300 == 0)
		w->away_until_ms = w->now_ms + between(w, 0, 3000);
	away = w->now_ms < w->away_until_ms;
	for (unsigned k = 0; k < w->n; k++) {
		struct svc *s = &w->services[(first + k) % w->n];

		w->steps++;
		for (unsigned i = 0; i < REPLICAS_MAX; i++) {
			if (!s->reps[i].used)
				continue;
			run_process(w, s, &s->reps[i]);
			if (!away)
				hear(w, s, &s->reps[i]);
		}
	}
	for (unsigned k = 0; k < w->n && !away; k++)
		settle(w, &w->services[(first + k) % w->n]);
}

static void new_service(struct world *w, unsigned i)
{
	struct svc *s = &w->services[i];

	snprintf(s->name, sizeof(s->name), "s%u", i);
	s->task = chance(w, 20);
	s->reacts = chance(w, 50);
	s->wanted = s->task ? 1 : (unsigned)between(w, 1, WANTED_MAX);
	s->life = ((rnd(w) >> 34) << 1) + 2;
	s->update = (struct plan_update){.stop_first = chance(w, 40), .max_surge = 1};
	s->restart = (struct restart_spec){.policy = s->task ? RESTART_ON_FAILURE : RESTART_ALWAYS,
					   .backoff_initial_ms = chance(w, 30) ? 0 : 200,
					   .backoff_factor = 2,
					   .backoff_max_ms = 2000};
	for (unsigned d = 0; d < i; d++) {
		struct depend_spec *spec = &s->deps[s->n_deps];

		if (!chance(w, 35))
			continue;
		*spec = (struct depend_spec){.name = w->services[d].name,
					     .required = chance(w, 80),
					     .timeout_ms = chance(w, 50) ? 0 : between(w, 1, 4000)};
		spec->condition = w->services[d].task ? DEPEND_COMPLETED : DEPEND_READY;
		if (chance(w, 30))
			spec->condition = DEPEND_STARTED;
		s->dep_of[s->n_deps++] = d;
	}
}

/* Of those of d that ran when r began one has ended, another runs instead, and nobody has scaled d. */
static bool is_replaced(const struct svc *d, const struct rep *r)
{
	bool ended = false, born = false;

	for (size_t i = 0; i < d->n_spans && i < SPANS_MAX; i++)
		ended |= d->spans[i].birth < r->birth && d->spans[i].end > r->birth;
	for (unsigned i = 0; i < REPLICAS_MAX; i++)
		born |= runs(&d->reps[i]) && d->reps[i].birth > r->birth;
	return ended && born && d->scaled < r->birth;
}

static void check_reactions(struct world *w, const struct svc *s)
{
	for (unsigned k = 0; k < REPLICAS_MAX && s->reacts; k++)
		for (size_t i = 0; runs(&s->reps[k]) && i < s->n_deps; i++) {
			w->checked++;
			CHECK(w, !is_replaced(&w->services[s->dep_of[i]], &s->reps[k]),
			      "%s/%u has missed that %s was replaced", s->name, k, s->deps[i].name);
		}
}

static void calm_down(struct world *w)
{
	w->faults = false;
	for (unsigned i = 0; i < w->n; i++)
		w->services[i].stopped = false;
	for (int i = 0; i < 3000; i++)
		step(w);
	for (unsigned i = 0; i < w->n; i++) {
		CHECK(w, is_settled(&w->services[i]), "%s is not as it should be",
		      w->services[i].name);
		check_reactions(w, &w->services[i]);
	}
	for (unsigned i = 0; i < w->n; i++)
		w->services[i].stopped = true;
	for (int i = 0; i < 600; i++)
		step(w);
	for (unsigned i = 0; i < w->n; i++)
		CHECK(w, !is_live(&w->services[i]), "%s does not end", w->services[i].name);
}

int main(int argc, char **argv)
{
	int64_t steps = 1000000, seed = (int64_t)time(NULL);
	uint64_t done = 0, worlds = 0, reactions = 0, held = 0, given_up = 0, checked = 0;

	if ((argc > 1 && parse_i64(argv[1], 1, INT64_MAX, &steps, NULL) < 0) ||
	    (argc > 2 && parse_i64(argv[2], 1, INT64_MAX, &seed, NULL) < 0)) {
		fprintf(stderr, "usage: sim_order [STEPS [SEED]]\n");
		return 2;
	}
	while (done < (uint64_t)steps) {
		struct world w = {.seed = (uint64_t)seed + worlds++, .now_ms = 1000000};

		w.random = w.seed | 1;
		w.faults = true;
		w.n = (unsigned)between(&w, 2, SERVICES_MAX);
		for (unsigned i = 0; i < w.n; i++)
			new_service(&w, i);
		for (int i = 0; i < 5000; i++)
			step(&w);
		calm_down(&w);
		for (unsigned i = 0; i < w.n; i++)
			for (unsigned k = 0; k < REPLICAS_MAX; k++)
				policy_reset(&w.services[i].reps[k].policy);
		done += w.steps;
		reactions += w.reactions;
		held += w.held;
		given_up += w.given_up;
		checked += w.checked;
	}
	if (!reactions || !held || !checked || (!given_up && worlds > 20)) {
		fprintf(stderr, "sim: seed %" PRId64 ": not everything came up\n", seed);
		return 1;
	}
	printf("sim_order: %" PRIu64 " steps in %" PRIu64 " worlds, %" PRIu64 " reactions, %" PRIu64
	       " given up, first seed %" PRId64 "\n",
	       done, worlds, reactions, given_up, seed);
	printf("[  PASSED  ] 1 test(s).\n");
	return 0;
}
