/* stranger: see stranger.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/stranger.h"

#include <string.h>
#include <sys/socket.h>

#include "daemon/controller/sockdiag.h"

#define LOOPBACK 1 /* the index of lo, in each network namespace */

enum stranger_rank stranger_rank(const struct sockdiag_socket *s)
{
	static const uint8_t us[4] = {127, 0, 0, 1}, mapped[12] = {[10] = 0xff, [11] = 0xff};
	static const uint8_t any[16];
	bool v6 = s->family == AF_INET6;

	if (s->device && s->device != LOOPBACK)
		return STRANGER_NEVER;
	if (v6 && s->v6only)
		return STRANGER_NEVER;
	if (memcmp(s->local, any, v6 ? 16 : 4) == 0)
		return STRANGER_BY_ANY;
	if (!v6)
		return memcmp(s->local, us, 4) == 0 ? STRANGER_BY_ADDRESS : STRANGER_NEVER;
	return memcmp(s->local, mapped, 12) == 0 && memcmp(s->local + 12, us, 4) == 0
		       ? STRANGER_BY_ADDRESS
		       : STRANGER_NEVER;
}

bool stranger_owns(const struct stranger_claim *c, const struct sockdiag_socket *s)
{
	bool known = (c->cgroup || c->container) && s->cgroup && s->cgroup != STRANGER_ROOT_CGROUP;

	if (known && c->cgroup &&
	    (s->cgroup == c->cgroup || (c->below && c->below(s->cgroup, c->user))))
		return true;
	if (known && c->others && c->others(s->cgroup, c->user))
		return false;
	return c->container || s->uid == 0 || s->uid == c->uid || c->uid == 0;
}

void stranger_see(struct stranger_claim *c, const struct sockdiag_socket *s)
{
	enum stranger_rank rank = stranger_rank(s);

	if (rank == STRANGER_NEVER || rank < c->rank)
		return;
	if (rank > c->rank)
		c->found = false; /* of a lower one, which gets nothing */
	c->rank = rank;
	if (c->found || stranger_owns(c, s))
		return;
	c->found = true;
	c->by_uid = s->uid;
	c->by_cgroup = s->cgroup;
}
