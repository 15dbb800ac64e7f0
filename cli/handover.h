/*
 * handover: `aictl daemon detach` and `reexec`: aictld ends or becomes another program, and the
 * services run on.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_HANDOVER_H
#define AICTL_CLI_HANDOVER_H

#include <stdint.h>

struct client;

/* Until aictld has ended. Exit code; errors are printed. */
int handover_detach(struct client *client, int64_t timeout_ms);
/* Until the new aictld's controller answers; prints what has changed. Exit code. */
int handover_reexec(struct client *client, int64_t timeout_ms);
/* By which the service manager starts the caller's daemon. */
const char *handover_start_command(void);

#endif
