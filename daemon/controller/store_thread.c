/* store_thread: see store_thread.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/store_thread.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>

#include "daemon/controller/store_db.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/fs.h"
#include "lib/mem.h"
#include "lib/state_lock.h"

#define LOCK_WAIT_MS 5000 /* a former controller may be ending */
#define LOCK_PAUSE_MS 20

struct store_thread {
	uv_thread_t id;
	uv_mutex_t lock; /* of all below */
	uv_cond_t wake;	 /* the thread: more to do, or the end */
	uv_cond_t ended; /* the loop, in store_thread_stop */
	uv_async_t *async;
	char *path;
	int lock_fd; /* the thread's: of the state directory; -1 = not ours */
	struct store_task_list queue, busy, done;
	struct store_task_list events; /* those of queue that may be dropped, oldest first */
	size_t n_queued, n_urgent, n_busy;
	uint64_t dropped;
	struct store_loaded *loaded;
	char *moved_to;
	struct err *load_err;
	bool load_done; /* and not yet taken */
	bool due;	/* the queue has waited long enough */
	bool stop;	/* commit what is queued, then end */
	bool exited;	/* the thread is done with everything but its reference */
	bool given_up;	/* nobody waits for the thread any more */
	bool cleared;	/* the loop has looked at busy for the last time */
	int refs;
};

static void unref(struct store_thread *t)
{
	bool last;

	uv_mutex_lock(&t->lock);
	last = --t->refs == 0;
	uv_mutex_unlock(&t->lock);
	if (!last)
		return;
	store_task_free_all(&t->queue);
	store_task_free_all(&t->busy);
	store_task_free_all(&t->done);
	store_db_loaded_free(t->loaded);
	err_free(t->load_err);
	mem_free(t->moved_to);
	mem_free(t->path);
	mem_closep(&t->lock_fd);
	uv_cond_destroy(&t->wake);
	uv_cond_destroy(&t->ended);
	uv_mutex_destroy(&t->lock);
	mem_free(t);
}

/* With the lock held. */
static void tell_loop(struct store_thread *t)
{
	if (t->async)
		uv_async_send(t->async);
}

static bool is_stopping(struct store_thread *t)
{
	bool stop;

	uv_mutex_lock(&t->lock);
	stop = t->stop;
	uv_mutex_unlock(&t->lock);
	return stop;
}

static int take_lock(struct store_thread *t, int64_t wait_ms, struct err **reterr)
{
	_cleanup_free_ char *dir = fs_dirname(t->path), *path = NULL;
	int64_t end = clock_add(clock_mono_ms(), wait_ms);
	struct state_lock_holder holder;
	char who[STATE_LOCK_TEXT];
	int r;

	if (t->lock_fd >= 0)
		return 0;
	if (!dir || !(path = mem_printf("%s/" STATE_LOCK_NAME, dir)))
		return err_nomem(reterr);
	while ((r = state_lock_take(path, &t->lock_fd, &holder)) == -EAGAIN &&
	       clock_mono_ms() < end && !is_stopping(t))
		poll(NULL, 0, LOCK_PAUSE_MS);
	if (r == 0)
		return 0;
	if (r != -EAGAIN)
		return err_sys(reterr, -r, "cannot lock the state database, %s", path);
	state_lock_say(&holder, who, sizeof(who));
	return err_set(reterr, ERR_CONFLICT,
		       "%s is in use by %s: stop that, or use another --state-dir", dir, who);
}

static struct store_db *open_and_load(struct store_thread *t)
{
	struct store_loaded *loaded = NULL;
	struct store_db *db = NULL;
	struct err *e = NULL;
	char *moved_to = NULL;

	if (take_lock(t, LOCK_WAIT_MS, &e) == 0 &&
	    store_db_open(t->path, &db, &moved_to, &e) == 0 && store_db_load(db, &loaded, &e) < 0) {
		store_db_close(db);
		db = NULL;
	}
	uv_mutex_lock(&t->lock);
	t->loaded = loaded;
	t->moved_to = moved_to;
	t->load_err = e;
	t->load_done = true;
	tell_loop(t);
	uv_mutex_unlock(&t->lock);
	return db;
}

