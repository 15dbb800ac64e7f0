/*
 * docker_pull: the lines of POST /images/create, one JSON object each, as progress. Pure.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_PLUGINS_DOCKER_PULL_H
#define AICTL_PLUGINS_DOCKER_PULL_H

#include <aictl/plugin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DOCKER_PULL_LAYERS 256

struct docker_pull_layer {
	char id[16]; /* the engines say twelve digits */
	bool done;
	int64_t current, total;
};

struct docker_pull {
	struct docker_pull_layer layers[DOCKER_PULL_LAYERS];
	size_t n_layers;
	char error[256]; /* the engine's words, "": none so far */
};

/* True if the progress has changed; a line that is not understood changes nothing. */
bool docker_pull_line(struct docker_pull *p, const char *line, size_t len);
void docker_pull_progress(const struct docker_pull *p, struct aictl_progress *ret);
/* What the engine's words about an image mean. */
int docker_pull_code(const char *error);

#endif
