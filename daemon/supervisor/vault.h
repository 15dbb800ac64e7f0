/*
 * vault: the log pipes of processes that have not exec'd yet, where they outlive us.
 *
 * A socket whose far end the logger holds, and does not read while we live. Before a process is
 * cloned, its STREAM message goes in here with the read ends, and right after it once more, with the
 * pidfd. That costs a system call each and wakes nobody: on the restart path the logger's work would
 * be in the new process's way. The message proper goes out when it has exec'd. Should we die before,
 * the logger finds it here.
 *
 * We have the far end as well, and throw away what is in it once all of it has been told properly, or
 * is of processes that never ran.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_VAULT_H
#define AICTL_SUPERVISOR_VAULT_H

#include <stdbool.h>

#include "lib/buf.h"

struct vault {
	int fds[2]; /* near end, and the far one, a copy of which is the logger's; -1 = none */
	unsigned n, n_wanted; /* what is in it */
};

void vault_init(struct vault *v);
/* An empty one, for another logger; the former one is closed. None without descriptors. */
void vault_renew(struct vault *v);
void vault_done(struct vault *v);
/* False: no room, or none at all. */
bool vault_put(struct vault *v, const struct buf *packet, const int *fds, unsigned n_fds);
/* One of those put in is not needed there any more. */
void vault_drop(struct vault *v);
/* One that never execs keeps many that have long been told: empty it, and put in what is wanted. */
bool vault_is_stale(const struct vault *v);
void vault_empty(struct vault *v);

#endif
