/*
 * journal: our own log's lines for systemd's journal, with their fields: a datagram per line to
 * /run/systemd/journal/socket in the native protocol.
 *
 *   2026-01-02T03:04:05Z warn aictld: replica=llm/0 pid=4711 state=started
 *
 * becomes PRIORITY=4, SYSLOG_IDENTIFIER=aictld, MESSAGE with what follows the colon, a field
 * AICTL_REPLICA, AICTL_PID, AICTL_STATE for each key=value in it, and AICTL_SERVICE=llm. A line of
 * another form is a MESSAGE.
 *
 * Not libsystemd, whose sd_journal_sendv waits while journald is slow: here nothing waits.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LOGGER_JOURNAL_H
#define AICTL_LOGGER_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define JOURNAL_SOCKET "/run/systemd/journal/socket"
#define JOURNAL_LINE_MAX 8192

/* True when fd is the stream that $JOURNAL_STREAM names: what is written to it goes to journald. */
bool journal_is_behind(int fd);
/* A connected, non-blocking socket (of path; JOURNAL_SOCKET), or -errno. */
int journal_connect(const char *path);
/* A line with its newline. n, or -1 with errno as send(2). */
ssize_t journal_send(int fd, const char *line, size_t n);

#endif
