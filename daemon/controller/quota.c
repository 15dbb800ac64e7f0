/* quota: see quota.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/quota.h"

#include <stdbool.h>

static bool fits(const size_t *counts, size_t n, size_t room, size_t q)
{
	size_t left = room;

	for (size_t i = 0; i < n; i++) {
		size_t kept = counts[i] < q ? counts[i] : q;

		if (kept > left)
			return false;
		left -= kept;
	}
	return true;
}

size_t quota_fair(const size_t *counts, size_t n, size_t room)
{
	size_t low = 0, high = room;

	while (low < high) { /* low fits; the answer is not above high */
		size_t mid = high - (high - low) / 2;

		if (fits(counts, n, room, mid))
			low = mid;
		else
			high = mid - 1;
	}
	return low;
}
