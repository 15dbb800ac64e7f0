/*
 * store_thread: private to the store_* files: the queue between the loop and the database, and the
 * thread that empties it. Every function here is called on the loop's thread and never waits for
 * the disk, store_thread_stop excepted, which waits as long as it is told.
 *
 * The thread opens the database, hands over what it read, then takes all that is queued as one
 * batch: at once when something in it is urgent or the end is near, else when store_thread_kick
 * says so. Else it sleeps: a replica's exit wakes nobody between it and the restart. `wake` (an
 * async handle) tells the loop of results; it is not touched after store_thread_stop.
 *
 * A thread that does not come back from the disk is given up: what it shares with the loop is
 * counted, and freed by whoever is last.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_STORE_THREAD_H
#define AICTL_CONTROLLER_STORE_THREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "daemon/controller/store_task.h"

struct err;
struct store_loaded;
struct store_thread;

int store_thread_start(const char *path, uv_async_t *wake, struct store_thread **ret,
		       struct err **reterr);
/* May n more tasks be queued? Unurgent ones push out old events beyond STORE_QUEUE_MAX. */
bool store_thread_has_room(struct store_thread *t, size_t n, bool urgent);
/* Queues all of list, which is empty afterwards. Event records beyond the limit are dropped. */
void store_thread_push(struct store_thread *t, struct store_task_list *list);
/* Unurgent tasks have waited long enough: the thread takes them now. */
void store_thread_kick(struct store_thread *t);
/* Moves the finished tasks to the end of list. */
void store_thread_take_done(struct store_thread *t, struct store_task_list *list);
/* True once: the database was opened and read, or *ret_err (owned by the caller) says why not. */
bool store_thread_take_loaded(struct store_thread *t, struct store_loaded **ret,
			      char **ret_moved_to, struct err **ret_err);
void store_thread_stats(struct store_thread *t, size_t *ret_queued, uint64_t *ret_dropped);
/* Lets the thread commit what is queued, waits at most wait_ms for its end, then it is given up.
 * Nothing may be pushed any more. */
void store_thread_stop(struct store_thread *t, int64_t wait_ms);
/* After stop: `failed` is called, in order, for the tasks over which the thread was given up (they
 * stay the thread's); those never begun are moved to left. t is gone then. */
void store_thread_release(struct store_thread *t,
			  void (*failed)(const struct store_task *task, void *user), void *user,
			  struct store_task_list *left);

#endif
