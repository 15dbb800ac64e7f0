/*
 * store_db: see store_db.h. WAL with synchronous=FULL: a commit that was reported is on the disk.
 * Statements are prepared when first used and kept. Each unit (a task, or a group) runs in a
 * savepoint of its batch's transaction, so one that fails takes no other with it, except where
 * SQLite itself gives up the transaction (disk full, I/O error).
 *
 * SPDX-License-Identifier: MIT
 */
#include "daemon/controller/store_db.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/err.h"
#include "lib/mem.h"

#define BUSY_MS 5000
#define LOAD_EVENTS 1000

enum statement {
	S_BEGIN,
	S_COMMIT,
	S_ROLLBACK,
	S_SAVE,
	S_RELEASE,
	S_BACK,
	S_PUT_REVISION,
	S_PRUNE_REVISIONS,
	S_READ_REVISION,
	S_PUT_SERVICE,
	S_SET_SERVICE,
	S_DEL_SERVICE,
	S_DEL_EXITS,
	S_ADD_EVENT,
	S_PRUNE_EVENTS,
	S_ADD_EXIT,
	S_PRUNE_EXITS,
	S_MAX_
};

#define TEXT2(n) #n
#define TEXT(n) TEXT2(n)

static const char *const sql[S_MAX_] = {
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
	[S_PUT_SERVICE] = "INSERT OR REPLACE INTO service"
			  "(name,set_name,sources,revision,stopped,replicas_override)"
			  " VALUES(?,?,?,?,?,?)",
	[S_SET_SERVICE] = "UPDATE service SET stopped=?,replicas_override=? WHERE name=?",
	[S_DEL_SERVICE] = "DELETE FROM service WHERE name=?",
	[S_DEL_EXITS] = "DELETE FROM exit WHERE service=?",
	[S_ADD_EVENT] = "INSERT OR REPLACE INTO event"
			"(seq,at_ms,service,replica,type,reason,message,from_state,to_state)"
			" VALUES(?,?,?,?,?,?,?,?,?)",
	[S_PRUNE_EVENTS] = "DELETE FROM event WHERE seq<=(SELECT max(seq) FROM event)-" TEXT(
		STORE_EVENTS_KEPT),
	[S_ADD_EXIT] = "INSERT OR REPLACE INTO exit"
		       "(service,replica,incarnation,seq,code,signal,pid,cause,started_ms,ended_ms)"
		       " VALUES(?,?,?,?,?,?,?,?,?,?)",
	[S_PRUNE_EXITS] = "DELETE FROM exit WHERE service=?1 AND replica=?2 AND rowid NOT IN"
			  " (SELECT rowid FROM exit WHERE service=?1 AND replica=?2"
			  " ORDER BY ended_ms DESC,incarnation DESC,seq DESC LIMIT " TEXT(
				  STORE_EXITS_KEPT) ")",
};

/* migrations[v] leads from version v to v + 1. Never edit one that was released: append. */
static const char *const migrations[] = {
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
};

struct store_db {
	sqlite3 *sq;
	sqlite3_stmt *prepared[S_MAX_];
};

static int fail(struct store_db *db, struct err **reterr)
{
	int rc = sqlite3_errcode(db->sq);

	if ((rc & 0xff) == SQLITE_NOMEM)
		return err_nomem(reterr);
	err_set(reterr, (rc & 0xff) == SQLITE_BUSY ? ERR_BUSY : ERR_SYS, "state database: %s",
		sqlite3_errmsg(db->sq));
	if (reterr && *reterr && (*reterr)->code == ERR_SYS)
		(*reterr)->sys = sqlite3_system_errno(db->sq);
	return reterr && *reterr ? -(int)(*reterr)->code : -ERR_SYS;
}

