/*
 * docker_oom: did the kernel kill in a container for memory? Podman does not tell, and the
 * container's cgroup, which knows, is gone when it has ended. So its memory.events (cgroup v2) is
 * watched while it runs; with cgroup v1 the counter in memory.oom_control is looked at when the
 * kernel tells of it, which needs root. Where neither can be read the answer is no.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_PLUGINS_DOCKER_OOM_H
#define AICTL_PLUGINS_DOCKER_OOM_H

#include <aictl/plugin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct docker_oom;

struct docker_oom *docker_oom_new(const struct aictl_host *host, int64_t pid); /* NULL: cannot */
void docker_oom_free(struct docker_oom *o);
bool docker_oom_happened(struct docker_oom *o);

/* The number behind "oom_kill " in memory.events or memory.oom_control; 0 if there is none. */
uint64_t docker_oom_count(const char *text);
/* Out of /proc/PID/cgroup, the directory below which `file` is: of v2 if `v2`, else of the memory
 * controller. False: none, or too long. */
bool docker_oom_path(const char *cgroups, bool v2, const char *file, char *ret, size_t size);

#endif
