/*
 * docker_spec: the specification of a unit (aictl-plugin(3)) as the body of the engine's
 * POST /containers/create. Pure.
 *
 * What the specification does not say is left to the engine, but for what aictl itself decides:
 * no restart policy, no removal by the engine, a log driver that can be read again.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_PLUGINS_DOCKER_SPEC_H
#define AICTL_PLUGINS_DOCKER_SPEC_H

#include <aictl/plugin.h>
#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

enum docker_spec_pull { DOCKER_SPEC_MISSING, DOCKER_SPEC_ALWAYS, DOCKER_SPEC_NEVER };

struct docker_spec_engine {
	bool podman;
	int podman_major; /* 0 = not known */
};

struct docker_spec_with {
	const struct docker_spec_engine *engine;
	const struct aictl_pair *labels; /* aictl's own */
	size_t n_labels;
};

/* AICTL_OK and the body in *ret (for docker_mem_free), or a code and one line in error. */
int docker_spec_body(const cJSON *spec, const struct docker_spec_with *with, char **ret,
		     char *error, size_t error_size);
/* The body of POST /networks/create of its network, or NULL where that one is an engine's own. As above. */
int docker_spec_network(const cJSON *spec, const struct docker_spec_with *with, char **ret,
			char *error, size_t error_size);
enum docker_spec_pull docker_spec_pull(const cJSON *spec);

#endif
