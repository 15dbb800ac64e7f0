/*
 * balance: which backend of a route gets a request. Pure.
 *
 * Of those that are active and have a free slot, the one with the least under way, in turn among
 * equals: up to BALANCE_LOOKS all are looked at, of more two at random. Ejected ones get nothing, one
 * on probation gets one at a time, unless there are no others.
 *
 * Canary: exactly canary_permille of the requests go to its backends, spread evenly (the remainder is
 * carried on). While those are full or gone the others take them; the canary takes the others' only
 * when none of those is left.
 *
 * A key (affinity) goes to where its hash with the replica's index is the largest, so that few keys
 * move when one comes or goes, and to the next one while that one has more than 1.25 times the
 * average under way. Its share of a canary is by the key, too: one key does not see both.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_GATEWAY_BALANCE_H
#define AICTL_GATEWAY_BALANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/gateway/routes.h"

#define BALANCE_LOOKS 16

struct balance_ask {
	struct backend *const *tried; /* not these */
	unsigned n_tried;
	uint64_t key; /* 0 = none */
	uint64_t now;
	bool again; /* it counts already; it goes to the canary if that is set */
	bool canary;
};

/* NULL: *ret_full = it could have gone to one if that had a free slot. */
struct backend *balance_pick(struct route *r, const struct balance_ask *ask, bool *ret_full);
/* One besides b is there that is not ejected. */
bool balance_has_other(const struct route *r, const struct backend *b, uint64_t now);
uint64_t balance_key(const char *text, size_t n);

#endif
