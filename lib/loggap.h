/*
 * loggap: which segments of a track cannot be read though they are there: compressed ones that are
 * damaged. Each is noted once, and told once, by its name.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_LOGGAP_H
#define AICTL_LIB_LOGGAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loggap {
	uint32_t *seqs;
	size_t n, cap, told;
	bool mute; /* what is noted now is not about what was asked for */
};

void loggap_note(struct loggap *g, uint32_t seq);
/* How many of first..last. */
uint32_t loggap_within(const struct loggap *g, uint32_t first, uint32_t last);
/* The next one that was not told yet, or 0. */
uint32_t loggap_tell(struct loggap *g);
void loggap_done(struct loggap *g);

#endif
