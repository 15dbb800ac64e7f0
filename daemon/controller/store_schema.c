/* store_schema: see store_schema.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/store_schema.h"

const char *const store_schema_migrations[] = {
	"CREATE TABLE revision(set_name TEXT NOT NULL, number INTEGER NOT NULL,"
	" sources TEXT NOT NULL, at_ms INTEGER NOT NULL, uid INTEGER NOT NULL,"
	" PRIMARY KEY(set_name,number)) STRICT;"
	"CREATE TABLE service(name TEXT NOT NULL PRIMARY KEY, set_name TEXT NOT NULL,"
	" sources TEXT NOT NULL, revision INTEGER NOT NULL, stopped INTEGER NOT NULL,"
	" replicas_override INTEGER NOT NULL) STRICT;"
	"CREATE TABLE event(seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, service TEXT NOT NULL,"
	" replica INTEGER NOT NULL, type TEXT NOT NULL, reason TEXT NOT NULL, message TEXT NOT NULL,"
	" from_state TEXT, to_state TEXT) STRICT;"
	"CREATE TABLE exit(service TEXT NOT NULL, replica INTEGER NOT NULL,"
	" incarnation TEXT NOT NULL, seq INTEGER NOT NULL, code INTEGER NOT NULL,"
	" signal INTEGER NOT NULL, pid INTEGER NOT NULL, cause TEXT NOT NULL,"
	" started_ms INTEGER NOT NULL, ended_ms INTEGER NOT NULL,"
	" PRIMARY KEY(service,replica,incarnation,seq)) STRICT;"
	"CREATE INDEX exit_by_time ON exit(service,replica,ended_ms);",
	"ALTER TABLE revision ADD COLUMN user TEXT;"
	"ALTER TABLE revision ADD COLUMN hash INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE revision ADD COLUMN services TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE revision ADD COLUMN git_commit TEXT;"
	"ALTER TABLE revision ADD COLUMN git_branch TEXT;"
	"ALTER TABLE revision ADD COLUMN git_dirty INTEGER NOT NULL DEFAULT 0;",
	"CREATE TABLE rollout(service TEXT NOT NULL, number INTEGER NOT NULL, state TEXT NOT NULL,"
	" revision INTEGER NOT NULL, hash INTEGER NOT NULL, flags INTEGER NOT NULL,"
	" progress_ms INTEGER NOT NULL, started_ms INTEGER NOT NULL, ended_ms INTEGER NOT NULL,"
	" reason TEXT NOT NULL, keys TEXT NOT NULL, good_revision INTEGER NOT NULL,"
	" good_sources TEXT, PRIMARY KEY(service,number)) STRICT;",
	"ALTER TABLE service ADD COLUMN run_due_ms INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE service ADD COLUMN run_after_ms INTEGER NOT NULL DEFAULT 0;",
	"ALTER TABLE exit ADD COLUMN lines TEXT;",
	"ALTER TABLE service ADD COLUMN held_until_ms INTEGER NOT NULL DEFAULT 0;",
	"ALTER TABLE rollout ADD COLUMN step INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE rollout ADD COLUMN step_ms INTEGER NOT NULL DEFAULT 0;",
	"ALTER TABLE service ADD COLUMN start_ms INTEGER NOT NULL DEFAULT 0;",
	"ALTER TABLE service ADD COLUMN override_until_ms INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE service ADD COLUMN scaled INTEGER NOT NULL DEFAULT 0;",
};
