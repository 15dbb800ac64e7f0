/* service_zero: see service_zero.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/service_zero.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/events.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/routes.h"
#include "daemon/controller/service.h"
#include "daemon/controller/service_rollout.h"
#include "daemon/controller/service_scale.h"
#include "daemon/controller/store.h"
#include "daemon/controller/traffic.h"
#include "daemon/controller/zero.h"
#include "daemon/wire/wire_routes.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/jsonw.h"
#include "lib/log.h"
#include "lib/manifest.h"
#include "lib/mem.h"

/* Of one stable port, as the gateway said last. */
struct heard {
	uint32_t waiting, active;
	uint64_t arrived;
	bool known; /* of this gateway */
};

struct service_zero {
	struct zero z;
	struct heard ports[MANIFEST_PORTS_MAX]; /* as routes_port has them */
	uint64_t came;				/* requests, as far as is known */
	uint64_t came_asleep, came_looked; /* of these: before it slept, before the last look */
	int64_t asleep_wall_ms;		   /* since when; 0 = it never has been up */
	char said[200];
};

bool service_zero_may(const struct service_spec *spec)
{
	return spec && spec->replicas_max > 0 && spec->replicas_min == 0;
}

/* 0 by the user's word, or for a window of the schedule, is not ours to end. */
static bool can(const struct service *s)
{
	return service_zero_may(s->spec) && !s->stopped && !s->deleted && !s->left_alone &&
	       service_scale_number(s) != 0;
}

static int64_t idle_ms(const struct service *s)
{
	return s->spec->idle_ms > 0 ? s->spec->idle_ms : SERVICE_ZERO_IDLE_MS;
}

bool service_zero_is_asleep(const struct service *s)
{
	return s->zero && s->zero->z.asleep && can(s) && s->replicas_override < 0;
}

unsigned service_zero_bound(const struct service *s, unsigned n)
{
	return s->zero && can(s) ? zero_bound(&s->zero->z, n) : n;
}

static bool has_failed(const struct service *s)
{
	for (size_t i = 0; i < s->n_replicas; i++)
		if (s->replicas[i]->state != REPLICA_FAILED)
			return false;
	return s->n_replicas > 0;
}

bool service_zero_holds(const struct service *s)
{
	return s->zero && can(s) && s->zero->z.known && !has_failed(s);
}

static void publish(const struct service *s, const char *reason, const char *message)
{
	const struct event_args a = {s->name, -1, "scale", reason, message, NULL, NULL};

	log_info("service=%s %s", s->name, message);
	events_add(s->controller->events, &a);
}

/* ---- what is seen ---- */

static uint32_t waiting(const struct service_zero *x)
{
	uint32_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(x->ports); i++)
		n += x->ports[i].waiting;
	return n;
}

static uint32_t active(const struct service_zero *x)
{
	uint32_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(x->ports); i++)
		n += x->ports[i].active;
	return n;
}

/* A start goes on, a failure is somebody's to look at. One that ends again and again is not started
 * for nobody for ever. */
static bool is_quiet(const struct replica *r)
{
	return !r->frozen && !r->recycle && replica_is_current(r) &&
	       (r->state == REPLICA_READY || r->state == REPLICA_UNREADY ||
		r->state == REPLICA_BACKOFF || r->state == REPLICA_SUCCEEDED);
}

static bool is_busy(const struct service *s)
{
	if (s->storing > 0 || service_desired(s) > 1 ||
	    (s->rollout && rollout_is_under_way(&s->rollout->now)))
		return true;
	for (size_t i = 0; i < s->n_replicas; i++)
		if (!is_quiet(s->replicas[i]))
			return true;
	return false;
}

static int64_t ready_since(const struct service *s)
{
	int64_t since = 0;

	for (size_t i = 0; i < s->n_replicas; i++)
		if (s->replicas[i]->state == REPLICA_READY && s->replicas[i]->ready_mono_ms > since)
			since = s->replicas[i]->ready_mono_ms;
	return since;
}

/* Without those that are being stopped for good, as when it went to sleep. */
static unsigned members(const struct service *s)
{
	unsigned n = 0;

	for (size_t i = 0; i < s->n_replicas; i++) {
		const struct replica *r = s->replicas[i];

		n += r->state != REPLICA_EXITED &&
		     !(replica_sm_is_ending(r->state) && r->intent == STOP_REMOVE);
	}
	return n;
}

