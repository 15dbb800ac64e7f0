/*
 * docker_start: the operation `start`: the image is pulled as its policy says, the container made
 * and started. A container of that name is ours from before: it is taken over, and only started
 * if it never ran. When a request's outcome is not known (the engine died, or was too slow), the
 * container is looked for by its name as soon as the engine answers: nothing is made or started
 * twice. A start that failed leaves no container.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_PLUGINS_DOCKER_START_H
#define AICTL_PLUGINS_DOCKER_START_H

#include <aictl/plugin.h>
#include <stdint.h>

struct docker;

void docker_start_begin(struct docker *d, uint64_t op, const struct aictl_start *what);

#endif
