/*
 * notify: what aictld tells the service manager that started it (sd_notify's protocol, datagrams to
 * $NOTIFY_SOCKET): READY, a STATUS line with counts, RELOADING, STOPPING with more time, and
 * WATCHDOG from a timer of the loop, so that a loop that does not turn is noticed.
 *
 * Not libsystemd: only the main process may notify, and it must not wait. What the socket does not
 * take now is sent later; a newer state replaces an older one that was not sent. Without
 * $NOTIFY_SOCKET nothing happens and no timer is armed.
 *
 * The variables are removed from our environment, so neither helpers nor services (--inherit-env)
 * speak for us; notify_export puts them back for the aictld that replaces us by exec.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_SUPERVISOR_NOTIFY_H
#define AICTL_SUPERVISOR_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "lib/loop.h"

struct supervisor;

struct notify {
	int fd; /* -1 = nobody to tell */
	struct sockaddr_un addr;
	socklen_t addr_len;
	int64_t watchdog_ms; /* interval of WATCHDOG=1; 0 = none wanted */
	char *socket_path;   /* $NOTIFY_SOCKET and $WATCHDOG_USEC as they were; or NULL */
	char *watchdog_usec;
	bool ready_due, reloading_due, stopping_due, status_due;
	bool reloading;		    /* RELOADING=1 was said, READY=1 not yet */
	bool ending;		    /* more time is asked for until the end */
	struct loop_timer watchdog; /* the next WATCHDOG=1 */
	struct loop_timer later;    /* a change gathers others; what was not taken is tried again */
	struct loop_timer extend;   /* the next EXTEND_TIMEOUT_USEC */
	struct loop_timer reload_end;
};

/* Reads the environment, and removes what it read. Before anything copies environ. */
void notify_init(struct supervisor *sup);
void notify_done(struct supervisor *sup);
/* The API is bound, what was left is taken over, the helpers start. Later calls do nothing. */
void notify_ready(struct supervisor *sup);
/* Replicas or helpers changed: STATUS within a second. Cheap. */
void notify_changed(struct supervisor *sup);
void notify_reloading(struct supervisor *sup);
void notify_reloaded(struct supervisor *sup); /* nothing when no reload was announced */
/* From here on the manager is asked for time until we end. */
void notify_stopping(struct supervisor *sup);
/* Right before exec: the variables as we got them. 0 or -errno. */
int notify_export(const struct supervisor *sup);

#endif