static int exec(struct store_db *db, const char *text, struct err **reterr)
{
	return sqlite3_exec(db->sq, text, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(db, reterr);
}

static int prepare(struct store_db *db, enum statement s, struct err **reterr)
{
	if (db->prepared[s])
		return 0;
	return sqlite3_prepare_v3(db->sq, sql[s], -1, SQLITE_PREPARE_PERSISTENT, &db->prepared[s],
				  NULL) == SQLITE_OK
		       ? 0
		       : fail(db, reterr);
}

/* Runs a kept statement; types: t = const char * (may be NULL), i = int64_t. */
static int run(struct store_db *db, enum statement s, struct err **reterr, const char *types, ...)
{
	sqlite3_stmt *st;
	int rc = SQLITE_OK, r = prepare(db, s, reterr);
	va_list ap;

	if (r < 0)
		return r;
	st = db->prepared[s];
	va_start(ap, types);
	for (int i = 0; types[i] && rc == SQLITE_OK; i++) {
		if (types[i] == 't')
			rc = sqlite3_bind_text(st, i + 1, va_arg(ap, const char *), -1,
					       SQLITE_STATIC);
		else
			rc = sqlite3_bind_int64(st, i + 1, va_arg(ap, int64_t));
	}
	va_end(ap);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc != SQLITE_DONE && rc != SQLITE_ROW)
		r = fail(db, reterr);
	sqlite3_reset(st);
	sqlite3_clear_bindings(st); /* they point into the task */
	return r;
}

static int write_revision(struct store_db *db, const struct store_revision *r, struct err **reterr)
{
	int rc = run(db, S_PUT_REVISION, reterr, "titiitittti", r->set, (int64_t)r->number,
		     r->sources, r->at_wall_ms, (int64_t)r->uid, r->user, (int64_t)r->hash,
		     r->services ? r->services : "", r->git_commit, r->git_branch,
		     (int64_t)r->git_dirty);

	return rc < 0 ? rc : run(db, S_PRUNE_REVISIONS, reterr, "ti", r->set, (int64_t)r->number);
}

static int read_revision(struct store_db *db, const struct store_revision *r, char **ret,
			 struct err **reterr)
{
	int rc = prepare(db, S_READ_REVISION, reterr), step;
	sqlite3_stmt *st;

	if (rc < 0)
		return rc;
	st = db->prepared[S_READ_REVISION];
	sqlite3_bind_text(st, 1, r->set, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 2, (int64_t)r->number);
	step = sqlite3_step(st);
	if (step == SQLITE_ROW) {
		const char *found = (const char *)sqlite3_column_text(st, 0);

		*ret = found ? mem_strdup(found) : NULL;
		rc = *ret ? 0 : err_nomem(reterr);
	} else if (step != SQLITE_DONE) {
		rc = fail(db, reterr);
	}
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return rc;
}

static int write_service(struct store_db *db, const struct store_service *v, struct err **reterr)
{
	if (!v->sources)
		return run(db, S_SET_SERVICE, reterr, "iit", (int64_t)v->stopped,
			   v->replicas_override, v->name);
	return run(db, S_PUT_SERVICE, reterr, "tttiii", v->name, v->set, v->sources,
		   (int64_t)v->revision, (int64_t)v->stopped, v->replicas_override);
}

static int delete_service(struct store_db *db, const char *name, struct err **reterr)
{
	int r = run(db, S_DEL_SERVICE, reterr, "t", name);

	return r < 0 ? r : run(db, S_DEL_EXITS, reterr, "t", name);
}

static int write_event(struct store_db *db, const struct store_event *e, struct err **reterr)
{
	return run(db, S_ADD_EVENT, reterr, "iitittttt", (int64_t)e->seq, e->at_wall_ms, e->service,
		   (int64_t)e->replica, e->type, e->reason ? e->reason : "",
		   e->message ? e->message : "", e->from, e->to);
}

