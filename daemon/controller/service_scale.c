/* service_scale: see service_scale.h. What is shown of it is in api_autoscale.c. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/service_scale.h"

#include <string.h>

#include "daemon/controller/api_autoscale.h"
#include "daemon/controller/controller.h"
#include "daemon/controller/demand.h"
#include "daemon/controller/events.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/routes.h"
#include "daemon/controller/scale_page.h"
#include "daemon/controller/scale_usage.h"
#include "daemon/controller/service.h"
#include "daemon/controller/service_zero.h"
#include "daemon/controller/store.h"
#include "daemon/controller/traffic.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/manifest.h"
#include "lib/mem.h"

#define TELL_MS 10000	/* between two events */
#define WALL_MS 60000	/* the wall clock may be set meanwhile */
#define CONCURRENCY 8.0 /* of one replica, where nothing says how many it takes */
#define CONCURRENCY_SHARE 0.7
#define RPS 200.0
#define PERCENT 80.0

static bool is_range(const struct service_spec *spec)
{
	return spec && spec->replicas_max > 0 && spec->type != SPEC_TASK;
}

bool service_scale_is(const struct service *s)
{
	return s->scale != NULL;
}

bool service_scale_is_pinned(const struct service *s)
{
	return s->scale && s->scale->bounds.open && s->scale->bounds.min > 0;
}

static bool works(const struct service_scale *x)
{
	const struct service *s = x->s;

	return s && s->spec && !s->stopped && !s->deleted && !s->left_alone &&
	       !controller_frozen(s->controller);
}

/* ---- what the manifest says ---- */

static double default_target(const struct service_spec *spec, enum autoscale_kind kind)
{
	switch (kind) {
	case AUTOSCALE_CONCURRENCY:
		return spec->concurrency ? CONCURRENCY_SHARE * (double)spec->concurrency
					 : CONCURRENCY;
	case AUTOSCALE_RPS:
		return RPS;
	default:
		return PERCENT;
	}
}

static void add_goal(struct autoscale_rules *rules, const struct service_spec *spec,
		     const struct autoscale_metric *m)
{
	enum autoscale_kind kind = (enum autoscale_kind)m->kind;

	if (rules->n < AUTOSCALE_GOALS_MAX)
		rules->goals[rules->n++] = (struct autoscale_goal){
			.kind = kind,
			.target = m->target > 0 ? m->target : default_target(spec, kind),
			.name = m->name};
}

static struct autoscale_rules rules_of(const struct service_spec *spec)
{
	static const struct autoscale_metric concurrency = {.kind = AUTOSCALE_CONCURRENCY};
	const struct autoscale_spec *a = &spec->autoscale;
	const struct autoscale_metric *metrics = a->metrics.v;
	struct autoscale_rules rules = {.window_ms = a->window_ms,
					.panic_window_ms = a->panic_window_ms,
					.scale_down_delay_ms = a->scale_down_delay_ms,
					.stabilization_ms = a->stabilization_ms,
					.panic_threshold = a->panic_threshold,
					.max_up_rate = a->max_up_rate,
					.max_down_rate = a->max_down_rate,
					.tolerance = a->tolerance};

	for (size_t i = 0; a->enabled && i < a->metrics.n; i++)
		add_goal(&rules, spec, &metrics[i]);
	if (rules.n == 0)
		add_goal(&rules, spec, a->enabled ? &a->metric : &concurrency);
	return rules;
}

static bool same_goals(const struct autoscale_rules *a, const struct autoscale_rules *b)
{
	for (size_t i = 0; i < a->n && i < b->n; i++)
		if (a->goals[i].kind != b->goals[i].kind)
			return false;
	return a->n == b->n;
}

static const struct tz *zone(const void *user, const char *name)
{
	return zones_get(user, name);
}

static void set_bounds(struct service_scale *x)
{
	x->bounds = autoscale_window_bounds(x->s->spec, zone, &x->s->controller->zones,
					    clock_wall_ms());
}

static unsigned into(int64_t n, int64_t min, int64_t max)
{
	int64_t low = min > 1 ? min : 1;

	return (unsigned)(n > max ? max : n < low ? low : n);
}

/* ---- life ---- */

static void on_closed(uv_handle_t *h)
{
	struct service_scale *x = h->data;

	mem_free(x);
}

