/*
 * sources: manifest files as JSON, `[{"path": "/abs/aictl.yaml", "text": "..."}]`: what a client
 * sends in an apply and what the store keeps.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_SOURCES_H
#define AICTL_CONTROLLER_SOURCES_H

#include <stddef.h>

struct cJSON;
struct err;
struct manifest_source;

#define SOURCES_MAX 256 /* files in one apply */

/* Borrows from array; *ret is to be freed with mem_free. ERR_INVALID says what is wrong. */
int sources_from_json(const struct cJSON *array, struct manifest_source **ret, size_t *ret_n,
		      struct err **reterr);
/* Caller frees; NULL when out of memory. */
char *sources_to_json(const struct manifest_source *sources, size_t n);

#endif
