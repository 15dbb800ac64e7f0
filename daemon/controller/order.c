/* order: see order.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/order.h"

#include <stdio.h>
#include <string.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/link.h"
#include "daemon/controller/reaction.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/replica_hooks.h"
#include "daemon/controller/replica_probe.h"
#include "daemon/controller/replica_standby.h"
#include "daemon/controller/service.h"
#include "daemon/controller/service_task.h"
#include "daemon/controller/service_zero.h"
#include "daemon/controller/traffic.h"
#include "daemon/wire/wire.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/manifest.h"
#include "lib/mem.h"

#define DEPENDS_MAX 64 /* the schema's range */

enum fact_bits {
	FACT_STARTED = 1,
	FACT_READY = 2,
	FACT_COMPLETED = 4,
	FACT_LIVE = 8,
	FACT_SETTLED = 16
};

static bool runs(const struct replica *r)
{
	return r->pid && (r->state == REPLICA_STARTING || r->state == REPLICA_READY ||
			  r->state == REPLICA_UNREADY || r->state == REPLICA_DRAINING);
}

/* What cannot be ended keeps nobody waiting. */
static bool is_live(const struct service *s)
{
	for (size_t i = 0; i < s->n_replicas; i++)
		if (replica_sm_is_live(s->replicas[i]->state) &&
		    s->replicas[i]->state != REPLICA_UNKNOWN)
			return true;
	return false;
}

static uint8_t facts_of(const struct service *s)
{
	uint8_t facts = 0;

	for (size_t i = 0; i < s->n_replicas; i++)
		if (runs(s->replicas[i]))
			facts |= FACT_STARTED;
	if (service_ready(s) > 0)
		facts |= FACT_READY;
	if (service_zero_holds(s))
		facts |= FACT_STARTED | FACT_READY;
	if (service_state(s) == SERVICE_SUCCEEDED)
		facts |= FACT_COMPLETED;
	if (is_live(s))
		facts |= FACT_LIVE;
	if (service_is_settled(s))
		facts |= FACT_SETTLED;
	return facts;
}

static struct deps_fact fact_of(const struct service *d)
{
	uint8_t bits = d ? facts_of(d) : 0;

	return (struct deps_fact){.known = d && !d->deleted,
				  .started = bits & FACT_STARTED,
				  .ready = bits & FACT_READY,
				  .completed = bits & FACT_COMPLETED};
}

/* ---- starting ---- */

static void describe(struct service *s, const struct depend_spec *spec, const struct service *d,
		     enum deps_kind kind)
{
	struct order *o = &s->order;
	char after[24];

	if (kind == DEPS_FAILED)
		snprintf(o->text, sizeof(o->text), "%s was not %s within %s", spec->name,
			 deps_condition_name(spec),
			 clock_human(spec->timeout_ms, after, sizeof(after)));
	else
		snprintf(o->text, sizeof(o->text), "waiting for %s (%s): %s", spec->name,
			 deps_condition_name(spec),
			 d ? service_state_name(service_state(d)) : "there is no such service");
}

static bool any_waiting(const struct service *s)
{
	for (size_t i = 0; i < s->n_replicas; i++)
		if (s->replicas[i]->state == REPLICA_WAITING)
			return true;
	return false;
}

static struct deps_verdict judge(struct service *s, int64_t now_mono_ms)
{
	const struct spec_table *table = &s->spec->depends_on;
	const struct depend_spec *specs = table->v;
	struct deps_fact facts[DEPENDS_MAX];
	struct order *o = &s->order;
	size_t n = table->n < DEPENDS_MAX ? table->n : DEPENDS_MAX;
	struct deps_verdict v;

	if (!any_waiting(s))
		o->waiting_mono_ms = 0;
	else if (o->waiting_mono_ms == 0)
		o->waiting_mono_ms = now_mono_ms;
	for (size_t i = 0; i < n; i++)
		facts[i] = fact_of(controller_find(s->controller, specs[i].name));
	v = deps_judge(specs, facts, n, o->waiting_mono_ms ? o->waiting_mono_ms : now_mono_ms,
		       now_mono_ms);
	if (v.kind == DEPS_OPEN)
		o->text[0] = '\0';
	else
		describe(s, &specs[v.which], controller_find(s->controller, specs[v.which].name),
			 v.kind);
	return v;
}

/* What had been given up may start after all: it is a level. */
static void resume(struct service *s)
{
	for (size_t i = 0; i < s->n_replicas; i++)
		if (replica_has_given_up(s->replicas[i]))
			replica_recycle(s->replicas[i], "dependency", true);
}

static void hold(struct service *s, enum deps_kind kind)
{
	for (size_t i = 0; i < s->n_replicas; i++)
		if (s->replicas[i]->state == REPLICA_WAITING)
			replica_held(s->replicas[i], s->order.text, kind == DEPS_FAILED);
}

void order_removed(struct service *s, const struct replica *r)
{
	reaction_removed(s, r);
}

static bool is_stopping(const struct service *s)
{
	return s->stopped || s->deleted || s->controller->shutting_down;
}

/* Somebody who depends on it is to stop as well, and still runs. At a shutdown nothing starts any
 * more: who has ended is passed over for good. */
static bool is_needed(struct service *s)
{
	struct order *o = &s->order;
	size_t i = s->controller->shutting_down ? o->ended : 0;

	while (i < o->n_dependents && !(is_stopping(o->dependents[i]) && is_live(o->dependents[i])))
		i++;
	if (s->controller->shutting_down)
		o->ended = i;
	return i < o->n_dependents;
}

