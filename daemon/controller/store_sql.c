/* store_sql: see store_sql.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/store_sql.h"

#include "daemon/controller/store.h"

#define TEXT2(n) #n
#define TEXT(n) TEXT2(n)

const char *const store_sql[S_MAX_] = {
	[S_BEGIN] = "BEGIN IMMEDIATE",
	[S_COMMIT] = "COMMIT",
	[S_ROLLBACK] = "ROLLBACK",
	[S_SAVE] = "SAVEPOINT unit",
	[S_RELEASE] = "RELEASE unit",
	[S_BACK] = "ROLLBACK TO unit",
	[S_PUT_REVISION] = "INSERT OR REPLACE INTO revision(set_name,number,sources,at_ms,uid,"
			   "user,hash,services,git_commit,git_branch,git_dirty)"
			   " VALUES(?,?,?,?,?,?,?,?,?,?,?)",
	[S_PRUNE_REVISIONS] =
		"DELETE FROM revision WHERE set_name=? AND number<=?-" TEXT(STORE_REVISIONS_KEPT),
	[S_READ_REVISION] = "SELECT sources FROM revision WHERE set_name=? AND number=?",
	[S_PUT_SERVICE] = "INSERT INTO service"
			  "(name,set_name,sources,revision,stopped,replicas_override)"
			  " VALUES(?,?,?,?,?,?) ON CONFLICT(name) DO UPDATE SET"
			  " set_name=excluded.set_name,sources=excluded.sources,"
			  "revision=excluded.revision,stopped=excluded.stopped,"
			  "replicas_override=excluded.replicas_override",
	[S_SET_SERVICE] = "UPDATE service SET stopped=?,replicas_override=?,held_until_ms=?"
			  " WHERE name=?",
	[S_SET_RUN] = "UPDATE service SET run_due_ms=?,run_after_ms=? WHERE name=?",
	[S_SET_START] = "UPDATE service SET start_ms=? WHERE name=?",
	[S_SET_SCALE] = "UPDATE service SET override_until_ms=?,scaled=? WHERE name=?",
	[S_DEL_SERVICE] = "DELETE FROM service WHERE name=?",
	[S_DEL_EXITS] = "DELETE FROM exit WHERE service=?",
	[S_ADD_EVENT] = "INSERT OR REPLACE INTO event"
			"(seq,at_ms,service,replica,type,reason,message,from_state,to_state)"
			" VALUES(?,?,?,?,?,?,?,?,?)",
	[S_COUNT_EVENTS] = "SELECT count(*) FROM event GROUP BY service",
	[S_PRUNE_EVENTS] = "DELETE FROM event WHERE seq IN (SELECT seq FROM (SELECT seq,"
			   "row_number() OVER (PARTITION BY service ORDER BY seq DESC) AS nth"
			   " FROM event) WHERE nth>?)",
	[S_PRUNE_OLDEST] = "DELETE FROM event WHERE seq<=(SELECT seq FROM event"
			   " ORDER BY seq DESC LIMIT 1 OFFSET " TEXT(STORE_EVENTS_KEPT) ")",
	[S_ADD_EXIT] = "INSERT INTO exit"
		       "(service,replica,incarnation,seq,code,signal,pid,cause,started_ms,ended_ms)"
		       " VALUES(?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO UPDATE SET code=excluded.code,"
		       "signal=excluded.signal,pid=excluded.pid,cause=excluded.cause,"
		       "started_ms=excluded.started_ms,ended_ms=excluded.ended_ms",
	[S_SET_LINES] = "UPDATE exit SET lines=? WHERE service=? AND replica=? AND incarnation=?",
	[S_READ_LINES] = "SELECT lines FROM exit WHERE service=? AND replica=? AND incarnation=?",
	[S_PRUNE_EXITS] = "DELETE FROM exit WHERE rowid IN (SELECT id FROM (SELECT rowid AS id,"
			  "row_number() OVER (PARTITION BY service,replica"
			  " ORDER BY ended_ms DESC,incarnation DESC,seq DESC) AS nth"
			  " FROM exit) WHERE nth>" TEXT(STORE_EXITS_KEPT) ")",
	[S_PUT_ROLLOUT] = "INSERT OR REPLACE INTO rollout(service,number,state,revision,hash,flags,"
			  "progress_ms,started_ms,ended_ms,reason,keys,good_revision,good_sources)"
			  " VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?)",
	[S_SET_ROLLOUT] =
		"UPDATE rollout SET state=?,flags=?,step=?,step_ms=?,progress_ms=?,"
		"ended_ms=?,reason=?,good_sources=iif(?,good_sources,NULL) WHERE service=? AND number=?",
	[S_PRUNE_ROLLOUTS] =
		"DELETE FROM rollout WHERE service=? AND number<?-" TEXT(STORE_ROLLOUTS_KEPT),
	[S_DEL_ROLLOUTS] = "DELETE FROM rollout WHERE service=?",
};
