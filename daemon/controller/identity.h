/*
 * identity: a user's numbers for SPAWN, looked up at apply time in a worker thread (name services
 * may block), never on the restart path.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_IDENTITY_H
#define AICTL_CONTROLLER_IDENTITY_H

#include <stdint.h>
#include <sys/types.h>

struct err;

struct identity {
	char *name, *home, *shell;
	uid_t uid;
	gid_t gid;
	uint32_t *groups; /* supplementary, with gid */
	uint32_t n_groups;
};

/* name NULL = the calling uid. ERR_NOTFOUND when there is no such user. May block. */
int identity_lookup(const char *name, struct identity **ret, struct err **reterr);
void identity_free(struct identity *id);

#endif
