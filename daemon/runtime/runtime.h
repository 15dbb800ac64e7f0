/*
 * runtime: aictl-runtime without its main: one plugin, its units, and what aictld wants of them.
 *
 *   control   the socket to aictld: takes requests, sends what is due (all of it levels, but for the
 *             outbox)
 *   units     the units that aictld wants or wants removed, each with what is still to be done
 *             for it; and how the engine's list is brought together with them
 *   runs      commands executed in units
 *   host      the plugin
 *
 * The plugin is loaded again every LOAD_AGAIN_MS while that fails, and RUNTIME says why. While the engine
 * cannot be reached everything that it did not do stays due; when it is back the list comes first.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_RUNTIME_RUNTIME_H
#define AICTL_RUNTIME_RUNTIME_H

#include <stdbool.h>

#include "daemon/runtime/control.h"
#include "daemon/runtime/host.h"
#include "daemon/runtime/loader.h"
#include "daemon/runtime/runs.h"
#include "daemon/runtime/units.h"
#include "daemon/wire/wire_unit.h"
#include "lib/loop.h"

struct runtime_options {
	const char *name, *config, *plugin_dir, *instance;
};

struct runtime {
	struct loop loop;
	const struct runtime_options *options;
	struct loader loader;
	struct host host;
	bool usable;	/* the plugin is open */
	bool engine_up; /* as it says */
	bool quitting;
	struct loop_timer load_again;
	struct wire_runtime said; /* of us */
	struct control control;
	struct units units;
	struct runs runs;
};

/* The socket is owned from success on. 0 or -errno. */
int runtime_init(struct runtime *r, const struct runtime_options *o, int fd);
int runtime_run(struct runtime *r); /* the exit status */
void runtime_done(struct runtime *r);

/* For the others. */
bool runtime_engine_is_up(const struct runtime *r);
void runtime_quit(struct runtime *r); /* closes the plugin, then stops the loop */
/* An engine that answers, and says nothing of its units, is as one that does not. */
void runtime_list_failed(struct runtime *r, const char *why);
void runtime_listed(struct runtime *r);

#endif
