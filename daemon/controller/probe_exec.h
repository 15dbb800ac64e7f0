/*
 * probe_exec: exec probes: a command in the replica's context, started by aictld. Exit code 0 is
 * success. Of what it writes (both streams) the last PROBE_EXEC_OUTPUT_MAX bytes are kept and the
 * last line of them goes into the message.
 *
 * At most PROBE_EXEC_RUNNING_MAX run at a time, others wait in order; as with the prober, the time
 * that counts begins with the start. At the time-out its process group is killed.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_PROBE_EXEC_H
#define AICTL_CONTROLLER_PROBE_EXEC_H

#include "daemon/controller/prober.h"
#include "lib/manifest.h"

#define PROBE_EXEC_RUNNING_MAX 64
#define PROBE_EXEC_OUTPUT_MAX 4096

struct err;
struct probe_exec;
struct replica;

/* The command of r's probe of that kind as it is when its turn comes. cb fires exactly once, from the
 * loop, unless cancelled. */
int probe_exec_start(const struct replica *r, enum probe_kind kind, probe_cb cb, void *user,
		     struct probe_exec **ret, struct err **reterr);
/* cb will not fire; the command is killed. */
void probe_exec_cancel(struct probe_exec *p);

#endif
