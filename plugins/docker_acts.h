/*
 * docker_acts: the short operations: signal, remove, stats. A unit that is not known yet is looked
 * for first: a container of that name that is not ours is not touched.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_PLUGINS_DOCKER_ACTS_H
#define AICTL_PLUGINS_DOCKER_ACTS_H

#include <stdint.h>

struct docker;

void docker_acts_signal(struct docker *d, uint64_t op, const char *unit, int number);
void docker_acts_remove(struct docker *d, uint64_t op, const char *unit);
void docker_acts_stats(struct docker *d, uint64_t op, const char *unit);

#endif
