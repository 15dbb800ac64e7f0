/* zero: see zero.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/zero.h"

#include "lib/clock.h"

void zero_lull(struct zero *z)
{
	z->known = true;
	z->asleep = true;
	z->waking = false;
}

bool zero_rouse(struct zero *z, int64_t now_mono_ms)
{
	bool slept = z->asleep || !z->known;

	z->known = true;
	z->asleep = false;
	z->waking |= slept;
	z->used_mono_ms = now_mono_ms;
	return slept;
}

static int64_t latest(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* Seen for the first time: what runs was used a moment ago, for all we know. */
static void begin(struct zero *z, const struct zero_seen *seen, int64_t now)
{
	z->known = true;
	z->used_mono_ms = now;
	z->asleep = seen->replicas == 0 && !seen->pinned;
	z->waking = !z->asleep && seen->ready == 0;
}

static enum zero_verdict step_up(struct zero *z, const struct zero_seen *seen, int64_t now,
				 int64_t *wake_mono_ms)
{
	int64_t due;

	if (seen->ready > 0)
		z->waking = false;
	if (seen->in_use)
		z->used_mono_ms = now;
	if (seen->pinned || seen->busy || seen->sighted_mono_ms < 0)
		return ZERO_STAYS;
	due = latest(z->used_mono_ms, latest(seen->ready_mono_ms, seen->sighted_mono_ms));
	due = clock_add(due, seen->idle_ms);
	if (due > now) {
		if (due < *wake_mono_ms)
			*wake_mono_ms = due;
		return ZERO_STAYS;
	}
	zero_lull(z);
	return ZERO_SLEEPS;
}

enum zero_verdict zero_step(struct zero *z, const struct zero_seen *seen, int64_t now_mono_ms,
			    int64_t *wake_mono_ms)
{
	if (!seen->can) {
		*z = (struct zero){0};
		return ZERO_STAYS;
	}
	if (!z->known)
		begin(z, seen, now_mono_ms);
	if (!z->asleep)
		return step_up(z, seen, now_mono_ms, wake_mono_ms);
	if (!seen->called && !seen->pinned)
		return ZERO_STAYS;
	zero_rouse(z, now_mono_ms);
	step_up(z, seen, now_mono_ms, wake_mono_ms);
	return ZERO_WAKES;
}

unsigned zero_bound(const struct zero *z, unsigned n)
{
	if (!z->known)
		return n;
	if (z->asleep)
		return 0;
	return z->waking || n == 0 ? 1 : n;
}

/* The last one counts most: a model that has moved to another disk is soon known. */
int64_t zero_learn(int64_t expected_ms, int64_t took_ms)
{
	if (took_ms <= 0)
		return expected_ms;
	return expected_ms > 0 ? (expected_ms + 3 * took_ms) / 4 : took_ms;
}
