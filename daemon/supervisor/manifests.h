/*
 * manifests: RELOAD with the files of --manifests. The files are opened by a child of aictld
 * (`aictld --open-manifests DIR`, opener.c): that disk may hang, and the directory's owner is not
 * the controller. The child sends them over a socket whose other end goes to the controller.
 *
 * One packet per file: the bytes  name NUL error  (no NUL at the end), where error is empty and one
 * descriptor is attached, or error says why the file is refused and there is none. A packet with an
 * empty name (one NUL byte) ends the set. From then on the reader may send requests over the same
 * socket, one at a time: the bytes of an absolute path (no NUL) of an env_file or a secret; the
 * answer is a packet as above with the path as its name. The reader closes its end when it needs
 * nothing more; requests are answered for MANIFESTS_ANSWER_MS at most. Should the child die early, aictld adds a packet  DIR NUL error  before the EOF, so
 * that an incomplete set is never taken for a complete one.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_MANIFESTS_H
#define AICTL_SUPERVISOR_MANIFESTS_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/supervisor/child.h"
#include "lib/loop.h"

struct supervisor;

#define MANIFESTS_DEADLINE_MS 30000
#define MANIFESTS_ANSWER_MS 25000 /* less: the child ends by itself */

struct manifests {
	bool due;      /* a RELOAD is to be sent */
	int peer_fd;   /* the controller's end, until it is sent; -1 */
	int writer_fd; /* our copy of the child's end: no EOF before we know how it ended */
	struct child child;
	struct child_job job;
	struct loop_timer timer; /* deadline of the child, then retry of the last packet */
	char *argv[4];
	int64_t sent_mono_ms; /* last RELOAD; sent again when the controller dies soon after */
};

void manifests_init(struct supervisor *sup);
void manifests_done(struct supervisor *sup);
void manifests_request(struct supervisor *sup); /* nothing happens without --manifests */
void manifests_connected(struct supervisor *sup);
void manifests_flush(struct supervisor *sup); /* from control_flush, after SYNCED */

#endif
