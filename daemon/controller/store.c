/*
 * store: see store.h. This file is the loop's side: it copies what is put, delivers verdicts, and
 * logs when the disk begins to fail and when it works again; store_task is one thing to write,
 * store_thread the queue and the thread, store_db the database.
 *
 * SPDX-License-Identifier: MIT
 */
#include "daemon/controller/store.h"

#include <assert.h>

#include "daemon/controller/store_db.h"
#include "daemon/controller/store_task.h"
#include "daemon/controller/store_thread.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/mem.h"

struct store {
	uv_async_t async; /* data of both handles: the store */
	uv_timer_t batch; /* runs while something unurgent is gathered */
	unsigned handles; /* open ones */
	struct store_thread *thread;
	struct store_task_list group;	 /* between store_begin and store_end */
	struct store_task_list verdicts; /* being delivered */
	store_load_cb loaded;
	void *user;
	size_t n_group;
	bool in_group, group_failed;
	bool failing; /* the last task failed: said once */
	bool closed;
};

static void note_health(struct store *s, const struct err *e)
{
	if (e && !s->failing)
		log_error("store: %s; what is not written is lost if the machine stops", e->msg);
	else if (!e && s->failing)
		log_info("store: works again");
	s->failing = e != NULL;
}

static void deliver(struct store *s)
{
	struct store_task *t;

	while ((t = TAILQ_FIRST(&s->verdicts))) {
		TAILQ_REMOVE(&s->verdicts, t, link);
		note_health(s, t->err);
		if (t->cb)
			t->cb(t->user, t->err); /* may put more, or close the store */
		if (t->read_cb)
			t->read_cb(t->user, t->err ? NULL : t->found, t->err);
		store_task_free(t);
	}
}

static void deliver_load(struct store *s)
{
	_cleanup_free_ char *moved_to = NULL;
	_cleanup_err_ struct err *e = NULL;
	struct store_loaded *l = NULL;

	if (!store_thread_take_loaded(s->thread, &l, &moved_to, &e))
		return;
	if (moved_to)
		log_error("store: the state database was damaged; it is now %s, a new one is begun",
			  moved_to);
	if (l)
		l->snap.moved_to = moved_to;
	s->loaded(s->user, l ? &l->snap : NULL, e);
	store_db_loaded_free(l);
}

static void on_async(uv_async_t *a)
{
	struct store *s = a->data;

	if (!s->closed)
		deliver_load(s);
	if (s->closed)
		return;
	store_thread_take_done(s->thread, &s->verdicts);
	deliver(s);
}

static void on_batch(uv_timer_t *timer)
{
	struct store *s = timer->data;

	store_thread_kick(s->thread);
}

/* The thread is told at once (urgent) or when others had time to come. */
static void push(struct store *s, struct store_task_list *list, bool urgent)
{
	store_thread_push(s->thread, list);
	if (urgent || uv_is_active((uv_handle_t *)&s->batch))
		return;
	uv_update_time(s->batch.loop);
	uv_timer_start(&s->batch, on_batch, STORE_BATCH_MS, 0);
}

static void on_closed(uv_handle_t *h)
{
	struct store *s = h->data;

	if (--s->handles == 0)
		mem_free(s);
}

static void close_handles(struct store *s)
{
	s->closed = true;
	s->handles = 2;
	uv_close((uv_handle_t *)&s->async, on_closed);
	uv_close((uv_handle_t *)&s->batch, on_closed);
}

int store_new(uv_loop_t *loop, const char *path, store_load_cb loaded, void *user,
	      struct store **ret, struct err **reterr)
{
	struct store *s = mem_alloc(sizeof(*s));
	int r;

	if (!s)
		return err_nomem(reterr);
	TAILQ_INIT(&s->group);
	TAILQ_INIT(&s->verdicts);
	s->loaded = loaded;
	s->user = user;
	s->async.data = s->batch.data = s;
	r = uv_async_init(loop, &s->async, on_async);
	if (r < 0) {
		mem_free(s);
		return err_sys(reterr, -r, "cannot start the store");
	}
	uv_timer_init(loop, &s->batch);
	r = store_thread_start(path, &s->async, &s->thread, reterr);
	if (r < 0) {
		close_handles(s);
		return r;
	}
	*ret = s;
	return 0;
}

static void say_busy(const struct store_task *t, void *user)
{
	struct err e = {.code = ERR_BUSY, .msg = (char *)"the state database did not answer"};

	(void)user;
	if (t->cb)
		t->cb(t->user, &e);
	if (t->read_cb)
		t->read_cb(t->user, NULL, &e);
}

