/*
 * log_where: where a daemon's logs lie when it does not say so itself: by the command line that it
 * left (as `aictl daemon attach` reads it), else where it puts them unless told otherwise.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_LOG_WHERE_H
#define AICTL_CLI_LOG_WHERE_H

struct cli;

/* The first directory that we may read of those of the daemons that would be talked to; caller
 * frees. NULL: there is none. */
char *log_where_find(const struct cli *cli);

#endif
