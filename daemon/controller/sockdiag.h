/*
 * sockdiag: the kernel's table of TCP sockets of our network namespace (sock_diag, by netlink): who
 * listens, who is connected. It says of each socket the uid and the cgroup that made it.
 *
 * Asked and answered within the call: the kernel makes the answer while it is read, so nothing waits;
 * a table of more than SOCKDIAG_READS_MAX pages is not read to its end.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_SOCKDIAG_H
#define AICTL_CONTROLLER_SOCKDIAG_H

#include <stdbool.h>
#include <stdint.h>

#define SOCKDIAG_READS_MAX 1024 /* of 32 KiB, for each of IPv4 and IPv6 */

struct sockdiag_socket {
	int family; /* AF_INET, AF_INET6 */
	uint16_t local_port, remote_port;
	uint8_t local[16], remote[16]; /* AF_INET: the first four */
	uint32_t device;	       /* bound to that one only; 0 = to none */
	uint32_t uid;		       /* of whoever made it */
	uint64_t cgroup;	       /* its id; 0 = the kernel does not say (before Linux 5.9) */
	bool v6only;
};

enum sockdiag_what {
	SOCKDIAG_LISTENING,   /* by their local port */
	SOCKDIAG_ESTABLISHED, /* by their remote port */
};

typedef void sockdiag_fn(const struct sockdiag_socket *s, void *user);

/* All whose port is low..high. 0, or the errno of why nobody can say. */
int sockdiag_read(enum sockdiag_what what, uint16_t low, uint16_t high, sockdiag_fn *on_socket,
		  void *user);
/* 127.0.0.0/8 or ::1. */
bool sockdiag_is_loopback(int family, const uint8_t address[16]);

#endif
