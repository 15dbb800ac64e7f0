/* log_work: see log_work.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/log_work.h"

#include "daemon/controller/controller.h"

static void on_read(uv_work_t *work)
{
	struct log_work *w = work->data;

	w->read(w);
}

static void go_on(struct controller *c);

static void on_done(uv_work_t *work, int status)
{
	struct log_work *w = work->data;
	struct controller *c = w->c;

	c->log_workers.n--;
	w->done(w, status == 0); /* w may be gone after it */
	go_on(c);
}

static void go_on(struct controller *c)
{
	struct log_workers *l = &c->log_workers;
	struct log_work *w;

	while (l->n < LOG_WORKERS_MAX && (w = TAILQ_FIRST(&l->waiting))) {
		TAILQ_REMOVE(&l->waiting, w, next);
		w->waiting = false;
		w->work.data = w;
		if (uv_queue_work(c->loop, &w->work, on_read, on_done) == 0)
			l->n++;
		else
			w->done(w, false);
	}
}

void log_work_init(struct log_workers *l)
{
	TAILQ_INIT(&l->waiting);
}

void log_work_start(struct controller *c, struct log_work *w)
{
	w->c = c;
	w->waiting = true;
	TAILQ_INSERT_TAIL(&c->log_workers.waiting, w, next);
	go_on(c);
}

bool log_work_cancel(struct log_work *w)
{
	if (!w->waiting)
		return false;
	w->waiting = false;
	TAILQ_REMOVE(&w->c->log_workers.waiting, w, next);
	return true;
}

void log_work_close(struct controller *c)
{
	struct log_work *w;

	while ((w = TAILQ_FIRST(&c->log_workers.waiting))) {
		log_work_cancel(w);
		w->done(w, false);
	}
}
