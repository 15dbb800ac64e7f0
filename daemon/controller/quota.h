/*
 * quota: how many records each of several owners may keep in a room that is too small for all. Who
 * has less than the quota loses nothing, whatever the others do: one that never rests pushes out
 * only its own. Pure.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_QUOTA_H
#define AICTL_CONTROLLER_QUOTA_H

#include <stddef.h>

/* The greatest q for which the sum of min(counts[i], q) is at most room; 0 when there are more
 * owners with a record than room. */
size_t quota_fair(const size_t *counts, size_t n, size_t room);

#endif
