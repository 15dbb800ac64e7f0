/*
 * client_find: which socket the daemon listens on. Tried in this order: --socket, else AICTL_SOCKET
 * (either one alone, when given), else the `up` of the manifest's directory, the user's daemon,
 * root's. The first that takes a connection is it.
 *
 * A socket found by search must belong to root or to us: /tmp/aictl-UID could be anybody's.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_CLIENT_FIND_H
#define AICTL_CLI_CLIENT_FIND_H

struct cli;

/* Path of the socket (caller frees), or exits 6, or 7 when one is closed to us. */
char *client_find_socket(const struct cli *cli);
/* The same, or NULL when none answers, or none that we may use. */
char *client_find_try(const struct cli *cli);
/* The socket of an `up` in dir (NULL: current directory). Caller frees. */
char *client_find_up(const char *dir);

#endif
