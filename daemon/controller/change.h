/*
 * change: every write of the API. The client makes the id, so a retry is the same change. A change
 * is done when every service it names has reached what was asked; failed when one cannot any more.
 * The newest CHANGES_KEPT are kept.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_CHANGE_H
#define AICTL_CONTROLLER_CHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/manifest_errors.h"

struct change_list;
struct controller;
struct err;
struct jsonw;

#define CHANGES_KEPT 200
#define CHANGE_ID_MAX 64

enum change_state { CHANGE_RUNNING, CHANGE_DONE, CHANGE_FAILED };

/* The actions with nothing to wait for: of a kill, of a rollout's pause and resume. */
#define CHANGE_SIGNALLED "signalled"
#define CHANGE_RELOADED "reload asked for"
#define CHANGE_PAUSED "paused"
#define CHANGE_RESUMED "resumed"
/* Of hold and release: the gateway must say so. */
#define CHANGE_HELD "held"
#define CHANGE_RELEASED "released"
/* Of an apply: its replicas must have reloaded. */
#define CHANGE_RELOADS "reloaded"
/* Of freeze and thaw: aictld must say so of what runs. */
#define CHANGE_FROZEN "frozen"
#define CHANGE_THAWED "thawed"

struct change_service {
	char *name;
	const char *action; /* static: "created", "updated", "unchanged", "live", "reloaded",
			       "removed", "started", ... */
	bool gone;	    /* its target: nothing of it is left (stop, delete) */
	int replica;	    /* freeze and thaw: this one; -1 = all */
};

/* Waits for a change; embedded by the waiter. */
struct change_waiter {
	void (*on_change)(struct change_waiter *w); /* done or failed; already taken off the list */
	struct change_waiter *next;
};

struct change {
	char id[CHANGE_ID_MAX + 1];
	const char *kind; /* static: "apply", "start", ... */
	uid_t uid;	  /* who made it */
	enum change_state state;
	bool committed; /* the store has it, the answer may go out */
	char *set;	/* apply: or NULL */
	uint64_t revision;
	int64_t at_wall_ms;
	struct err *err; /* of a failed one, or NULL */
	struct change_service *services;
	size_t n_services, cap_services;
	char **not_in_manifest;		 /* NULL-terminated, or NULL */
	struct manifest_errors warnings; /* apply: what this machine cannot do */
	struct change_waiter *waiters;
	struct change *next; /* newest first */
};

struct change_list *change_list_new(void); /* NULL: out of memory */
void change_list_free(struct change_list *l);
/* Borrowed; NULL = none. */
struct change *change_find(struct controller *c, const char *id);
/* A new running change; kind is static. NULL: out of memory. */
struct change *change_new(struct controller *c, const char *id, const char *kind);
/* action is static. -ERR_NOMEM. */
int change_add_service(struct change *ch, const char *name, const char *action, bool gone);
/* The service added last is meant with this replica only. */
void change_name_replica(struct change *ch, int replica);
/* Ends it: err NULL = done, else failed (ownership is taken). Waiters are told. */
void change_finish(struct controller *c, struct change *ch, struct err *err);
/* A service has settled (NULL: any): changes that name it may be over. */
void change_review(struct controller *c, const char *service);
void change_wait(struct change *ch, struct change_waiter *w);
void change_unwait(struct change *ch, struct change_waiter *w);
void change_write_json(struct controller *c, const struct change *ch, struct jsonw *w);
/* 16-64 of [a-z0-9-] */
bool change_valid_id(const char *id);

#endif
