/*
 * policy: the restart policy. Pure: time and randomness are arguments, the memory is struct
 * policy_state (kept in the slot's note, so it survives the controller).
 *
 * An exit code is looked up in the rules first: the first that names it decides, whatever the policy.
 * Else an exit is a success when success_exit_codes has its code (none given: 0), and the policy
 * decides. Other ends (signal, never started, condemned by a probe) have no code.
 *
 * Then (research/supervisors.md 3.12), after an end that asks for a restart
 *  - at once, when it had been ready for the reset time max(60 s, 2 x the last delay); this also
 * empties the budget and ends slow mode; `backoff.initial: 0` means always at once;
 *  - else after initial x factor^n, at most max, +- jitter;
 *  - more than budget.restarts automatic restarts within budget.window: `then: slow` is one attempt
 * every five minutes, `then: fail` is failed. A user's own restart never counts: call policy_reset.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_POLICY_H
#define AICTL_CONTROLLER_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/controller/replica_sm.h"
#include "lib/manifest.h"

#define POLICY_BUDGET_MAX 100 /* largest budget.restarts: the schema's range */
#define POLICY_SLOW_MS (5 * 60 * 1000)
#define POLICY_RESET_MIN_MS (60 * 1000)

struct policy_state {
	uint32_t streak;   /* failures in a row since the last reset: the exponent */
	int64_t delay_ms;  /* the last delay, for the reset time */
	bool slow;	   /* in slow mode */
	uint32_t n_recent; /* automatic restarts still remembered, oldest first */
	size_t cap_recent;
	int64_t *recent_mono_ms; /* owned; most services never have one */
};

struct policy_end {
	bool exited; /* by itself, with code; false: a signal, our stop for a probe, no start */
	int code;    /* 0..255, with exited */
	int64_t ready_ms; /* how long it had been ready when it ended; 0 = never */
	int64_t now_mono_ms;
	double random; /* -1..1, for the jitter */
};

struct policy_decision {
	enum policy_verdict verdict;
	int64_t next_at_mono_ms; /* RESTART only */
	int64_t delay_ms;
	bool slow;	    /* slow mode is on */
	bool budget_spent;  /* why FAILED */
	bool retries_spent; /* the same of a task, see task.h */
	bool by_rule;	    /* a rule of restart.rules decided; then says which way */
	enum rule_then then;
};

struct policy_decision policy_after_end(const struct restart_spec *spec, struct policy_state *st,
					const struct policy_end *end);
/*
 * When an end, whatever it is, would be followed by a restart at once: the time since when (in the past or future),
 * INT64_MAX = not known in advance. ready_mono_ms: since when it is ready, 0 = it is not.
 */
int64_t policy_at_once_from(const struct restart_spec *spec, const struct policy_state *st,
			    int64_t ready_mono_ms);
/* "fail", "restart", "succeed" */
const char *policy_rule_name(enum rule_then then);
/* The user restarted it, or it goes: everything is forgotten and freed. */
void policy_reset(struct policy_state *st);
/* One more automatic restart. Out of memory it is not counted. */
void policy_remember(struct policy_state *st, int64_t at_mono_ms);

#endif
