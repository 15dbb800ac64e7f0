/*
 * git: which commit the manifest's directory is at, so that a revision says where it came from.
 *
 * `git status` is run (posix_spawn, no shell) with a deadline, in directories of our own only: it
 * takes no lock and core.fsmonitor is off, but a repository's filters would run. Without git,
 * without a repository or a commit, or when it is too slow, there is nothing to say, and that is no
 * error.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_GIT_H
#define AICTL_CLI_GIT_H

#include <stdbool.h>
#include <stddef.h>

struct cJSON;

struct git_state {
	char *commit; /* NULL: nothing to say */
	char *branch; /* NULL: detached */
	bool dirty;   /* tracked files differ from the commit (as `git describe --dirty` counts) */
};

void git_look(const char *dir, struct git_state *ret);
void git_done(struct git_state *g);
/* Adds "origin":{"git":{...}|null,"user":...} to the body of an apply. */
void git_add_origin(const char *dir, struct cJSON *body);
/* What `git status --porcelain=v2 --branch` has printed; for tests. */
void git_read(const char *text, struct git_state *ret);

#endif
