/*
 * instance: the name of this state directory, for the labels of containers: only those that bear it
 * are ours. It is made once, and stays with the directory: over reboots and when it is moved.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_INSTANCE_H
#define AICTL_SUPERVISOR_INSTANCE_H

#include "daemon/wire/wire_unit.h"

/* "" when it can be neither read nor made; why is in the log. */
void instance_read(const char *state_dir, char out[WIRE_UNIT_INSTANCE_SIZE]);

#endif
