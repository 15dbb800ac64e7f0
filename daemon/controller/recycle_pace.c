/* recycle_pace: see recycle_pace.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/recycle_pace.h"

#include <stdbool.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/mem.h"

/* -1..1 out of an incarnation's random digits. */
static double share_of(const char *incarnation)
{
	uint64_t h = UINT64_C(14695981039346656037);

	for (const char *p = incarnation; *p; p++)
		h = (h ^ (unsigned char)*p) * UINT64_C(1099511628211);
	h ^= h >> 29;
	return (double)(h % 2001) / 1000 - 1;
}

int64_t recycle_pace_age_due(int64_t begun_mono_ms, int64_t max_age_ms, double variance,
			     const char *incarnation)
{
	if (begun_mono_ms == 0 || max_age_ms == 0)
		return INT64_MAX;
	return clock_add(begun_mono_ms,
			 (int64_t)((double)max_age_ms * (1 + variance * share_of(incarnation))));
}

int64_t recycle_pace_gap_ms(unsigned streak)
{
	int64_t gap = streak > 0 ? RECYCLE_PACE_INITIAL_MS : 0;

	while (streak-- > 1 && gap < RECYCLE_PACE_MAX_MS)
		gap *= 2;
	return gap < RECYCLE_PACE_MAX_MS ? gap : RECYCLE_PACE_MAX_MS;
}

/* What follows is another matter. */
static bool begins_anew(const struct replica_exit *x)
{
	static const char *const causes[] = {"user", "update", "rollback", "delete", "max_age"};

	for (size_t i = 0; x->cause && i < ARRAY_SIZE(causes); i++)
		if (strcmp(x->cause, causes[i]) == 0)
			return true;
	return false;
}

unsigned recycle_pace_streak(const struct exits *ends, int64_t since_wall_ms)
{
	unsigned streak = 0;

	for (size_t i = 0; i < ends->n; i++) {
		const struct replica_exit *x = &ends->list[i].exit;

		if (x->at_wall_ms < since_wall_ms || begins_anew(x))
			streak = 0;
		else if (!x->cause || strcmp(x->cause, "memory") != 0)
			continue;
		else if (x->at_wall_ms - x->started_wall_ms >
			 recycle_pace_gap_ms(streak) + RECYCLE_PACE_CALM_MS)
			streak = 0;
		else
			streak++;
	}
	return streak;
}
