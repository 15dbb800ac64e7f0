/*
 * docker_auth: the credentials for a registry, out of Docker's config.json, as the header
 * X-Registry-Auth wants them. Pure but for docker_auth_read.
 *
 * Helper programs (credsStore, credHelpers) are not run: that would be a child per pull, under
 * the account that may talk to the engine. *ret_note says so where one is configured for the
 * registry and the file itself has nothing.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_PLUGINS_DOCKER_AUTH_H
#define AICTL_PLUGINS_DOCKER_AUTH_H

#include <stddef.h>

/* The header's value in *ret, NULL: none for this registry. 0, -1 = not a config.json, -2 = no
 * memory. *ret_note is static or NULL. */
int docker_auth_header(const char *config, size_t len, const char *registry, char **ret,
		       const char **ret_note);
/* $DOCKER_CONFIG/config.json, or ~/.docker/config.json; NULL: none that can be read. */
char *docker_auth_read(size_t *ret_len);

#endif
