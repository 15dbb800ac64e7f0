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
	unsigned refs;
	char *name, *home, *shell;
	uid_t uid;
	gid_t gid;	  /* the user's own, or that of the group that was asked for */
	uint32_t *groups; /* supplementary: the user's, with gid */
	uint32_t n_groups;
};

/* user NULL = the calling uid, group NULL = the user's own. ERR_NOTFOUND when there is no such user or
 * group. One reference. May block. */
int identity_lookup(const char *user, const char *group, struct identity **ret,
		    struct err **reterr);
struct identity *identity_ref(struct identity *id);
void identity_unref(struct identity *id); /* NULL is a no-op */

#endif