void store_close(struct store *s, int64_t wait_ms)
{
	struct store_task_list left = TAILQ_HEAD_INITIALIZER(left);
	struct store_task *t;

	s->closed = true;
	deliver(s); /* when called from a callback: the rest of that round */
	store_thread_stop(s->thread, wait_ms);
	store_thread_take_done(s->thread, &s->verdicts);
	deliver(s);
	store_thread_release(TAKE_PTR(s->thread), say_busy, s, &left);
	TAILQ_CONCAT(&left, &s->group, link);
	TAILQ_FOREACH (t, &left, link)
		say_busy(t, s);
	store_task_free_all(&left);
	close_handles(s);
}

/* Queues a task, or keeps it for the end of its group. */
static int put(struct store *s, struct store_task *t, bool urgent, store_cb cb, void *user)
{
	struct store_task_list one = TAILQ_HEAD_INITIALIZER(one);
	int r = !t ? -ERR_NOMEM : s->closed ? -ERR_BUSY : 0;

	if (r == 0 && !t->droppable && !store_thread_has_room(s->thread, s->n_group + 1, urgent))
		r = -ERR_BUSY;
	if (r < 0) {
		store_task_free(t);
		s->group_failed |= s->in_group;
		return r;
	}
	t->urgent = urgent;
	t->cb = cb;
	t->user = user;
	if (s->in_group) {
		t->droppable = false;
		TAILQ_INSERT_TAIL(&s->group, t, link);
		s->n_group++;
		return 0;
	}
	TAILQ_INSERT_TAIL(&one, t, link);
	push(s, &one, urgent);
	return 0;
}

int store_put_revision(struct store *s, const struct store_revision *r, bool urgent, store_cb cb,
		       void *user)
{
	return put(s, store_task_revision(r), urgent, cb, user);
}

int store_put_service(struct store *s, const struct store_service *v, bool urgent, store_cb cb,
		      void *user)
{
	return put(s, store_task_service(v), urgent, cb, user);
}

int store_put_rollout(struct store *s, const struct store_rollout *r, store_cb cb, void *user)
{
	return put(s, store_task_rollout(r), true, cb, user);
}

/* What is due must not be forgotten; that it has begun is known otherwise, too. */
int store_put_run(struct store *s, const char *name, int64_t due_wall_ms, int64_t after_wall_ms)
{
	return put(s, store_task_run(name, due_wall_ms, after_wall_ms), due_wall_ms != 0, NULL,
		   NULL);
}

int store_put_start(struct store *s, const char *name, int64_t start_ms)
{
	return put(s, store_task_start(name, start_ms), false, NULL, NULL);
}

/* At once: who comes after us is not to begin with another number. */
int store_put_scale(struct store *s, const char *name, int64_t override_until_wall_ms,
		    unsigned scaled)
{
	return put(s, store_task_scale(name, override_until_wall_ms, scaled), true, NULL, NULL);
}

int store_del_service(struct store *s, const char *name, bool urgent, store_cb cb, void *user)
{
	return put(s, store_task_del_service(name), urgent, cb, user);
}

int store_add_event(struct store *s, const struct store_event *e)
{
	return put(s, store_task_event(e), false, NULL, NULL);
}

int store_add_exit(struct store *s, const struct store_exit *x, store_cb cb, void *user)
{
	return put(s, store_task_exit(x), false, cb, user);
}

int store_put_exit_lines(struct store *s, const struct store_exit *x)
{
	return put(s, store_task_lines(STORE_TASK_EXIT_LINES, x), false, NULL, NULL);
}

static int put_read(struct store *s, struct store_task *t, store_read_cb cb, void *user)
{
	assert(!s->in_group);
	if (t)
		t->read_cb = cb;
	return put(s, t, true, NULL, user);
}

int store_read_exit_lines(struct store *s, const struct store_exit *x, store_read_cb cb, void *user)
{
	return put_read(s, store_task_lines(STORE_TASK_READ_LINES, x), cb, user);
}

int store_read_revision(struct store *s, const char *set, uint64_t number, store_read_cb cb,
			void *user)
{
	return put_read(s, store_task_read_revision(set, number), cb, user);
}

void store_begin(struct store *s)
{
	assert(!s->in_group);
	s->in_group = true;
	s->group_failed = false;
}

/* A group that lacks a member still goes through the queue, condemned, so that verdicts keep their
 * order. */
void store_end(struct store *s)
{
	struct store_task *t;
	bool urgent = false;

	assert(s->in_group);
	s->in_group = false;
	s->n_group = 0;
	TAILQ_FOREACH (t, &s->group, link) {
		urgent |= t->urgent;
		t->more = TAILQ_NEXT(t, link) != NULL;
		if (s->group_failed)
			err_set(&t->err, ERR_BUSY, "too much is waiting for the state database");
	}
	TAILQ_FOREACH (t, &s->group, link)
		t->urgent = urgent;
	if (!TAILQ_EMPTY(&s->group))
		push(s, &s->group, urgent);
}

void store_stats(const struct store *s, size_t *ret_queued, uint64_t *ret_dropped)
{
	store_thread_stats(s->thread, ret_queued, ret_dropped);
}
