/*
 * test_store_revisions: what the store keeps of a revision, reading its text back, a database of
 * the first schema, which is migrated with all that is in it, and the size of one that stays open.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "daemon/controller/store.h"
#include "lib/err.h"
#include "lib/mem.h"

struct world {
	char dir[64], path[128];
	uv_loop_t loop;
	struct store *store;
	char seen[16][256]; /* revisions as they were loaded */
	size_t n_seen, n_services;
	int loads, puts, reads, code;
	char read[64]; /* "-" = none */
};

static void on_load(void *user, const struct store_snapshot *snap, const struct err *err)
{
	struct world *w = user;

	w->loads++;
	assert_null(err);
	w->n_services = snap->n_services;
	w->n_seen = snap->n_revisions;
	for (size_t i = 0; i < snap->n_revisions && i < 16; i++) {
		const struct store_revision *r = &snap->revisions[i];

		assert_null(r->sources); /* read when asked for */
		snprintf(w->seen[i], sizeof(w->seen[i]), "%s %llu %lld %u %s %llx %s %s %s %d",
			 r->set, (unsigned long long)r->number, (long long)r->at_wall_ms, r->uid,
			 r->user ? r->user : "-", (unsigned long long)r->hash, r->services,
			 r->git_commit ? r->git_commit : "-", r->git_branch ? r->git_branch : "-",
			 r->git_dirty);
	}
}

static void on_put(void *user, const struct err *err)
{
	struct world *w = user;

	w->puts++;
	w->code = err ? (int)err->code : 0;
}

static void on_read(void *user, const char *sources, const struct err *err)
{
	struct world *w = user;

	w->reads++;
	w->code = err ? (int)err->code : 0;
	snprintf(w->read, sizeof(w->read), "%s", sources ? sources : "-");
}

static void on_alarm(uv_timer_t *t)
{
	*(bool *)t->data = true;
}

static void run_until(struct world *w, const int *counter, int want)
{
	uv_timer_t alarm;
	bool over = false;

	uv_timer_init(&w->loop, &alarm);
	alarm.data = &over;
	uv_timer_start(&alarm, on_alarm, 10000, 0);
	while (*counter < want && !over)
		uv_run(&w->loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&alarm, NULL);
	uv_run(&w->loop, UV_RUN_NOWAIT);
	assert_true(*counter >= want);
}

static void open_store(struct world *w)
{
	w->loads = w->puts = w->reads = 0;
	assert_int_equal(uv_loop_init(&w->loop), 0);
	assert_int_equal(store_new(&w->loop, w->path, on_load, w, &w->store, NULL), 0);
	run_until(w, &w->loads, 1);
}

static void close_store(struct world *w)
{
	store_close(w->store, 5000);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&w->loop), 0);
}

static void put(struct world *w, const char *set, uint64_t number, const char *sources)
{
	const struct store_revision r = {.set = set,
					 .number = number,
					 .sources = sources,
					 .at_wall_ms = 1000 + (int64_t)number,
					 .uid = 1000,
					 .user = "alice",
					 .hash = UINT64_C(0xfedcba9876543210),
					 .services = "a b",
					 .git_commit = "0123abcd",
					 .git_branch = "main",
					 .git_dirty = true};

	w->puts = 0;
	assert_int_equal(store_put_revision(w->store, &r, true, on_put, w), 0);
	run_until(w, &w->puts, 1);
	assert_int_equal(w->code, 0);
}

static const char *read_back(struct world *w, const char *set, uint64_t number)
{
	w->reads = 0;
	assert_int_equal(store_read_revision(w->store, set, number, on_read, w), 0);
	run_until(w, &w->reads, 1);
	assert_int_equal(w->code, 0);
	return w->read;
}

