/*
 * cgroup_rig: what the tests of aictld's cgroups share: an aictld that can do what the test needs,
 * looks into a slot's cgroup, starts with limits, and a death of aictld in between.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_TESTS_CGROUP_RIG_H
#define AICTL_TESTS_CGROUP_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/unit/aictld_rig.h"

/* Skips the test where aictld cannot do all of `can` (enum wire_cgroup_can). */
void cgroup_rig_start(struct rig *r, const char *const *extra, uint32_t can);
/* Of a file in the slot's cgroup, or with NULL of the cgroup. */
char *cgroup_rig_path(const struct rig *r, const struct wire_key *k, const char *file,
		      char path[512]);
/* The file's text, or "" when it is not there. */
const char *cgroup_rig_file(const char *path, char *text, size_t size);
/* Of a file in the slot's cgroup; static. */
const char *cgroup_rig_text(const struct rig *r, const struct wire_key *k, const char *file);
int cgroup_rig_n_procs(const struct rig *r, const struct wire_key *k);

/* sh -c SCRIPT; the lists live in v. */
struct cgroup_rig_shell {
	const char *paths[2], *argv[4], *envp[2];
};
struct wire_child cgroup_rig_shell(struct cgroup_rig_shell *v, const char *script);
/* sh -c SCRIPT with these limits, or NULL. */
void cgroup_rig_spawn(struct rig *r, const struct wire_key *k, const char *script,
		      const struct wire_limits *limits, bool standby);
/* SIGKILL to aictld, then a new one; `meanwhile` (or NULL) happens while there is none. */
void cgroup_rig_kill_and_start(struct rig *r, void (*meanwhile)(void *user), void *user);

#endif
