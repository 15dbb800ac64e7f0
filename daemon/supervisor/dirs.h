/*
 * dirs: what must exist before aictld can work: users, directories with the right owner and mode,
 * the instance lock and the spawn lock. Only at start; the name service is never asked again.
 *
 * The instance lock is fcntl's, which a child does not inherit. The spawn lock is flock's, which a
 * child shares until exec: while it is held, a half-made child exists.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_DIRS_H
#define AICTL_SUPERVISOR_DIRS_H

#include <stdbool.h>
#include <sys/types.h>

#include "daemon/supervisor/helper.h"

struct err;
struct options;

struct dirs {
	struct helper_user controller, logger; /* unset for a user instance */
	gid_t group;			       /* of the API socket; -1 for a user instance */
	int sup_fd, lock_fd;
	int half_made_fd; /* a former spawn lock that a child holds which has not exec'd, or -1 */
};

/* Users and groups. ERR_NOTFOUND names the command that makes them. */
int dirs_find_users(struct dirs *d, struct err **reterr);
/* Creates or checks the directories and takes the instance lock (ERR_CONFLICT: it is taken). */
int dirs_prepare(struct dirs *d, const struct options *o, struct err **reterr);
/* `aictld --look-at DIR...`, a child of dirs_prepare: it may hang in its place. */
int dirs_look_main(int n, char **dirs);
/* The spawn lock, held; *ret_fd is the caller's. Waits a little for half-made children to go. */
int dirs_take_spawn_lock(struct dirs *d, int *ret_fd, struct err **reterr);
void dirs_done(struct dirs *d);

#endif
