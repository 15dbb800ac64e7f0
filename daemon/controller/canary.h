/*
 * canary: the steps of an update by update.strategy canary, and what is counted while one of them is
 * in force. Pure.
 *
 * Of the counts that the gateway keeps of each replica (they only grow, and begin anew with another
 * gateway) it sums up what came since the step began, of the canary's replicas and of the stable
 * ones: so both are of the same time, and what has ended meanwhile stays in.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_CANARY_H
#define AICTL_CONTROLLER_CANARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/controller/judge.h"

struct update_spec;

struct canary_step {
	unsigned percent; /* 100: all, as any update */
	int64_t ms;
};

/* The i-th of them; false: there is no such. */
bool canary_step(const struct update_spec *u, unsigned i, struct canary_step *ret);
unsigned canary_steps(const struct update_spec *u);
/* How many replicas it gets beside so many stable ones: its share, rounded up, at least one. */
unsigned canary_replicas(unsigned percent, unsigned replicas);

/* ---- counting ---- */

struct canary_seen {
	char id[64]; /* of the process: its incarnation */
	bool used;   /* in the last round */
	struct judge_side last;
};

struct canary_count {
	struct judge_side canary, stable; /* since the step began */
	struct canary_seen *seen;
	size_t n, cap;
	size_t next,
		n_used; /* of this round: where the next one is likely to be, how many were found */
};

/* A round: canary_see for each replica that something is known of, then canary_seen_all. old: it ran
 * before we did, so what is known of it at first sight is not of this step. Without memory it is
 * not counted. */
void canary_see(struct canary_count *c, const char *id, bool canary, bool old,
		const struct judge_side *now);
void canary_seen_all(struct canary_count *c); /* forgets those that are no more */
/* A step begins, right after a round: the sums are of what comes from now on. */
void canary_begin(struct canary_count *c);
void canary_done(struct canary_count *c);

#endif
