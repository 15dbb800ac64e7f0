/*
 * sources: the files of an apply as JSON: what a client sends, what the store keeps.
 *
 *   [{"path": "/abs/aictl.yaml", "text": "...", "layer": 0}, ...,  the manifests
 *    {"path": "/abs/.env", "base64": "..."}, ...]                  what they name: env_file, secrets
 *
 * The client has read all of it with its own rights. Nothing that is named here is ever opened: a
 * file that a manifest names and the list does not hold is an error.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_SOURCES_H
#define AICTL_CONTROLLER_SOURCES_H

#include <stddef.h>

struct cJSON;
struct err;
struct manifest;
struct manifest_errors;
struct manifest_file;
struct manifest_source;

#define SOURCES_MAX 256 /* entries in one apply */

struct sources {
	struct manifest_source *v; /* path and text are owned */
	size_t n;
	struct manifest_file *files;
	size_t n_files;
};

/* *ret is to be freed with sources_done. ERR_INVALID says what is wrong. */
int sources_from_json(const struct cJSON *array, struct sources *ret, struct err **reterr);
/* Caller frees; NULL when out of memory. */
char *sources_to_json(const struct sources *s);
/* manifest_parse, with the files of the list. */
int sources_parse(const struct sources *s, struct manifest **ret, struct manifest_errors *errors);
/* Appends an entry; takes path and data over on success. 0, -ERR_NOMEM, -ERR_INVALID when full. */
int sources_add_text(struct sources *s, char *path, char *text, size_t len, unsigned layer);
int sources_add_file(struct sources *s, char *path, char *data, size_t len);
void sources_done(struct sources *s); /* the struct may be used again */

#endif
