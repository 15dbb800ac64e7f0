/* service: see service.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/service.h"

#include <string.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/exits.h"
#include "daemon/controller/hold.h"
#include "daemon/controller/identity.h"
#include "daemon/controller/link.h"
#include "daemon/controller/order.h"
#include "daemon/controller/plan.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/recycle.h"
#include "daemon/controller/replica_cgroup.h"
#include "daemon/controller/replica_hooks.h"
#include "daemon/controller/replica_reload.h"
#include "daemon/controller/replica_unit.h"
#include "daemon/controller/service_rollout.h"
#include "daemon/controller/service_scale.h"
#include "daemon/controller/service_task.h"
#include "daemon/controller/service_zero.h"
#include "daemon/controller/traffic.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/manifest.h"
#include "lib/mem.h"

#define ROUNDS_MAX 100

static void on_timer(uv_timer_t *timer)
{
	controller_touch(timer->data);
}

struct service *service_new(struct controller *c, const char *name, const char *set)
{
	struct service *s = mem_alloc(sizeof(*s));

	if (!s)
		return NULL;
	s->controller = c;
	s->name = mem_strdup(name);
	s->set = mem_strdup(set);
	s->exits = mem_alloc(sizeof(*s->exits));
	s->replicas_override = -1;
	s->updated_wall_ms = clock_wall_ms();
	if (!s->name || !s->set || !s->exits) {
		mem_free(s->exits);
		mem_free(s->name);
		mem_free(s->set);
		mem_free(s);
		return NULL;
	}
	uv_timer_init(c->loop, &s->timer);
	s->timer.data = s;
	return s;
}

static void on_closed(uv_handle_t *h)
{
	mem_free(h->data);
}

void service_free(struct service *s)
{
	for (size_t i = 0; i < s->n_replicas; i++)
		replica_free(s->replicas[i]);
	s->n_replicas = 0;
	mem_free(s->replicas);
	service_source_unref(s->source);
	identity_unref(s->identity);
	service_rollout_free(s->rollout);
	order_done(&s->order);
	service_scale_free(s);
	mem_free(s->task);
	mem_free(s->zero);
	mem_free(s->exits);
	mem_free(s->name);
	mem_free(s->set);
	s->closing = true;
	uv_close((uv_handle_t *)&s->timer, on_closed);
}

struct spec_source *service_source_new(struct manifest *m, char *json)
{
	struct spec_source *src = mem_alloc(sizeof(*src));

	if (src)
		*src = (struct spec_source){.refs = 1, .manifest = m, .json = json};
	return src;
}

struct spec_source *service_source_ref(struct spec_source *src)
{
	src->refs++;
	return src;
}

void service_source_unref(struct spec_source *src)
{
	if (!src || --src->refs > 0)
		return;
	manifest_free(src->manifest);
	mem_free(src->json);
	mem_free(src);
}

void service_set_spec(struct service *s, struct spec_source *src, const struct service_spec *spec,
		      struct identity *id)
{
	const struct service_spec *before = s->spec;
	struct spec_source *old = s->source;

	identity_unref(s->identity);
	s->source = service_source_ref(src);
	s->spec = spec;
	s->identity = id;
	s->launch_hash = service_spec_hash(spec);
	service_task_respec(s, before);
	service_scale_respec(s, before);
	service_zero_respec(s, before);
	traffic_respec(s);
	service_source_unref(old); /* before is in it */
	secrets_send(s);
}

unsigned service_desired(const struct service *s)
{
	if (s->stopped || s->deleted || !s->spec)
		return 0;
	if (s->replicas_override >= 0)
		return (unsigned)s->replicas_override;
	return service_zero_bound(s, service_scale_number(s));
}

unsigned service_ready(const struct service *s)
{
	unsigned n = 0;

	for (size_t i = 0; i < s->n_replicas; i++)
		n += replica_unit_shown(s->replicas[i]) == REPLICA_READY && !s->replicas[i]->frozen;
	return n;
}

bool service_has_frozen(const struct service *s)
{
	for (size_t i = 0; i < s->n_replicas; i++)
		if (s->replicas[i]->frozen)
			return true;
	return false;
}

static unsigned count(const struct service *s, enum replica_state state)
{
	unsigned n = 0;

	for (size_t i = 0; i < s->n_replicas; i++)
		n += replica_unit_shown(s->replicas[i]) == state;
	return n;
}

static bool is_outdated(const struct replica *r)
{
	return r->recycle || !(replica_is_current(r) || service_task_keeps(r->service));
}

static bool any_outdated(const struct service *s)
{
	for (size_t i = 0; i < s->n_replicas; i++)
		if (is_outdated(s->replicas[i]))
			return true;
	return false;
}

enum service_state service_state(const struct service *s)
{
	unsigned desired = service_desired(s), ready = service_ready(s);

