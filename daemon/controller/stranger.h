/*
 * stranger: does somebody else listen where a replica is asked? Pure: the sockets that listen at its
 * port go in one after the other, and what remains is the one to whom requests would go, or nobody.
 *
 * Requests go to 127.0.0.1:PORT. The kernel gives a connection to a socket that is bound to just that
 * address; only if there is none, to one bound to all (0.0.0.0, or [::] that takes IPv4 too). Several
 * of one kind (SO_REUSEPORT) get a share each, so that one that is not the replica's is enough.
 *
 * Whose is a socket? A replica with a cgroup of its own owns what was made in that, or below it; what
 * was made in another replica's is not its. Of the rest its user and root are believed: both could do
 * as they like with the replica anyway, and who publishes a container's port for it (docker run -p), or
 * passes it on, is one of them. A replica of root's is believed all, for it may have become anybody, and
 * anywhere (docker run --network host). So is a container: root's docker-proxy may listen for it, a
 * user's rootlessport, or on the host's network its process as any user; only what is another
 * replica's is told from it. Before Linux 5.15 all sockets may be the root cgroup's (when
 * net_cls is in use): that one says nothing.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_STRANGER_H
#define AICTL_CONTROLLER_STRANGER_H

#include <stdbool.h>
#include <stdint.h>

struct sockdiag_socket;

#define STRANGER_ROOT_CGROUP 1 /* its id, everywhere */

/* How a connection to 127.0.0.1 finds a socket: the highest there gets it. */
enum stranger_rank { STRANGER_NEVER, STRANGER_BY_ANY, STRANGER_BY_ADDRESS };

/* Who is asked there, and what was found. */
struct stranger_claim {
	uint64_t cgroup; /* of the replica; 0 = it has none */
	bool container;	 /* it is one: who listens for it is its engine's affair */
	uint32_t uid;
	bool (*below)(uint64_t cgroup, void *user);  /* is that one below the replica's? */
	bool (*others)(uint64_t cgroup, void *user); /* is it another replica's? */
	void *user;
	enum stranger_rank rank; /* of what was seen; starts as STRANGER_NEVER */
	bool found;		 /* somebody else is of that rank: */
	uint32_t by_uid;
	uint64_t by_cgroup;
};

enum stranger_rank stranger_rank(const struct sockdiag_socket *s);
bool stranger_owns(const struct stranger_claim *c, const struct sockdiag_socket *s);
/* One of those that listen at its port. */
void stranger_see(struct stranger_claim *c, const struct sockdiag_socket *s);

#endif
