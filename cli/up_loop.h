/*
 * up_loop: what `aictl up` does while its daemon runs: prints transitions and log lines, watches
 * the change that applied the manifest, and turns Ctrl-C, SIGTERM and a closed terminal into the
 * end of everything. An aictld that somebody kills is started again and takes over. It returns when
 * aictld has ended.
 *
 * One poll over: signalfd, aictld's pidfd, the event stream; the log files'
 * inotify. Requests to the daemon have little patience here, so that a signal is never kept
 * waiting: what they do not bring now, they bring in the next round.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_UP_LOOP_H
#define AICTL_CLI_UP_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/log_out.h"

struct cli;
struct client;
struct manifest;
struct sources;
struct tail;
struct up_daemon;

struct up_start {
	char *object;
	int64_t at_mono_ms;
};

#define UP_LOOP_DEATHS_MAX 5 /* within a minute; then we give up */

struct up_loop {
	const struct cli *cli;
	struct up_daemon *daemon;
	struct client *client; /* requests */
	struct client *events; /* the stream */
	struct tail *tail;     /* log files */
	const struct manifest *manifest;
	const struct sources *sources;
	struct log_out out; /* its view has the transitions too */
	char *change_body;  /* of the request that applied the manifest */
	char *change_id;    /* until the change is over */
	bool streaming;	    /* events has a stream under way */
	int stops;	    /* how often we were told to stop */
	int signal_fd;
	int64_t deaths_mono_ms[UP_LOOP_DEATHS_MAX]; /* of aictld by a signal, newest first */
	int64_t seq;				    /* last event seen */
	int64_t began_mono_ms;
	int64_t next_look_mono_ms; /* at the change, or for a new stream */
	struct up_start *starts;   /* when each replica began to start */
	size_t n_starts, cap_starts;
};

/* Blocks the signals and opens signal_fd; the rest is the caller's to fill. */
void up_loop_init(struct up_loop *u);
/* Until the controller answers: an exit code, or -1 when a signal came or aictld ended before that
 * (up_loop_run then says so). */
int up_loop_wait_answer(struct up_loop *u);
/* Opens the event stream; before the manifest is applied, so that nothing is missed. */
void up_loop_open_events(struct up_loop *u);
/* Sends the manifest; prints what is refused; exit code. */
int up_loop_apply(struct up_loop *u);
/* Tells the daemon to stop, as a signal does. */
void up_loop_stop(struct up_loop *u);
/* Until aictld has ended; returns the exit code of `up`. */
int up_loop_run(struct up_loop *u);
void up_loop_done(struct up_loop *u);

#endif
