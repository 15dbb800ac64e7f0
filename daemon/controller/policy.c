/* policy: see policy.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/policy.h"

#include <string.h>

#include "lib/clock.h"
#include "lib/mem.h"

void policy_reset(struct policy_state *st)
{
	mem_free(st->recent_mono_ms);
	*st = (struct policy_state){0};
}

static void forget_old(struct policy_state *st, int64_t now, int64_t window_ms)
{
	uint32_t gone = 0;

	while (gone < st->n_recent && now - st->recent_mono_ms[gone] > window_ms)
		gone++;
	st->n_recent -= gone;
	if (gone > 0)
		memmove(st->recent_mono_ms, st->recent_mono_ms + gone,
			st->n_recent * sizeof(st->recent_mono_ms[0]));
}

void policy_remember(struct policy_state *st, int64_t at_mono_ms)
{
	if (st->n_recent == POLICY_BUDGET_MAX) {
		memmove(st->recent_mono_ms, st->recent_mono_ms + 1,
			(POLICY_BUDGET_MAX - 1) * sizeof(st->recent_mono_ms[0]));
		st->n_recent--;
	}
	if (mem_grow(&st->recent_mono_ms, &st->cap_recent, st->n_recent + 1,
		     sizeof(st->recent_mono_ms[0])) == 0)
		st->recent_mono_ms[st->n_recent++] = at_mono_ms;
}

static int64_t next_delay(const struct restart_spec *spec, const struct policy_state *st,
			  double random)
{
	double d = (double)spec->backoff_initial_ms;

	for (uint32_t i = 0; i < st->streak && d < (double)spec->backoff_max_ms; i++)
		d *= spec->backoff_factor;
	if (d > (double)spec->backoff_max_ms)
		d = (double)spec->backoff_max_ms;
	return (int64_t)(d * (1 + spec->backoff_jitter * random));
}

static int64_t reset_time(const struct policy_state *st)
{
	return 2 * st->delay_ms > POLICY_RESET_MIN_MS ? 2 * st->delay_ms : POLICY_RESET_MIN_MS;
}

const char *policy_rule_name(enum rule_then then)
{
	static const char *const names[] = {"restart", "fail", "succeed"};

	return (unsigned)then < sizeof(names) / sizeof(names[0]) ? names[then] : "unknown";
}

static bool has_code(const struct spec_ints *codes, int code)
{
	for (size_t i = 0; i < codes->n; i++)
		if (codes->v[i] == code)
			return true;
	return false;
}

static bool is_success(const struct restart_spec *spec, const struct policy_end *end)
{
	if (!end->exited)
		return false;
	return spec->success_exit_codes.n ? has_code(&spec->success_exit_codes, end->code)
					  : end->code == 0;
}

/* The first rule that names the exit code, or NULL. */
static const struct restart_rule *find_rule(const struct restart_spec *spec,
					    const struct policy_end *end)
{
	const struct restart_rule *rules = spec->rules.v;

	for (size_t i = 0; end->exited && i < spec->rules.n; i++)
		if (has_code(&rules[i].exit, end->code))
			return &rules[i];
	return NULL;
}

/* Some exit would not be followed by a restart. */
static bool may_end(const struct restart_spec *spec)
{
	const struct restart_rule *rules = spec->rules.v;

	for (size_t i = 0; i < spec->rules.n; i++)
		if (rules[i].then != RULE_RESTART)
			return true;
	return spec->policy != RESTART_ALWAYS;
}

int64_t policy_at_once_from(const struct restart_spec *spec, const struct policy_state *st,
			    int64_t ready_mono_ms)
{
	if (may_end(spec))
		return INT64_MAX;
	if (spec->backoff_initial_ms == 0 && spec->budget_restarts == 0)
		return 0;
	return ready_mono_ms ? clock_add(ready_mono_ms, reset_time(st)) : INT64_MAX;
}

/* Rules and policy: is it over, and how? RESTART leaves when to the rest. */
static enum policy_verdict judge(const struct restart_spec *spec, const struct policy_end *end,
				 struct policy_decision *d)
{
	const struct restart_rule *rule = find_rule(spec, end);
	bool success = is_success(spec, end);

	if (rule) {
		d->by_rule = true;
		d->then = (enum rule_then)rule->then;
		return d->then == RULE_FAIL	 ? POLICY_FAILED
		       : d->then == RULE_SUCCEED ? POLICY_SUCCEEDED
						 : POLICY_RESTART;
	}
	if (spec->policy == RESTART_ALWAYS || (spec->policy == RESTART_ON_FAILURE && !success))
		return POLICY_RESTART;
	return success ? POLICY_SUCCEEDED : POLICY_FAILED;
}

struct policy_decision policy_after_end(const struct restart_spec *spec, struct policy_state *st,
					const struct policy_end *end)
{
	struct policy_decision d = {0};
	int64_t reset_ms = reset_time(st);

	d.verdict = judge(spec, end, &d);
	if (d.verdict != POLICY_RESTART)
		return d;
	if (end->ready_ms >= reset_ms)
		policy_reset(st);
	forget_old(st, end->now_mono_ms, spec->budget_window_ms);
	if (spec->budget_restarts == 0) {
		st->slow = false;
		st->n_recent = 0; /* nobody asks: the note stays short */
	} else if (st->slow || st->n_recent >= (uint32_t)spec->budget_restarts) {
		if (spec->budget_then == BUDGET_FAIL) {
			d.verdict = POLICY_FAILED;
			d.budget_spent = true;
			return d;
		}
		st->slow = true;
	}
	if (st->slow)
		d.delay_ms = POLICY_SLOW_MS;
	else if (end->ready_ms < reset_ms)
		d.delay_ms = next_delay(spec, st, end->random);
	if (spec->backoff_initial_ms == 0 && !st->slow)
		d.delay_ms = 0;
	if (st->streak < UINT32_MAX && end->ready_ms < reset_ms)
		st->streak++;
	st->delay_ms = d.delay_ms;
	if (spec->budget_restarts > 0)
		policy_remember(st, end->now_mono_ms);
	d.slow = st->slow;
	d.next_at_mono_ms = clock_add(end->now_mono_ms, d.delay_ms);
	return d;
}
