/* pool: see pool.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/logger/pool.h"

#include <sys/resource.h>

#define FDS_DEFAULT 1024
#define FDS_RESERVE 64 /* left for everything else in this process */

void pool_init(struct pool *p, bool system)
{
	struct rlimit lim;

	*p = (struct pool){.pipes = pace_budget(system), .fds_max = FDS_DEFAULT};
	intent_init(&p->intents);
	if (getrlimit(RLIMIT_NOFILE, &lim) == 0)
		p->fds_max = lim.rlim_cur;
	p->fds_max = p->fds_max > 2 * FDS_RESERVE ? p->fds_max - FDS_RESERVE : FDS_RESERVE;
}

void pool_done(struct pool *p)
{
	intent_done(&p->intents);
}

void pool_count(struct pool *p, int n)
{
	__atomic_add_fetch(&p->fds, (size_t)n, __ATOMIC_RELAXED);
}

bool pool_is_full(const struct pool *p, size_t more)
{
	return __atomic_load_n(&p->fds, __ATOMIC_RELAXED) + more > p->fds_max;
}
