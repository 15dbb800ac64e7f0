/*
 * import: a Compose project (compose.h) -> the text of a manifest, and notes on what has no
 * counterpart. One part of a service is one import_*.c; each reads its keys from the merged tree and
 * appends its lines.
 *
 *   struct import im = {.c = &c, .out_dir = "/srv/app"};
 *   import_make(&im, &text);         // c.errors has what Compose itself would refuse
 *   import_done(&im);
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_IMPORT_H
#define AICTL_CLI_IMPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/import_notes.h"

struct buf;
struct compose;
struct compose_texts;
struct ynode;

struct import_service {
	const char *from; /* its name in the Compose file; borrowed */
	char *name;	  /* a DNS label */
	const struct ynode *node;
	bool task; /* another one waits for its success */
};

/* Content that Compose has inline, and we need as a file. */
struct import_file {
	char *path; /* relative to out_dir */
	char *content;
};

struct import {
	struct compose *c;
	const char *out_dir;	     /* absolute: paths in the manifest count from there */
	const char *const *profiles; /* enabled ones */
	size_t n_profiles;
	bool (*exists)(const char *path); /* is there such a file? absolute; NULL: yes */
	struct import_notes notes;
	char *set;	  /* the manifest's name */
	char *project;	  /* as Compose calls it: in the names of volumes and networks */
	bool one_network; /* some service has several networks: all get the same one */
	struct import_service *services;
	size_t n_services, cap_services;
	struct import_file *files;
	size_t n_files, cap_files;
};

/* What a part works on. */
struct import_part {
	struct import *im;
	const struct import_service *s;
	struct buf *out;
};

void import_make(struct import *im, struct buf *out);
void import_done(struct import *im);

/* For the parts. */
#define IMPORT_DEPTH 2 /* of a service's keys */
void import_note(const struct import_part *p, enum import_kind kind, const char *field,
		 const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* "FIELD: TEXT is not WHAT", at its place. */
void import_bad(const struct import_part *p, const struct ynode *at, const char *field,
		const char *what);
/* The value of a key of the service, NULL when it is null. */
const struct ynode *import_key(const struct import_part *p, const char *key);
/* The definition of a top-level thing ("volumes", "secrets", ...), or NULL. */
const struct ynode *import_defined(const struct import_part *p, const char *kind, const char *name);
/* The same, as a question; name may be NULL. false with an error at `at`. */
bool import_is_defined(const struct import_part *p, const char *kind, const char *name,
		       const struct ynode *at);
/* The name by which the engine knows a volume or network. Caller frees. */
char *import_engine_name(const struct import_part *p, const char *kind, const char *name);
/* A path that stands in a Compose file, as the manifest needs it. Caller frees. */
char *import_path(const struct import *im, const struct ynode *at, const char *path);
/* Is there a file at a path that import_path gave? */
bool import_exists(const struct import *im, const char *path);
/* Our name of a service of the Compose file, or NULL when it is not in the manifest. */
const char *import_service_name(const struct import *im, const char *from);
const struct import_service *import_service_find(const struct import *im, const char *from);
/* Notes each key of map that is not among known (NULL-terminated); x-... are nobody's business. */
void import_unknown(const struct import_part *p, const struct ynode *map, const char *prefix,
		    const char *const *known);
/* Texts with their dollars escaped, for command and environment. */
void import_escape(struct compose_texts *t);
/* A command: a text is split as a shell does. false with an error. */
bool import_command(const struct import_part *p, const struct ynode *node, const char *field,
		    struct compose_texts *ret);

#endif
