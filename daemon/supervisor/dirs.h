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
#include <stdint.h>
#include <sys/types.h>

#include "daemon/supervisor/helper.h"

#define DIRS_HALF_MADE_MAX 8

struct err;
struct options;

struct dirs {
	struct helper_user controller, logger; /* unset for a user instance */
	struct helper_user gateway, runtime;   /* unset where there is no such user, too */
	gid_t group;			       /* of the API socket; -1 for a user instance */
	int sup_fd, lock_fd;
	int access_fd; /* the directory of the gateway's access log; -1 = there is none */
	uint64_t state_dev, state_ino; /* of the state directory; 0 = it did not answer */
	/* Former spawn locks that children hold which have not exec'd; -1 = none. Number N is the file
	 * spawn.lock.N, for the next aictld to find. */
	int half_made_fds[DIRS_HALF_MADE_MAX];
};

void dirs_init(struct dirs *d); /* dirs_done may follow */
/* Users and groups. ERR_NOTFOUND names the command that makes them. */
int dirs_find_users(struct dirs *d, struct err **reterr);
/* Creates or checks the directories and takes the instance lock (ERR_CONFLICT: it is taken). */
int dirs_prepare(struct dirs *d, const struct options *o, struct err **reterr);
/* `aictld --look-at RUNTIME-DIR STATE-DIR LOG-DIR`, a child of dirs_prepare: it may hang in its place. Says
 * who else uses the state directory. */
int dirs_look_main(int n, char **dirs);
/* The spawn lock, held; *ret_fd is the caller's. Waits a little for half-made children to go. */
int dirs_take_spawn_lock(struct dirs *d, int *ret_fd, struct err **reterr);
/* Does a child hold one of the former locks? Those that nobody holds go. */
bool dirs_have_half_made(struct dirs *d);
void dirs_done(struct dirs *d);

#endif
