/*
 * halt: ends a daemon and waits until its process is gone.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_HALT_H
#define AICTL_CLI_HALT_H

#include <stdbool.h>
#include <stdint.h>

struct client;

/*
 * POST /v1/daemon/stop, then waits for the end of aictld, whose pid the kernel confirms (the peer
 * of the socket). timeout_ms 0 = do not wait. Returns an exit code; errors are printed.
 */
int halt_daemon(struct client *client, int64_t timeout_ms);
/* The same with another request; a time-out is not printed. */
int halt_wait(struct client *client, const char *path, int64_t timeout_ms);
/* True when a service manager made its socket, as the kernel says: it starts the daemon, too. */
bool halt_is_activated(const struct client *client, int pid);
/* Readable when the process has ended; -1 when there is none. CLOEXEC. */
int halt_pidfd(int pid);

#endif
