/*
 * sim_policy: the restart policy against a second account of it, written from its description
 * (policy.h): services with random back-off, jitter, budget and window live and die at random, and
 * every wait must be exact to the millisecond: initial x factor^n up to max, with the jitter that
 * the dice gave; at once after the reset time; five minutes in slow mode; given up where the budget
 * says so. One that the user restarts begins anew.
 *
 * Usage: sim_policy [STEPS [SEED]]; prints the seed of a failure.
 *
 * SPDX-License-Identifier: MIT
 */
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "daemon/controller/policy.h"
#include "lib/parse.h"

#define MINUTE_MS 60000
#define LIVES 200 /* ends in one life at most */

/* What the policy should remember. */
struct account {
	int64_t failures; /* in a row */
	int64_t last_wait_ms;
	bool slow;
	int64_t restarts_ms[POLICY_BUDGET_MAX + 1]; /* in the window, oldest first */
	size_t n;
};

struct world {
	uint64_t seed, random, steps;
	int64_t now_ms;
	struct restart_spec spec;
	struct policy_state policy;
	struct account account;
	uint64_t waits, at_once, slow, given_up;
};

#define CHECK(w, cond, ...)                                                                        \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "sim: seed %" PRIu64 " step %" PRIu64 ": ", (w)->seed,     \
				(w)->steps);                                                       \
			fprintf(stderr, __VA_ARGS__);                                              \
			fprintf(stderr, " (%s)\n", #cond);                                         \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

static uint64_t rnd(struct world *w)
{
	w->random ^= w->random >> 12;
	w->random ^= w->random << 25;
	w->random ^= w->random >> 27;
	return w->random * UINT64_C(2685821657736338717);
}

static int64_t between(struct world *w, int64_t lo, int64_t hi)
{
	return lo + (int64_t)(rnd(w) % (uint64_t)(hi - lo + 1));
}

static bool chance(struct world *w, unsigned percent)
{
	return rnd(w) % 100 < percent;
}

static void begin(struct world *w)
{
	policy_reset(&w->policy);
	w->account = (struct account){0};
	w->spec = (struct restart_spec){
		.policy = RESTART_ALWAYS,
		.backoff_initial_ms = chance(w, 10) ? 0 : between(w, 1, 20000),
		.backoff_factor = (double)between(w, 1000, 5000) / 1000,
		.backoff_max_ms = between(w, 1, 10 * MINUTE_MS),
		.backoff_jitter = (double)between(w, 0, 1000) / 1000,
		.budget_restarts = chance(w, 20) ? 0 : between(w, 1, 12),
		.budget_window_ms = between(w, 1000, 20 * MINUTE_MS),
		.budget_then = chance(w, 70) ? BUDGET_SLOW : BUDGET_FAIL,
	};
}

/* Restarts of the last window. */
static void forget(struct account *a, int64_t now_ms, int64_t window_ms)
{
	size_t kept = 0;

	for (size_t i = 0; i < a->n; i++)
		if (a->restarts_ms[i] >= now_ms - window_ms)
			a->restarts_ms[kept++] = a->restarts_ms[i];
	a->n = kept;
}

/* The wait that this end asks for, or -1: given up. */
static int64_t expected(struct world *w, int64_t ready_ms, double random)
{
	const struct restart_spec *s = &w->spec;
	struct account *a = &w->account;
	int64_t reset_ms = 2 * a->last_wait_ms > MINUTE_MS ? 2 * a->last_wait_ms : MINUTE_MS;
	bool steady = ready_ms >= reset_ms;
	double wait;

	if (steady)
		*a = (struct account){0};
	forget(a, w->now_ms, s->budget_window_ms);
	if (s->budget_restarts > 0 && (a->slow || (int64_t)a->n >= s->budget_restarts)) {
		if (s->budget_then == BUDGET_FAIL)
			return -1;
		a->slow = true;
	}
	wait = (double)s->backoff_initial_ms * pow(s->backoff_factor, (double)a->failures);
	if (!(wait < (double)s->backoff_max_ms))
		wait = (double)s->backoff_max_ms;
	wait *= 1 + s->backoff_jitter * random;
	if (a->slow)
		wait = 5 * MINUTE_MS;
	else if (steady || s->backoff_initial_ms == 0)
		wait = 0;
	a->failures += !steady;
	a->last_wait_ms = (int64_t)wait;
	if (s->budget_restarts > 0)
		a->restarts_ms[a->n++] = w->now_ms;
	return (int64_t)wait;
}

/* One end. false: it has been given up. */
static bool step(struct world *w)
{
	struct policy_end end = {.exited = true,
				 .code = (int)between(w, 0, 255),
				 .now_mono_ms = w->now_ms,
				 .random = (double)between(w, -1000, 1000) / 1000};
	struct policy_decision d;
	int64_t wait_ms;

	end.ready_ms =
		chance(w, 60) ? 0 : between(w, 0, chance(w, 50) ? 2 * MINUTE_MS : 30 * MINUTE_MS);
	w->now_ms += end.ready_ms;
	end.now_mono_ms = w->now_ms;
	wait_ms = expected(w, end.ready_ms, end.random);
	d = policy_after_end(&w->spec, &w->policy, &end);
	if (wait_ms < 0) {
		w->given_up++;
		CHECK(w, d.verdict == POLICY_FAILED && d.budget_spent, "the budget is spent");
		return false;
	}
	CHECK(w, d.verdict == POLICY_RESTART, "verdict %d", d.verdict);
	CHECK(w, llabs(d.delay_ms - wait_ms) <= 1, "waits %" PRId64 " ms, not %" PRId64, d.delay_ms,
	      wait_ms); /* one: pow rounds in another way */
	CHECK(w, d.next_at_mono_ms == w->now_ms + d.delay_ms, "next attempt");
	CHECK(w, d.slow == w->account.slow, "slow mode");
	w->account.last_wait_ms = d.delay_ms;
	w->waits += d.delay_ms > 0 && !d.slow;
	w->at_once += d.delay_ms == 0;
	w->slow += d.slow;
	w->now_ms = d.next_at_mono_ms + between(w, 0, 3000);
	return true;
}

int main(int argc, char **argv)
{
	int64_t steps = 1000000, seed = (int64_t)time(NULL);
	struct world w = {.now_ms = 1000000};

	if ((argc > 1 && parse_i64(argv[1], 1, INT64_MAX, &steps, NULL) < 0) ||
	    (argc > 2 && parse_i64(argv[2], 1, INT64_MAX, &seed, NULL) < 0)) {
		fprintf(stderr, "usage: sim_policy [STEPS [SEED]]\n");
		return 2;
	}
	w.seed = (uint64_t)seed;
	w.random = w.seed | 1;
	while (w.steps < (uint64_t)steps) {
		begin(&w);
		for (int i = 0; i < LIVES && w.steps < (uint64_t)steps; i++) {
			w.steps++;
			if (!step(&w)) /* the user starts it again: nothing of the past counts */
				break;
		}
	}
	policy_reset(&w.policy);
	if (!w.waits || !w.at_once || !w.slow || !w.given_up) {
		fprintf(stderr, "sim: seed %" PRIu64 ": not everything came up\n", w.seed);
		return 1;
	}
	printf("sim_policy: %" PRIu64 " steps, seed %" PRIu64 ": %" PRIu64 " waits, %" PRIu64
	       " at once, %" PRIu64 " in slow mode, %" PRIu64 " given up\n",
	       w.steps, w.seed, w.waits, w.at_once, w.slow, w.given_up);
	return 0;
}