static void test_kept_and_read(void **state)
{
	struct world *w = *state;

	open_store(w);
	put(w, "shop", 1, "[1]");
	put(w, "shop", 2, "[2]");
	put(w, "lab", 7, "[7]");
	assert_string_equal(read_back(w, "shop", 1), "[1]");
	close_store(w);
	open_store(w);
	assert_int_equal(w->n_seen, 3);
	assert_string_equal(w->seen[0],
			    "lab 7 1007 1000 alice fedcba9876543210 a b 0123abcd main 1");
	assert_string_equal(w->seen[1],
			    "shop 2 1002 1000 alice fedcba9876543210 a b 0123abcd main 1");
	assert_string_equal(read_back(w, "shop", 2), "[2]");
	assert_string_equal(read_back(w, "shop", 3), "-");
	assert_string_equal(read_back(w, "none", 1), "-");
	for (uint64_t n = 3; n <= 12; n++)
		put(w, "shop", n, "[]");
	assert_string_equal(read_back(w, "shop", 2), "-"); /* ten are kept */
	assert_string_equal(read_back(w, "shop", 3), "[]");
	assert_string_equal(read_back(w, "lab", 7), "[7]");
	close_store(w);
}

/* A read under way when the store closes is answered all the same. */
static void test_close_answers(void **state)
{
	struct world *w = *state;

	open_store(w);
	put(w, "shop", 1, "[1]");
	w->reads = 0;
	assert_int_equal(store_read_revision(w->store, "shop", 1, on_read, w), 0);
	close_store(w);
	assert_int_equal(w->reads, 1);
}

static void test_first_schema_is_migrated(void **state)
{
	static const char *const old =
		"CREATE TABLE revision(set_name TEXT NOT NULL, number INTEGER NOT NULL,"
		" sources TEXT NOT NULL, at_ms INTEGER NOT NULL, uid INTEGER NOT NULL,"
		" PRIMARY KEY(set_name,number)) STRICT;"
		"CREATE TABLE service(name TEXT NOT NULL PRIMARY KEY, set_name TEXT NOT NULL,"
		" sources TEXT NOT NULL, revision INTEGER NOT NULL, stopped INTEGER NOT NULL,"
		" replicas_override INTEGER NOT NULL) STRICT;"
		"CREATE TABLE event(seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL,"
		" service TEXT NOT NULL, replica INTEGER NOT NULL, type TEXT NOT NULL,"
		" reason TEXT NOT NULL, message TEXT NOT NULL, from_state TEXT, to_state TEXT)"
		" STRICT;"
		"CREATE TABLE exit(service TEXT NOT NULL, replica INTEGER NOT NULL,"
		" incarnation TEXT NOT NULL, seq INTEGER NOT NULL, code INTEGER NOT NULL,"
		" signal INTEGER NOT NULL, pid INTEGER NOT NULL, cause TEXT NOT NULL,"
		" started_ms INTEGER NOT NULL, ended_ms INTEGER NOT NULL,"
		" PRIMARY KEY(service,replica,incarnation,seq)) STRICT;"
		"CREATE INDEX exit_by_time ON exit(service,replica,ended_ms);"
		"INSERT INTO revision VALUES('shop',4,'[4]',99,1000);"
		"INSERT INTO service VALUES('a','shop','[4]',4,1,-1);"
		"PRAGMA user_version=1";
	struct world *w = *state;
	sqlite3 *sq;

	assert_int_equal(sqlite3_open(w->path, &sq), SQLITE_OK);
	assert_int_equal(sqlite3_exec(sq, old, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(sq);
	open_store(w);
	assert_int_equal(w->n_services, 1);
	assert_int_equal(w->n_seen, 1);
	assert_string_equal(w->seen[0], "shop 4 99 1000 - 0  - - 0");
	assert_string_equal(read_back(w, "shop", 4), "[4]");
	put(w, "shop", 5, "[5]");
	close_store(w);
	open_store(w);
	assert_int_equal(w->n_seen, 2);
	close_store(w);
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w)
		return -1;
	snprintf(w->dir, sizeof(w->dir), "/tmp/aictl-revisions-XXXXXX");
	if (!mkdtemp(w->dir))
		return -1;
	snprintf(w->path, sizeof(w->path), "%s/aictl.db", w->dir);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	static const char *const ends[] = {"", "-wal", "-shm"};

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		char path[160];

		snprintf(path, sizeof(path), "%s%s", w->path, ends[i]);
		unlink(path);
	}
	rmdir(w->dir);
	free(w);
	return 0;
}

