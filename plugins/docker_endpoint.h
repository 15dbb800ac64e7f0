/*
 * docker_endpoint: where the engine listens: the plugin's configuration, else DOCKER_HOST, else
 * Docker's own path. Only a Unix socket, as unix:///path or /path: who reaches the engine is
 * root, and over TCP that would be everybody. Pure.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_PLUGINS_DOCKER_ENDPOINT_H
#define AICTL_PLUGINS_DOCKER_ENDPOINT_H

#include <stddef.h>

/* The path in *ret (for docker_mem_free), or a code of aictl_code and one line in error. */
int docker_endpoint_parse(const char *config, const char *docker_host, char **ret, char *error,
			  size_t error_size);

#endif
