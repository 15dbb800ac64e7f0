/* journal: see journal.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/journal.h"

#include <stddef.h>

#include "daemon/controller/events.h"
#include "lib/log.h"
#include "lib/mem.h"

#define ENTRIES 64

struct journal {
	struct events *events;
	struct journal_entry entries[ENTRIES];
	size_t n;
};

struct journal *journal_new(struct events *events)
{
	struct journal *j = mem_alloc(sizeof(*j));

	if (j)
		j->events = events;
	return j;
}

void journal_free(struct journal *j)
{
	mem_free(j);
}

struct journal_entry *journal_next(struct journal *j)
{
	if (j->n == ENTRIES)
		journal_flush(j);
	j->entries[j->n] = (struct journal_entry){0};
	return &j->entries[j->n++];
}

static void tell(struct journal *j, const struct journal_entry *e)
{
	const struct event_args a = {e->service, e->replica, e->type, e->reason,
				     e->message, e->from,    e->to};

	if (e->to)
		log_info("replica=%s/%d from=%s event=%s to=%s reason=%s message=\"%s\"",
			 e->service, e->replica, e->from, e->cause, e->to, e->reason, e->message);
	events_add(j->events, &a);
}

void journal_flush(struct journal *j)
{
	for (size_t i = 0; i < j->n; i++)
		tell(j, &j->entries[i]);
	j->n = 0;
}

bool journal_is_holding(const struct journal *j)
{
	return j->n > 0;
}
