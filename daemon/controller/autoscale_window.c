/* autoscale_window: see autoscale_window.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/autoscale_window.h"

#include <stdbool.h>

#include "lib/cron.h"
#include "lib/manifest.h"

#define MS_PER_S 1000

/* Is it open, and when does that change? */
static bool look(const struct autoscale_window *w, const struct tz *tz, int64_t now_wall_ms,
		 int64_t *ret_until_wall_ms)
{
	int64_t now_s = now_wall_ms / MS_PER_S, for_s = w->for_ms / MS_PER_S, begin_s;
	struct cron cron;

	*ret_until_wall_ms = INT64_MAX;
	if (!w->cron || cron_parse(w->cron, &cron, NULL) < 0)
		return false;
	begin_s = cron_next(&cron, tz, now_s - for_s);
	if (begin_s == INT64_MAX)
		return false;
	if (begin_s > now_s) {
		*ret_until_wall_ms = begin_s * MS_PER_S;
		return false;
	}
	*ret_until_wall_ms = (begin_s + for_s) * MS_PER_S; /* or another has begun by then */
	return true;
}

struct autoscale_bounds autoscale_window_bounds(const struct service_spec *spec,
						const struct tz *(*zone)(const void *user,
									 const char *name),
						const void *user, int64_t now_wall_ms)
{
	const struct autoscale_window *windows = spec->autoscale.schedule.v;
	struct autoscale_bounds b = {.until_wall_ms = INT64_MAX};
	int64_t min = SPEC_UNSET, max = SPEC_UNSET;

	for (size_t i = 0; spec->autoscale.enabled && i < spec->autoscale.schedule.n; i++) {
		const struct autoscale_window *w = &windows[i];
		int64_t until;
		bool open = look(w, zone(user, w->timezone), now_wall_ms, &until);

		b.until_wall_ms = until < b.until_wall_ms ? until : b.until_wall_ms;
		if (!open)
			continue;
		b.open++;
		if (w->min != SPEC_UNSET && (min == SPEC_UNSET || w->min > min))
			min = w->min;
		if (w->max != SPEC_UNSET && (max == SPEC_UNSET || w->max < max))
			max = w->max;
	}
	min = min == SPEC_UNSET ? spec->replicas_min : min;
	max = max == SPEC_UNSET ? spec->replicas_max : max;
	b.max = (unsigned)max;
	b.min = (unsigned)(min < max ? min : max);
	return b;
}
