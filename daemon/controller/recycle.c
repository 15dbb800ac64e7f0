/* recycle: see recycle.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/recycle.h"

#include <string.h>
#include <uv.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/events.h"
#include "daemon/controller/recycle_pace.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/replica_unit.h"
#include "daemon/controller/service.h"
#include "daemon/controller/usage.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/manifest.h"
#include "lib/manifest_write.h"
#include "lib/mem.h"
#include "lib/schema.h"

/* Lives until its timer is closed and no worker has it. */
struct recycler {
	struct controller *c; /* NULL: the controller has ended */
	uv_timer_t timer;
	uv_work_t work;
	bool working, closed;
	struct usage_item *items;
	size_t n, cap;
	char *cgroup_dir;
};

/* ---- age ---- */

static void look_at_age(struct replica *r, int64_t now, int64_t *wake_mono_ms)
{
	const struct restart_spec *spec = &r->service->spec->restart;
	int64_t due;

	if (r->state != REPLICA_READY || r->recycle)
		return;
	due = recycle_pace_age_due(r->health.begun_mono_ms, spec->max_age_ms,
				   spec->max_age_variance, r->incarnation);
	if (due <= now)
		replica_recycle(r, "max_age", false);
	else if (due < *wake_mono_ms)
		*wake_mono_ms = due;
}

/* ---- memory ---- */

static void free_recycler(struct recycler *r)
{
	mem_free(r->items);
	mem_free(r->cgroup_dir);
	mem_free(r);
}

static void read_usage(uv_work_t *work)
{
	struct recycler *r = work->data;

	usage_read(r->items, r->n, USAGE_HERE(r->cgroup_dir));
}

static void write_size(int64_t bytes, char buf[MANIFEST_WRITE_NUMBER_SIZE])
{
	manifest_write_number(schema_find("services.*.restart.max_memory"), bytes, buf);
}

/* The ones before it had to go too soon: it is told once why this one may stay for now. */
static void hold(struct replica *r, int64_t due_mono_ms, unsigned streak)
{
	const struct service *s = r->service;
	char ceiling[MANIFEST_WRITE_NUMBER_SIZE], gap[24];
	_cleanup_free_ char *text = NULL;

	if (r->above_until_mono_ms == due_mono_ms)
		return;
	r->above_until_mono_ms = due_mono_ms;
	write_size(s->spec->restart.max_memory, ceiling);
	text = mem_printf("it uses more than restart.max_memory (%s), as soon as the %u before it: "
			  "it is not replaced before it has run for %s",
			  ceiling, streak,
			  clock_human(recycle_pace_gap_ms(streak), gap, sizeof(gap)));
	log_warn("replica=%s/%u %s", s->name, r->index, text ? text : "");
	events_add(s->controller->events, &(struct event_args){s->name, (int)r->index, "recycle",
							       "memory", text, NULL, NULL});
}

/* It may have been replaced meanwhile, and what never was ready cannot be replaced gracefully. */
static void judge(const struct controller *c, const struct usage_item *item)
{
	struct service *s = controller_find(c, item->service);
	struct replica *r = s && s->spec ? service_replica(s, item->index) : NULL;
	unsigned streak;
	int64_t due;

	if (!r || r->pid != item->pid || r->recycle || !item->usage.source || r->ready_mono_ms == 0)
		return;
	if (s->spec->restart.max_memory == 0 ||
	    item->usage.memory_bytes <= s->spec->restart.max_memory) {
		r->above_until_mono_ms = 0;
		return;
	}
	streak = recycle_pace_streak(s->exits, s->forgiven_wall_ms);
	due = clock_add(r->health.begun_mono_ms, recycle_pace_gap_ms(streak));
	if (due > clock_mono_ms()) {
		hold(r, due, streak);
		return;
	}
	log_info("replica=%s/%u uses %lld bytes of memory: recycled", s->name, r->index,
		 (long long)item->usage.memory_bytes);
	replica_recycle(r, "memory", false);
}

static void on_read(uv_work_t *work, int status)
{
	struct recycler *r = work->data;

	(void)status;
	r->working = false;
	if (r->closed) {
		free_recycler(r);
		return;
	}
	for (size_t i = 0; r->c && i < r->n; i++)
		judge(r->c, &r->items[i]);
}

static bool has_ceiling(const struct service *s)
{
	return s->spec && s->spec->restart.max_memory > 0 && !s->stopped && !s->deleted;
}

static void gather(struct recycler *r)
{
	r->n = 0;
	for (size_t i = 0; i < r->c->n_services; i++) {
		const struct service *s = r->c->services[i];

		if (!has_ceiling(s) ||
		    mem_grow(&r->items, &r->cap, r->n + s->n_replicas, sizeof(*r->items)) < 0)
			continue;
		for (size_t k = 0; k < s->n_replicas; k++) {
			const struct replica *x = s->replicas[k];

			if (!x->pid || replica_sm_is_ending(x->state))
				continue;
			r->items[r->n] = (struct usage_item){
				.index = x->index, .pid = x->pid, .container = replica_unit_is(x)};
			memccpy(r->items[r->n++].service, s->name, '\0', WIRE_SERVICE_SIZE - 1);
		}
	}
}

static bool any_ceiling(const struct controller *c)
{
	for (size_t i = 0; i < c->n_services; i++)
		if (has_ceiling(c->services[i]))
			return true;
	return false;
}

static void on_timer(uv_timer_t *timer)
{
	struct recycler *r = timer->data;

	if (!any_ceiling(r->c)) {
		uv_timer_stop(timer);
		return;
	}
	if (r->working || controller_frozen(r->c)) /* a hung /proc: not a second one */
		return;
	gather(r);
	mem_free(r->cgroup_dir);
	r->cgroup_dir = mem_strdup(r->c->status.cgroup_dir);
	if (r->n > 0 && r->cgroup_dir)
		r->working = uv_queue_work(r->c->loop, &r->work, read_usage, on_read) == 0;
}

static void watch_memory(struct controller *c)
{
	struct recycler *r = c->recycler;

	if (!r) {
		r = mem_alloc(sizeof(*r));
		if (!r)
			return;
		c->recycler = r;
		r->c = c;
		r->work.data = r;
		uv_timer_init(c->loop, &r->timer);
		r->timer.data = r;
	}
	if (!uv_is_active((uv_handle_t *)&r->timer))
		uv_timer_start(&r->timer, on_timer, RECYCLE_LOOK_MS, RECYCLE_LOOK_MS);
}

static void on_closed(uv_handle_t *h)
{
	struct recycler *r = h->data;

	r->closed = true;
	if (!r->working)
		free_recycler(r);
}

void recycle_close(struct recycler *r)
{
	if (!r)
		return;
	r->c = NULL;
	uv_close((uv_handle_t *)&r->timer, on_closed);
}

void recycle_settle(struct service *s, int64_t *wake_mono_ms)
{
	int64_t now;

	if (!s->spec || s->stopped || s->deleted || controller_frozen(s->controller))
		return;
	if (s->spec->restart.max_memory > 0)
		watch_memory(s->controller);
	if (s->spec->restart.max_age_ms == 0)
		return;
	now = clock_mono_ms();
	for (size_t i = 0; i < s->n_replicas; i++)
		look_at_age(s->replicas[i], now, wake_mono_ms);
}