static int write_exit(struct store_db *db, const struct store_exit *x, struct err **reterr)
{
	int r = run(db, S_ADD_EXIT, reterr, "titiiiitii", x->service, (int64_t)x->index,
		    x->incarnation, (int64_t)x->seq, (int64_t)x->code, (int64_t)x->signal,
		    (int64_t)x->pid, x->cause, x->started_wall_ms, x->ended_wall_ms);

	return r < 0 ? r : run(db, S_PRUNE_EXITS, reterr, "ti", x->service, (int64_t)x->index);
}

static int do_task(struct store_db *db, struct store_task *t, struct err **reterr)
{
	switch (t->kind) {
	case STORE_TASK_REVISION:
		return write_revision(db, &t->u.revision, reterr);
	case STORE_TASK_READ_REVISION:
		return read_revision(db, &t->u.revision, &t->found, reterr);
	case STORE_TASK_SERVICE:
		return write_service(db, &t->u.service, reterr);
	case STORE_TASK_DEL_SERVICE:
		return delete_service(db, t->u.service.name, reterr);
	case STORE_TASK_EVENT:
		return write_event(db, &t->u.event, reterr);
	case STORE_TASK_EXIT:
		return write_exit(db, &t->u.exit, reterr);
	}
	return err_set(reterr, ERR_INVALID, "unknown task");
}

static void copy_err(struct store_task *t, const struct err *e)
{
	if (!t->err)
		err_set(&t->err, e->code, "%s", e->msg);
}

/* Every task from first on (of its group only, or all) gets e as its verdict. */
static void condemn(struct store_task *first, bool group, const struct err *e)
{
	for (struct store_task *t = first; t; t = TAILQ_NEXT(t, link)) {
		copy_err(t, e);
		if (group && !t->more)
			break;
	}
}

/* One task or group in a savepoint; returns what follows it. Fails only if the transaction is lost.
 */
static int write_unit(struct store_db *db, struct store_task *first, struct store_task **ret_next,
		      struct err **reterr)
{
	_cleanup_err_ struct err *e = NULL;
	struct store_task *t = first, *last;
	int r = first->err ? -1 : run(db, S_SAVE, &e, "");

	for (last = first; last->more && TAILQ_NEXT(last, link);)
		last = TAILQ_NEXT(last, link);
	*ret_next = TAILQ_NEXT(last, link);
	if (first->err) /* condemned before it came here */
		return 0;
	while (r == 0) {
		r = do_task(db, t, &e);
		if (t == last)
			break;
		t = TAILQ_NEXT(t, link);
	}
	if (r == 0)
		return run(db, S_RELEASE, reterr, "");
	condemn(first, true, e);
	if (sqlite3_get_autocommit(db->sq)) { /* SQLite gave up the whole transaction */
		err_set(reterr, e->code, "%s", e->msg);
		return -(int)e->code;
	}
	r = run(db, S_BACK, reterr, "");
	return r < 0 ? r : run(db, S_RELEASE, reterr, "");
}

void store_db_commit(struct store_db *db, struct store_task_list *tasks)
{
	_cleanup_err_ struct err *e = NULL;
	struct store_task *t = TAILQ_FIRST(tasks);
	bool events = false;
	int r = run(db, S_BEGIN, &e, "");

	while (r == 0 && t) {
		events |= t->kind == STORE_TASK_EVENT;
		r = write_unit(db, t, &t, &e);
	}
	if (r == 0 && events)
		r = run(db, S_PRUNE_EVENTS, &e, "");
	if (r == 0)
		r = run(db, S_COMMIT, &e, "");
	if (r == 0)
		return;
	condemn(TAILQ_FIRST(tasks), false, e);
	if (!sqlite3_get_autocommit(db->sq))
		run(db, S_ROLLBACK, NULL, "");
}

void store_db_close(struct store_db *db)
{
	if (!db)
		return;
	for (int i = 0; i < S_MAX_; i++)
		sqlite3_finalize(db->prepared[i]);
	sqlite3_close(db->sq);
	mem_free(db);
}

