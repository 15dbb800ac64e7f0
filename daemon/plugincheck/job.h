/*
 * job: an operation that the script began, and the pipes between it and us.
 *
 * Its output is read as it comes, unless the script holds it (so that a plugin meets a full pipe).
 * "end" is said after all output that was there when it ended. Where a plugin has no `logs`, the
 * pipes of a start stay open until their writers are gone.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_PLUGINCHECK_JOB_H
#define AICTL_PLUGINCHECK_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/runtime/host.h"

struct check;
struct job;

/* An operation of that kind; the caller then hands job_reply to the host, and job_begun its number. */
struct job *job_new(struct check *c, enum host_kind kind, const char *unit);
const struct host_reply *job_reply(struct job *j);
/* False: op 0, it could not begin, and the job is gone. */
bool job_begun(struct job *j, uint64_t op);

/* Pipes for its output; *ret: what the plugin writes to. With `terminal` it is one pty. False: said. */
bool job_pipes(struct job *j, bool blocking, int *ret_out, int *ret_err);
bool job_terminal(struct job *j, int *ret_fd);
/* text is copied; *ret_fd is what the plugin reads from. */
bool job_input(struct job *j, const char *text, int *ret_fd);
void job_drop(struct job *j); /* one that was not begun */

/* Of the open job of that number; false: there is none. */
bool job_hold(struct check *c, uint64_t op, bool hold);
bool job_is_open(const struct check *c, uint64_t op);
void job_free_all(struct check *c);

#endif
