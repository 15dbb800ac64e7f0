/*
 * linediff: two texts compared by lines, as a unified diff with three lines of context.
 *
 * The longest common subsequence decides, between the common beginning and end of both texts. When
 * what is left there is too large for that (LINEDIFF_CELLS_MAX), it is one block out, one block in:
 * still a true diff, only not the shortest.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_LINEDIFF_H
#define AICTL_CLI_LINEDIFF_H

#include <stdbool.h>
#include <stddef.h>

#define LINEDIFF_CELLS_MAX (1u << 20)
#define LINEDIFF_CONTEXT 3

/*
 * Calls fn with each line of the diff, in order; text is borrowed and without its newline. sign is
 * ' ' (in both), '-' (in before alone), '+' (in after alone), or '@': a header "@@ -1,4 +1,5 @@",
 * before each group of lines. A missing newline at the end counts as one. Returns whether they
 * differ.
 */
bool linediff_run(const char *before, const char *after,
		  void (*fn)(void *user, char sign, const char *text, size_t n), void *user);

#endif
