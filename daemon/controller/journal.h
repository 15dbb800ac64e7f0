/*
 * journal: transitions of replicas on their way to the log and the events. They wait until the loop
 * has nothing more urgent, so that a restart's SPAWN goes out
 * before anybody is told of it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_JOURNAL_H
#define AICTL_CONTROLLER_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

struct events;
struct journal;

#define JOURNAL_MESSAGE_MAX 200

struct journal_entry {
	char service[64];
	int32_t replica;
	const char *type, *reason; /* static */
	const char *from, *to;	   /* static, or NULL */
	const char *cause;	   /* static: the state machine's event, for the log; or NULL */
	char message[JOURNAL_MESSAGE_MAX];
};

struct journal *journal_new(struct events *events); /* NULL: out of memory */
void journal_free(struct journal *j);
/* The next entry to fill; never NULL (a full journal is flushed first). */
struct journal_entry *journal_next(struct journal *j);
void journal_flush(struct journal *j);
bool journal_is_holding(const struct journal *j);

#endif
