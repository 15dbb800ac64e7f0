/*
 * docker_ref: an image reference taken apart, and text made fit for a URL. Pure.
 *
 *   redis                     -> name "redis", tag "latest", registry "docker.io"
 *   ghcr.io/a/b:1@sha256:00…  -> name "ghcr.io/a/b", digest "sha256:00…", registry "ghcr.io"
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_PLUGINS_DOCKER_REF_H
#define AICTL_PLUGINS_DOCKER_REF_H

#include <stdbool.h>

#include "docker_mem.h"

struct docker_ref {
	char *name;	/* without tag and digest */
	char *tag;	/* or the digest, which wins: what the engine's "tag" parameter wants */
	char *registry; /* as in Docker's configuration: docker.io, host or host:port */
	bool id;	/* an image's id: cannot be pulled */
};

/* 0; -1 = no reference, with *why; -2 = no memory. */
int docker_ref_parse(const char *text, struct docker_ref *ret, const char **why);
void docker_ref_done(struct docker_ref *r);

void docker_ref_escape(struct docker_buf *to, const char *text);

#endif
