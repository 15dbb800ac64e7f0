/*
 * check: aictl-plugin-check, a host for one plugin without a daemon. A script says what to ask of it,
 * and everything that it does comes out as lines of JSON (report.h).
 *
 * script.c reads the commands and begins operations, job.c has those that are under way with the
 * pipes that their output comes from, report.c writes. All on one loop; nothing ends by itself but by
 * the end of the script.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_PLUGINCHECK_CHECK_H
#define AICTL_PLUGINCHECK_CHECK_H

#include <stdbool.h>

#include "daemon/runtime/host.h"
#include "daemon/runtime/loader.h"
#include "lib/buf.h"
#include "lib/loop.h"

enum check_status { /* the exit status */
		    CHECK_FINE,
		    CHECK_SCRIPT_FAILED, /* a wait was in vain, or a line was wrong */
		    CHECK_USAGE,
		    CHECK_NOT_LOADED,
		    CHECK_FAULTS /* the plugin broke the rules */
};

#define CHECK_LABELS_MAX 32

struct job;

/* What a unit was said to be last. */
struct check_unit {
	char *name;
	uint32_t phase;
};

/* What the script waits for. */
enum check_wait {
	CHECK_WAIT_NONE,
	CHECK_WAIT_OP,
	CHECK_WAIT_UNIT,
	CHECK_WAIT_ENGINE,
	CHECK_WAIT_TIME
};

struct check {
	struct loop loop;
	struct loader loader;
	struct host host;
	const char *instance;
	bool opened, closing;
	int status;

	struct job *jobs;
	struct check_unit *units;
	size_t n_units, cap_units;
	int engine; /* -1 = not known, 0 = down, 1 = up */

	struct aictl_pair labels[CHECK_LABELS_MAX]; /* of the next starts; owned */
	size_t n_labels;

	struct buf out; /* the line that is being written */

	/* The script. */
	struct loop_io io;
	struct loop_timer timer; /* the end of the wait */
	struct buf in;
	bool in_ended;
	enum check_wait wait;
	uint64_t wait_op;
	char *wait_unit;
	int64_t wait_for; /* phase, or engine */
};

/* The worst of what was said first stays. */
static inline void check_fail(struct check *c, enum check_status status)
{
	if (c->status == CHECK_FINE)
		c->status = status;
}

#endif
