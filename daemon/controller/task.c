/* task: see task.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/task.h"

#include <string.h>

#include "lib/clock.h"
#include "lib/cron.h"
#include "lib/manifest.h"
#include "lib/mem.h"

#define SECOND 1000

static int64_t floor_s(int64_t ms)
{
	return ms / SECOND - (ms % SECOND < 0);
}

/* The first time behind `after`. */
static int64_t next(const struct task_clock *t, int64_t phase_ms, int64_t after_ms)
{
	int64_t s;

	if (t->cron) {
		s = cron_next(t->cron, t->tz, floor_s(after_ms));
		return s >= TASK_NEVER / SECOND ? TASK_NEVER : s * SECOND;
	}
	if (after_ms < phase_ms)
		return clock_add(phase_ms, t->every_ms);
	return clock_add(phase_ms, (after_ms - phase_ms) / t->every_ms * t->every_ms + t->every_ms);
}

/* The newest one up to now, which is `first` or later. */
static int64_t newest(const struct task_clock *t, int64_t phase_ms, int64_t first, int64_t now_ms)
{
	int64_t at = first, then;

	if (!t->cron)
		return phase_ms + (now_ms - phase_ms) / t->every_ms * t->every_ms;
	if (now_ms - at > TASK_LATE_MS) { /* at most a few turns, however long we were away */
		then = next(t, phase_ms, now_ms - TASK_LATE_MS);
		if (then > now_ms)
			return at; /* long ago: which one of them does not matter */
		at = then;
	}
	while ((then = next(t, phase_ms, at)) <= now_ms)
		at = then;
	return at;
}

struct task_due task_ask(const struct task_clock *t, int64_t after_wall_ms, int64_t now_wall_ms)
{
	struct task_due due = {.after_wall_ms = after_wall_ms};
	int64_t first;

	if (after_wall_ms > clock_add(now_wall_ms, TASK_LATE_MS))
		due.after_wall_ms = now_wall_ms; /* the clock was set back */
	first = next(t, due.after_wall_ms, due.after_wall_ms);
	due.next_wall_ms = first;
	if (first > now_wall_ms)
		return due;
	due.at_wall_ms = newest(t, due.after_wall_ms, first, now_wall_ms);
	due.next_wall_ms = next(t, due.after_wall_ms, now_wall_ms);
	due.verdict = now_wall_ms - due.at_wall_ms <= TASK_LATE_MS || t->run_missed ? TASK_DUE
										    : TASK_MISSED;
	due.after_wall_ms = t->cron ? now_wall_ms : due.at_wall_ms;
	return due;
}

static bool is_among(int code, const struct spec_ints *codes)
{
	for (size_t i = 0; i < codes->n; i++)
		if (codes->v[i] == code)
			return true;
	return false;
}

int task_outcome(const struct service_spec *spec, const char *cause, int code)
{
	static const char *const ours[] = {"user",	 "update",   "scale",
					   "delete",	 "shutdown", "rollback",
					   "dependency", "max_age",  "memory"};
	const struct restart_spec *restart = &spec->restart;
	const struct restart_rule *rules = restart->rules.v;

	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		if (strcmp(cause, ours[i]) == 0)
			return -1;
	if (strcmp(cause, "exit") != 0)
		return 0;
	for (size_t i = 0; i < restart->rules.n; i++)
		if (is_among(code, &rules[i].exit))
			return rules[i].then == RULE_SUCCEED;
	return restart->success_exit_codes.n ? is_among(code, &restart->success_exit_codes)
					     : code == 0;
}

struct policy_decision task_after_end(const struct service_spec *spec, struct policy_state *st,
				      const struct policy_end *end)
{
	struct restart_spec restart = spec->restart;
	struct policy_end judged = *end;
	struct policy_decision d;
	uint32_t failures = st->streak;

	if (spec->type != SPEC_TASK)
		return policy_after_end(&spec->restart, st, end);
	restart.policy = RESTART_ON_FAILURE;
	restart.budget_restarts = 0;
	judged.ready_ms = 0; /* however long it ran: an attempt is an attempt */
	d = policy_after_end(&restart, st, &judged);
	if (d.verdict == POLICY_RESTART && (int64_t)failures >= spec->retries)
		d = (struct policy_decision){.verdict = POLICY_FAILED,
					     .retries_spent = spec->retries > 0};
	if (d.verdict != POLICY_RESTART)
		policy_reset(st); /* the next run begins anew */
	return d;
}