/* The first column of the first row of a query: an integer, or -1. */
static int64_t ask_int(struct store_db *db, const char *query, bool *ret_damaged)
{
	sqlite3_stmt *st = NULL;
	int64_t v = -1;
	int rc = sqlite3_prepare_v2(db->sq, query, -1, &st, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		v = sqlite3_column_int64(st, 0);
	*ret_damaged |= (rc & 0xff) == SQLITE_NOTADB || (rc & 0xff) == SQLITE_CORRUPT;
	sqlite3_finalize(st);
	return v;
}

static bool is_sound(struct store_db *db)
{
	sqlite3_stmt *st = NULL;
	bool ok = false;
	int rc = sqlite3_prepare_v2(db->sq, "PRAGMA quick_check(1)", -1, &st, NULL);

	if (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW)
		ok = strcmp((const char *)sqlite3_column_text(st, 0), "ok") == 0;
	else
		ok = (rc & 0xff) != SQLITE_NOTADB && (rc & 0xff) != SQLITE_CORRUPT;
	sqlite3_finalize(st);
	return ok;
}

static int migrate(struct store_db *db, int64_t version, struct err **reterr)
{
	for (; version < (int64_t)ARRAY_SIZE(migrations); version++) {
		char set[64];
		int r;

		snprintf(set, sizeof(set), "PRAGMA user_version=%lld", (long long)version + 1);
		r = exec(db, "BEGIN IMMEDIATE", reterr);
		if (r == 0)
			r = exec(db, migrations[version], reterr);
		if (r == 0)
			r = exec(db, set, reterr);
		if (r == 0)
			r = exec(db, "COMMIT", reterr);
		if (r < 0) {
			sqlite3_exec(db->sq, "ROLLBACK", NULL, NULL, NULL);
			return r;
		}
	}
	return 0;
}

static int set_up(struct store_db *db, bool *ret_damaged, struct err **reterr)
{
	int64_t version;
	int r;

	sqlite3_busy_timeout(db->sq, BUSY_MS);
	version = ask_int(db, "PRAGMA user_version", ret_damaged);
	if (version < 0)
		return fail(db, reterr);
	if (version > (int64_t)ARRAY_SIZE(migrations))
		return err_set(reterr, ERR_CONFLICT,
			       "the state database has schema %lld, written by a newer aictl; "
			       "this one knows %zu",
			       (long long)version, ARRAY_SIZE(migrations));
	if (!is_sound(db)) {
		*ret_damaged = true;
		return err_set(reterr, ERR_INVALID, "the state database is damaged");
	}
	r = exec(db,
		 "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY;"
		 "PRAGMA journal_size_limit=4194304; PRAGMA cache_size=-512",
		 reterr);
	if (r == 0)
		r = migrate(db, version, reterr);
	if (r == 0)
		r = exec(db, "DELETE FROM exit WHERE service NOT IN (SELECT name FROM service)",
			 reterr);
	return r;
}

static int open_once(const char *path, struct store_db **ret, bool *ret_damaged,
		     struct err **reterr)
{
	_cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
	struct store_db *db;
	int r;

	if (fd < 0) /* it holds environments: SQLite itself would create it as the umask says */
		return err_sys(reterr, errno, "cannot open the state database %s", path);
	mem_closep(&fd);
	db = mem_alloc(sizeof(*db));
	if (!db)
		return err_nomem(reterr);
	if (sqlite3_open_v2(path, &db->sq, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) ==
	    SQLITE_OK)
		r = set_up(db, ret_damaged, reterr);
	else
		r = db->sq ? fail(db, reterr) : err_nomem(reterr);
	if (r < 0) {
		err_wrap(reterr, "%s", path);
		store_db_close(db);
		return r;
	}
	*ret = db;
	return 0;
}

/* Renames path, path-wal and path-shm; the new name of path, or NULL. */
static char *move_aside(const char *path)
{
	static const char *const parts[] = {"-wal", "-shm", ""}; /* the database itself last */
	char *to = NULL;

	for (int64_t t = clock_wall_ms() / 1000; !to || access(to, F_OK) == 0; t++) {
		mem_free(to);
		to = mem_printf("%s.corrupt-%lld", path, (long long)t);
		if (!to)
			return NULL;
	}
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		_cleanup_free_ char *a = mem_printf("%s%s", path, parts[i]);
		_cleanup_free_ char *b = mem_printf("%s%s", to, parts[i]);

		if (!a || !b || (rename(a, b) < 0 && errno != ENOENT)) {
			mem_free(to);
			return NULL;
		}
	}
	return to;
}

