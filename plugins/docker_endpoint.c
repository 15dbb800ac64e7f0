/*
 * docker_endpoint: see docker_endpoint.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "docker_endpoint.h"

#include <aictl/plugin.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "docker_mem.h"

#define DEFAULT_PATH "/var/run/docker.sock"

int docker_endpoint_parse(const char *config, const char *docker_host, char **ret, char *error,
			  size_t error_size)
{
	const char *text = DEFAULT_PATH, *from = "", *path;

	if (config && config[0]) {
		text = config;
	} else if (docker_host && docker_host[0]) {
		text = docker_host;
		from = "DOCKER_HOST: ";
	}
	path = strncmp(text, "unix://", 7) == 0 ? text + 7 : text;
	if (path == text && strstr(text, "://")) {
		snprintf(error, error_size,
			 "%s%.*s:// is not supported: give the engine's Unix socket as "
			 "unix:///path",
			 from, (int)strcspn(text, ":"), text);
		return AICTL_UNSUPPORTED;
	}
	if (path[0] != '/') {
		snprintf(error, error_size, "%s%.100s: an absolute path is wanted, as unix:///path",
			 from, text);
		return AICTL_INVALID;
	}
	if (strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path)) {
		snprintf(error, error_size, "%sthe path of the socket is too long", from);
		return AICTL_INVALID;
	}
	*ret = docker_mem_dup(path);
	if (*ret)
		return AICTL_OK;
	snprintf(error, error_size, "out of memory");
	return AICTL_NO_MEMORY;
}
