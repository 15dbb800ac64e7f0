/*
 * api_probes: the probes of a replica in answers, and running them at once.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_API_PROBES_H
#define AICTL_CONTROLLER_API_PROBES_H

struct jsonw;
struct replica;

/* The member "probes": each one that the manifest has, with its last results, newest first. */
void api_probes_write(struct jsonw *w, const struct replica *r);

#endif
