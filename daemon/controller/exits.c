/* exits: see exits.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/exits.h"

#include <string.h>

#include "daemon/controller/replica_exit.h"
#include "daemon/controller/store.h"

static bool is_known(const struct exits *e, const struct replica_exit *x)
{
	for (size_t i = 0; i < e->n; i++)
		if (strcmp(e->list[i].exit.incarnation, x->incarnation) == 0)
			return true;
	return false;
}

void exits_add(struct exits *e, unsigned index, const struct replica_exit *x)
{
	size_t at = e->n;

	if (is_known(e, x))
		return;
	while (at > 0 && e->list[at - 1].exit.at_wall_ms > x->at_wall_ms)
		at--;
	if (e->n == EXITS_KEPT) {
		if (at == 0)
			return; /* older than all that is kept */
		memmove(&e->list[0], &e->list[1], --at * sizeof(e->list[0]));
	} else {
		memmove(&e->list[at + 1], &e->list[at], (e->n++ - at) * sizeof(e->list[0]));
	}
	e->list[at] = (struct exits_entry){.index = index, .exit = *x};
}

struct replica_exit exits_from_store(const struct store_exit *row)
{
	struct replica_exit x = {.code = row->signal ? -1 : row->code,
				 .signal = row->signal,
				 .cause = replica_exit_intern(row->cause),
				 .started_wall_ms = row->started_wall_ms,
				 .at_wall_ms = row->ended_wall_ms};

	memccpy(x.incarnation, row->incarnation, '\0', sizeof(x.incarnation) - 1);
	return x;
}
