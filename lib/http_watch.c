/* http_watch: see http_watch.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/http_watch.h"

static void on_timer(uv_timer_t *t);

/* Arms the timer for what comes first, or stops it. */
static void rearm(struct http_watch *w)
{
	uint64_t now = uv_now(w->timer.loop), first = UINT64_MAX;

	if (uv_is_closing((uv_handle_t *)&w->timer))
		return;
	for (int k = 0; k < HTTP_WATCH_MAX_; k++) {
		const struct http_watch_entry *e = TAILQ_FIRST(&w->lists[k]);

		if (e && e->deadline < first)
			first = e->deadline;
	}
	if (!TAILQ_EMPTY(&w->kicks))
		first = 0;
	if (first == UINT64_MAX)
		uv_timer_stop(&w->timer);
	else
		uv_timer_start(&w->timer, on_timer, first > now ? first - now : 0, 0);
}

static void unlink_time(struct http_watch *w, struct http_watch_entry *e)
{
	if (e->kind != HTTP_WATCH_NONE)
		TAILQ_REMOVE(&w->lists[e->kind], e, by_time);
	e->kind = HTTP_WATCH_NONE;
}

static void unlink_kick(struct http_watch *w, struct http_watch_entry *e)
{
	if (e->kicked)
		TAILQ_REMOVE(&w->kicks, e, by_kick);
	e->kicked = false;
}

/* Only those kicked so far: one that kicks itself again waits for the next round. */
static void run_kicks(struct http_watch *w)
{
	struct http_watch_entry *e;
	size_t n = 0;

	for (e = TAILQ_FIRST(&w->kicks); e; e = TAILQ_NEXT(e, by_kick))
		n++;
	while (n-- > 0 && (e = TAILQ_FIRST(&w->kicks))) {
		unlink_kick(w, e);
		w->kicked(e);
	}
}

static void on_timer(uv_timer_t *t)
{
	struct http_watch *w = t->data;
	uint64_t now = uv_now(t->loop);

	run_kicks(w);
	for (int k = 0; k < HTTP_WATCH_MAX_; k++) {
		struct http_watch_entry *e;

		while ((e = TAILQ_FIRST(&w->lists[k])) && e->deadline <= now) {
			unlink_time(w, e);
			w->expired(e, (enum http_watch_kind)k, w->owner);
		}
	}
	rearm(w);
}

int http_watch_init(struct http_watch *w, uv_loop_t *loop)
{
	for (int k = 0; k < HTTP_WATCH_MAX_; k++) {
		TAILQ_INIT(&w->lists[k]);
		if (w->wait_ms[k] < 1)
			w->wait_ms[k] = 1;
	}
	TAILQ_INIT(&w->kicks);
	w->timer.data = w;
	return uv_timer_init(loop, &w->timer);
}

void http_watch_close(struct http_watch *w, uv_close_cb closed)
{
	uv_close((uv_handle_t *)&w->timer, closed);
}

void http_watch_entry_init(struct http_watch_entry *e)
{
	*e = (struct http_watch_entry){.kind = HTTP_WATCH_NONE};
}

void http_watch_set(struct http_watch *w, struct http_watch_entry *e, enum http_watch_kind kind)
{
	bool was_first = e->kind != HTTP_WATCH_NONE && TAILQ_FIRST(&w->lists[e->kind]) == e;

	unlink_time(w, e);
	if (kind != HTTP_WATCH_NONE) {
		e->kind = kind;
		e->deadline = uv_now(w->timer.loop) + (uint64_t)w->wait_ms[kind];
		TAILQ_INSERT_TAIL(&w->lists[kind], e, by_time);
		was_first |= TAILQ_FIRST(&w->lists[kind]) == e;
	}
	if (was_first)
		rearm(w);
}

void http_watch_kick(struct http_watch *w, struct http_watch_entry *e)
{
	if (e->kicked)
		return;
	e->kicked = true;
	TAILQ_INSERT_TAIL(&w->kicks, e, by_kick);
	rearm(w);
}

void http_watch_drop(struct http_watch *w, struct http_watch_entry *e)
{
	unlink_kick(w, e);
	http_watch_set(w, e, HTTP_WATCH_NONE);
}
