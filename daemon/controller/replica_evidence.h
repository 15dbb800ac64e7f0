/*
 * replica_evidence: what there was when a start last showed progress (replica_push.h); only of one
 * that is looked at.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_REPLICA_EVIDENCE_H
#define AICTL_CONTROLLER_REPLICA_EVIDENCE_H

#include <stdint.h>

struct replica;

struct replica_evidence {
	int64_t progress_mono_ms; /* when; 0 = nobody has looked yet */
	uint64_t io_bytes, block_bytes, memory_bytes, output_bytes;
};

/* r->seen, made where there is none; NULL = no memory. */
struct replica_evidence *replica_evidence_get(struct replica *r);
/* For the note: of a start that goes on, and has been looked at; else NULL. */
const struct replica_evidence *replica_evidence_kept(const struct replica *r);
/* From the note. */
void replica_evidence_recall(struct replica *r, const struct replica_evidence *e);
void replica_evidence_free(struct replica *r);

#endif
