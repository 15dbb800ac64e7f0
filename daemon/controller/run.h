/*
 * run: the controller's side of RUN (wire.h): one process in a replica's context beside it, for exec
 * probes and `aictl exec`. aictld starts it, waits for it and kills its group at the time-out and
 * when we are gone; here it is known by a number until its RUN_END comes.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_RUN_H
#define AICTL_CONTROLLER_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/controller/launch.h"
#include "daemon/wire/wire.h"

struct controller;
struct err;
struct replica;
struct run;

typedef void (*run_cb)(const struct wire_run_end *end, void *user);

struct run_opts {
	struct launch_what what; /* command, verbatim, environment; the rest is the replica's */
	const char *cwd;	 /* NULL = the service's */
	const int *fds;		 /* three: stdin, stdout, stderr; they stay the caller's */
	const char *log; /* instead: its output is stored under this incarnation of its own */
	bool tty;	 /* they are a terminal */
	int64_t timeout_ms;
	run_cb on_end; /* exactly once, from the loop, unless forgotten; then the run is gone */
	void *user;
};

/* on_end does not come after a failure. */
int run_start(struct controller *c, const struct replica *r, const struct run_opts *o,
	      struct run **ret, struct err **reterr);
/* To its process group. */
void run_kill(const struct run *run, int signal);
/* Kills it; on_end will not come. */
void run_forget(struct run *run);
/* aictld's word. */
void run_on_end(struct controller *c, const struct wire_run_end *end);
/* At the controller's end: no callbacks. */
void run_forget_all(struct controller *c);
/* It was executed: code or signal says how it ended. */
bool run_has_run(const struct wire_run_end *end);
/* "exit code 3", "signal KILL", "cannot start: exec: No such file or directory". */
void run_describe_end(const struct wire_run_end *end, char *out, size_t n);

#endif
