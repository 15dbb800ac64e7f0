/*
 * suggest: the known name nearest to a mistyped one, by edit distance (a swap of neighbours counts
 * as one edit). Nothing is suggested when more than a third of the letters would have to change.
 *
 *   struct suggest s = {.wanted = "statr"};
 *   suggest_offer(&s, "start"); suggest_offer(&s, "stop");   // s.best is "start"
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_SUGGEST_H
#define AICTL_CLI_SUGGEST_H

#include <stddef.h>

struct suggest {
	const char *wanted;
	const char *best; /* borrowed from the offers, or NULL */
	size_t distance;  /* of best */
};

void suggest_offer(struct suggest *s, const char *name);

#endif
