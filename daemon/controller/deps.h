/*
 * deps: may a service start, as far as its dependencies go? Pure: what each of them is now and the
 * time go in, a verdict comes out. Conditions are levels: what holds now counts, whatever was
 * before; so a restart waits for them as the first start does, and what runs is left alone.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_DEPS_H
#define AICTL_CONTROLLER_DEPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct depend_spec;

/* What a dependency is now. */
struct deps_fact {
	bool known;	/* there is such a service */
	bool started;	/* every replica that it wants runs, and it wants some */
	bool ready;	/* every replica that it wants is ready, and it wants some */
	bool completed; /* it has succeeded, all of it */
};

enum deps_kind {
	DEPS_OPEN,   /* it may start */
	DEPS_HELD,   /* it waits */
	DEPS_FAILED, /* it has waited long enough for one that is required */
};

struct deps_verdict {
	enum deps_kind kind;
	size_t which;	      /* HELD, FAILED: the first dependency in the way */
	int64_t wake_mono_ms; /* judge again then, if nothing changes before; INT64_MAX = never */
};

/*
 * since_mono_ms: since when it waits, what the time-outs count from (now, when it just begins to).
 * specs and facts: n of each, in the same order.
 */
struct deps_verdict deps_judge(const struct depend_spec *specs, const struct deps_fact *facts,
			       size_t n, int64_t since_mono_ms, int64_t now_mono_ms);
/* The condition of that dependency holds. */
bool deps_holds(const struct depend_spec *spec, const struct deps_fact *fact);
/*
 * A service's life, as those see it that depend on it: a number that only grows, kept in the notes of
 * its replicas, and no clock. It is odd while a process has ended whose successor is still to come,
 * and the next even one once that is there. 0 = not known.
 */
/* A process has ended, not by scaling: `others` run still, of `wanted`; younger: one of them began
 * after it. One that only came and went, as of an update that failed, has replaced nothing. */
void deps_life_ended(uint64_t *life, unsigned others, unsigned wanted, bool younger);
/* The service is as it should be. true: with other processes than before. */
bool deps_life_settled(uint64_t *life);
/* What a dependent remembers of it; never 0. Odd, it is what is to come: who begins before the successor
 * is there is told of the next end only. */
uint32_t deps_life_mark(const char *name, uint64_t life);
/* Of the names of them all, in their order; never 0. */
uint32_t deps_names_mark(const struct depend_spec *specs, size_t n);
/* "started", "ready", "completed" */
const char *deps_condition_name(const struct depend_spec *spec);

#endif