	if (s->left_alone)
		return SERVICE_UNKNOWN;
	if (desired == 0 && s->n_replicas > 0)
		return SERVICE_STOPPING;
	if (desired == 0)
		return service_zero_is_asleep(s) ? SERVICE_IDLE : SERVICE_STOPPED;
	if (any_outdated(s))
		return SERVICE_UPDATING;
	if (s->task && s->task->due && !service_task_is_active(s))
		return count(s, REPLICA_WAITING) ? SERVICE_WAITING : SERVICE_PENDING;
	if (ready == desired && s->n_replicas == desired)
		return SERVICE_READY;
	if (count(s, REPLICA_SUCCEEDED) == desired)
		return SERVICE_SUCCEEDED;
	if (count(s, REPLICA_FAILED) == desired)
		return SERVICE_FAILED;
	if (count(s, REPLICA_UNKNOWN) == desired)
		return SERVICE_UNKNOWN;
	if (count(s, REPLICA_FAILED) || count(s, REPLICA_BACKOFF) || count(s, REPLICA_UNREADY) ||
	    count(s, REPLICA_DRAINING) || count(s, REPLICA_STOPPING) || count(s, REPLICA_UNKNOWN) ||
	    service_has_frozen(s))
		return SERVICE_DEGRADED;
	if (ready || count(s, REPLICA_STARTING))
		return SERVICE_STARTING;
	return count(s, REPLICA_WAITING) ? SERVICE_WAITING : SERVICE_PENDING;
}

const char *service_state_name(enum service_state s)
{
	static const char *const names[] = {"pending",	"waiting",   "starting", "ready",
					    "degraded", "updating",  "stopping", "stopped",
					    "failed",	"succeeded", "unknown",	 "idle"};

	return (unsigned)s < SERVICE_STATE_MAX_ ? names[s] : "unknown";
}

/* The most telling replica's sentence: the first that is not ready. */
const char *service_message(const struct service *s)
{
	if (s->left_alone)
		return "its manifest is lost: left alone until it is applied again";
	if (s->stopped)
		return "stopped by the user";
	if (service_zero_is_asleep(s) && s->n_replicas == 0)
		return service_zero_message(s);
	if (!order_is_open(s) && any_outdated(s))
		return s->order.text;
	if (service_rollout_message(s))
		return service_rollout_message(s);
	for (size_t i = 0; i < s->n_replicas; i++)
		if (replica_unit_is_lost(s->replicas[i]))
			return replica_unit_why_lost(s->replicas[i]);
	for (size_t i = 0; i < s->n_replicas; i++)
		if (s->replicas[i]->state != REPLICA_READY && !s->replicas[i]->frozen)
			return replica_message(s->replicas[i]);
	return service_has_frozen(s) ? REPLICA_CGROUP_MESSAGE : "";
}

struct replica *service_replica(const struct service *s, unsigned index)
{
	for (size_t i = 0; i < s->n_replicas; i++) /* index == position in all but the odd case */
		if (s->replicas[(i + index) % s->n_replicas]->index == index)
			return s->replicas[(i + index) % s->n_replicas];
	return NULL;
}

struct replica *service_add_replica(struct service *s, unsigned index)
{
	struct replica *r;
	size_t at = s->n_replicas;

	if (mem_grow(&s->replicas, &s->cap_replicas, s->n_replicas + 1, sizeof(*s->replicas)) < 0)
		return NULL;
	r = replica_new(s, index);
	if (!r)
		return NULL;
	r->launch_hash = s->launch_hash;
	while (at > 0 && s->replicas[at - 1]->index > index) {
		s->replicas[at] = s->replicas[at - 1];
		at--;
	}
	s->replicas[at] = r;
	s->n_replicas++;
	return r;
}

/* aictld may forget the slot as well. */
static void remove_replica(struct service *s, unsigned index)
{
	struct wire_key key = {.index = index};
	_cleanup_buf_ struct buf packet = {0};

	for (size_t i = 0; i < s->n_replicas; i++) {
		if (s->replicas[i]->index != index)
			continue;
		order_removed(s, s->replicas[i]);
		memccpy(key.service, s->name, '\0', sizeof(key.service));
		memcpy(key.incarnation, s->replicas[i]->incarnation, sizeof(key.incarnation));
		wire_encode_key(&packet, WIRE_RELEASE, &key);
		link_send(s->controller->link, &packet);
		replica_free(s->replicas[i]);
		memmove(&s->replicas[i], &s->replicas[i + 1],
			(s->n_replicas - i - 1) * sizeof(s->replicas[0]));
		s->n_replicas--;
		return;
	}
}

static void start(struct replica *r, bool as_before)
{
	if (as_before && r->state != REPLICA_BACKOFF) /* an index that was free */
		as_before = replica_take_good(r);
	replica_start(r, as_before);
}

