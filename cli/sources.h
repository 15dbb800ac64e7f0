/*
 * sources: the manifest files a command works on, read with the caller's own rights.
 *
 * -f FILE|DIR may be repeated; each one is a layer over those before it (manifest_merge.h). A
 * directory stands for its *.yaml and *.yml in order of name, which are one layer together, "-" for
 * standard input. Without -f it is ./aictl.yaml, else ./aictl.yml.
 *
 * What they name (env_file, secrets) is read here, too, when they are checked, and sent along.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_SOURCES_H
#define AICTL_CLI_SOURCES_H

#include <stddef.h>

#include "lib/manifest.h"

struct args;
struct cJSON;
struct cli;

struct sources {
	struct manifest_source *v; /* path and text are owned */
	size_t n, cap;
	char *dir;		     /* absolute: of the first file */
	struct manifest_file *files; /* what the manifests name; filled by sources_check */
	size_t n_files;
	bool names_only; /* sources_check: what the manifests name is not read, nor needed */
};

/* Reads all of it and sets cli->dir, or exits: 2 when there is no manifest, 1 when unreadable. */
void sources_load(struct cli *cli, const struct args *args, struct sources *ret);
/* The directory alone, for the socket of its `up`; nothing is read. Caller frees. */
char *sources_dir(const struct args *args);
/* The checked manifest; NULL with all of its errors. Exits only when out of memory. */
struct manifest *sources_parse(struct sources *s, struct manifest_errors *errors);
/* The checked manifest, with its warnings on stderr, or all of its errors there and exit 9. */
struct manifest *sources_check(struct sources *s);
/* Adds "manifests":[{"path","text","layer"}, {"path","base64"}] to the body of a change. */
void sources_to_json(const struct sources *s, struct cJSON *body);
void sources_done(struct sources *s);

/* The text of a source by its path, or NULL: for the line under an error. */
const struct manifest_source *sources_find(const struct sources *s, const char *path);

#endif
