/*
 * store_db: private to the store_* files: the SQLite database. All of it runs on the store's thread
 * and may block for as long as the disk likes.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_STORE_DB_H
#define AICTL_CONTROLLER_STORE_DB_H

#include "daemon/controller/store.h"
#include "daemon/controller/store_task.h"

struct store_db;

/* What was read, with everything that the snapshot points to. */
struct store_loaded {
	struct store_snapshot snap;
	struct store_revision *revisions;
	struct store_service *services;
	struct store_event *events;
	struct store_exit *exits;
	struct store_rollout *rollouts;
	size_t cap_revisions, cap_services, cap_events, cap_exits, cap_rollouts;
	char **texts;
	size_t n_texts, cap_texts;
};

/* Opens, creates or migrates; a damaged file is moved aside, its new name is in *ret_moved_to
 * (caller frees) then. */
int store_db_open(const char *path, struct store_db **ret, char **ret_moved_to,
		  struct err **reterr);
void store_db_close(struct store_db *db); /* NULL is a no-op */
int store_db_load(struct store_db *db, struct store_loaded **ret, struct err **reterr);
void store_db_loaded_free(struct store_loaded *l);
/* Does all tasks in one transaction, a group all or nothing; sets the err of those that failed.
 */
void store_db_commit(struct store_db *db, struct store_task_list *tasks);

#endif
