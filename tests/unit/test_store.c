/*
 * test_store: the state database by way of store.h alone, then what is on disk with a second store.
 * A disk that hangs is a default VFS of the test's whose xSync waits; a crash is a killed child.
 */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "daemon/controller/store.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/mem.h"

struct world {
	char dir[64], path[128];
	uv_loop_t loop;
	struct store *store;
	int loads, load_code;
	char *moved_to;
	size_t n_revisions, n_services, n_events, n_exits;
	uint64_t last_event_seq, first_event_seq;
	char seen[8][64]; /* services, "name set revision stopped override sources" */
	struct store_exit exit;
	char exit_cause[64];
	uint64_t newest_revision;
	int done, failed;
	int order[64]; /* users of the callbacks as they came */
};

static void on_load(void *user, const struct store_snapshot *snap, const struct err *err)
{
	struct world *w = user;

	w->loads++;
	w->load_code = err ? (int)err->code : 0;
	uv_stop(&w->loop);
	if (err) {
		print_message("load: %s\n", err->msg);
		return;
	}
	w->moved_to = snap->moved_to ? strdup(snap->moved_to) : NULL;
	w->n_revisions = snap->n_revisions;
	w->n_services = snap->n_services;
	w->n_events = snap->n_events;
	w->n_exits = snap->n_exits;
	w->last_event_seq = snap->last_event_seq;
	w->first_event_seq = snap->n_events ? snap->events[0].seq : 0;
	w->newest_revision = snap->n_revisions ? snap->revisions[0].number : 0;
	for (size_t i = 0; i < snap->n_services && i < 8; i++) {
		const struct store_service *v = &snap->services[i];

		snprintf(w->seen[i], sizeof(w->seen[i]), "%s %s %llu %d %lld %s", v->name, v->set,
			 (unsigned long long)v->revision, v->stopped,
			 (long long)v->replicas_override, v->sources);
	}
	if (snap->n_exits) {
		w->exit = snap->exits[snap->n_exits - 1];
		snprintf(w->exit_cause, sizeof(w->exit_cause), "%s %s %s", w->exit.service,
			 w->exit.incarnation, w->exit.cause);
	}
}

static void on_alarm(uv_timer_t *t)
{
	*(bool *)t->data = true;
}

static bool run_until(struct world *w, const int *counter, int want, uint64_t ms)
{
	uv_timer_t alarm;
	bool over = false;

	uv_timer_init(&w->loop, &alarm);
	alarm.data = &over;
	uv_update_time(&w->loop);
	uv_timer_start(&alarm, on_alarm, ms, 0);
	while (*counter < want && !over)
		uv_run(&w->loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&alarm, NULL);
	uv_run(&w->loop, UV_RUN_NOWAIT);
	return *counter >= want;
}

static void world_open(struct world *w)
{
	char dir[64], path[128];

	memcpy(dir, w->dir, sizeof(dir));
	memcpy(path, w->path, sizeof(path));
	memset(w, 0, sizeof(*w));
	memcpy(w->dir, dir, sizeof(dir));
	memcpy(w->path, path, sizeof(path));
	assert_int_equal(uv_loop_init(&w->loop), 0);
	assert_int_equal(store_new(&w->loop, w->path, on_load, w, &w->store, NULL), 0);
}

static void world_load(struct world *w)
{
	world_open(w);
	assert_true(run_until(w, &w->loads, 1, 5000));
}

static void world_close(struct world *w)
{
	if (w->store)
		store_close(w->store, 5000);
	w->store = NULL;
	while (uv_run(&w->loop, UV_RUN_DEFAULT)) /* a callback may have stopped it */
		;
	assert_int_equal(uv_loop_close(&w->loop), 0);
	free(w->moved_to);
	w->moved_to = NULL;
}

