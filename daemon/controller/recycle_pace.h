/*
 * recycle_pace: when a replica is to be recycled. Pure.
 *
 * By age: max_age, with its variance.
 *
 * By memory: at once when it is found above its ceiling; but a ceiling below what the service needs
 * would replace one process after the other for ever. So one that had to go within
 * RECYCLE_PACE_CALM_MS of the earliest time that it could go at is a sign of that, and after n such
 * ones in a row the next lives 2^(n-1) x RECYCLE_PACE_INITIAL_MS at least, at most
 * RECYCLE_PACE_MAX_MS. One that needed it no sooner, an update, the user's restart and a reset are a
 * new beginning. All of it comes from the service's ends, which the store keeps: so it holds over
 * our own death.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_RECYCLE_PACE_H
#define AICTL_CONTROLLER_RECYCLE_PACE_H

#include <stdint.h>

#include "daemon/controller/exits.h"

#define RECYCLE_PACE_INITIAL_MS (60 * 1000)
#define RECYCLE_PACE_MAX_MS (60 * 60 * 1000)
#define RECYCLE_PACE_CALM_MS (10 * 60 * 1000)

/* When a replica with these times is too old; INT64_MAX = never. The variance is by its incarnation,
 * so that it stays the same over our own death. */
int64_t recycle_pace_age_due(int64_t begun_mono_ms, int64_t max_age_ms, double variance,
			     const char *incarnation);
/* How many in a row had to go for their memory too soon; of those that ended since_wall_ms on. */
unsigned recycle_pace_streak(const struct exits *ends, int64_t since_wall_ms);
/* So long must the next one live. */
int64_t recycle_pace_gap_ms(unsigned streak);

#endif