static void drop(struct service *s)
{
	struct service_scale *x = TAKE_PTR(s->scale);

	if (!x)
		return;
	scale_usage_free(TAKE_PTR(x->usage));
	scale_page_free(TAKE_PTR(x->pages));
	x->s = NULL;
	uv_close((uv_handle_t *)&x->timer, on_closed);
}

void service_scale_free(struct service *s)
{
	drop(s);
	mem_free(s->demand);
	s->demand = NULL;
}

static struct demand *demand_of(struct service *s)
{
	int64_t now = clock_mono_ms();

	if (!s->demand) {
		s->demand = mem_alloc(sizeof(*s->demand));
		if (!s->demand)
			return NULL;
		if (traffic_is_connected(s->controller->traffic))
			demand_connect(s->demand, true, now);
	}
	if (s->spec)
		demand_windows(s->demand, s->spec->autoscale.window_ms,
			       s->spec->autoscale.panic_window_ms, now);
	return s->demand;
}

static struct service_scale *make(struct service *s, const struct service_spec *before)
{
	struct service_scale *x = mem_alloc(sizeof(*x));
	int64_t first = s->spec->replicas;

	if (!x)
		return NULL;
	if (s->scaled > 0)
		first = s->scaled;
	else if (before && before->replicas > 0)
		first = before->replicas;
	x->s = s;
	x->number = x->told = into(first, s->spec->replicas_min, s->spec->replicas_max);
	uv_timer_init(s->controller->loop, &x->timer);
	x->timer.data = x;
	return x;
}

static bool has_port(const void *user, const char *port)
{
	return routes_has(user, port);
}

void service_scale_respec(struct service *s, const struct service_spec *before)
{
	struct autoscale_rules rules;

	if (s->demand)
		demand_keep(s->demand, has_port, s->spec);
	if (!is_range(s->spec)) {
		drop(s);
		s->scaled = 0;
		if (s->demand)
			demand_of(s);
		return;
	}
	if (!s->scale)
		s->scale = make(s, before);
	if (!s->scale || !demand_of(s)) {
		log_error("service=%s is not scaled by itself: out of memory", s->name);
		drop(s);
		return;
	}
	rules = rules_of(s->spec);
	if (!same_goals(&rules, &s->scale->rules))
		s->scale->begun = false;
	s->scale->rules = rules;
	set_bounds(s->scale);
	s->scale->number = into(s->scale->number, s->scale->bounds.min, s->scale->bounds.max);
	scale_usage_respec(s->scale);
	scale_page_respec(s->scale);
}

unsigned service_scale_number(const struct service *s)
{
	if (s->replicas_override >= 0)
		return (unsigned)s->replicas_override;
	return s->scale ? s->scale->number : (unsigned)s->spec->replicas;
}

int64_t service_scale_after(const struct service *s, const struct service_spec *want)
{
	int64_t first = want->replicas;

	if (!is_range(want))
		return want->replicas;
	if (s && s->scale)
		first = s->scale->number;
	else if (s && s->spec && s->spec->replicas > 0)
		first = s->spec->replicas;
	return into(first, want->replicas_min, want->replicas_max);
}

/* ---- the store and the events ---- */

static void put(struct service *s)
{
	if (s->controller->store)
		store_put_scale(s->controller->store, s->name, s->override_until_wall_ms,
				s->scaled);
}

static void tell(struct service_scale *x, int64_t now)
{
	_cleanup_free_ char *said = NULL, *message = NULL;

	if (x->told == x->number || (x->told_mono_ms && now - x->told_mono_ms < TELL_MS))
		return;
	said = api_autoscale_say(x->s);
	message = mem_printf("%u to %u replica%s: %s", x->told, x->number,
			     x->number == 1 ? "" : "s", said ? said : "");
	events_add(x->s->controller->events,
		   &(struct event_args){x->s->name, -1, "scale",
					x->number > x->told ? "scaler_up" : "scaler_down",
					message ? message : "", NULL, NULL});
	x->told = x->number;
	x->told_mono_ms = now;
}

/* ---- decisions ---- */

unsigned service_scale_starting(const struct service *s)
{
	unsigned n = 0;

	for (size_t i = 0; i < s->n_replicas; i++) {
		switch (s->replicas[i]->state) {
		case REPLICA_PENDING:
		case REPLICA_WAITING:
		case REPLICA_STARTING:
		case REPLICA_UNREADY:
		case REPLICA_BACKOFF:
			n++;
			break;
		default:
			break;
		}
	}
	return n;
}

