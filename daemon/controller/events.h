/*
 * events: what happened, for `aictl events`, `describe` and the store. At most EVENTS_KEPT are kept
 * in memory, shared fairly among services, so that one which crashes all day pushes out only its
 * own; followers are told of each new one. Every event also goes to the store (lazily).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_EVENTS_H
#define AICTL_CONTROLLER_EVENTS_H

#include <stddef.h>
#include <stdint.h>

struct err;
struct events;
struct jsonw;
struct store;
struct store_event;

#define EVENTS_KEPT 2000

struct event {
	uint64_t seq;
	int64_t at_wall_ms;
	int32_t replica;  /* -1 = the whole service */
	char *service;	  /* "" = the daemon */
	const char *type; /* static: "state", "exit", "apply", "daemon", ... */
	char *reason, *message;
	char *from, *to; /* states or NULL */
};

struct event_args {
	const char *service;
	int32_t replica;
	const char *type, *reason, *message, *from, *to;
};

int events_new(struct events **ret, struct err **reterr);
void events_free(struct events *e);
/* From now on events are also written there. */
void events_set_store(struct events *e, struct store *s);
/* Events of an earlier run; before any events_add. */
void events_restore(struct events *e, const struct store_event *list, size_t n, uint64_t last_seq);
void events_add(struct events *e, const struct event_args *args);
/* i = 0 is the oldest kept; NULL beyond the newest. Borrowed until the next add. */
const struct event *events_at(const struct events *e, size_t i);
size_t events_count(const struct events *e);
void events_write_json(const struct event *ev, struct jsonw *w);

/* Embedded in whoever follows; on_event must not remove other followers. */
struct event_follower {
	void (*on_event)(const struct event *ev, void *user);
	void *user;
	struct event_follower *next, *prev; /* private */
};
void events_follow(struct events *e, struct event_follower *f);
void events_unfollow(struct events *e,
		     struct event_follower *f); /* allowed inside on_event for itself */

#endif
