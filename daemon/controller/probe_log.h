/*
 * probe_log: log probes: has a line of the replica's output matched a pattern since its process
 * began? The segments that the logger writes are read in a worker thread, at most
 * PROBE_LOG_PIECE bytes an attempt, each attempt from where the last one ended. Once seen it is seen
 * for as long as the process runs.
 *
 * An attempt ends in time: what is not read within its time-out, since the disk hangs or others are
 * read, has failed. The worker that hangs is waited for by the attempts that follow; it is one per
 * replica at most, and log_work.h says how many there are in all.
 *
 * Between two attempts no file is open, however many replicas wait for their line: a position and
 * the beginning of an unfinished line are all that is kept.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_PROBE_LOG_H
#define AICTL_CONTROLLER_PROBE_LOG_H

#include "daemon/controller/prober.h"

#define PROBE_LOG_PIECE (4 << 20)

struct err;
struct probe_log;
struct replica;

struct probe_log_args {
	const char *pattern;
	int64_t timeout_ms;
	probe_cb cb; /* fires once, from the loop, unless cancelled */
	void *user;
};

/* *io: of an earlier attempt for the same process, else NULL; kept for the next one. */
int probe_log_start(const struct replica *r, const struct probe_log_args *args,
		    struct probe_log **io, struct err **reterr);
/* No attempt is under way, or its cb will not fire. NULL is a no-op. */
void probe_log_free(struct probe_log *p);

#endif
