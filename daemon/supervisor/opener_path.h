/*
 * opener_path: opens a file that a manifest of --manifests names (an env_file, a secret), if nobody
 * but root and ourselves had a say in which file that is and in what it holds: the file is regular,
 * belongs to root or us, and nobody else may write it; the same holds for every directory on the way
 * and for every symbolic link that is followed. A directory that all may write is accepted with the
 * sticky bit (/tmp): there nobody can replace what is ours; but a file in it may have no second name,
 * which would be somebody else's choice.
 *
 * Runs in the opener only (opener.h): the disk may hang.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_OPENER_PATH_H
#define AICTL_SUPERVISOR_OPENER_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#define OPENER_PATH_MAX 2048

/* A descriptor; or -1 with the reason in why. path is absolute. */
int opener_path_open(const char *path, char *why, size_t size);
/* Why is it not trusted? Or NULL. */
const char *opener_path_refusal(const struct stat *st, bool dir);

#endif
