/* rollout: see rollout.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/rollout.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/controller/canary.h"
#include "lib/clock.h"

const char *rollout_state_name(enum rollout_state s)
{
	static const char *const names[] = {"complete",	    "progressing", "paused",	"failed",
					    "rolling_back", "rolled_back", "superseded"};

	return (unsigned)s < ROLLOUT_STATE_MAX_ ? names[s] : "unknown";
}

bool rollout_is_under_way(const struct rollout *r)
{
	return r->state == ROLLOUT_PROGRESSING || r->state == ROLLOUT_PAUSED ||
	       r->state == ROLLOUT_ROLLING_BACK;
}

__attribute__((format(printf, 2, 3))) static void say(struct rollout *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r->reason, sizeof(r->reason), fmt, ap);
	va_end(ap);
}

void rollout_begin(struct rollout *r, uint64_t revision, uint64_t hash, int64_t now_mono_ms,
		   int64_t now_wall_ms)
{
	*r = (struct rollout){.state = ROLLOUT_PROGRESSING,
			      .revision = revision,
			      .hash = hash,
			      .progress_mono_ms = now_mono_ms,
			      .started_wall_ms = now_wall_ms};
}

void rollout_take_back(struct rollout *r, const char *reason, int64_t now_mono_ms)
{
	r->state = ROLLOUT_ROLLING_BACK;
	r->barred = false;
	r->progress_mono_ms = now_mono_ms;
	say(r, "%s", reason);
}

void rollout_stay(struct rollout *r, const char *obstacle)
{
	char failure[ROLLOUT_REASON_MAX / 2]; /* half the room for each at least */

	memcpy(failure, r->reason, sizeof(failure) - 1);
	failure[sizeof(failure) - 1] = '\0';
	r->state = ROLLOUT_FAILED;
	r->barred = true;
	say(r, "%s; not taken back: %s", failure, obstacle);
}

bool rollout_pause(struct rollout *r, const char *reason)
{
	if (r->state != ROLLOUT_PROGRESSING)
		return false;
	r->state = ROLLOUT_PAUSED;
	say(r, "%s", reason);
	return true;
}

bool rollout_resume(struct rollout *r, int64_t now_mono_ms)
{
	if (r->state != ROLLOUT_PAUSED)
		return false;
	r->tolerant = r->ended_wall_ms != 0;
	r->ended_wall_ms = 0;
	r->state = ROLLOUT_PROGRESSING;
	r->looked_at = true;
	r->progress_mono_ms = now_mono_ms;
	r->reason[0] = '\0';
	return true;
}

/* ---- the steps ---- */

/* The present one; false: all are over. */
static bool step_of(const struct rollout *r, const struct update_spec *u, struct canary_step *ret)
{
	return canary_step(u, r->step, ret) && ret->percent < 100;
}

bool rollout_is_canary(const struct rollout *r, const struct update_spec *u)
{
	struct canary_step step;

	return r->canary &&
	       (r->state == ROLLOUT_PROGRESSING || r->state == ROLLOUT_PAUSED ||
		r->state == ROLLOUT_FAILED) &&
	       step_of(r, u, &step);
}

unsigned rollout_share(const struct rollout *r, const struct update_spec *u)
{
	struct canary_step step;

	if (!rollout_is_canary(r, u) || r->barred ||
	    (r->state == ROLLOUT_PAUSED &&
	     r->ended_wall_ms)) /* it has failed: only to be looked at */
		return 0;
	if (!canary_step(u, r->step_mono_ms ? r->step : r->step - 1, &step))
		return 0; /* the first ones are not available yet */
	return step.percent;
}

static void next_step(struct rollout *r, const struct update_spec *u, int64_t now_mono_ms)
{
	struct canary_step step;

	r->step++;
	r->step_mono_ms = 0;
	r->progress_mono_ms = now_mono_ms;
	r->canary = step_of(r, u, &step);
}

bool rollout_promote(struct rollout *r, const struct update_spec *u, int64_t now_mono_ms)
{
	if (!rollout_is_canary(r, u) ||
	    (r->state != ROLLOUT_PROGRESSING && r->state != ROLLOUT_PAUSED))
		return false;
	r->tolerant |= r->ended_wall_ms != 0;
	r->ended_wall_ms = 0;
	r->state = ROLLOUT_PROGRESSING;
	r->canary = false;
	r->progress_mono_ms = now_mono_ms;
	r->reason[0] = '\0';
	return true;
}

/* ---- the keys ---- */

/* Percent are kept as -25. */
static unsigned resolve(int64_t share, unsigned replicas, unsigned round_up)
{
	return share >= 0 ? (unsigned)share
			  : (unsigned)(((uint64_t)-share * replicas + round_up) / 100);
}

