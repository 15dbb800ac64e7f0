/*
 * world: the world of the simulation: one service, its replicas, what the fake runtime and the
 * fake gateway have of them.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SIM_WORLD_H
#define AICTL_SIM_WORLD_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon/controller/health.h"
#include "daemon/controller/plan.h"
#include "daemon/controller/policy.h"
#include "daemon/controller/replica_sm.h"
#include "daemon/controller/rollout.h"
#include "lib/manifest.h"

#define WANTED_MAX 8
#define REPLICAS_MAX 24 /* with those of a surge and those that are ending */
#define NEVER INT64_MAX
#define SLOT_GRACE_MS 500
#define DRAIN_MS 2000
#define STEP_MS 3000	   /* the longest */
#define REVISIONS_MAX 4096 /* of one service */

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
	const char *recycle;
	bool in_place, as_before, spawned;
	enum stop_intent intent;
	struct policy_state policy;
	struct policy_decision decision;
	struct health health;
	int64_t next_at_ms, ready_at_ms, stopping_since_ms;
	int64_t probe_done_ms[PROBE_KIND_MAX_]; /* a probe under way ends then */
	struct slot slot;
	uint32_t autos;	   /* automatic restarts since the policy was reset */
	unsigned requests; /* under way, as the gateway knows */
	bool taken_out;	   /* the gateway gives it nothing new */
	int64_t draining_since_ms;
	int64_t told_at_ms; /* DRAINING: when the gateway hears of it */
};

struct world {
	uint64_t seed, random;
	int64_t now_ms;
	struct plan_desired desired;
	int revision;	  /* desired */
	int newest, good; /* good: the last good one while another is rolled out, 0 = none */
	bool bad[REVISIONS_MAX], completed[REVISIONS_MAX];
	bool worse[REVISIONS_MAX]; /* it gets ready, and its canary is judged bad */
	struct rollout ro;
	uint64_t rollbacks;
	bool faults;
	bool served, gateway; /* it has a stable port; there is a gateway now */
	uint64_t drains, cuts;
	struct service_spec spec;
	struct rep reps[REPLICAS_MAX];
	uint64_t steps;
};

static inline uint64_t rnd(struct world *w)
{
	w->random ^= w->random >> 12;
	w->random ^= w->random << 25;
	w->random ^= w->random >> 27;
	return w->random * UINT64_C(2685821657736338717);
}

static inline bool chance(struct world *w, unsigned percent)
{
	return rnd(w) % 100 < percent;
}

static inline int64_t between(struct world *w, int64_t lo, int64_t hi)
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

#endif