static struct zero_seen see(const struct service *s)
{
	struct service_zero *x = s->zero;
	struct zero_seen seen = {.can = can(s),
				 .called = waiting(x) > 0 || x->came != x->came_asleep,
				 .in_use = waiting(x) > 0 || active(x) > 0 ||
					   x->came != x->came_looked,
				 .pinned = s->replicas_override > 0 || service_scale_is_pinned(s),
				 .ready = service_ready(s),
				 .replicas = members(s),
				 .ready_mono_ms = ready_since(s),
				 .sighted_mono_ms = traffic_sighted_mono_ms(s->controller)};

	if (seen.can) {
		seen.idle_ms = idle_ms(s);
		seen.busy = is_busy(s);
	}
	x->came_looked = x->came;
	return seen;
}

static void note_sleep(struct service_zero *x)
{
	x->came_asleep = x->came;
	x->asleep_wall_ms = clock_wall_ms();
}

static void tell_sleep(struct service *s)
{
	char human[24], message[80];

	note_sleep(s->zero);
	snprintf(message, sizeof(message), "no request for %s: to zero replicas",
		 clock_human(idle_ms(s), human, sizeof(human)));
	publish(s, "idle", message);
}

static void tell_wake(const struct service *s)
{
	uint32_t n = waiting(s->zero);
	char message[80];

	if (s->replicas_override > 0) {
		publish(s, "user", "a number of replicas was set: from zero");
		return;
	}
	if (service_scale_is_pinned(s)) {
		publish(s, "schedule", "a window of the schedule is open: from zero replicas");
		return;
	}
	snprintf(message, sizeof(message), "%" PRIu32 " request%s wait%s: from zero replicas", n,
		 n == 1 ? "" : "s", n == 1 ? "s" : "");
	publish(s, "request", n ? message : "a request came: from zero replicas");
}

void service_zero_step(struct service *s, int64_t *wake_mono_ms)
{
	struct zero_seen seen;

	if (controller_frozen(s->controller))
		return;
	if (!s->zero && service_zero_may(s->spec))
		s->zero = mem_alloc(sizeof(*s->zero)); /* without memory it stays up */
	if (!s->zero)
		return;
	seen = see(s);
	switch (zero_step(&s->zero->z, &seen, clock_mono_ms(), wake_mono_ms)) {
	case ZERO_STAYS:
		break;
	case ZERO_SLEEPS:
		tell_sleep(s);
		break;
	case ZERO_WAKES:
		tell_wake(s);
		break;
	}
}

/* ---- who asks ---- */

void service_zero_rouse(struct service *s)
{
	if (!service_zero_may(s->spec))
		return;
	if (!s->zero)
		s->zero = mem_alloc(sizeof(*s->zero));
	if (s->zero && zero_rouse(&s->zero->z, clock_mono_ms()) && s->zero->asleep_wall_ms)
		publish(s, "user", "started by the user: from zero replicas");
}

bool service_zero_lull(struct service *s)
{
	if (!s->zero || !can(s))
		return false;
	if (!s->zero->z.asleep) {
		zero_lull(&s->zero->z);
		note_sleep(s->zero);
		publish(s, "user", "scaled to 0 by the user: the next request starts a replica");
	}
	return true;
}

/* Of a port that is no more nothing is heard again. */
void service_zero_respec(struct service *s, const struct service_spec *before)
{
	struct heard ports[MANIFEST_PORTS_MAX] = {0};
	const struct port_spec *p, *was;

	for (size_t i = 0; s->zero && i < ARRAY_SIZE(ports) && (p = routes_port(s->spec, i, NULL));
	     i++)
		for (size_t k = 0; k < ARRAY_SIZE(ports) && (was = routes_port(before, k, NULL));
		     k++)
			if (strcmp(p->name, was->name) == 0)
				ports[i] = s->zero->ports[k];
	if (s->zero)
		memcpy(s->zero->ports, ports, sizeof(ports));
}

static struct heard *find(struct service *s, const char *name)
{
	const struct port_spec *p;