static void perform(struct service *s, const struct plan_action *a)
{
	struct replica *r = service_replica(s, a->index);

	switch (a->kind) {
	case PLAN_START:
		if (!r)
			r = service_add_replica(s, a->index);
		if (r)
			start(r, a->as_before);
		else
			log_error("service=%s replica %u is not started: out of memory", s->name,
				  a->index);
		break;
	case PLAN_STOP:
		if (r)
			replica_stop(r, a->intent, a->reason);
		break;
	case PLAN_REMOVE:
		remove_replica(s, a->index);
		break;
	case PLAN_WAIT:
		if (!r)
			r = service_add_replica(s, a->index);
		if (r)
			replica_wait(r);
		break;
	}
}

static void arm(struct service *s, int64_t wake_mono_ms)
{
	int64_t now = clock_mono_ms();

	if (wake_mono_ms == INT64_MAX) {
		uv_timer_stop(&s->timer);
		return;
	}
	uv_update_time(s->controller->loop);
	uv_timer_start(&s->timer, on_timer, wake_mono_ms > now ? (uint64_t)(wake_mono_ms - now) : 0,
		       0);
}

/* One round: what plan says now. Returns the number of actions performed. */
static size_t plan_round(struct service *s, int64_t *wake_mono_ms)
{
	const int64_t now = clock_mono_ms();
	struct plan_desired desired = {.replicas = service_desired(s),
				       .stopped = s->stopped,
				       .idle = service_zero_is_asleep(s),
				       .deleted = s->deleted || !s->spec,
				       .frozen = s->left_alone || controller_frozen(s->controller),
				       .update = service_rollout_bounds(s)};
	_cleanup_free_ struct plan_replica *seen = mem_array(s->n_replicas, sizeof(*seen));
	struct plan_action actions[PLAN_ACTIONS_MAX];
	struct plan_result result;
	int64_t task_wake = service_task_ask(s, &desired, now);
	/* after it: a run that is due now waits for what it depends on */
	const struct order_gate gate = order_ask(s, now);
	const bool canary = desired.update.canaries > 0; /* what is to be recycled waits */

	desired.held = gate.held;
	desired.stop_held = gate.stop_held;
	*wake_mono_ms = INT64_MAX;
	if (!seen)
		return 0;
	for (size_t i = 0; i < s->n_replicas; i++) {
		const struct replica *r = s->replicas[i];

		seen[i] = (struct plan_replica){.index = r->index,
						.state = r->state,
						.current = replica_is_current(r) ||
							   service_task_keeps(s),
						.busy = r->hooks || service_task_has_begun(s, r),
						.restorable = replica_is_restorable(r),
						.good = service_rollout_good(s, r->launch_hash),
						.intent = r->intent,
						.recycle = canary ? NULL : r->recycle,
						.in_place = !canary && r->in_place,
						.next_at_mono_ms = r->next_at_mono_ms,
						.ready_mono_ms = r->ready_mono_ms};
	}
	result = plan_step(&desired, seen, s->n_replicas, now, actions, PLAN_ACTIONS_MAX);
	for (size_t i = 0; i < result.n_actions; i++)
		perform(s, &actions[i]);
	*wake_mono_ms =
		result.wake_mono_ms < gate.wake_mono_ms ? result.wake_mono_ms : gate.wake_mono_ms;
	if (task_wake < *wake_mono_ms)
		*wake_mono_ms = task_wake;
	return result.n_actions;
}

bool service_settle(struct service *s)
{
	int64_t wake = INT64_MAX, rollout_wake, age_wake = INT64_MAX, zero_wake = INT64_MAX;
	int rounds = 0;

	for (size_t i = 0; i < s->n_replicas; i++)
		replica_hooks_resume(s->replicas[i]); /* safe mode may be over */
	recycle_settle(s, &age_wake);
	service_scale_settle(s, &age_wake);
	service_zero_step(s, &zero_wake);
	do { /* a rollout may end by what the plan has just done */
		rollout_wake = INT64_MAX;
		service_rollout_step(s, &rollout_wake);
		while (rounds < ROUNDS_MAX && plan_round(s, &wake) > 0)
			rounds++;
		rollout_wake = INT64_MAX;
	} while (rounds++ < ROUNDS_MAX && service_rollout_step(s, &rollout_wake));
	service_task_settled(s);
	wake = wake < age_wake ? wake : age_wake;
	hold_settle(s, &wake);
	wake = wake < zero_wake ? wake : zero_wake;
	arm(s, wake < rollout_wake ? wake : rollout_wake);
	for (size_t i = 0; i < s->n_replicas; i++)
		replica_flush_note(s->replicas[i]);
	secrets_settle(s);
	replica_reload_settle(s);
	order_settled(s);
	return (s->deleted || (!s->spec && !s->left_alone)) && s->n_replicas == 0;
}

bool service_is_settled(const struct service *s)
{
	unsigned desired = service_desired(s), good = 0;

	if (s->n_replicas != desired || any_outdated(s))
		return false;
	if (service_task_is(s))
		return service_task_is_settled(s);
	for (size_t i = 0; i < s->n_replicas; i++)
		good += s->replicas[i]->state == REPLICA_READY ||
			s->replicas[i]->state == REPLICA_SUCCEEDED;
	return good == desired;
}
