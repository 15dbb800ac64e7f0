/* loggap: see loggap.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/loggap.h"

#include "lib/mem.h"

/* Without memory it is passed over in silence: who has none is told of that soon. */
void loggap_note(struct loggap *g, uint32_t seq)
{
	if (g->mute || loggap_within(g, seq, seq) > 0 ||
	    mem_grow(&g->seqs, &g->cap, g->n + 1, sizeof(*g->seqs)) < 0)
		return;
	g->seqs[g->n++] = seq;
}

uint32_t loggap_within(const struct loggap *g, uint32_t first, uint32_t last)
{
	uint32_t n = 0;

	for (size_t i = 0; i < g->n; i++)
		n += g->seqs[i] >= first && g->seqs[i] <= last;
	return n;
}

uint32_t loggap_tell(struct loggap *g)
{
	return g->told < g->n ? g->seqs[g->told++] : 0;
}

void loggap_done(struct loggap *g)
{
	mem_free(g->seqs);
	*g = (struct loggap){0};
}