static void count(const struct service *s, struct autoscale_in *in)
{
	in->ready = service_ready(s);
	in->starting = service_scale_starting(s);
	if (s->dirty && in->current > in->ready + in->starting) /* not planned yet */
		in->starting = in->current - in->ready;
}

static void measure(const struct service_scale *x, size_t i, struct autoscale_in *in)
{
	const struct demand *d = x->s->demand;
	struct autoscale_measure *m = &in->measures[i];
	int64_t now = in->now_mono_ms;

	switch (x->rules.goals[i].kind) {
	case AUTOSCALE_CONCURRENCY:
		m->known = demand_is_known(d, now);
		m->stable = demand_concurrency(d, DEMAND_STABLE, now);
		m->panic = demand_concurrency(d, DEMAND_PANIC, now);
		break;
	case AUTOSCALE_RPS:
		m->known = demand_is_known(d, now);
		m->stable = demand_rps(d, DEMAND_STABLE, now);
		m->panic = demand_rps(d, DEMAND_PANIC, now);
		break;
	case AUTOSCALE_CPU:
	case AUTOSCALE_MEMORY:
		scale_usage_measure(x, x->rules.goals[i].kind, now, m);
		break;
	case AUTOSCALE_PROMETHEUS:
		scale_page_measure(x, i, now, m);
		break;
	}
}

static struct autoscale_in gather(const struct service_scale *x, int64_t now)
{
	struct autoscale_in in = {.now_mono_ms = now,
				  .current = service_scale_number(x->s),
				  .min = x->bounds.min,
				  .max = x->bounds.max};

	count(x->s, &in);
	for (size_t i = 0; i < x->rules.n; i++)
		measure(x, i, &in);
	return in;
}

static void follow(struct service_scale *x, unsigned number)
{
	struct service *s = x->s;

	if (number == x->number && s->scaled == number)
		return;
	if (number != x->number) {
		log_info("service=%s scaler=%s replicas=%u wanted=%u ready=%u", s->name,
			 autoscale_reason_name(x->verdict.reason), number, x->verdict.wanted,
			 x->in.ready);
		x->changed_wall_ms = clock_wall_ms();
	}
	x->number = number;
	s->scaled = number;
	put(s);
	controller_touch(s);
}

/* While none of a service that may be at zero is up there is one to start, and no more; nor while that
 * one serves those who have waited for it. */
static bool rests(struct service_scale *x, int64_t now)
{
	bool none = service_zero_may(x->s->spec) && service_ready(x->s) == 0, rest = none;

	if (none)
		x->up_mono_ms = 0;
	else if (x->dormant && !x->up_mono_ms)
		x->up_mono_ms = now;
	if (x->dormant && !none)
		rest = now < x->up_mono_ms + x->rules.panic_window_ms;
	if (x->dormant && !rest) {
		demand_forget(x->s->demand, now);
		x->begun = false;
	}
	x->dormant = rest;
	return rest;
}

/* While none is ready. All of them may be unready for a moment: they are kept as long as somebody
 * asks. */
static bool is_over(const struct service_scale *x, int64_t now)
{
	const struct demand *d = x->s->demand;

	return service_zero_is_asleep(x->s) || x->number > x->bounds.max || x->number == 0 ||
	       (now - d->since_mono_ms >= x->rules.window_ms && demand_is_known(d, now) &&
		demand_is_quiet(d, now));
}

static void look(struct service_scale *x, int64_t now)
{
	bool pinned = service_scale_is_pinned(x->s);

	set_bounds(x);
	if (service_scale_is_pinned(x->s) != pinned) /* it wakes, or may sleep */
		controller_touch(x->s);
	if (rests(x, now)) {
		if (is_over(x, now))
			follow(x, into(1, x->bounds.min, x->bounds.max));
		tell(x, now);
		return;
	}
	scale_usage_look(x, now);
	scale_page_look(x, now);
	if (!x->begun)
		autoscale_begin(&x->scaler, x->number, x->number, now);
	x->begun = true;
	x->in = gather(x, now);
	x->verdict = autoscale_decide(&x->scaler, &x->rules, &x->in);
	x->decided_wall_ms = clock_wall_ms();
	follow(x, x->bounds.max ? x->verdict.number : 0);
	tell(x, now);
}

/* ---- when ---- */

static bool may_sleep(const struct service_scale *x, int64_t now)
{
	for (size_t i = 0; i < x->rules.n; i++)
		if (!autoscale_is_kpa(x->rules.goals[i].kind))
			return false;
	return x->begun && x->told == x->number &&
	       x->number <= into(1, x->bounds.min, x->bounds.max) &&
	       (!x->s->demand->connected || demand_is_quiet(x->s->demand, now));
}

