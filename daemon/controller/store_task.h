/*
 * store_task: private to the store_* files: one thing to write, with its own copy of all strings in
 * one allocation, on its way from the loop to the store's thread and back.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_STORE_TASK_H
#define AICTL_CONTROLLER_STORE_TASK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "daemon/controller/store.h"

enum store_task_kind {
	STORE_TASK_REVISION,
	STORE_TASK_READ_REVISION,
	STORE_TASK_SERVICE,
	STORE_TASK_DEL_SERVICE,
	STORE_TASK_EVENT,
	STORE_TASK_EXIT,
	STORE_TASK_EXIT_LINES,
	STORE_TASK_READ_LINES,
	STORE_TASK_ROLLOUT,
	STORE_TASK_RUN,
	STORE_TASK_START,
	STORE_TASK_SCALE
};

struct store_task {
	TAILQ_ENTRY(store_task) link;	/* of one list at a time */
	TAILQ_ENTRY(store_task) events; /* while queued and droppable */
	enum store_task_kind kind;
	bool urgent;
	bool more;	/* the next task of the list is of the same group */
	bool droppable; /* an event outside of a group */
	union {
		struct store_revision revision; /* READ_REVISION: set and number only */
		struct store_service service;	/* DEL_SERVICE: the name only; RUN, SCALE: and
					   theirs */
		struct store_event event;
		struct store_exit exit;
		struct store_rollout rollout;
	} u;
	store_cb cb;
	store_read_cb read_cb; /* READ_REVISION and READ_LINES, instead of cb */
	void *user;
	struct err *err; /* owned; the verdict */
	char *found;	 /* of these: owned; what was read, or NULL */
	char text[];
};
TAILQ_HEAD(store_task_list, store_task);

/* NULL when out of memory. */
struct store_task *store_task_revision(const struct store_revision *r);
struct store_task *store_task_read_revision(const char *set, uint64_t number);
struct store_task *store_task_service(const struct store_service *v);
struct store_task *store_task_del_service(const char *name);
struct store_task *store_task_run(const char *name, int64_t due_wall_ms, int64_t after_wall_ms);
struct store_task *store_task_start(const char *name, int64_t start_ms);
struct store_task *store_task_scale(const char *name, int64_t until_wall_ms, unsigned scaled);
struct store_task *store_task_event(const struct store_event *e);
struct store_task *store_task_rollout(const struct store_rollout *r);
struct store_task *store_task_exit(const struct store_exit *x);
/* EXIT_LINES or READ_LINES; which exit it is, and the lines, are used of it. */
struct store_task *store_task_lines(enum store_task_kind kind, const struct store_exit *x);
void store_task_free(struct store_task *t);
void store_task_free_all(struct store_task_list *list);

#endif