	for (size_t i = 0; i < ARRAY_SIZE(s->zero->ports) && (p = routes_port(s->spec, i, NULL));
	     i++)
		if (strcmp(p->name, name) == 0)
			return &s->zero->ports[i];
	return NULL;
}

void service_zero_demand(struct service *s, const struct service_zero_demand *d)
{
	struct heard *h = s->zero && s->spec ? find(s, d->port) : NULL;

	if (!h)
		return;
	if (h->known && d->arrived > h->arrived)
		s->zero->came += d->arrived - h->arrived;
	*h = (struct heard){d->waiting, d->active, d->arrived, true};
	controller_touch(s);
}

void service_zero_forget(struct controller *c)
{
	for (size_t i = 0; i < c->n_services; i++)
		if (c->services[i]->zero)
			memset(c->services[i]->zero->ports, 0, sizeof(c->services[i]->zero->ports));
}

void service_zero_touch_all(struct controller *c)
{
	for (size_t i = 0; i < c->n_services; i++)
		if (c->services[i]->zero)
			controller_touch(c->services[i]);
}

void service_zero_started(struct service *s, int64_t took_ms)
{
	int64_t before = s->start_ms;

	s->start_ms = zero_learn(before, took_ms);
	if (s->zero && s->start_ms != before && s->controller->store)
		store_put_start(s->controller->store, s->name, s->start_ms);
}

/* ---- what is told ---- */

const char *service_zero_message(const struct service *s)
{
	struct service_zero *x = s->zero;
	_cleanup_buf_ struct buf where = {0};
	struct wire_listen_at at;
	char human[24];

	if (!service_zero_is_asleep(s) || !routes_port(s->spec, 0, &at))
		return "";
	routes_say(&at, &where);
	snprintf(x->said, sizeof(x->said), "a request at %s starts a replica%s%s",
		 where.failed ? "its port" : buf_cstr(&where),
		 s->start_ms ? ", ready in about " : "",
		 s->start_ms ? clock_human(s->start_ms, human, sizeof(human)) : "");
	return x->said;
}

uint32_t service_zero_waiting(const struct service *s)
{
	return s->zero && can(s) ? waiting(s->zero) : 0;
}

void service_zero_write(const struct service *s, struct jsonw *w)
{
	const struct service_zero *x = s->zero;

	if (!x || !can(s)) {
		jsonw_null(w, "from_zero");
		return;
	}
	jsonw_object_begin(w, "from_zero");
	jsonw_bool(w, "idle", service_zero_is_asleep(s));
	jsonw_time(w, "since", service_zero_is_asleep(s) ? x->asleep_wall_ms : 0);
	jsonw_int(w, "idle_after_ms", idle_ms(s));
	jsonw_int(w, "waiting", service_zero_waiting(s));
	if (s->start_ms)
		jsonw_int(w, "start_ms", s->start_ms);
	else
		jsonw_null(w, "start_ms");
	jsonw_object_end(w);
}

/* When the start that is furthest is expected to be over; 0 = none is under way. */
static int64_t ready_at(const struct service *s)
{
	int64_t at = 0;

	for (size_t i = 0; s->start_ms && i < s->n_replicas; i++) {
		const struct replica *r = s->replicas[i];
		int64_t one = clock_add(r->health.begun_mono_ms, s->start_ms);

		if (r->state == REPLICA_STARTING && r->health.begun_mono_ms && (!at || one < at))
			at = one;
	}
	return at;
}

static void say_failed(const struct service *s, char *out, size_t size)
{
	const struct replica *r = s->replicas[0];

	memccpy(out, *replica_message(r) ? replica_message(r) : r->reason, '\0', size - 1);
}

void service_zero_fill(const struct service *s, struct wire_route *route)
{
	struct wire_routes_news *news = &route->news;
	bool failed = has_failed(s);

	route->rules.eta_ms = s->start_ms < UINT32_MAX ? (uint32_t)s->start_ms : UINT32_MAX;
	if (service_ready(s) > 0)
		return;
	route->rules.from_zero = service_zero_holds(s);
	memccpy(news->state, service_state_name(service_state(s)), '\0', sizeof(news->state) - 1);
	if (failed)
		say_failed(s, news->failed, sizeof(news->failed));
	else
		news->ready_mono_ms = (uint64_t)ready_at(s);
}