static void on_timer(uv_timer_t *timer);

static void arm(struct service_scale *x, int64_t now)
{
	int64_t ms = AUTOSCALE_TICK_MS;

	x->begun &= works(x); /* later its windows are empty */
	if (!works(x) || (x->dormant && !x->up_mono_ms && x->told == x->number &&
			  x->number <= into(1, x->bounds.min, x->bounds.max) &&
			  x->bounds.until_wall_ms == INT64_MAX)) {
		uv_timer_stop(&x->timer);
		return;
	}
	if (may_sleep(x, now)) {
		if (x->bounds.until_wall_ms == INT64_MAX) {
			uv_timer_stop(&x->timer);
			return;
		}
		ms = x->bounds.until_wall_ms - clock_wall_ms();
		ms = ms < 1 ? 1 : ms < WALL_MS ? ms : WALL_MS;
	}
	uv_update_time(x->s->controller->loop);
	uv_timer_start(&x->timer, on_timer, (uint64_t)ms, 0);
}

static void on_timer(uv_timer_t *timer)
{
	struct service_scale *x = timer->data;
	int64_t now = clock_mono_ms();

	if (works(x))
		look(x, now);
	arm(x, now);
}

/* ---- what happens ---- */

static void end_override(struct service *s)
{
	_cleanup_free_ char *message =
		mem_printf("the user's %lld replicas are over", (long long)s->replicas_override);
	struct store_service row = {.name = s->name,
				    .stopped = s->stopped,
				    .replicas_override = -1,
				    .held_until_wall_ms = s->held_until_wall_ms};

	log_info("service=%s the user's number of replicas has expired", s->name);
	s->replicas_override = -1;
	s->override_until_wall_ms = 0;
	if (s->controller->store) {
		store_put_service(s->controller->store, &row, false, NULL, NULL);
		put(s);
	}
	events_add(s->controller->events,
		   &(struct event_args){s->name, -1, "scale", "override_over",
					message ? message : "", NULL, NULL});
}

void service_scale_settle(struct service *s, int64_t *wake_mono_ms)
{
	int64_t left = s->override_until_wall_ms - clock_wall_ms();

	if (s->replicas_override >= 0 && s->override_until_wall_ms) {
		if (left <= 0 && !controller_frozen(s->controller)) {
			end_override(s);
		} else { /* we are touched when we may act again */
			left = left > 0 && left < WALL_MS ? left : WALL_MS;
			if (clock_mono_ms() + left < *wake_mono_ms)
				*wake_mono_ms = clock_mono_ms() + left;
		}
	}
	if (!s->scale || !works(s->scale))
		return;
	rests(s->scale, clock_mono_ms());
	if (!uv_is_active((uv_handle_t *)&s->scale->timer))
		arm(s->scale, clock_mono_ms());
}

void service_scale_override(struct service *s, int64_t replicas, int64_t for_ms)
{
	if (replicas >= 0 && for_ms == 0 && s->scale)
		for_ms = SERVICE_SCALE_FOR_MS;
	s->replicas_override = replicas;
	s->override_until_wall_ms =
		replicas >= 0 && for_ms ? clock_add(clock_wall_ms(), for_ms) : 0;
}

void service_scale_connect(struct controller *c, bool connected)
{
	int64_t now = clock_mono_ms();

	for (size_t i = 0; i < c->n_services; i++) {
		struct service *s = c->services[i];

		if (s->demand)
			demand_connect(s->demand, connected, now);
		if (s->scale && connected)
			s->scale->begun = false; /* its windows are empty again */
	}
}

void service_scale_demand(struct service *s, const struct demand_reading *m)
{
	struct demand *d = demand_of(s);
	int64_t now = clock_mono_ms();
	struct autoscale_in in;

	if (!d)
		return;
	demand_take(d, m, now);
	if (!s->scale || !works(s->scale) || rests(s->scale, now))
		return;
	in = gather(s->scale, now);
	if (autoscale_is_urgent(&s->scale->scaler, &s->scale->rules, &in))
		look(s->scale, now);
	if (!uv_is_active((uv_handle_t *)&s->scale->timer) ||
	    uv_timer_get_due_in(&s->scale->timer) > AUTOSCALE_TICK_MS)
		arm(s->scale, now);
}
