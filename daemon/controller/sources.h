/*
 * sources: the files of an apply as JSON: what a client sends, what the store keeps.
 *
 *   [{"path": "/abs/aictl.yaml", "text": "...", "layer": 0}, ...,  the manifests
 *    {"path": "/abs/.env", "base64": "..."}, ...]                  what they name: env_file, secrets
 *
 * In the store also {"service": "chat", "generation": "0123456789abcdef"}: see secrets.h.
 *
 * The client has read all of it with its own rights. Nothing that is named here is ever opened: a
 * file that a manifest names and the list does not hold is an error.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_SOURCES_H
#define AICTL_CONTROLLER_SOURCES_H

#include <stddef.h>
#include <stdint.h>

struct cJSON;
struct err;
struct manifest;
struct manifest_errors;
struct manifest_file;
struct manifest_source;

#define SOURCES_MAX 256		     /* manifests and what they name, in one apply */
#define SOURCES_GENERATIONS_MAX 1024 /* 10,000 nodes name fewer services with secrets */

struct sources_generation {
	char *service;
	uint64_t number;
};

struct sources {
	struct manifest_source *v; /* path and text are owned */
	size_t n;
	struct manifest_file *files;
	size_t n_files;
	struct sources_generation *generations; /* of services' secrets */
	size_t n_generations, cap_generations;
};

/* *ret is to be freed with sources_done. ERR_INVALID says what is wrong. */
int sources_from_json(const struct cJSON *array, struct sources *ret, struct err **reterr);
/* Caller frees; NULL when out of memory. */
char *sources_to_json(const struct sources *s);
/* The same text with what secrets_assign said of m's services. NULL: out of memory. */
char *sources_add_generations(const char *json, const struct manifest *m);
/* What of it an administrator may see, from the store's text: the manifests, and the paths of what
 * they name. Caller frees; NULL when out of memory. */
char *sources_without_contents(const char *json);
/* manifest_parse, with the files and generations of the list. */
int sources_parse(const struct sources *s, struct manifest **ret, struct manifest_errors *errors);
/* Appends an entry; takes path and data over on success. 0, -ERR_NOMEM, -ERR_INVALID when full. */
int sources_add_text(struct sources *s, char *path, char *text, size_t len, unsigned layer);
int sources_add_file(struct sources *s, char *path, char *data, size_t len);
/* Notes (or replaces) the generation of a service's secrets. 0 or -ERR_NOMEM. */
int sources_set_generation(struct sources *s, const char *service, uint64_t number);
void sources_forget_generations(struct sources *s);
void sources_done(struct sources *s); /* the struct may be used again */

#endif
