/*
 * store_db: see store_db.h. WAL with synchronous=FULL: a commit that was reported is on the disk.
 * Statements are prepared when first used and kept. Each unit (a task, or a group) runs in a
 * savepoint of its batch's transaction (one statement needs none), so one that fails takes no other
 * with it, except where SQLite itself gives up the transaction (disk full, I/O error).
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

#include "daemon/controller/quota.h"
#include "daemon/controller/store_schema.h"
#include "daemon/controller/store_sql.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/mem.h"

#define BUSY_MS 5000
#define SERVICES_MAX 4096 /* with events of their own; more, and the oldest events go */

/* Rows of a table that is pruned now and then. */
struct grown {
	int64_t kept, added; /* at and since the last time */
};

struct store_db {
	sqlite3 *sq;
	struct grown events, exits;
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
	return sqlite3_prepare_v3(db->sq, store_sql[s], -1, SQLITE_PREPARE_PERSISTENT,
				  &db->prepared[s], NULL) == SQLITE_OK
		       ? 0
		       : fail(db, reterr);
}

/* The first column of the first row of a query: an integer, or -1. ret_damaged: or NULL. */
static int64_t ask_int(struct store_db *db, const char *query, bool *ret_damaged)
{
	sqlite3_stmt *st = NULL;
	int64_t v = -1;
	int rc = sqlite3_prepare_v2(db->sq, query, -1, &st, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_step(st);
	if (rc == SQLITE_ROW)
		v = sqlite3_column_int64(st, 0);
	if (ret_damaged)
		*ret_damaged |= (rc & 0xff) == SQLITE_NOTADB || (rc & 0xff) == SQLITE_CORRUPT;
	sqlite3_finalize(st);
	return v;
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

/* The text of the first row, if there is one, of a statement whose values are bound. */
static int read_text(struct store_db *db, sqlite3_stmt *st, char **ret, struct err **reterr)
{
	int rc = 0, step = sqlite3_step(st);

	if (step == SQLITE_ROW) {
		const char *found = (const char *)sqlite3_column_text(st, 0);

		*ret = found ? mem_strdup(found) : NULL;
		rc = *ret || !found ? 0 : err_nomem(reterr);
	} else if (step != SQLITE_DONE) {
		rc = fail(db, reterr);
	}
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return rc;
}

static int read_revision(struct store_db *db, const struct store_revision *r, char **ret,
			 struct err **reterr)
{
	int rc = prepare(db, S_READ_REVISION, reterr);

	if (rc < 0)
		return rc;
	sqlite3_bind_text(db->prepared[S_READ_REVISION], 1, r->set, -1, SQLITE_STATIC);
	sqlite3_bind_int64(db->prepared[S_READ_REVISION], 2, (int64_t)r->number);
	return read_text(db, db->prepared[S_READ_REVISION], ret, reterr);
}

static int read_lines(struct store_db *db, const struct store_exit *x, char **ret,
		      struct err **reterr)
{
	int rc = prepare(db, S_READ_LINES, reterr);

	if (rc < 0)
		return rc;
	sqlite3_bind_text(db->prepared[S_READ_LINES], 1, x->service, -1, SQLITE_STATIC);
	sqlite3_bind_int64(db->prepared[S_READ_LINES], 2, (int64_t)x->index);
	sqlite3_bind_text(db->prepared[S_READ_LINES], 3, x->incarnation, -1, SQLITE_STATIC);
	return read_text(db, db->prepared[S_READ_LINES], ret, reterr);
}

static int write_service(struct store_db *db, const struct store_service *v, struct err **reterr)
{
	if (!v->sources)
		return run(db, S_SET_SERVICE, reterr, "iiit", (int64_t)v->stopped,
			   v->replicas_override, v->held_until_wall_ms, v->name);
	return run(db, S_PUT_SERVICE, reterr, "tttiii", v->name, v->set, v->sources,
		   (int64_t)v->revision, (int64_t)v->stopped, v->replicas_override);
}

static int delete_service(struct store_db *db, const char *name, struct err **reterr)
{
	int r = run(db, S_DEL_SERVICE, reterr, "t", name);

	if (r == 0)
		r = run(db, S_DEL_ROLLOUTS, reterr, "t", name);
	return r < 0 ? r : run(db, S_DEL_EXITS, reterr, "t", name);
}

static int write_rollout(struct store_db *db, const struct store_rollout *r, struct err **reterr)
{
	int rc;

	if (!r->keys)
		return run(db, S_SET_ROLLOUT, reterr, "tiiiiititi", r->state, r->flags, r->step,
			   r->step_mono_ms, r->progress_mono_ms, r->ended_wall_ms, r->reason,
			   (int64_t)r->keeps_good, r->service, (int64_t)r->number);
	rc = run(db, S_PUT_ROLLOUT, reterr, "titiiiiiittit", r->service, (int64_t)r->number,
		 r->state, (int64_t)r->revision, (int64_t)r->hash, r->flags, r->progress_mono_ms,
		 r->started_wall_ms, r->ended_wall_ms, r->reason, r->keys,
		 (int64_t)r->good_revision, r->good_sources);
	return rc < 0 ? rc
		      : run(db, S_PRUNE_ROLLOUTS, reterr, "ti", r->service, (int64_t)r->number);
}

static int write_event(struct store_db *db, const struct store_event *e, struct err **reterr)
{
	db->events.added++;
	return run(db, S_ADD_EVENT, reterr, "iitittttt", (int64_t)e->seq, e->at_wall_ms, e->service,
		   (int64_t)e->replica, e->type, e->reason ? e->reason : "",
		   e->message ? e->message : "", e->from, e->to);
}

static int write_exit(struct store_db *db, const struct store_exit *x, struct err **reterr)
{
	db->exits.added++;
	return run(db, S_ADD_EXIT, reterr, "titiiiitii", x->service, (int64_t)x->index,
		   x->incarnation, (int64_t)x->seq, (int64_t)x->code, (int64_t)x->signal,
		   (int64_t)x->pid, x->cause, x->started_wall_ms, x->ended_wall_ms);
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
	case STORE_TASK_EXIT_LINES:
		return run(db, S_SET_LINES, reterr, "ttit", t->u.exit.lines, t->u.exit.service,
			   (int64_t)t->u.exit.index, t->u.exit.incarnation);
	case STORE_TASK_READ_LINES:
		return read_lines(db, &t->u.exit, &t->found, reterr);
	case STORE_TASK_ROLLOUT:
		return write_rollout(db, &t->u.rollout, reterr);
	case STORE_TASK_RUN:
		return run(db, S_SET_RUN, reterr, "iit", t->u.service.run_due_wall_ms,
			   t->u.service.run_after_wall_ms, t->u.service.name);
	case STORE_TASK_START:
		return run(db, S_SET_START, reterr, "it", t->u.service.start_ms, t->u.service.name);
	case STORE_TASK_SCALE:
		return run(db, S_SET_SCALE, reterr, "iit", t->u.service.override_until_wall_ms,
			   (int64_t)t->u.service.scaled, t->u.service.name);
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

/* One statement is all or nothing without a savepoint. */
static bool is_one_statement(const struct store_task *first, const struct store_task *last)
{
	return first == last && (first->kind == STORE_TASK_EVENT || first->kind == STORE_TASK_EXIT);
}

/* One task or group, all or nothing; returns what follows it. Fails only if the transaction is
 * lost. */
static int write_unit(struct store_db *db, struct store_task *first, struct store_task **ret_next,
		      struct err **reterr)
{
	_cleanup_err_ struct err *e = NULL;
	struct store_task *t = first, *last;
	bool save;
	int r;

	for (last = first; last->more && TAILQ_NEXT(last, link);)
		last = TAILQ_NEXT(last, link);
	*ret_next = TAILQ_NEXT(last, link);
	if (first->err) /* condemned before it came here */
		return 0;
	save = !is_one_statement(first, last);
	r = save ? run(db, S_SAVE, &e, "") : 0;
	while (r == 0) {
		r = do_task(db, t, &e);
		if (t == last)
			break;
		t = TAILQ_NEXT(t, link);
	}
	if (r == 0)
		return save ? run(db, S_RELEASE, reterr, "") : 0;
	condemn(first, true, e);
	if (sqlite3_get_autocommit(db->sq)) { /* SQLite gave up the whole transaction */
		err_set(reterr, e->code, "%s", e->msg);
		return -(int)e->code;
	}
	if (!save)
		return 0;
	r = run(db, S_BACK, reterr, "");
	return r < 0 ? r : run(db, S_RELEASE, reterr, "");
}

/* ---- what is too old ---- */

/* How many events a service may keep; 0: there are too many services for that. */
static int event_quota(struct store_db *db, size_t *ret, struct err **reterr)
{
	_cleanup_free_ size_t *counts = mem_alloc(SERVICES_MAX * sizeof(*counts));
	sqlite3_stmt *st;
	size_t n = 0;
	int r, rc;

	if (!counts)
		return err_nomem(reterr);
	r = prepare(db, S_COUNT_EVENTS, reterr);
	if (r < 0)
		return r;
	st = db->prepared[S_COUNT_EVENTS];
	while ((rc = sqlite3_step(st)) == SQLITE_ROW && n < SERVICES_MAX)
		counts[n++] = (size_t)sqlite3_column_int64(st, 0);
	if (rc != SQLITE_DONE && rc != SQLITE_ROW)
		r = fail(db, reterr);
	sqlite3_reset(st);
	*ret = rc == SQLITE_ROW ? 0 : quota_fair(counts, n, STORE_EVENTS_KEPT);
	return r;
}

static int prune_events(struct store_db *db, struct err **reterr)
{
	size_t quota = 0;
	int r = event_quota(db, &quota, reterr);

	if (r == 0)
		r = quota > 0 ? run(db, S_PRUNE_EVENTS, reterr, "i", (int64_t)quota)
			      : run(db, S_PRUNE_OLDEST, reterr, "");
	if (r == 0)
		db->events =
			(struct grown){.kept = ask_int(db, "SELECT count(*) FROM event", NULL)};
	return r;
}

static int prune_exits(struct store_db *db, struct err **reterr)
{
	int r = run(db, S_PRUNE_EXITS, reterr, "");

	if (r == 0)
		db->exits = (struct grown){.kept = ask_int(db, "SELECT count(*) FROM exit", NULL)};
	return r;
}

/* Looking at the whole table is paid by what came since the last time. */
static bool is_due(const struct grown *g)
{
	return g->added >= STORE_PRUNE_MIN && g->added >= g->kept / 2;
}

void store_db_commit(struct store_db *db, struct store_task_list *tasks)
{
	_cleanup_err_ struct err *e = NULL;
	struct store_task *t = TAILQ_FIRST(tasks);
	int r = run(db, S_BEGIN, &e, "");

	while (r == 0 && t)
		r = write_unit(db, t, &t, &e);
	if (r == 0 && is_due(&db->events))
		r = prune_events(db, &e);
	if (r == 0 && is_due(&db->exits))
		r = prune_exits(db, &e);
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
	for (; version < (int64_t)store_schema_versions; version++) {
		char set[64];
		int r;

		snprintf(set, sizeof(set), "PRAGMA user_version=%lld", (long long)version + 1);
		r = exec(db, "BEGIN IMMEDIATE", reterr);
		if (r == 0)
			r = exec(db, store_schema_migrations[version], reterr);
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
	if (version > (int64_t)store_schema_versions)
		return err_set(reterr, ERR_CONFLICT,
			       "the state database has schema %lld, written by a newer aictl; "
			       "this one knows %d",
			       (long long)version, store_schema_versions);
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
	if (r == 0)
		r = prune_events(db, reterr);
	if (r == 0)
		r = prune_exits(db, reterr);
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
				    .replicas_override = sqlite3_column_int64(st, 5),
				    .run_due_wall_ms = sqlite3_column_int64(st, 6),
				    .run_after_wall_ms = sqlite3_column_int64(st, 7),
				    .held_until_wall_ms = sqlite3_column_int64(st, 8),
				    .start_ms = sqlite3_column_int64(st, 9),
				    .override_until_wall_ms = sqlite3_column_int64(st, 10),
				    .scaled = (unsigned)sqlite3_column_int64(st, 11)};
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
				 .ended_wall_ms = sqlite3_column_int64(st, 9),
				 .has_lines = sqlite3_column_int64(st, 10) != 0};
	return text(l, st, 0, &x->service) | text(l, st, 2, &x->incarnation) |
	       text(l, st, 7, &x->cause);
}

static int load_rollout(struct store_loaded *l, sqlite3_stmt *st)
{
	struct store_rollout *r;

	if (mem_grow(&l->rollouts, &l->cap_rollouts, l->snap.n_rollouts + 1, sizeof(*r)) < 0)
		return -ERR_NOMEM;
	r = &l->rollouts[l->snap.n_rollouts++];
	*r = (struct store_rollout){.number = (uint64_t)sqlite3_column_int64(st, 1),
				    .revision = (uint64_t)sqlite3_column_int64(st, 3),
				    .hash = (uint64_t)sqlite3_column_int64(st, 4),
				    .flags = sqlite3_column_int64(st, 5),
				    .progress_mono_ms = sqlite3_column_int64(st, 6),
				    .started_wall_ms = sqlite3_column_int64(st, 7),
				    .ended_wall_ms = sqlite3_column_int64(st, 8),
				    .good_revision = (uint64_t)sqlite3_column_int64(st, 11),
				    .step = sqlite3_column_int64(st, 13),
				    .step_mono_ms = sqlite3_column_int64(st, 14)};
	return text(l, st, 0, &r->service) | text(l, st, 2, &r->state) |
	       text(l, st, 9, &r->reason) | text(l, st, 10, &r->keys) |
	       text(l, st, 12, &r->good_sources);
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
		{"SELECT name,set_name,sources,revision,stopped,replicas_override,run_due_ms,"
		 "run_after_ms,held_until_ms,start_ms,override_until_ms,scaled FROM service"
		 " ORDER BY set_name,revision,name",
		 load_service},
		{"SELECT seq,at_ms,service,replica,type,reason,message,from_state,to_state"
		 " FROM event ORDER BY seq",
		 load_event},
		{"SELECT service,replica,incarnation,seq,code,signal,pid,cause,started_ms,ended_ms,"
		 "lines IS NOT NULL FROM exit ORDER BY service,replica,ended_ms,incarnation,seq",
		 load_exit},
		{"SELECT service,number,state,revision,hash,flags,progress_ms,started_ms,ended_ms,"
		 "reason,keys,good_revision,good_sources,step,step_ms FROM rollout ORDER BY service,number",
		 load_rollout},
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
	l->snap.rollouts = l->rollouts;
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
	mem_free(l->rollouts);
	mem_free(l);
}
