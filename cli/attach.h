/*
 * attach: `aictl daemon attach`: starts an aictld in the background where one was detached or
 * killed; it takes over what runs.
 *
 * It is started as the former one was, which left its command line in <runtime-dir>/sup/command
 * (working directory and arguments, each ended by a NUL), with the caller's options over it. Its log
 * goes to <state-dir>/aictld.log.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_ATTACH_H
#define AICTL_CLI_ATTACH_H

#include <stddef.h>
#include <stdint.h>

struct cli;

/* options: of aictld. Prints what was taken over; exit code. */
int attach_run(const struct cli *cli, const char *const *options, size_t n, int64_t timeout_ms);

#endif
