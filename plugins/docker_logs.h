/*
 * docker_logs: the operation `logs`: what a container has said and says, into two pipes, from a
 * position on. It outlives the engine: the stream is opened again when the engine is back, from
 * where it stood. It ends when the container has ended and a stream that was opened after that,
 * or read to its clean end, has given all.
 *
 * Docker's stamps are of nanoseconds, Podman's of seconds; with both, what came with the stamp of
 * the position is asked for again and as many bytes are dropped as had been written of it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_PLUGINS_DOCKER_LOGS_H
#define AICTL_PLUGINS_DOCKER_LOGS_H

#include <aictl/plugin.h>
#include <stdint.h>

struct docker;

void docker_logs_begin(struct docker *d, uint64_t op, const struct aictl_logs *what);

#endif