struct plan_update rollout_bounds(const struct update_spec *u, const struct rollout *r,
				  unsigned replicas)
{
	bool look = u->pause_after > 0 && r->state == ROLLOUT_PROGRESSING && !r->looked_at;
	struct canary_step step;

	if (rollout_is_canary(r, u) && canary_step(u, r->step, &step))
		return (struct plan_update){.canaries = canary_replicas(step.percent, replicas),
					    .min_ready_ms = u->min_ready_ms};
	return (struct plan_update){.stop_first = u->order == UPDATE_STOP_FIRST,
				    .max_surge = resolve(u->max_surge, replicas, 99),
				    .max_unavailable = resolve(u->max_unavailable, replicas, 0),
				    .min_ready_ms = u->min_ready_ms,
				    .max_new = look ? (unsigned)u->pause_after : 0,
				    .paused = r->state == ROLLOUT_PAUSED ||
					      (r->state == ROLLOUT_FAILED && r->barred)};
}

/* ---- progress ---- */

/* True: it has failed, and r->reason says why. */
static bool has_failed(struct rollout *r, const struct update_spec *u,
		       const struct rollout_seen *seen, int64_t now)
{
	char human[32];

	if (!r->tolerant && seen->given_up)
		say(r, "replica %u: %s", seen->index, seen->why);
	else if (!r->tolerant && seen->ends >= ROLLOUT_FAILURES_MAX)
		say(r, "replica %u ended %" PRIu32 " times: %s", seen->index, seen->ends,
		    seen->why);
	else if (!seen->idle && now - r->progress_mono_ms >= u->deadline_ms)
		say(r, "no progress for %s: %u of %u available%s%s",
		    clock_human(u->deadline_ms, human, sizeof(human)), seen->available,
		    seen->wanted, seen->why && seen->why[0] ? ": " : "",
		    seen->why ? seen->why : "");
	else
		return false;
	return true;
}

static enum rollout_verdict fail(struct rollout *r, const struct update_spec *u,
				 const struct rollout_seen *seen, int64_t now_mono_ms,
				 int64_t now_wall_ms)
{
	r->ended_wall_ms = now_wall_ms;
	r->state = ROLLOUT_FAILED;
	if (u->on_failure == UPDATE_PAUSE) {
		r->state = ROLLOUT_PAUSED;
	} else if (u->on_failure == UPDATE_ROLLBACK && seen->good) {
		r->state = ROLLOUT_ROLLING_BACK;
		r->progress_mono_ms = now_mono_ms;
		return ROLLOUT_TAKE_BACK;
	}
	return ROLLOUT_CHANGED;
}

static bool is_done(const struct rollout_seen *seen)
{
	return seen->available == seen->wanted && seen->others == 0 && seen->wanted > 0;
}

static bool is_to_pause(const struct rollout *r, const struct update_spec *u,
			const struct rollout_seen *seen)
{
	return u->pause_after > 0 && !r->looked_at && seen->available >= u->pause_after &&
	       seen->available < seen->wanted;
}

static enum rollout_verdict complete(struct rollout *r, enum rollout_state state,
				     int64_t now_wall_ms)
{
	r->state = state;
	r->ended_wall_ms = now_wall_ms;
	if (state == ROLLOUT_COMPLETE)
		r->reason[0] = '\0';
	return ROLLOUT_CHANGED;
}

/* True: it is bad, and r->reason says why. */
static bool is_bad(struct rollout *r, const struct update_spec *u, const struct rollout_seen *seen,
		   unsigned share)
{
	char text[ROLLOUT_REASON_MAX - 40];

	if (r->tolerant || !r->step_mono_ms || !seen->judged || seen->judged->verdict != JUDGE_BAD)
		return false;
	judge_say(seen->judged, &u->judge, text, sizeof(text));
	say(r, "canary at %u %%: %s", share, text);
	return true;
}