/* The number in the first row of a query. */
static int ask(const struct world *w, const char *query)
{
	sqlite3 *sq;
	sqlite3_stmt *st;
	int n;

	assert_int_equal(sqlite3_open(w->path, &sq), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(sq, query, -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	n = sqlite3_column_int(st, 0);
	sqlite3_finalize(st);
	sqlite3_close(sq);
	return n;
}

static void add_crash(struct world *w, uint64_t n)
{
	char incarnation[33];
	const struct store_event e = {.seq = n, .service = "chat", .type = "state"};
	const struct store_exit x = {.service = "chat",
				     .index = (uint32_t)n % 2,
				     .incarnation = incarnation,
				     .seq = n,
				     .cause = "exit",
				     .ended_wall_ms = (int64_t)n};

	snprintf(incarnation, sizeof(incarnation), "%032llx", (unsigned long long)n);
	assert_int_equal(store_add_event(w->store, &e), 0);
	assert_int_equal(store_add_exit(w->store, &x, on_put, w), 0);
}

/* While it is open, in batches, neither table grows beyond half more than what is kept. */
static void test_growth_is_bounded(void **state)
{
	struct world *w = *state;
	uint64_t n = 0;

	open_store(w);
	for (int round = 1; round <= 12; round++) {
		for (int i = 0; i < 400; i++)
			add_crash(w, ++n);
		run_until(w, &w->puts, round * 400);
		assert_in_range(ask(w, "SELECT count(*) FROM event"), 1,
				STORE_EVENTS_KEPT * 3 / 2 + 400);
		assert_in_range(ask(w, "SELECT count(*) FROM exit"), 1,
				2 * STORE_EXITS_KEPT + STORE_PRUNE_MIN + 400);
	}
	assert_int_equal(w->code, 0);
	assert_int_equal(ask(w, "SELECT max(seq) FROM event"), n);
	assert_int_equal(ask(w, "SELECT max(seq) FROM exit"), n);
	close_store(w);
}

static const char *lines_of(struct world *w, const char *incarnation)
{
	const struct store_exit x = {.service = "chat", .incarnation = incarnation};
	int want = w->reads + 1;

	assert_int_equal(store_read_exit_lines(w->store, &x, on_read, w), 0);
	run_until(w, &w->reads, want);
	assert_int_equal(w->code, 0);
	return w->read;
}

/* They are put after the exit, and stay when it is sent again. */
static void test_lines_of_an_exit(void **state)
{
	struct store_exit x = {.service = "chat",
			       .incarnation = "00000000000000000000000000000003",
			       .cause = "exit",
			       .lines = "[{\"line\":\"oh no\"}]"};
	struct world *w = *state;

	open_store(w);
	assert_int_equal(store_add_exit(w->store, &x, on_put, w), 0);
	assert_string_equal(lines_of(w, x.incarnation), "-");
	assert_int_equal(store_put_exit_lines(w->store, &x), 0);
	assert_string_equal(lines_of(w, x.incarnation), x.lines);
	assert_int_equal(store_add_exit(w->store, &x, on_put, w), 0);
	assert_string_equal(lines_of(w, x.incarnation), x.lines);
	assert_string_equal(lines_of(w, "00000000000000000000000000000004"), "-");
	assert_int_equal(ask(w, "SELECT count(*) FROM exit WHERE lines IS NOT NULL"), 1);
	close_store(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_kept_and_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_close_answers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_first_schema_is_migrated, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_lines_of_an_exit, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_growth_is_bounded, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
