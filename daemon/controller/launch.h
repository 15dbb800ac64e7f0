/*
 * launch: from a service's specification to the SPAWN message: environment, expansion of ${...},
 * the paths to try. The same description of a child serves what runs in a replica's context beside
 * it: exec probes and `aictl exec` (RUN, wire.h). No file-system call: the child itself searches PATH (execve per candidate, as
 * execvp does).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_LAUNCH_H
#define AICTL_CONTROLLER_LAUNCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/wire/wire.h"
#include "lib/buf.h"
#include "lib/manifest.h"

struct buf;
struct controller;
struct err;
struct replica;

/*
 * A NULL-terminated list under construction. Items are borrowed where they can be (the
 * specification, the base environment): this runs between a death and the restart. Those made here
 * are owned and freed in the end.
 */
struct launch_strv {
	char **v, **owned;
	size_t n, cap, n_owned, cap_owned;
	bool failed;
};

#define LAUNCH_PORTS_MAX 16 /* REPLICA_PORTS_MAX */

/*
 * A described child. It borrows from what described it: encode and launch_done before the loop
 * goes on. Refers to itself: not to be copied.
 */
struct launch {
	struct wire_child child;
	/* Private. */
	struct launch_strv argv, env, paths;
	struct expand_vars vars;
	struct buf secrets_dir, sockets_dir;
	struct expand_port ports[LAUNCH_PORTS_MAX];
	struct wire_rlimit limits[SPEC_RLIMIT_MAX_];
	size_t n_limits;
};

struct launch_what {
	const struct service_spec *spec; /* what the replica runs as: its own, or its service's */
	const struct identity *identity; /* likewise */
	uint64_t revision;		 /* likewise */
	char *const *command;		 /* spec's, a probe's, or a user's; NULL-terminated */
	bool verbatim;			 /* ${...} in command is not ours to expand */
	bool listens;			 /* it is the replica itself, and gets its sockets */
	char *const *environment;	 /* further variables, which win; or NULL */
};

/* In r's context: user, groups, umask, limits, directory, environment with its ports. */
int launch_describe(const struct controller *c, const struct replica *r,
		    const struct launch_what *what, struct launch *ret, struct err **reterr);
void launch_done(struct launch *l);

/* standby: see wire.h. Appends the packet for r (its incarnation and port are set) with note to out. */
int launch_encode(struct controller *c, const struct replica *r, bool standby,
		  const struct buf *note, struct buf *out, struct err **reterr);
/* What every service's environment starts from; NULL when out of memory. Caller frees with
 * mem_strv_free. */
char **launch_base_env(char *const *environ_or_null);

#endif
