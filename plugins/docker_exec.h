/*
 * docker_exec: the operation `exec`: made, started with the connection as its terminal or pipes,
 * and asked for its exit code when the output has ended. No engine can signal what it executes:
 * when it takes longer than a second, or is canceled, the host gets to know its pid instead.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_PLUGINS_DOCKER_EXEC_H
#define AICTL_PLUGINS_DOCKER_EXEC_H

#include <aictl/plugin.h>
#include <stdint.h>

struct docker;

void docker_exec_begin(struct docker *d, uint64_t op, const struct aictl_exec *what);
void docker_exec_resize(struct docker *d, uint64_t op, uint32_t rows, uint32_t columns);

#endif
