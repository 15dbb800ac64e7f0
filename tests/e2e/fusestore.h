/*
 * fusestore: answers the requests of a FUSE mount from a directory, one after another. Writing can be
 * made to fail: while the file `trigger` exists, which says "ERRNO STORED", each WRITE stores the first
 * STORED bytes of what it has, as a disk does whose error comes late, and answers ERRNO. While it says
 * "hang" the first WRITE that comes is not answered, nor anything after it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_TESTS_FUSESTORE_H
#define AICTL_TESTS_FUSESTORE_H

#include <stddef.h>

/* Returns when the mount has gone. buf is for requests. */
void fusestore(int fd, const char *dir, const char *trigger, char *buf, size_t size);

#endif