/* Waits for a batch and moves it to busy; false: the end. */
static bool next_batch(struct store_thread *t)
{
	bool more;

	uv_mutex_lock(&t->lock);
	while (!t->stop) {
		if (t->n_urgent > 0 || (t->due && !TAILQ_EMPTY(&t->queue)))
			break;
		t->due = false;
		uv_cond_wait(&t->wake, &t->lock);
	}
	t->due = false;
	more = !TAILQ_EMPTY(&t->queue) && !t->given_up;
	if (more) {
		TAILQ_CONCAT(&t->busy, &t->queue, link);
		TAILQ_INIT(&t->events);
		t->n_busy = t->n_queued;
		t->n_queued = t->n_urgent = 0;
	}
	uv_mutex_unlock(&t->lock);
	return more;
}

static void finish_batch(struct store_thread *t)
{
	uv_mutex_lock(&t->lock);
	while (t->given_up && !t->cleared)
		uv_cond_wait(&t->wake, &t->lock);
	TAILQ_CONCAT(&t->done, &t->busy, link);
	t->n_busy = 0;
	tell_loop(t);
	uv_mutex_unlock(&t->lock);
}

static void fail_all(struct store_task_list *tasks, const struct err *e)
{
	struct store_task *task;

	TAILQ_FOREACH (task, tasks, link)
		if (!task->err)
			err_set(&task->err, e->code, "%s", e->msg);
}

/* busy is the thread's own between next_batch and finish_batch. */
static void commit(struct store_thread *t, struct store_db **db)
{
	_cleanup_err_ struct err *e = NULL;
	_cleanup_free_ char *moved_to = NULL;

	if (!*db && (take_lock(t, 0, &e) < 0 || store_db_open(t->path, db, &moved_to, &e) < 0))
		fail_all(&t->busy, e);
	else
		store_db_commit(*db, &t->busy);
}

static void run(void *arg)
{
	struct store_thread *t = arg;
	struct store_db *db = open_and_load(t);

	while (next_batch(t)) {
		commit(t, &db);
		finish_batch(t);
	}
	store_db_close(db);
	mem_closep(&t->lock_fd);
	uv_mutex_lock(&t->lock);
	t->exited = true;
	uv_cond_signal(&t->ended);
	uv_mutex_unlock(&t->lock);
	unref(t);
}

/* Signals stay with the loop's thread. */
static int start_masked(struct store_thread *t)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = uv_thread_create(&t->id, run, t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r;
}

int store_thread_start(const char *path, uv_async_t *wake, struct store_thread **ret,
		       struct err **reterr)
{
	struct store_thread *t = mem_alloc(sizeof(*t));
	int r;

	if (!t)
		return err_nomem(reterr);
	t->lock_fd = -1;
	t->path = mem_strdup(path);
	if (!t->path) {
		mem_free(t);
		return err_nomem(reterr);
	}
	TAILQ_INIT(&t->queue);
	TAILQ_INIT(&t->busy);
	TAILQ_INIT(&t->done);
	TAILQ_INIT(&t->events);
	t->async = wake;
	t->refs = 2;
	uv_mutex_init(
		&t->lock); /* these three fail only without memory, which glibc does not need */
	uv_cond_init(&t->wake);
	uv_cond_init(&t->ended);
	r = start_masked(t);
	if (r < 0) {
		t->refs = 1;
		unref(t);
		return err_sys(reterr, -r, "cannot start the store's thread");
	}
	*ret = t;
	return 0;
}

/* With the lock held. */
static void drop_event(struct store_thread *t)
{
	struct store_task *oldest = TAILQ_FIRST(&t->events);

	TAILQ_REMOVE(&t->events, oldest, events);
	TAILQ_REMOVE(&t->queue, oldest, link);
	t->n_queued--;
	t->dropped++;
	store_task_free(oldest);
}

