/* suggest: see suggest.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/suggest.h"

#include <stdint.h>
#include <string.h>

#define SUGGEST_MAX 40 /* longer names are not compared */

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t m = a < b ? a : b;

	return m < c ? m : c;
}

/* Optimal string alignment: edits and swaps of neighbours. Both at most SUGGEST_MAX long. */
static size_t distance(const char *a, size_t na, const char *b, size_t nb)
{
	size_t d[SUGGEST_MAX + 1][SUGGEST_MAX + 1];

	for (size_t i = 0; i <= na; i++)
		d[i][0] = i;
	for (size_t j = 0; j <= nb; j++)
		d[0][j] = j;
	for (size_t i = 1; i <= na; i++) {
		for (size_t j = 1; j <= nb; j++) {
			size_t cost = a[i - 1] != b[j - 1];

			d[i][j] = min3(d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + cost);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    d[i - 2][j - 2] + 1 < d[i][j])
				d[i][j] = d[i - 2][j - 2] + 1;
		}
	}
	return d[na][nb];
}

void suggest_offer(struct suggest *s, const char *name)
{
	size_t n = strlen(s->wanted), m = strlen(name), d;

	if (n > SUGGEST_MAX || m > SUGGEST_MAX)
		return;
	d = distance(s->wanted, n, name, m);
	if (n >= 2 && strncmp(s->wanted, name, n) == 0)
		d = 1; /* a beginning: "desc" */
	if (d > (n < 3 ? 1 : n / 3 + 1) || d >= m)
		return;
	if (!s->best || d < s->distance) {
		s->best = name;
		s->distance = d;
	}
}
