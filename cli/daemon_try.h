/*
 * daemon_try: asks the daemon about itself where one answers, for commands that also work without.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_DAEMON_TRY_H
#define AICTL_CLI_DAEMON_TRY_H

struct cli;
struct reply;

/*
 * GET /v1/daemon within three seconds. Returns the path of the socket (caller frees), or NULL when
 * nobody listens or we may not connect; ret->json is NULL when there was no proper answer.
 */
char *daemon_try_info(const struct cli *cli, struct reply *ret);
/* One that answers but is "starting": what it waits for, in its own words, or NULL when it is ready
 * now. Caller frees. */
char *daemon_try_why(const char *socket);

#endif
