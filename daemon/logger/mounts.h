/*
 * mounts: which services' log directories are file systems of their own.
 *
 * Read from /proc/self/mountinfo and never from the directories themselves, which may hang. It is
 * read again only when the kernel says that something was mounted.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LOGGER_MOUNTS_H
#define AICTL_LOGGER_MOUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/wire/wire.h"

struct mounts_one {
	char service[WIRE_SERVICE_SIZE];
	uint64_t id; /* of the mount */
};

struct mounts {
	int fd;	   /* mountinfo; -1 = cannot be had: nothing is a mount */
	char *dir; /* of which v speaks */
	struct mounts_one *v;
	size_t n, cap;
};

void mounts_init(struct mounts *m);
void mounts_done(struct mounts *m);
/* The id of the mount at dir/service (dir without symlinks), 0 = none of its own. */
uint64_t mounts_find(struct mounts *m, const char *dir, const char *service);

#endif
