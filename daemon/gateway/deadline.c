/* deadline: see deadline.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/gateway/deadline.h"

#include <string.h>

#include "lib/mem.h"

static const uint64_t durations[DEADLINE_KIND_MAX_] = {
	[DEADLINE_HEAD] = 20000,    [DEADLINE_IDLE] = 75000,   [DEADLINE_LEAVING] = 5000,
	[DEADLINE_POOLED] = 4000,   [DEADLINE_CONNECT] = 5000, [DEADLINE_ANSWER] = 600000,
	[DEADLINE_STALL] = 120000,  [DEADLINE_LINGER] = 2000,  [DEADLINE_WAIT] = 30000,
	[DEADLINE_START] = 120000,  [DEADLINE_AGAIN] = 100,    [DEADLINE_TOTAL] = 600000,
	[DEADLINE_TUNNEL] = 600000, [DEADLINE_OUT] = 10000,
};

static void on_timer(uv_timer_t *t);

static uint64_t first_of(const struct deadline_queue *q, uint64_t first)
{
	return q->first && (first == 0 || q->first->at < first) ? q->first->at : first;
}

static void arm(struct deadlines *ds)
{
	uint64_t first = 0, now = uv_now(ds->timer.loop);

	for (int i = 0; i < DEADLINE_KIND_MAX_; i++)
		first = first_of(&ds->kinds[i], first);
	for (const struct deadline_queue *q = ds->others; q; q = q->next)
		first = first_of(q, first);
	ds->armed_at = first;
	if (first != 0)
		uv_timer_start(&ds->timer, on_timer, first > now ? first - now : 0, 0);
}

static void run_due(struct deadlines *ds, struct deadline_queue *q, uint64_t now)
{
	struct deadline *d;

	while ((d = q->first) && d->at <= now) {
		deadline_clear(ds, d);
		d->fn(d->user);
	}
}

static void drop_unused(struct deadlines *ds)
{
	struct deadline_queue **at = &ds->others, *q;

	while ((q = *at)) {
		if (q->refs > 0 || q->first) {
			at = &q->next;
			continue;
		}
		*at = q->next;
		mem_free(q);
	}
}

static void on_timer(uv_timer_t *t)
{
	struct deadlines *ds = t->data;
	uint64_t now = uv_now(t->loop);

	for (int i = 0; i < DEADLINE_KIND_MAX_; i++)
		run_due(ds, &ds->kinds[i], now);
	for (struct deadline_queue *q = ds->others; q; q = q->next)
		run_due(ds, q, now);
	drop_unused(ds);
	arm(ds);
}

void deadline_init(struct deadlines *ds, uv_loop_t *uv)
{
	memset(ds, 0, sizeof(*ds));
	uv_timer_init(uv, &ds->timer);
	ds->timer.data = ds;
	for (int i = 0; i < DEADLINE_KIND_MAX_; i++) {
		ds->kinds[i].kind = (enum deadline_kind)i;
		ds->kinds[i].ms = durations[i];
	}
}

void deadline_close(struct deadlines *ds)
{
	uv_close((uv_handle_t *)&ds->timer, NULL);
}

void deadline_done(struct deadlines *ds)
{
	drop_unused(ds);
}

struct deadline_queue *deadline_ref(struct deadlines *ds, enum deadline_kind kind, uint64_t ms)
{
	struct deadline_queue *q = ds->others;

	if (ms == ds->kinds[kind].ms)
		return &ds->kinds[kind];
	while (q && (q->kind != kind || q->ms != ms))
		q = q->next;
	if (!q) {
		q = mem_alloc(sizeof(*q));
		if (!q)
			return &ds->kinds[kind];
		q->kind = kind;
		q->ms = ms;
		q->next = ds->others;
		ds->others = q;
	}
	q->refs++;
	return q;
}

/* It may have some that are set still: the timer drops it. */
void deadline_unref(struct deadline_queue *q)
{
	if (q && q->refs > 0)
		q->refs--;
}

void deadline_set(struct deadlines *ds, struct deadline *d, enum deadline_kind kind)
{
	deadline_set_in(ds, d, &ds->kinds[kind]);
}

void deadline_set_in(struct deadlines *ds, struct deadline *d, struct deadline_queue *q)
{
	deadline_clear(ds, d);
	d->kind = q->kind;
	d->in = q;
	d->at = uv_now(ds->timer.loop) + q->ms;
	d->set = true;
	d->next = NULL;
	d->prev = q->last;
	if (d->prev)
		d->prev->next = d;
	else
		q->first = d;
	q->last = d;
	ds->count[q->kind]++;
	if (ds->armed_at == 0 || d->at < ds->armed_at) {
		ds->armed_at = d->at;
		uv_timer_start(&ds->timer, on_timer, q->ms, 0);
	}
}

void deadline_clear(struct deadlines *ds, struct deadline *d)
{
	struct deadline_queue *q = d->in;

	if (!d->set)
		return;
	d->set = false;
	d->in = NULL;
	if (d->next)
		d->next->prev = d->prev;
	else
		q->last = d->prev;
	if (d->prev)
		d->prev->next = d->next;
	else
		q->first = d->next;
	d->next = d->prev = NULL;
	ds->count[q->kind]--;
}