bool store_thread_has_room(struct store_thread *t, size_t n, bool urgent)
{
	bool room;

	uv_mutex_lock(&t->lock);
	room = t->n_queued + n <= (urgent ? STORE_QUEUE_MAX : 2 * STORE_QUEUE_MAX) ||
	       (!urgent && !TAILQ_EMPTY(&t->events));
	uv_mutex_unlock(&t->lock);
	return room;
}

void store_thread_push(struct store_thread *t, struct store_task_list *list)
{
	struct store_task *task;

	uv_mutex_lock(&t->lock);
	while ((task = TAILQ_FIRST(list))) {
		TAILQ_REMOVE(list, task, link);
		TAILQ_INSERT_TAIL(&t->queue, task, link);
		if (task->droppable)
			TAILQ_INSERT_TAIL(&t->events, task, events);
		t->n_queued++;
		t->n_urgent += task->urgent;
		while (t->n_queued > STORE_QUEUE_MAX && !TAILQ_EMPTY(&t->events))
			drop_event(t);
	}
	if (t->n_urgent > 0)
		uv_cond_signal(&t->wake);
	uv_mutex_unlock(&t->lock);
}

void store_thread_kick(struct store_thread *t)
{
	uv_mutex_lock(&t->lock);
	t->due = true;
	uv_cond_signal(&t->wake);
	uv_mutex_unlock(&t->lock);
}

void store_thread_take_done(struct store_thread *t, struct store_task_list *list)
{
	uv_mutex_lock(&t->lock);
	TAILQ_CONCAT(list, &t->done, link);
	uv_mutex_unlock(&t->lock);
}

bool store_thread_take_loaded(struct store_thread *t, struct store_loaded **ret,
			      char **ret_moved_to, struct err **ret_err)
{
	bool done;

	uv_mutex_lock(&t->lock);
	done = t->load_done;
	if (done) {
		*ret = TAKE_PTR(t->loaded);
		*ret_moved_to = TAKE_PTR(t->moved_to);
		*ret_err = TAKE_PTR(t->load_err);
		t->load_done = false;
	}
	uv_mutex_unlock(&t->lock);
	return done;
}

void store_thread_stats(struct store_thread *t, size_t *ret_queued, uint64_t *ret_dropped)
{
	uv_mutex_lock(&t->lock);
	*ret_queued = t->n_queued + t->n_busy;
	*ret_dropped = t->dropped;
	uv_mutex_unlock(&t->lock);
}

/* With the lock held: waits for the thread's end; false when it did not come in time. */
static bool wait_end(struct store_thread *t, int64_t wait_ms)
{
	int64_t end = clock_add(clock_mono_ms(), wait_ms);

	while (!t->exited) {
		int64_t left = end - clock_mono_ms();

		if (left <= 0)
			return false;
		uv_cond_timedwait(&t->ended, &t->lock, (uint64_t)left * 1000000);
	}
	return true;
}

void store_thread_stop(struct store_thread *t, int64_t wait_ms)
{
	uv_mutex_lock(&t->lock);
	t->stop = true;
	uv_cond_signal(&t->wake);
	t->given_up = !wait_end(t, wait_ms);
	t->async = NULL;
	uv_mutex_unlock(&t->lock);
	if (t->given_up)
		pthread_detach(t->id);
	else
		uv_thread_join(&t->id);
}

void store_thread_release(struct store_thread *t,
			  void (*failed)(const struct store_task *task, void *user), void *user,
			  struct store_task_list *left)
{
	struct store_task *task;

	TAILQ_FOREACH (task, &t->busy, link) /* a given-up thread waits before it touches them */
		failed(task, user);
	uv_mutex_lock(&t->lock);
	TAILQ_CONCAT(left, &t->queue, link);
	TAILQ_INIT(&t->events);
	t->n_queued = t->n_urgent = 0;
	t->cleared = true;
	uv_cond_signal(&t->wake);
	uv_mutex_unlock(&t->lock);
	unref(t);
}