/* At a step below 100 %. */
static enum rollout_verdict progress_canary(struct rollout *r, const struct update_spec *u,
					    const struct rollout_seen *seen, int64_t now_mono_ms,
					    int64_t now_wall_ms)
{
	bool failed = r->state == ROLLOUT_FAILED, paused = r->state == ROLLOUT_PAUSED;
	struct canary_step step = {0};
	bool up;

	if (seen->others == 0 && seen->wanted > 0 && seen->available >= seen->wanted) {
		r->canary = false; /* there is nothing to be beside */
		return complete(r, ROLLOUT_COMPLETE, now_wall_ms);
	}
	step_of(r, u, &step);
	up = seen->available >= canary_replicas(step.percent, seen->wanted);
	if (up || seen->idle || r->was_idle || paused)
		r->progress_mono_ms = now_mono_ms;
	r->was_idle = seen->idle;
	if (seen->idle || r->barred || (paused && r->ended_wall_ms))
		return ROLLOUT_GO_ON;
	if (!failed && (has_failed(r, u, seen, now_mono_ms) || is_bad(r, u, seen, step.percent)))
		return fail(r, u, seen, now_mono_ms, now_wall_ms);
	if (!up || paused)
		return ROLLOUT_GO_ON;
	if (!r->step_mono_ms) {
		r->step_mono_ms = now_mono_ms;
		return ROLLOUT_CHANGED;
	}
	if (now_mono_ms - r->step_mono_ms < step.ms || !seen->judged ||
	    (seen->judged->verdict != JUDGE_GOOD && !(r->tolerant || failed)) ||
	    seen->judged->verdict == JUDGE_WAITS)
		return ROLLOUT_GO_ON;
	next_step(r, u, now_mono_ms);
	return ROLLOUT_CHANGED;
}

static enum rollout_verdict progress(struct rollout *r, const struct update_spec *u,
				     const struct rollout_seen *seen, int64_t now_mono_ms,
				     int64_t now_wall_ms)
{
	if (seen->available > r->best || seen->idle || r->was_idle) {
		r->progress_mono_ms = now_mono_ms;
		if (seen->available > r->best)
			r->best = seen->available;
	}
	r->was_idle = seen->idle;
	if (is_done(seen))
		return complete(r, ROLLOUT_COMPLETE, now_wall_ms);
	if (r->state == ROLLOUT_FAILED)
		return ROLLOUT_GO_ON;
	if (has_failed(r, u, seen, now_mono_ms))
		return fail(r, u, seen, now_mono_ms, now_wall_ms);
	if (!is_to_pause(r, u, seen))
		return ROLLOUT_GO_ON;
	r->state = ROLLOUT_PAUSED;
	say(r, "%u of %u replaced: `aictl rollout resume` goes on", seen->available, seen->wanted);
	return ROLLOUT_CHANGED;
}

static int64_t sooner(int64_t at, int64_t wake, int64_t now)
{
	return at > now && at < wake ? at : wake;
}

/* What is counted wakes it as well. */
static int64_t wake_canary(const struct rollout *r, const struct update_spec *u,
			   const struct rollout_seen *seen, int64_t now_mono_ms)
{
	int64_t wake = seen->settles_mono_ms;
	struct canary_step step;

	if (!rollout_is_canary(r, u) || !step_of(r, u, &step) || seen->idle)
		return wake;
	if (r->step_mono_ms)
		wake = sooner(clock_add(r->step_mono_ms, step.ms), wake, now_mono_ms);
	return sooner(clock_add(r->progress_mono_ms, u->deadline_ms), wake, now_mono_ms);
}

struct rollout_result rollout_step(struct rollout *r, const struct update_spec *u,
				   const struct rollout_seen *seen, int64_t now_mono_ms,
				   int64_t now_wall_ms)
{
	struct rollout_result res = {.verdict = ROLLOUT_GO_ON, .wake_mono_ms = INT64_MAX};

	if (rollout_is_canary(r, u)) {
		res.verdict = progress_canary(r, u, seen, now_mono_ms, now_wall_ms);
		res.wake_mono_ms = wake_canary(r, u, seen, now_mono_ms);
		return res;
	}
	if (r->state == ROLLOUT_PROGRESSING)
		r->canary = false; /* no such step any more */
	switch (r->state) {
	case ROLLOUT_PROGRESSING:
	case ROLLOUT_FAILED:
		res.verdict = progress(r, u, seen, now_mono_ms, now_wall_ms);
		res.wake_mono_ms = seen->settles_mono_ms;
		break;
	case ROLLOUT_ROLLING_BACK:
		if (is_done(seen) || seen->wanted == 0)
			res.verdict = complete(r, ROLLOUT_ROLLED_BACK, now_wall_ms);
		else
			res.wake_mono_ms = seen->settles_mono_ms;
		break;
	case ROLLOUT_COMPLETE:
	case ROLLOUT_PAUSED:
	case ROLLOUT_ROLLED_BACK:
	case ROLLOUT_SUPERSEDED:
	case ROLLOUT_STATE_MAX_:
		break;
	}
	if (r->state == ROLLOUT_PROGRESSING && !seen->idle &&
	    clock_add(r->progress_mono_ms, u->deadline_ms) < res.wake_mono_ms)
		res.wake_mono_ms = clock_add(r->progress_mono_ms, u->deadline_ms);
	return res;
}
