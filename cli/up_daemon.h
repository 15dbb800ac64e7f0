/*
 * up_daemon: the aictld behind `aictl up`: started from here, told to stop, waited for.
 *
 * It runs in a session of its own, so that Ctrl-C reaches us alone and we decide. It holds the read
 * end of a pipe whose only write end is ours: however we die, it notices and stops everything. Its
 * log goes to <state-dir>/aictld.log.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_UP_DAEMON_H
#define AICTL_CLI_UP_DAEMON_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/paths.h"

struct err;

struct up_daemon {
	struct paths paths; /* paths_up of the manifest's directory */
	char *socket, *log; /* <runtime-dir>/aictl.sock, <state-dir>/aictld.log */
	int pid;
	int pidfd;	 /* readable when it has ended; -1 when it does not run */
	int life_fd;	 /* the pipe's write end */
	char **runtimes; /* NAME[=CONFIG] of --runtime; owned */
	size_t n_runtimes, cap_runtimes;
};

/* Names only; exits when dir cannot be looked at. */
void up_daemon_init(struct up_daemon *d, const char *dir);
/* True when an `up` of this directory answers already. */
bool up_daemon_is_running(const struct up_daemon *d);
/*
 * Starts it and waits until its socket takes connections. Prints what went wrong; exit code. Ends
 * early when signal_fd becomes readable; the loop deals with it.
 */
int up_daemon_start(struct up_daemon *d, int signal_fd);
/* After its death by a signal: another one, which takes over what runs. As up_daemon_start. */
int up_daemon_restart(struct up_daemon *d, int signal_fd);
/* SIGTERM: once stops everything in its time, twice kills at once. */
void up_daemon_stop(const struct up_daemon *d);
/* Waits for its end (for ever: pidfd was readable, or it was told to stop); its exit code, or -1
 * when a signal ended it. */
int up_daemon_reap(struct up_daemon *d);
/* The last lines of its log to stderr. */
void up_daemon_show_log(const struct up_daemon *d);
void up_daemon_done(struct up_daemon *d);

#endif
