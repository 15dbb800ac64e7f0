/*
 * share: how much one stream may store in one step, so that all that are ready come around in a
 * tenth of a second: a single line of one does not wait long for the megabytes of the others.
 *
 * One stream alone takes large steps, which cost least. When many are ready at once each gets what
 * the disk takes in its part of SHARE_ROUND_US, at the speed that the last steps had. Pure.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LOGGER_SHARE_H
#define AICTL_LOGGER_SHARE_H

#include <stddef.h>
#include <stdint.h>

#define SHARE_STEP_MAX (1u << 20) /* bytes */
#define SHARE_STEP_MIN (16u << 10)
#define SHARE_ROUND_US 50000 /* half of what is promised: a round may have begun already */

struct share {
	uint64_t speed; /* bytes in a second, of late; 0 = not known yet */
};

/* A step stored n bytes and took so long. */
void share_took(struct share *s, size_t n, int64_t us);
/* The most that one of `ready` streams may store now. */
size_t share_step(const struct share *s, size_t ready);

#endif
