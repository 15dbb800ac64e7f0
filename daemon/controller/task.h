/*
 * task: when a scheduled task runs, and what the end of an attempt means. Pure: the times are
 * arguments. Wall time, for that is what a schedule is written in.
 *
 * Of several times that have passed at once only the newest counts, and only for TASK_LATE_MS: it
 * may have fallen into the daemon's own restart. What is older was missed: schedule.missed says
 * whether that means one run now.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_TASK_H
#define AICTL_CONTROLLER_TASK_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/controller/policy.h"

struct cron;
struct service_spec;
struct tz;

#define TASK_LATE_MS (90 * INT64_C(1000))
#define TASK_NEVER INT64_MAX

struct task_clock {
	const struct cron *cron; /* NULL: every */
	const struct tz *tz;	 /* NULL: UTC */
	int64_t every_ms;	 /* counted from `after`; its phase is kept */
	bool run_missed;
};

enum task_verdict {
	TASK_NOT_YET,
	TASK_DUE,
	TASK_MISSED, /* a run's time has passed, and it is not to be run any more */
};

struct task_due {
	enum task_verdict verdict;
	int64_t at_wall_ms;    /* DUE, MISSED: of that run */
	int64_t after_wall_ms; /* to be given the next time */
	int64_t next_wall_ms;  /* the next run after now; TASK_NEVER */
};

/* What is due at now; what was due up to `after` is over. */
struct task_due task_ask(const struct task_clock *t, int64_t after_wall_ms, int64_t now_wall_ms);
/* What is done after an end: for a task retries decide, else it is policy_after_end's. */
struct policy_decision task_after_end(const struct service_spec *spec, struct policy_state *st,
				      const struct policy_end *end);
/* An attempt ended like that: a success (1), a failure (0), or interrupted by ourselves (-1)? */
int task_outcome(const struct service_spec *spec, const char *cause, int code);

#endif
