/*
 * capture_fault: what is told about captures that cannot be stored: to the log once per file system,
 * to aictld as a level per capture (fault.h).
 *
 * Those whose level has changed stand in a queue of their set until the owner has told them.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LOGGER_CAPTURE_FAULT_H
#define AICTL_LOGGER_CAPTURE_FAULT_H

#include <stdbool.h>

#include "daemon/logger/capture.h"

void capture_fault_set(struct capture *c, enum fault_state state, int err);
/* c is stored again: what its fault is then. */
void capture_fault_clear(struct capture *c);
/* What it is while c cannot be stored. */
enum fault_state capture_fault_state(const struct capture *c);
/* It waits no more, for it ends. */
void capture_fault_forget(struct capture *c);
/* It begins to wait, and is tried again with success. */
void capture_fault_stalled(struct capture *c, int err);
void capture_fault_recovered(struct capture *c);
/* A step hangs, or does so no more: a fault of all that is stored in the set. */
void capture_fault_hung(struct capture_set *set, bool hung);

/*
 * Whose c->fault has changed since it was told; NULL = none. Told before DRAINED, a fault of an
 * incarnation that has ended is never heard of again.
 */
struct capture *capture_fault_first(struct capture_set *set);
void capture_fault_drop(struct capture *c);  /* it was told, or c ends */
void capture_fault_again(struct capture *c); /* it was not */
/* To another aictld: all that are not FAULT_OK, or have dropped something, are due again. */
void capture_fault_again_all(struct capture_set *set);

#endif