int store_db_open(const char *path, struct store_db **ret, char **ret_moved_to, struct err **reterr)
{
	_cleanup_err_ struct err *e = NULL;
	bool damaged = false;
	char *to;
	int r = open_once(path, ret, &damaged, &e);

	if (r < 0 && damaged && (to = move_aside(path))) {
		err_freep(&e);
		r = open_once(path, ret, &damaged, &e);
		*ret_moved_to = to;
	}
	if (r < 0 && reterr)
		*reterr = TAKE_PTR(e);
	return r;
}

/* A copy of a column that lives as long as l; NULL for NULL. */
static int text(struct store_loaded *l, sqlite3_stmt *st, int column, const char **ret)
{
	const char *s = (const char *)sqlite3_column_text(st, column);

	*ret = NULL;
	if (!s)
		return sqlite3_column_type(st, column) == SQLITE_NULL ? 0 : -ERR_NOMEM;
	if (mem_grow(&l->texts, &l->cap_texts, l->n_texts + 1, sizeof(*l->texts)) < 0)
		return -ERR_NOMEM;
	*ret = l->texts[l->n_texts] = mem_strdup(s);
	if (!*ret)
		return -ERR_NOMEM;
	l->n_texts++;
	return 0;
}

static int load_revision(struct store_loaded *l, sqlite3_stmt *st)
{
	struct store_revision *r;

	if (mem_grow(&l->revisions, &l->cap_revisions, l->snap.n_revisions + 1, sizeof(*r)) < 0)
		return -ERR_NOMEM;
	r = &l->revisions[l->snap.n_revisions++];
	*r = (struct store_revision){.number = (uint64_t)sqlite3_column_int64(st, 1),
				     .at_wall_ms = sqlite3_column_int64(st, 2),
				     .uid = (uint32_t)sqlite3_column_int64(st, 3),
				     .hash = (uint64_t)sqlite3_column_int64(st, 5),
				     .git_dirty = sqlite3_column_int64(st, 9) != 0};
	return text(l, st, 0, &r->set) | text(l, st, 4, &r->user) | text(l, st, 6, &r->services) |
	       text(l, st, 7, &r->git_commit) | text(l, st, 8, &r->git_branch);
}

static int load_service(struct store_loaded *l, sqlite3_stmt *st)
{
	struct store_service *v;

	if (mem_grow(&l->services, &l->cap_services, l->snap.n_services + 1, sizeof(*v)) < 0)
		return -ERR_NOMEM;
	v = &l->services[l->snap.n_services++];
	*v = (struct store_service){.revision = (uint64_t)sqlite3_column_int64(st, 3),
				    .stopped = sqlite3_column_int64(st, 4) != 0,
				    .replicas_override = sqlite3_column_int64(st, 5)};
	return text(l, st, 0, &v->name) | text(l, st, 1, &v->set) | text(l, st, 2, &v->sources);
}

