/*
 * sockets: a directory for each replica whose service listens at ${SOCKET}: DIR/SERVICE.INDEX on the
 * tmpfs where the table lies, and in it a socket for each port, by its name. It is made before a
 * start, and what a former process left there is removed. It goes with the slot.
 *
 * The service makes its sockets itself, as it likes. As root the directory is the service's user's
 * (02710) and of the gateway's group, to which the controller belongs, too: nobody else gets through.
 * A socket that a usual umask leaves without write permission for that group gets it when it
 * appears (inotify): who may connect is the directory's matter.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_SOCKETS_H
#define AICTL_SUPERVISOR_SOCKETS_H

#include <stdbool.h>

#include "lib/loop.h"

struct err;
struct slot;
struct supervisor;
struct wire_spawn;

struct sockets {
	char *dir;
	int dir_fd;   /* -1 = none */
	int watch_fd; /* inotify; only as root */
	struct loop_io io;
};

/* After the table is open; with a former one what is in it stays. */
int sockets_init(struct supervisor *sup, struct err **reterr);
void sockets_done(struct supervisor *sup, bool remove);
/* Before a start. 0 or -errno. */
int sockets_prepare(struct slot *s, const struct wire_spawn *m);
/* Its process lives, and may have one. */
void sockets_adopt(struct slot *s);
void sockets_remove(struct slot *s);

#endif
