/*
 * manifest_decode: one file's tree -> service specifications, driven by the rows of schema_table.c.
 * Everything that can be wrong with a single value is found here; what concerns several values is
 * manifest_check's.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_MANIFEST_DECODE_H
#define AICTL_LIB_MANIFEST_DECODE_H

#include <stddef.h>

#include "lib/manifest_errors.h"

struct service_spec;
struct ynode;

/* A service that was read, with what the checks across services point at. */
struct manifest_entry {
	struct service_spec *spec;
	struct manifest_place at;      /* its name */
	struct manifest_place port_at; /* its port; line 0 = none */
};

struct manifest_set { /* what the files hold together */
	struct manifest_entry *entries;
	size_t n, cap;
	char *name; /* or NULL */
	struct manifest_place name_at;
	unsigned name_layer;
	struct manifest_errors warnings;
};

/*
 * Each file is decoded alone but for what its services hold (manifest_decode_file), then the
 * services as merged (manifest_decode_services). What is wrong is added to *errors (running out of
 * memory: its nomem). The nodes' files are borrowed by the specifications and the places. The name
 * of a higher layer wins, files of one layer must agree.
 */
void manifest_decode_file(const struct ynode *root, unsigned layer, struct manifest_set *set,
			  struct manifest_errors *errors);
void manifest_decode_services(const struct ynode *services, struct manifest_set *set,
			      struct manifest_errors *errors);
void manifest_decode_done(struct manifest_set *set);

#endif
