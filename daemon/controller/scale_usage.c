/* scale_usage: see scale_usage.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/scale_usage.h"

#include <string.h>
#include <uv.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/replica_unit.h"
#include "daemon/controller/service.h"
#include "daemon/controller/service_scale.h"
#include "daemon/controller/usage.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/manifest.h"
#include "lib/mem.h"

#define STALE_MS (3 * SCALE_USAGE_MS)
#define PERCENT 100.0
#define US_PER_MS 1000.0

/* Of one process: the newest last. */
struct seen {
	uint32_t index;
	int32_t pid;
	unsigned n;
	int64_t cpu_us[SCALE_USAGE_KEPT], at_mono_ms[SCALE_USAGE_KEPT];
	int64_t memory;
};

/* Lives until no worker has it. */
struct scale_usage {
	struct service_scale *x; /* NULL: it has gone */
	uv_work_t work;
	bool working;
	int64_t begun_mono_ms; /* of the first that was read; 0 = none yet */
	int64_t asked_mono_ms, read_mono_ms;
	struct seen *seen;
	size_t n_seen, cap_seen;
	struct usage_item *items;
	size_t n, cap;
	char *cgroup_dir;
};

static void free_now(struct scale_usage *u)
{
	mem_free(u->seen);
	mem_free(u->items);
	mem_free(u->cgroup_dir);
	mem_free(u);
}

void scale_usage_free(struct scale_usage *u)
{
	if (!u)
		return;
	u->x = NULL;
	if (!u->working)
		free_now(u);
}

static bool is_needed(const struct autoscale_rules *rules)
{
	for (size_t i = 0; i < rules->n; i++)
		if (rules->goals[i].kind == AUTOSCALE_CPU ||
		    rules->goals[i].kind == AUTOSCALE_MEMORY)
			return true;
	return false;
}

void scale_usage_respec(struct service_scale *x)
{
	if (!is_needed(&x->rules)) {
		scale_usage_free(TAKE_PTR(x->usage));
		return;
	}
	if (!x->usage)
		x->usage = mem_alloc(sizeof(*x->usage));
	if (!x->usage) {
		log_error("service=%s what it uses is not looked at: out of memory", x->s->name);
		return;
	}
	x->usage->x = x;
	x->usage->work.data = x->usage;
}

/* ---- reading ---- */

static void read_now(uv_work_t *work)
{
	struct scale_usage *u = work->data;

	usage_read(u->items, u->n, USAGE_HERE(u->cgroup_dir));
}

static struct seen *find(struct scale_usage *u, const struct usage_item *item)
{
	for (size_t i = 0; i < u->n_seen; i++)
		if (u->seen[i].index == item->index && u->seen[i].pid == item->pid)
			return &u->seen[i];
	if (mem_grow(&u->seen, &u->cap_seen, u->n_seen + 1, sizeof(*u->seen)) < 0)
		return NULL;
	u->seen[u->n_seen] = (struct seen){.index = item->index, .pid = item->pid};
	return &u->seen[u->n_seen++];
}

static void take(struct scale_usage *u, const struct usage_item *item, int64_t now)
{
	struct seen *s = item->usage.source ? find(u, item) : NULL;

	if (!s)
		return;
	if (s->n == SCALE_USAGE_KEPT) {
		memmove(s->cpu_us, s->cpu_us + 1, sizeof(s->cpu_us) - sizeof(s->cpu_us[0]));
		memmove(s->at_mono_ms, s->at_mono_ms + 1,
			sizeof(s->at_mono_ms) - sizeof(s->at_mono_ms[0]));
		s->n--;
	}
	s->cpu_us[s->n] = item->usage.cpu_us;
	s->at_mono_ms[s->n++] = now;
	s->memory = item->usage.memory_bytes;
}

/* Those that were not among the last ones are gone. */
static void forget(struct scale_usage *u, int64_t now)
{
	size_t kept = 0;

	for (size_t i = 0; i < u->n_seen; i++)
		if (u->seen[i].n && u->seen[i].at_mono_ms[u->seen[i].n - 1] == now)
			u->seen[kept++] = u->seen[i];
	u->n_seen = kept;
}

static void on_read(uv_work_t *work, int status)
{
	struct scale_usage *u = work->data;
	int64_t now = clock_mono_ms();

	u->working = false;
	if (!u->x) {
		free_now(u);
		return;
	}
	if (status < 0)
		return;
	for (size_t i = 0; i < u->n; i++)
		take(u, &u->items[i], now);
	forget(u, now);
	u->read_mono_ms = now;
	if (!u->begun_mono_ms)
		u->begun_mono_ms = now;
}

static void list(struct scale_usage *u, const struct service *s)
{
	u->n = 0;
	if (mem_grow(&u->items, &u->cap, s->n_replicas, sizeof(*u->items)) < 0)
		return;
	for (size_t i = 0; i < s->n_replicas; i++) {
		const struct replica *r = s->replicas[i];

		if (!r->pid || r->state != REPLICA_READY || r->frozen)
			continue;
		u->items[u->n] = (struct usage_item){
			.index = r->index, .pid = r->pid, .container = replica_unit_is(r)};
		memccpy(u->items[u->n++].service, s->name, '\0', WIRE_SERVICE_SIZE - 1);
	}
}

void scale_usage_look(struct service_scale *x, int64_t now_mono_ms)
{
	struct scale_usage *u = x->usage;

	if (!u || u->working ||
	    (u->asked_mono_ms &&
	     now_mono_ms - u->asked_mono_ms < SCALE_USAGE_MS - AUTOSCALE_TICK_MS / 2))
		return;
	u->asked_mono_ms = now_mono_ms;
	list(u, x->s);
	mem_free(u->cgroup_dir);
	u->cgroup_dir = mem_strdup(x->s->controller->status.cgroup_dir);
	if (u->cgroup_dir)
		u->working =
			uv_queue_work(x->s->controller->loop, &u->work, read_now, on_read) == 0;
}

/* ---- what it says ---- */

/* Percent of a processor over the span, though it is there for a part of it only. */
static double cpu_of(const struct seen *s, int64_t now)
{
	unsigned first = 0;

	while (first + 1 < s->n &&
	       now - s->at_mono_ms[first] > SCALE_USAGE_SPAN_MS + AUTOSCALE_TICK_MS)
		first++;
	return (double)(s->cpu_us[s->n - 1] - s->cpu_us[first]) / US_PER_MS /
	       (double)SCALE_USAGE_SPAN_MS * PERCENT;
}

void scale_usage_measure(const struct service_scale *x, enum autoscale_kind kind,
			 int64_t now_mono_ms, struct autoscale_measure *m)
{
	const struct scale_usage *u = x->usage;
	int64_t limit = x->s->spec->resources.memory;

	if (!u || !u->begun_mono_ms || now_mono_ms - u->read_mono_ms > STALE_MS)
		return;
	m->known = kind == AUTOSCALE_MEMORY ? limit > 0
					    : u->read_mono_ms - u->begun_mono_ms >=
						      SCALE_USAGE_SPAN_MS - SCALE_USAGE_MS / 2;
	for (size_t i = 0; m->known && i < u->n_seen; i++) {
		const struct seen *s = &u->seen[i];

		m->n++;
		m->sum += kind == AUTOSCALE_MEMORY ? (double)s->memory / (double)limit * PERCENT
						   : cpu_of(s, u->read_mono_ms);
	}
}
