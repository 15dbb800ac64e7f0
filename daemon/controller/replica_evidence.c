/* replica_evidence: see replica_evidence.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/replica_evidence.h"

#include <stddef.h>

#include "daemon/controller/replica.h"
#include "lib/mem.h"

struct replica_evidence *replica_evidence_get(struct replica *r)
{
	if (!r->seen)
		r->seen = mem_alloc(sizeof(*r->seen));
	return r->seen;
}

const struct replica_evidence *replica_evidence_kept(const struct replica *r)
{
	return r->seen && r->seen->progress_mono_ms && r->state == REPLICA_STARTING &&
			       !r->health.started
		       ? r->seen
		       : NULL;
}

void replica_evidence_recall(struct replica *r, const struct replica_evidence *e)
{
	struct replica_evidence *seen = replica_evidence_get(r);

	if (!seen)
		return;
	*seen = *e;
	r->health.progress_mono_ms = e->progress_mono_ms;
}

void replica_evidence_free(struct replica *r)
{
	mem_free(r->seen);
	r->seen = NULL;
}
