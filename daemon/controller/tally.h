/*
 * tally: many counters of which most are zero, as the buckets of histograms, in few bytes: of each
 * that is not zero how far it lies behind the last one, and its value, as varints.
 *
 * Pure but for its memory. A tally of zeros has none.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_TALLY_H
#define AICTL_CONTROLLER_TALLY_H

#include <stddef.h>
#include <stdint.h>

#define TALLY_MAX 256 /* counters */

struct tally {
	uint8_t *bytes; /* owned */
	uint16_t len, cap;
};

/* n <= TALLY_MAX. 0, or -ERR_NOMEM: it stays as it was. What it was once can always be set again. */
int tally_set(struct tally *t, const uint64_t *counters, size_t n);
/* Adds each to its own; more than n are not looked at. */
void tally_add_to(const struct tally *t, uint64_t *counters, size_t n);
void tally_done(struct tally *t);

#endif