/* Standbys are given and taken back with the verdict. */
static void take_verdict(struct service *s, enum deps_kind kind)
{
	enum deps_kind before = s->order.kind;

	s->order.kind = kind;
	if (kind == before)
		return;
	if (kind == DEPS_OPEN)
		resume(s);
	for (size_t i = 0; i < s->n_replicas; i++) {
		replica_standby_renew(s->replicas[i]);
		replica_probe_arm(s->replicas[i]); /* its timer gives the next one */
	}
}

struct order_gate order_ask(struct service *s, int64_t now_mono_ms)
{
	struct order_gate g = {.wake_mono_ms = INT64_MAX};
	struct deps_verdict v;

	reaction_look(s);
	g.stop_held = s->order.watched && is_stopping(s) && is_needed(s);
	if (!s->spec || s->spec->depends_on.n == 0 || controller_frozen(s->controller) ||
	    service_task_rests(s)) {
		s->order.kind = DEPS_OPEN;
		s->order.text[0] = '\0';
		return g;
	}
	v = judge(s, now_mono_ms);
	take_verdict(s, v.kind);
	reaction_tell(s);
	if (v.kind == DEPS_OPEN)
		return g;
	hold(s, v.kind);
	g.held = true;
	if (s->order.waiting_mono_ms)
		g.wake_mono_ms = v.wake_mono_ms;
	return g;
}

bool order_holds(const struct service *s, const struct depend_spec *spec)
{
	const struct deps_fact fact = fact_of(controller_find(s->controller, spec->name));

	return deps_holds(spec, &fact);
}

bool order_is_open(const struct service *s)
{
	return s->order.kind == DEPS_OPEN;
}

/* ---- who is told ---- */

static void touch_dependents(struct service *s)
{
	for (size_t i = 0; i < s->order.n_dependents; i++)
		controller_touch(s->order.dependents[i]);
}

static void touch_dependencies(struct service *s)
{
	const struct depend_spec *v = s->spec->depends_on.v;

	for (size_t i = 0; i < s->spec->depends_on.n; i++) {
		struct service *d = controller_find(s->controller, v[i].name);

		if (d)
			controller_touch(d);
	}
}

/* What no running service depends on. */
static void stop_unneeded(struct service *s)
{
	if (s->order.watched && is_needed(s))
		return;
	for (size_t k = 0; k < s->n_replicas; k++)
		if (replica_sm_is_live(s->replicas[k]->state) &&
		    !replica_sm_is_ending(s->replicas[k]->state))
			replica_stop(s->replicas[k], STOP_REMOVE, "shutting_down");
}

/* Only s has changed: so only what it depends on may not be needed any more. */
static void stop_after(struct service *s)
{
	const struct depend_spec *v = s->spec ? s->spec->depends_on.v : NULL;

	stop_unneeded(s);
	for (size_t i = 0; v && i < s->spec->depends_on.n; i++) {
		struct service *d = controller_find(s->controller, v[i].name);

		if (d)
			stop_unneeded(d);
	}
}

void order_settled(struct service *s)
{
	bool depends = s->spec && s->spec->depends_on.n > 0, replaced;
	uint8_t facts;

	if (!s->order.watched && !depends)
		return;
	facts = facts_of(s);
	replaced = reaction_settled(s);
	if (facts == s->order.told && !replaced)
		return;
	if (s->order.watched)
		touch_dependents(s);
	if (depends && (s->order.told & ~facts & FACT_LIVE))
		touch_dependencies(s);
	s->order.told = facts;
	if (s->controller->shutting_down)
		stop_after(s);
}

/* Without memory for it d is not waited for by s when it stops, and does not tell s. */
static void link_dependent(struct service *d, struct service *s)
{
	struct order *o = &d->order;

	o->watched = true;
	if (mem_grow(&o->dependents, &o->cap_dependents, o->n_dependents + 1,
		     sizeof(*o->dependents)) < 0) {
		log_error("service=%s depends on %s, which does not know it: out of memory",
			  s->name, d->name);
		return;
	}
	o->dependents[o->n_dependents++] = s;
}

void order_relink(struct controller *c)
{
	bool ordered = replica_hooks_relink(c) || traffic_is_wanted(c), before = c->ordered;
	struct buf packet = {0};

	for (size_t i = 0; i < c->n_services; i++) {
		struct order *o = &c->services[i]->order;

		o->watched = false;
		o->n_dependents = o->ended = 0;
	}
	for (size_t i = 0; i < c->n_services; i++) {
		struct service *s = c->services[i];
		const struct depend_spec *v = s->spec ? s->spec->depends_on.v : NULL;

		for (size_t k = 0; v && k < s->spec->depends_on.n; k++) {
			struct service *d = controller_find(c, v[k].name);

			if (d)
				link_dependent(d, s);
			controller_touch(s);
			ordered = true;
		}
	}
	if (c->ordered_told && ordered == before)
		return;
	c->ordered = ordered;
	c->ordered_told = true;
	wire_encode_u32(&packet, WIRE_CONTROL,
			ordered ? WIRE_CONTROL_ORDERED : WIRE_CONTROL_UNORDERED);
	link_send(c->link, &packet);
	buf_done(&packet);
}

void order_stop_all(struct controller *c)
{
	for (size_t i = 0; i < c->n_services; i++)
		stop_unneeded(c->services[i]);
}

void order_done(struct order *o)
{
	mem_free(o->dependents);
	*o = (struct order){0};
}
