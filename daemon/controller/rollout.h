/*
 * rollout: how an update of one service goes. Pure: what is seen of the replicas and the time go
 * in, a verdict comes out; the caller (service_rollout.c) acts on it and keeps the record in the
 * store.
 *
 * A rollout progresses while more new replicas become available (ready for min_ready); it is
 * complete when all that are wanted are and no outdated one is left. It has failed when
 *  - a new replica failed for good, or a probe or the start's stall condemned it,
 *  - one ended ROLLOUT_FAILURES_MAX times before it was available, or
 *  - nothing progressed for update.deadline.
 * Then update.on_failure decides. The last good revision is the one whose rollout was the last that
 * completed; the first deployment has none, and stays as it is.
 *
 * By update.strategy canary it goes by steps first, if there is a last good revision: a few new
 * replicas beside the stable ones get a share of the requests. Its time begins when all of them are
 * available. A step is over when its time is and judge.h finds the canary good of what was counted
 * meanwhile; a bad one has failed at once. From the step of 100 % on it goes as any other update.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_ROLLOUT_H
#define AICTL_CONTROLLER_ROLLOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/controller/judge.h"
#include "daemon/controller/plan.h"
#include "lib/manifest.h"

#define ROLLOUT_FAILURES_MAX 3
#define ROLLOUT_REASON_MAX 200

enum rollout_state {
	ROLLOUT_COMPLETE, /* also: nothing was ever rolled out */
	ROLLOUT_PROGRESSING,
	ROLLOUT_PAUSED,
	ROLLOUT_FAILED,	      /* and left as it is */
	ROLLOUT_ROLLING_BACK, /* it has failed, or the user wants it back: to the last good one */
	ROLLOUT_ROLLED_BACK,
	ROLLOUT_SUPERSEDED, /* by another one: only in the history */
	ROLLOUT_STATE_MAX_
};

struct rollout {
	enum rollout_state state;
	uint64_t revision;    /* of the set, that it leads (or led) to; 0 = none yet */
	uint64_t hash;	      /* service_spec_hash() of that */
	unsigned best;	      /* as many of its replicas were available at once */
	bool looked_at;	      /* pause_after is behind it */
	bool was_idle;	      /* when last looked at: the time since then does not count */
	bool tolerant;	      /* resumed after a failure: only the deadline counts */
	bool barred;	      /* FAILED, and cannot be taken back: nothing more is replaced */
	bool canary;	      /* goes by steps; when taken back: it did until then */
	unsigned step;	      /* of update.steps, from 0 */
	int64_t step_mono_ms; /* since when that is in force; 0 = its replicas are not available yet */
	int64_t progress_mono_ms;
	int64_t started_wall_ms, ended_wall_ms; /* ended: 0 = under way */
	char reason[ROLLOUT_REASON_MAX];	/* why it paused or failed, "" = it did not */
};

/* Of the replicas. */
struct rollout_seen {
	unsigned wanted;
	unsigned available; /* new ones: ready for min_ready, or succeeded */
	unsigned others;    /* all that are not available new ones */
	bool good;	    /* there is a last good revision */
	bool idle; /* stopped by the user, held by a dependency, frozen: no time passes for it */
	/* The worst new one that is not available: */
	bool given_up;			   /* failed for good, or condemned */
	uint32_t ends;			   /* in a row */
	unsigned index;			   /* which */
	const char *why;		   /* its message */
	const struct judge_result *judged; /* canary: of what was counted in this step; or NULL */
	int64_t settles_mono_ms; /* when the next ready one has been so for min_ready; or INT64_MAX */
};

enum rollout_verdict {
	ROLLOUT_GO_ON,
	ROLLOUT_CHANGED,  /* it is to be stored and told, nothing else */
	ROLLOUT_TAKE_BACK /* ROLLING_BACK has begun: the last good revision is desired now */
};

struct rollout_result {
	enum rollout_verdict verdict;
	int64_t wake_mono_ms; /* call again then; INT64_MAX = only on events */
};

/* Another revision is desired (ROLLOUT_COMPLETE before: nothing to prove). */
void rollout_begin(struct rollout *r, uint64_t revision, uint64_t hash, int64_t now_mono_ms,
		   int64_t now_wall_ms);
/* It is at a step below 100 %: the stable replicas stay, whatever becomes of it. */
bool rollout_is_canary(const struct rollout *r, const struct update_spec *u);
/* Percent of the requests that the new replicas get, while rollout_is_canary or taken back by one. */
unsigned rollout_share(const struct rollout *r, const struct update_spec *u);
struct rollout_result rollout_step(struct rollout *r, const struct update_spec *u,
				   const struct rollout_seen *seen, int64_t now_mono_ms,
				   int64_t now_wall_ms);
/* The user's: false = not in this state. */
bool rollout_pause(struct rollout *r, const char *reason);
bool rollout_resume(struct rollout *r, int64_t now_mono_ms);
void rollout_take_back(struct rollout *r, const char *reason, int64_t now_mono_ms);
/* The steps are over: all get it now. */
bool rollout_promote(struct rollout *r, const struct update_spec *u, int64_t now_mono_ms);
/* After ROLLOUT_TAKE_BACK: it cannot be, for this reason; it has failed and stays as it is. */
void rollout_stay(struct rollout *r, const char *obstacle);
/* It goes on: replicas may be replaced. */
bool rollout_is_under_way(const struct rollout *r);
/* What the keys come to for so many replicas, in plan's words. */
struct plan_update rollout_bounds(const struct update_spec *u, const struct rollout *r,
				  unsigned replicas);
/* "complete", "progressing", ... */
const char *rollout_state_name(enum rollout_state s);

#endif