static int load_event(struct store_loaded *l, sqlite3_stmt *st)
{
	struct store_event *e;

	if (mem_grow(&l->events, &l->cap_events, l->snap.n_events + 1, sizeof(*e)) < 0)
		return -ERR_NOMEM;
	e = &l->events[l->snap.n_events++];
	*e = (struct store_event){.seq = (uint64_t)sqlite3_column_int64(st, 0),
				  .at_wall_ms = sqlite3_column_int64(st, 1),
				  .replica = (int32_t)sqlite3_column_int64(st, 3)};
	l->snap.last_event_seq = e->seq;
	return text(l, st, 2, &e->service) | text(l, st, 4, &e->type) | text(l, st, 5, &e->reason) |
	       text(l, st, 6, &e->message) | text(l, st, 7, &e->from) | text(l, st, 8, &e->to);
}

static int load_exit(struct store_loaded *l, sqlite3_stmt *st)
{
	struct store_exit *x;

	if (mem_grow(&l->exits, &l->cap_exits, l->snap.n_exits + 1, sizeof(*x)) < 0)
		return -ERR_NOMEM;
	x = &l->exits[l->snap.n_exits++];
	*x = (struct store_exit){.index = (uint32_t)sqlite3_column_int64(st, 1),
				 .seq = (uint64_t)sqlite3_column_int64(st, 3),
				 .code = (int32_t)sqlite3_column_int64(st, 4),
				 .signal = (int32_t)sqlite3_column_int64(st, 5),
				 .pid = (int32_t)sqlite3_column_int64(st, 6),
				 .started_wall_ms = sqlite3_column_int64(st, 8),
				 .ended_wall_ms = sqlite3_column_int64(st, 9)};
	return text(l, st, 0, &x->service) | text(l, st, 2, &x->incarnation) |
	       text(l, st, 7, &x->cause);
}

static int load_rows(struct store_db *db, struct store_loaded *l, const char *query,
		     int (*row)(struct store_loaded *l, sqlite3_stmt *st), struct err **reterr)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(db->sq, query, -1, &st, NULL), r = 0;

	while (rc == SQLITE_OK || rc == SQLITE_ROW) {
		rc = sqlite3_step(st);
		if (rc == SQLITE_ROW && row(l, st) != 0) {
			r = err_nomem(reterr);
			break;
		}
	}
	if (r == 0 && rc != SQLITE_DONE)
		r = fail(db, reterr);
	sqlite3_finalize(st);
	return r;
}

int store_db_load(struct store_db *db, struct store_loaded **ret, struct err **reterr)
{
	static const struct {
		const char *query;
		int (*row)(struct store_loaded *l, sqlite3_stmt *st);
	} parts[] = {
		{"SELECT set_name,number,at_ms,uid,user,hash,services,git_commit,git_branch,"
		 "git_dirty FROM revision ORDER BY set_name,number DESC",
		 load_revision},
		{"SELECT name,set_name,sources,revision,stopped,replicas_override FROM service"
		 " ORDER BY set_name,revision,name",
		 load_service},
		{"SELECT * FROM (SELECT seq,at_ms,service,replica,type,reason,message,from_state,"
		 "to_state FROM event ORDER BY seq DESC LIMIT " TEXT(LOAD_EVENTS) ") ORDER BY seq",
		 load_event},
		{"SELECT service,replica,incarnation,seq,code,signal,pid,cause,started_ms,ended_ms"
		 " FROM exit ORDER BY service,replica,ended_ms,incarnation,seq",
		 load_exit},
	};
	struct store_loaded *l = mem_alloc(sizeof(*l));

	if (!l)
		return err_nomem(reterr);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		int r = load_rows(db, l, parts[i].query, parts[i].row, reterr);

		if (r < 0) {
			store_db_loaded_free(l);
			return r;
		}
	}
	l->snap.revisions = l->revisions;
	l->snap.services = l->services;
	l->snap.events = l->events;
	l->snap.exits = l->exits;
	*ret = l;
	return 0;
}

void store_db_loaded_free(struct store_loaded *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < l->n_texts; i++)
		mem_free(l->texts[i]);
	mem_free(l->texts);
	mem_free(l->revisions);
	mem_free(l->services);
	mem_free(l->events);
	mem_free(l->exits);
	mem_free(l);
}
