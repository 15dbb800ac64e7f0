/* waiting: see waiting.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/gateway/waiting.h"

#include "daemon/gateway/client.h"
#include "daemon/gateway/exchange.h"
#include "daemon/gateway/gateway.h"
#include "daemon/gateway/routes.h"

static uint64_t now_of(const struct gateway *g)
{
	return uv_now(&g->uv);
}

/* ---- the queue ---- */

/* One that has been under way in vain gets its place again. */
static void insert(struct exchange *x, struct route *r)
{
	struct exchange *before = r->last;

	while (before && before->turn > x->turn)
		before = before->prev;
	x->waiting_in = r;
	x->prev = before;
	x->next = before ? before->next : r->first;
	if (x->next)
		x->next->prev = x;
	else
		r->last = x;
	if (before)
		before->next = x;
	else
		r->first = x;
	r->n_waiting++;
	measure_change(&x->c->g->measure, r->demand, 1, 0);
}

void waiting_remove(struct exchange *x)
{
	struct route *r = x->waiting_in;

	if (!r)
		return;
	deadline_clear(&x->c->g->deadlines, &x->again);
	if (x->next)
		x->next->prev = x->prev;
	else
		r->last = x->prev;
	if (x->prev)
		x->prev->next = x->next;
	else
		r->first = x->next;
	x->next = x->prev = NULL;
	x->waiting_in = NULL;
	r->n_waiting--;
	measure_change(&x->c->g->measure, r->demand, -1, 0);
}

void waiting_end(struct exchange *x)
{
	waiting_remove(x);
	deadline_clear(&x->c->g->deadlines, &x->deadline);
	x->give_up_at = 0;
}

/* ---- how long ---- */

static const char *reason_of(const struct route *r)
{
	return routes_has_active(r) ? "every replica is busy" : "no replica is ready";
}

static void on_waited(void *user)
{
	struct exchange *x = user;
	struct route *r = x->waiting_in;

	if (!r) /* under way: its last try */
		return;
	if (routes_is_held(r, now_of(x->c->g))) {
		x->give_up_at = 0;
		r->untimed = true;
		return;
	}
	waiting_remove(x);
	exchange_fail(x, 503, reason_of(r));
}

static void begin_time(struct exchange *x, struct route *r)
{
	struct gateway *g = x->c->g;

	if (routes_is_held(r, now_of(g))) {
		r->untimed = true;
		return;
	}
	x->deadline.fn = on_waited;
	x->deadline.user = x;
	routes_set_deadline(g, r, &x->deadline,
			    r->rules.from_zero ? DEADLINE_START : DEADLINE_WAIT);
	x->give_up_at = x->deadline.at;
}

static void begin_all_times(struct route *r)
{
	r->untimed = false;
	for (struct exchange *x = r->first; x; x = x->next)
		if (x->give_up_at == 0)
			begin_time(x, r);
}

static void on_again(void *user)
{
	struct exchange *x = user;
	struct route *r = x->waiting_in;

	waiting_remove(x);
	x->n_tried = 0;
	if (routes_is_held(r, now_of(x->c->g)))
		waiting_add(x, r, true);
	else
		exchange_go(x, r);
}

/* ---- a hold ---- */

static void on_held(void *user)
{
	struct route *r = user;

	if (r->first)
		waiting_wake(r->first->c->g, r);
}

static void watch_hold(struct gateway *g, struct route *r)
{
	if (r->held.set)
		return;
	r->held.fn = on_held;
	r->held.user = r;
	deadline_set(&g->deadlines, &r->held, DEADLINE_AGAIN);
}

/* ---- in and out ---- */

void waiting_add(struct exchange *x, struct route *r, bool full)
{
	struct gateway *g = x->c->g;
	bool held = routes_is_held(r, now_of(g));

	if (x->give_up_at != 0 && now_of(g) >= x->give_up_at) {
		exchange_fail(x, 503, reason_of(r));
		return;
	}
	if (r->news.failed[0]) {
		exchange_fail(x, 503, "it has failed");
		return;
	}
	if (x->give_up_at == 0 &&
	    r->n_waiting >= r->rules.queue_max) { /* its place was kept, else */
		peer_load(&g->peer, false);	  /* that somebody came may start a replica */
		exchange_fail(x, 503,
			      routes_has_active(r)
				      ? "every replica is busy, and too many requests wait"
				      : "no replica is ready, and too many requests wait for one");
		return;
	}
	insert(x, r);
	if (r->n_waiting == 1 && !routes_has_active(r))
		peer_load(&g->peer, true);
	if (x->give_up_at == 0)
		begin_time(x, r);
	if (held) {
		watch_hold(g, r);
	} else if (!full && routes_has_active(r)) {
		x->again.fn = on_again;
		x->again.user = x;
		deadline_set(&g->deadlines, &x->again, DEADLINE_AGAIN);
	}
	client_update_reading(x->c);
}

static struct exchange *next_of(const struct route *r)
{
	struct exchange *x = r->first;

	while (x && x->again.set)
		x = x->next;
	return x;
}

/* One that waits for a slot means that there is none. */
void waiting_add_behind(struct exchange *x, struct route *r)
{
	waiting_add(x, r, next_of(r) != NULL);
}

static void give_up(struct route *r, const char *why)
{
	struct exchange *x;

	while ((x = r->first)) {
		waiting_remove(x);
		exchange_fail(x, 503, why);
	}
}

void waiting_wake(struct gateway *g, struct route *r)
{
	struct exchange *x;

	if (g->closing || r->waking)
		return;
	if (r->news.failed[0]) {
		give_up(r, "it has failed");
		return;
	}
	if (routes_is_held(r, now_of(g))) {
		if (r->first)
			watch_hold(g, r);
		return;
	}
	r->waking = true;
	for (unsigned n = r->n_waiting; n > 0 && (x = next_of(r)); n--)
		if (!exchange_go_from_queue(x, r))
			break;
	r->waking = false;
	if (r->untimed)
		begin_all_times(r);
}

void waiting_give_up(struct gateway *g, struct route *r)
{
	(void)g;
	give_up(r, "the service is not served any more");
}
