/* share: see share.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/logger/share.h"

#define SECOND_US 1000000
#define TELLING (16u << 10) /* bytes from which on a step says something about the speed */

void share_took(struct share *s, size_t n, int64_t us)
{
	uint64_t speed = n * (uint64_t)SECOND_US / (uint64_t)(us > 0 ? us : 1);

	if (n >= TELLING || us >= SHARE_ROUND_US / 2)
		s->speed = s->speed == 0 ? speed : s->speed - s->speed / 4 + speed / 4;
}

size_t share_step(const struct share *s, size_t ready)
{
	uint64_t part;

	if (s->speed == 0 || ready <= 1)
		return SHARE_STEP_MAX;
	part = s->speed / (SECOND_US / SHARE_ROUND_US) / ready;
	return part > SHARE_STEP_MAX   ? SHARE_STEP_MAX
	       : part < SHARE_STEP_MIN ? SHARE_STEP_MIN
				       : (size_t)part;
}