static void world_again(struct world *w)
{
	world_close(w);
	world_load(w);
	assert_int_equal(w->load_code, 0);
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	snprintf(w->dir, sizeof(w->dir), "/tmp/aictl-test-store-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->path, sizeof(w->path), "%s/aictl.db", w->dir);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;
	DIR *d = opendir(w->dir);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.')
			unlinkat(dirfd(d), e->d_name, 0);
	closedir(d);
	rmdir(w->dir);
	free(w);
	return 0;
}

struct tag {
	struct world *w;
	int n;
};

static void on_put(void *user, const struct err *err)
{
	struct world *w = user;

	w->done++;
	w->failed += err != NULL;
	uv_stop(&w->loop);
}

static void on_tag(void *user, const struct err *err)
{
	struct tag *t = user;

	if (t->w->done < 64)
		t->w->order[t->w->done] = t->n;
	on_put(t->w, err);
}

static int put_service(struct world *w, const char *name, uint64_t revision, bool urgent)
{
	struct store_service v = {.name = name,
				  .set = "shop",
				  .sources = "[1]",
				  .revision = revision,
				  .replicas_override = -1};

	return store_put_service(w->store, &v, urgent, on_put, w);
}

static int add_event(struct world *w, uint64_t seq)
{
	struct store_event e = {.seq = seq,
				.at_wall_ms = 1000,
				.service = seq > 60 ? "chat" : "quiet",
				.replica = -1,
				.type = "state",
				.reason = "probe_passed",
				.message = "readiness probe passed",
				.from = "starting"};

	return store_add_event(w->store, &e);
}

static int add_exit(struct world *w, uint32_t index, uint64_t n)
{
	char incarnation[33];
	struct store_exit x = {.service = "chat",
			       .index = index,
			       .incarnation = incarnation,
			       .seq = n,
			       .code = (int32_t)n,
			       .cause = "exit",
			       .started_wall_ms = 1,
			       .ended_wall_ms = (int64_t)n};

	snprintf(incarnation, sizeof(incarnation), "%032llx", (unsigned long long)n);
	return store_add_exit(w->store, &x, on_put, w);
}

static void test_round_trip(void **state)
{
	struct world *w = *state;
	struct store_revision rev = {.set = "shop", .number = 7, .sources = "[{}]", .uid = 1000};
	struct store_service v = {.name = "stopped",
				  .set = "shop",
				  .revision = 6,
				  .stopped = true,
				  .sources = "[2]",
				  .replicas_override = 3};
	struct stat st;

	world_load(w);
	assert_int_equal(w->load_code, 0);
	assert_int_equal(w->n_services + w->n_revisions + w->n_events + w->n_exits, 0);
	assert_null(w->moved_to);
	assert_int_equal(stat(w->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(store_put_revision(w->store, &rev, true, on_put, w), 0);
	assert_int_equal(put_service(w, "chat", 7, true), 0);
	assert_int_equal(put_service(w, "gone", 7, true), 0);
	assert_int_equal(store_put_service(w->store, &v, true, on_put, w), 0);
	assert_int_equal(store_del_service(w->store, "gone", true, on_put, w), 0);
	assert_int_equal(add_event(w, 41), 0);
	assert_int_equal(add_event(w, 42), 0);
	assert_int_equal(add_exit(w, 0, 3), 0);
	assert_int_equal(add_exit(w, 0, 3), 0); /* sent again after a crash */
	assert_true(run_until(w, &w->done, 7, 5000));
	assert_int_equal(w->failed, 0);
	world_again(w);
	assert_int_equal(w->n_revisions, 1);
	assert_int_equal(w->newest_revision, 7);
	assert_int_equal(w->n_services, 2);
	assert_string_equal(w->seen[0], "stopped shop 6 1 3 [2]");
	assert_string_equal(w->seen[1], "chat shop 7 0 -1 [1]");
	assert_int_equal(w->n_events, 2);
	assert_int_equal(w->last_event_seq, 42);
	assert_int_equal(w->n_exits, 1);
	assert_int_equal(w->exit.code, 3);
	assert_string_equal(w->exit_cause, "chat 00000000000000000000000000000003 exit");
	world_close(w);
}

/* Milliseconds from an urgent put to its verdict. */
static int64_t urgent_ms(struct world *w)
{
	int64_t t = clock_mono_ms();
	uint64_t dropped;
	size_t queued;

	store_stats(w->store, &queued, &dropped);
	assert_int_equal(put_service(w, "a", 1, true), 0);
	assert_true(run_until(w, &w->done, w->done + (int)queued + 1, 5000));
	return clock_mono_ms() - t;
}

static void test_urgent_and_gathered(void **state)
{
	struct world *w = *state;
	int64_t t, best = INT64_MAX;
	int done;

	world_load(w);
	for (int i = 0; i < 5; i++) { /* the disk may be busy now and then */
		t = urgent_ms(w);
		best = t < best ? t : best;
	}
	assert_true(best < STORE_BATCH_MS / 2);
	done = w->done;
	t = clock_mono_ms();
	assert_int_equal(add_exit(w, 0, 1), 0);
	assert_true(run_until(w, &w->done, done + 1, 5000));
	assert_true(clock_mono_ms() - t >= STORE_BATCH_MS - 1);
	assert_int_equal(add_exit(w, 0, 2), 0); /* what is urgent takes along what waits */
	urgent_ms(w);
	assert_int_equal(w->done, done + 3);
	world_close(w);
}

static void test_order(void **state)
{
	struct world *w = *state;
	struct tag tags[60];
	struct store_service v = {.name = "a", .set = "s", .sources = "[]"};

	world_open(w); /* queued before the database is open */
	for (int i = 0; i < 60; i++) {
		tags[i] = (struct tag){.w = w, .n = i};
		v.revision = (uint64_t)i;
		assert_int_equal(store_put_service(w->store, &v, i % 7 == 3, on_tag, &tags[i]), 0);
		if (i % 10 == 0)
			uv_run(&w->loop, UV_RUN_NOWAIT);
	}
	assert_true(run_until(w, &w->done, 60, 5000));
	for (int i = 0; i < 60; i++)
		assert_int_equal(w->order[i], i);
	world_again(w);
	assert_string_equal(w->seen[0], "a s 59 0 0 []");
	world_close(w);
}

static void test_pruning(void **state)
{
	struct world *w = *state;
	sqlite3 *sq;
	sqlite3_stmt *st;

	world_load(w);
	put_service(w, "chat", 1, false);
	for (uint64_t i = 1; i <= 25; i++) {
		struct store_revision rev = {.set = "shop", .number = i, .sources = "[]"};

		assert_int_equal(store_put_revision(w->store, &rev, false, NULL, NULL), 0);
	}
	for (uint64_t i = 1; i <= 12000; i++)
		assert_int_equal(add_event(w, i), 0);
	for (uint64_t i = 1; i <= 30; i++)
		assert_int_equal(add_exit(w, (uint32_t)i % 2, i), 0);
	for (uint64_t i = 31; i <= 50; i++)
		assert_int_equal(add_exit(w, 1, i), 0);
	assert_true(run_until(w, &w->done, 51, 20000));
	assert_int_equal(w->failed, 0);
	world_again(w);
	assert_int_equal(w->newest_revision, 25);
	assert_int_equal(w->n_events, STORE_EVENTS_KEPT);
	assert_int_equal(w->first_event_seq, 1); /* those of the others are all there */
	assert_int_equal(w->last_event_seq, 12000);
	assert_int_equal(w->n_exits, 15 + STORE_EXITS_KEPT);
	assert_int_equal(w->exit.code, 50);
	world_close(w);
	assert_int_equal(sqlite3_open(w->path, &sq), SQLITE_OK);
	sqlite3_prepare_v2(sq,
			   "SELECT (SELECT count(*) FROM event),(SELECT count(*) FROM revision),"
			   "(SELECT min(number) FROM revision)",
			   -1, &st, NULL);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	assert_int_equal(sqlite3_column_int(st, 0), STORE_EVENTS_KEPT);
	assert_int_equal(sqlite3_column_int(st, 1), STORE_REVISIONS_KEPT);
	assert_int_equal(sqlite3_column_int(st, 2), 16);
	sqlite3_finalize(st);
	sqlite3_close(sq);
}

static void test_group(void **state)
{
	struct world *w = *state;
	struct store_service bad = {
		.name = "bad", .set = NULL, .sources = "[]"}; /* NOT NULL fails */

	world_load(w);
	store_begin(w->store);
	put_service(w, "a", 1, true);
	put_service(w, "b", 1, true);
	store_end(w->store);
	store_begin(w->store);
	put_service(w, "c", 1, true);
	assert_int_equal(store_put_service(w->store, &bad, true, on_put, w), 0);
	put_service(w, "d", 1, true);
	store_end(w->store);
	put_service(w, "e", 1, true);
	store_begin(w->store);
	store_end(w->store);
	assert_true(run_until(w, &w->done, 6, 5000));
	assert_int_equal(w->failed, 3);
	store_begin(w->store); /* a put of it fails: nothing of it is written */
	put_service(w, "f", 1, true);
	mem_fail_after(1);
	assert_int_equal(put_service(w, "g", 1, true), -ERR_NOMEM);
	mem_fail_after(0);
	store_end(w->store);
	assert_true(run_until(w, &w->done, 7, 5000));
	assert_int_equal(w->failed, 4);
	world_again(w);
	assert_int_equal(w->n_services, 3);
	assert_string_equal(w->seen[0], "a shop 1 0 -1 [1]");
	assert_string_equal(w->seen[1], "b shop 1 0 -1 [1]");
	assert_string_equal(w->seen[2], "e shop 1 0 -1 [1]");
	world_close(w);
}

static void test_close_commits(void **state)
{
	struct world *w = *state;
	size_t queued;
	uint64_t dropped;

	world_load(w);
	put_service(w, "chat", 1, false);
	add_exit(w, 0, 1);
	add_event(w, 1);
	store_stats(w->store, &queued, &dropped);
	assert_int_equal(queued, 3);
	store_close(w->store, 5000);
	w->store = NULL;
	assert_int_equal(w->done, 2); /* before store_close returned */
	assert_int_equal(w->failed, 0);
	world_again(w);
	assert_int_equal(w->n_services + w->n_exits + w->n_events, 3);
	world_close(w);
}

static void on_put_close(void *user, const struct err *err)
{
	struct world *w = user;

	on_put(w, err);
	store_close(TAKE_PTR(w->store), 5000);
}

static void test_close_from_callback(void **state)
{
	struct world *w = *state;
	struct store_service v = {.name = "a", .set = "s", .sources = "[]"};

	world_load(w);
	store_begin(w->store);
	store_put_service(w->store, &v, true, on_put_close, w);
	store_put_service(w->store, &v, true, on_put, w);
	store_end(w->store);
	add_exit(w, 0, 1);
	assert_true(run_until(w, &w->done, 3, 5000));
	assert_int_equal(w->failed, 0);
	world_close(w);
}

/* A child puts, reports each verdict through a pipe, and is killed: what it reported is there. */
static void test_kill(void **state)
{
	struct world *w = *state;
	int fds[2], status;
	uint8_t byte;
	int told = 0;
	pid_t pid;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		world_load(w);
		for (uint64_t i = 1;; i++) {
			put_service(w, "a", i, true);
			if (!run_until(w, &w->done, (int)i, 5000) || w->failed ||
			    write(fds[1], "x", 1) != 1)
				_exit(1);
		}
	}
	close(fds[1]);
	while (told < 20 && read(fds[0], &byte, 1) == 1)
		told++;
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	while (read(fds[0], &byte, 1) == 1)
		told++;
	close(fds[0]);
	world_load(w);
	assert_int_equal(w->load_code, 0);
	assert_null(w->moved_to);
	assert_int_equal(w->n_services, 1);
	{
		int found = 0;

		sscanf(w->seen[0], "a shop %d", &found);
		assert_true(found >= told);
	}
	world_close(w);
}

static void spoil(const char *path, long offset, size_t n)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	char junk[4096];

	memset(junk, 0x5a, sizeof(junk));
	for (; n > 0; n -= sizeof(junk), offset += (long)sizeof(junk))
		assert_int_equal(pwrite(fd, junk, sizeof(junk), offset), sizeof(junk));
	close(fd);
}

static void test_damaged(void **state)
{
	struct world *w = *state;
	struct stat st;

	for (int round = 0; round < 2; round++) {
		world_load(w);
		for (uint64_t i = 0; i < 500; i++)
			add_event(w, i + 1);
		put_service(w, "a", 1, true);
		assert_true(run_until(w, &w->done, 1, 5000));
		world_close(w);
		spoil(w->path, round ? 8192 : 0, round ? 32768 : 4096); /* the header; pages */
		world_load(w);
		assert_int_equal(w->load_code, 0);
		assert_non_null(w->moved_to);
		assert_int_equal(stat(w->moved_to, &st), 0);
		assert_int_equal(w->n_services, 0);
		put_service(w, "b", 1, true);
		assert_true(run_until(w, &w->done, 1, 5000));
		assert_int_equal(w->failed, 0);
		world_again(w);
		assert_null(w->moved_to);
		assert_string_equal(w->seen[0], "b shop 1 0 -1 [1]");
		world_close(w);
		unlink(w->path);
	}
}

static void test_newer_schema(void **state)
{
	struct world *w = *state;
	sqlite3 *sq;

	assert_int_equal(sqlite3_open(w->path, &sq), SQLITE_OK);
	assert_int_equal(
		sqlite3_exec(sq, "CREATE TABLE x(y); PRAGMA user_version=99", NULL, NULL, NULL),
		SQLITE_OK);
	sqlite3_close(sq);
	world_load(w);
	assert_int_equal(w->load_code, ERR_CONFLICT);
	put_service(w, "a", 1, true);
	assert_true(run_until(w, &w->done, 1, 5000));
	assert_int_equal(w->failed, 1);
	world_close(w);
	assert_int_equal(sqlite3_open(w->path, &sq), SQLITE_OK);
	assert_int_equal(sqlite3_exec(sq, "SELECT y FROM x", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(sq);
}

static void test_no_directory(void **state)
{
	struct world *w = *state;
	char dir[160];

	snprintf(dir, sizeof(dir), "%s/later", w->dir);
	snprintf(w->path, sizeof(w->path), "%s/later/aictl.db", w->dir);
	world_load(w);
	assert_int_equal(w->load_code, ERR_SYS);
	put_service(w, "a", 1, true);
	assert_true(run_until(w, &w->done, 1, 5000));
	assert_int_equal(w->failed, 1);
	assert_int_equal(mkdir(dir, 0700), 0); /* each batch tries again */
	put_service(w, "a", 1, true);
	assert_true(run_until(w, &w->done, 2, 5000));
	assert_int_equal(w->failed, 1);
	world_again(w);
	assert_int_equal(w->n_services, 1);
	world_close(w);
	unlink(w->path);
	rmdir(dir);
}

/* A VFS like the default one, but its writes to the log wait while `held`, or fail. */
static struct {
	sqlite3_vfs vfs, *base;
	sqlite3_io_methods io;
	const sqlite3_io_methods *base_io;
	atomic_bool held;
	atomic_int waiting;
	atomic_int error; /* what a write returns, or 0 */
} slow;

static int slow_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at)
{
	if (atomic_load(&slow.held)) {
		atomic_fetch_add(&slow.waiting, 1);
		while (atomic_load(&slow.held))
			usleep(1000);
		atomic_fetch_sub(&slow.waiting, 1);
	}
	if (atomic_load(&slow.error))
		return atomic_load(&slow.error);
	return slow.base_io->xWrite(f, p, n, at);
}

static int slow_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *f, int flags, int *out)
{
	int rc = slow.base->xOpen(slow.base, name, f, flags, out);

	(void)vfs;
	if (rc == SQLITE_OK && (flags & SQLITE_OPEN_WAL)) {
		if (!slow.base_io) {
			slow.base_io = f->pMethods;
			slow.io = *f->pMethods;
			slow.io.xWrite = slow_write;
		}
		f->pMethods = &slow.io;
	}
	return rc;
}

static void slow_install(void)
{
	memset(&slow, 0, sizeof(slow));
	slow.base = sqlite3_vfs_find(NULL);
	slow.vfs = *slow.base;
	slow.vfs.zName = "slow";
	slow.vfs.pNext = NULL;
	slow.vfs.xOpen = slow_open;
	assert_int_equal(sqlite3_vfs_register(&slow.vfs, 1), SQLITE_OK);
}

static int threads(void)
{
	DIR *d = opendir("/proc/self/task");
	int n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void await_threads(int most)
{
	int64_t end = clock_mono_ms() + 5000;

	while (threads() > most && clock_mono_ms() < end)
		usleep(1000);
	assert_true(threads() <= most);
}

static void await_waiting(void)
{
	int64_t end = clock_mono_ms() + 5000;

	while (!atomic_load(&slow.waiting) && clock_mono_ms() < end)
		usleep(1000);
	assert_int_equal(atomic_load(&slow.waiting), 1);
}

static void test_hung_disk(void **state)
{
	struct world *w = *state;
	int before = threads();
	int64_t t;

	slow_install();
	world_load(w);
	atomic_store(&slow.held, true);
	put_service(w, "a", 1, true);
	await_waiting();
	t = clock_mono_ms();
	put_service(w, "b", 1, true); /* the loop is not stopped by it */
	add_exit(w, 0, 1);
	assert_false(run_until(w, &w->done, 1, 50));
	assert_true(clock_mono_ms() - t < 500);
	t = clock_mono_ms();
	store_close(w->store, 200);
	w->store = NULL;
	assert_true(clock_mono_ms() - t >= 199);
	assert_true(clock_mono_ms() - t < 1000);
	assert_int_equal(w->done, 3);
	assert_int_equal(w->failed, 3);
	while (uv_run(&w->loop, UV_RUN_DEFAULT))
		;
	assert_int_equal(uv_loop_close(&w->loop), 0);
	atomic_store(&slow.held, false); /* the disk answers: the thread cleans up */
	await_threads(before);
	sqlite3_vfs_unregister(&slow.vfs);
}

/* A disk that is full, or fails: each verdict says so, and all is well when it works again. */
static void test_failing_disk(void **state)
{
	static const int errors[] = {SQLITE_FULL, SQLITE_IOERR_WRITE};
	struct world *w = *state;

	slow_install();
	world_load(w);
	put_service(w, "a", 1, true);
	assert_true(run_until(w, &w->done, 1, 5000));
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		atomic_store(&slow.error, errors[i]);
		w->done = w->failed = 0;
		store_begin(w->store);
		put_service(w, "a", 2, true);
		put_service(w, "b", 2, true);
		store_end(w->store);
		assert_true(run_until(w, &w->done, 2, 5000));
		assert_int_equal(w->failed, 2);
		atomic_store(&slow.error, 0);
		put_service(w, "c", i, true);
		assert_true(run_until(w, &w->done, 3, 5000));
		assert_int_equal(w->failed, 2);
	}
	world_again(w);
	assert_null(w->moved_to);
	assert_int_equal(w->n_services, 2);
	assert_string_equal(w->seen[0], "a shop 1 0 -1 [1]");
	assert_string_equal(w->seen[1], "c shop 1 0 -1 [1]");
	world_close(w);
	sqlite3_vfs_unregister(&slow.vfs);
}

static void test_queue_limit(void **state)
{
	struct world *w = *state;
	size_t queued;
	uint64_t dropped;

	slow_install();
	world_load(w);
	atomic_store(&slow.held, true);
	put_service(w, "a", 1, true);
	await_waiting();
	add_exit(w, 0, 1);
	for (uint64_t i = 1; i <= STORE_QUEUE_MAX + 10; i++)
		assert_int_equal(add_event(w, i), 0);
	store_stats(w->store, &queued, &dropped);
	assert_int_equal(queued, STORE_QUEUE_MAX + 1); /* and the one being written */
	assert_int_equal(dropped, 11);
	assert_int_equal(put_service(w, "b", 1, true), -ERR_BUSY);
	assert_int_equal(add_exit(w, 0, 2), 0); /* an event makes room */
	for (int i = 0; i < 5; i++)
		assert_int_equal(put_service(w, "c", 1, false), 0);
	store_stats(w->store, &queued, &dropped);
	assert_int_equal(queued, STORE_QUEUE_MAX + 1);
	assert_int_equal(dropped, 17);
	atomic_store(&slow.held, false);
	assert_true(run_until(w, &w->done, 8, 20000));
	assert_int_equal(w->failed, 0);
	world_again(w);
	assert_int_equal(w->n_exits, 0); /* of no service: dropped at start */
	assert_int_equal(w->n_services, 2);
	assert_int_equal(w->last_event_seq, STORE_QUEUE_MAX + 10);
	world_close(w);
	sqlite3_vfs_unregister(&slow.vfs);
}

static void test_out_of_memory(void **state)
{
	struct world *w = *state;

	for (unsigned long n = 1; n < 12; n++) {
		_cleanup_err_ struct err *e = NULL;

		memset((char *)w + sizeof(w->dir) + sizeof(w->path), 0,
		       sizeof(*w) - sizeof(w->dir) - sizeof(w->path));
		uv_loop_init(&w->loop);
		mem_fail_after(n);
		if (store_new(&w->loop, w->path, on_load, w, &w->store, &e) == 0)
			assert_true(run_until(w, &w->loads, 1, 5000));
		mem_fail_after(0);
		assert_true(w->store || e);
		world_close(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_round_trip, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_urgent_and_gathered, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_pruning, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_group, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_close_commits, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_close_from_callback, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_kill, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_damaged, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_newer_schema, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_directory, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_hung_disk, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_failing_disk, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_queue_limit, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_out_of_memory, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
