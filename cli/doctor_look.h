/*
 * doctor_look: do directories answer? On a disk or network mount that hangs, whoever looks waits for
 * good, and not even SIGKILL ends that: so a child looks at each, and one that does not come back is
 * left behind.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_DOCTOR_LOOK_H
#define AICTL_CLI_DOCTOR_LOOK_H

#include <stdbool.h>
#include <stddef.h>

struct doctor_dir;

#define DOCTOR_LOOK_MS 3000 /* for all together */

/* Fills d for this path. May hang. */
void doctor_look_at(struct doctor_dir *d, const char *path);
/* hangs[i]: paths[i] did not answer in time. */
void doctor_look_all(const char *const *paths, bool *hangs, size_t n);
/* `aictl --look-at PATH`, the child: true when that is what argv asks for. */
bool doctor_look_main(int argc, char **argv);

#endif
