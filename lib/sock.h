/*
 * sock: Unix sockets, and TCP listeners by number. Paths longer than sun_path are bound and reached through
 * /proc/self/fd/N/name. All descriptors are CLOEXEC.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_SOCK_H
#define AICTL_LIB_SOCK_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>

struct err;

/* Stream listener at path with mode and (gid != -1) group; a stale socket file is replaced.
 * Non-blocking. */
int sock_listen(const char *path, mode_t mode, gid_t gid, int backlog, int *ret_fd,
		struct err **reterr);
/* TCP: "127.0.0.1:9145", "[::1]:9145"; numbers only. False: it is not one. */
bool sock_parse_tcp(const char *text, struct sockaddr_storage *ret, socklen_t *ret_len);
/* A listener there; non-blocking. */
int sock_listen_tcp(const char *text, int backlog, int *ret_fd, struct err **reterr);
/* Connected blocking stream socket; timeout_ms is set for both directions (0 = none). */
int sock_connect(const char *path, int timeout_ms, int *ret_fd, struct err **reterr);
/* The same for a SOCK_SEQPACKET listener, non-blocking: a full backlog is an error (EAGAIN). */
int sock_connect_packets(const char *path, int *ret_fd, struct err **reterr);
/* What lies at path in a directory of somebody else's, to be connected to as /proc/self/fd/N: no link is
 * followed, for where we may go, who made it may not. A descriptor (O_PATH), or -errno. */
int sock_at(const char *path);
/* SOCK_SEQPACKET pair, both non-blocking. 0 or -errno. */
int sock_pair(int fds[2]);

struct sock_peer {
	pid_t pid;
	uid_t uid;
	gid_t gid;
};
/* SO_PEERCRED. 0 or -errno. */
int sock_peer(int fd, struct sock_peer *ret);
/* True when the peer has gid as primary or supplementary group (SO_PEERGROUPS). */
bool sock_peer_in_group(int fd, gid_t gid);

#endif
