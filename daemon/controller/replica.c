/*
 * replica: see replica.h. replica_post() is the single writer of `state`: it logs, publishes the event,
 * marks the note and the service dirty. Events raised inside an action are queued, never recursive.
 */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/replica.h"

#include <errno.h>
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/identity.h"
#include "daemon/controller/exec.h"
#include "daemon/controller/exits.h"
#include "daemon/controller/journal.h"
#include "daemon/controller/launch.h"
#include "daemon/controller/link.h"
#include "daemon/controller/replica_cgroup.h"
#include "daemon/controller/replica_exit.h"
#include "daemon/controller/replica_hooks.h"
#include "daemon/controller/replica_logs.h"
#include "daemon/controller/replica_note.h"
#include "daemon/controller/replica_own.h"
#include "daemon/controller/replica_ports.h"
#include "daemon/controller/replica_probe.h"
#include "daemon/controller/replica_push.h"
#include "daemon/controller/replica_reload.h"
#include "daemon/controller/replica_standby.h"
#include "daemon/controller/replica_unit.h"
#include "daemon/controller/service.h"
#include "daemon/controller/service_rollout.h"
#include "daemon/controller/service_task.h"
#include "daemon/controller/service_zero.h"
#include "daemon/controller/store.h"
#include "daemon/controller/strangers.h"
#include "daemon/controller/task.h"
#include "daemon/controller/traffic.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/parse.h"
#include "lib/point.h"

#define REASON_GIVEN_UP "dependency_timeout"
#define SPAWN_FAILED_MS 1000 /* before the next attempt at least */

struct replica *replica_new(struct service *s, unsigned index)
{
	struct replica *r = mem_alloc(sizeof(*r));

	if (!r)
		return NULL;
	r->service = s;
	r->index = index;
	r->reason = "not_started";
	r->stop_cause = "unknown";
	r->since_wall_ms = clock_wall_ms();
	return r;
}

static void free_memory(struct replica *r)
{
	replica_probe_free(r);
	policy_reset(&r->policy);
	mem_free(r->ports);
	reaction_done(&r->reaction);
	replica_push_free(r);
	replica_unit_free(r);
	mem_free(r->traffic);
	mem_free(r->stranger);
	mem_free(r->message);
	mem_free(r->limits_failed);
	mem_free(r->log_fault);
	mem_free(r->reload_failure);
	mem_free(r->failed_hook);
	mem_free(r->timer);
	mem_free(r);
}

static void on_closed(uv_handle_t *h)
{
	free_memory(h->data);
}

uv_timer_t *replica_timer(struct replica *r)
{
	if (r->timer)
		return r->timer;
	r->timer = mem_alloc(sizeof(*r->timer));
	if (!r->timer)
		return NULL;
	uv_timer_init(r->service->controller->loop, r->timer);
	r->timer->data = r;
	return r->timer;
}

static void take(struct replica *r, const struct service_good *run)
{
	struct spec_source *old = r->source;
	struct identity *former = r->identity;

	r->source = run->source ? service_source_ref(run->source) : NULL;
	r->spec = run->spec;
	r->spec_hash = run->hash;
	r->identity = run->identity ? identity_ref(run->identity) : NULL;
	service_source_unref(old);
	identity_unref(former);
}

void replica_take_spec(struct replica *r)
{
	const struct service *s = r->service;

	take(r,
	     &(struct service_good){s->source, s->spec, s->identity, s->revision, s->launch_hash});
}

void replica_find_spec(struct replica *r)
{
	const struct service_good *good =
		replica_is_current(r) ? NULL : service_rollout_good(r->service, r->launch_hash);

	if (good)
		take(r, good);
	else
		replica_take_spec(r);
}

bool replica_take_good(struct replica *r)
{
	const struct service_good *good = service_rollout_growable(r->service);

	if (!good)
		return false;
	take(r, good);
	r->launch_hash = good->hash;
	r->revision = good->revision;
	return true;
}

void replica_free(struct replica *r)
{
	service_source_unref(r->source);
	identity_unref(r->identity);
	replica_hooks_free(r);
	replica_reload_cancel(r);
	replica_probe_end(r);
	replica_ports_release(r);
	r->closing = true;
	if (replica_timer(r)) /* whoever called us may still look at it */
		uv_close((uv_handle_t *)r->timer, on_closed);
	else
		free_memory(r);
}

const char *replica_message(const struct replica *r)
{
	return r->message ? r->message : "";
}

bool replica_is_current(const struct replica *r)
{
	return r->launch_hash == r->service->launch_hash;
}

bool replica_is_restorable(const struct replica *r)
{
	const struct service_spec *now = r->service->spec;

	/* aictld has the present secrets only */
	return r->spec && now && !replica_is_current(r) && r->spec_hash == r->launch_hash &&
	       r->spec->secrets_generation == now->secrets_generation;
}

int64_t replica_next_attempt_wall_ms(const struct replica *r)
{
	if (r->state != REPLICA_BACKOFF)
		return 0;
	/* shown in whole seconds: rather a bit late than "now" while it still waits */
	return clock_wall_ms() + r->next_at_mono_ms - clock_mono_ms() + 999;
}

struct wire_key replica_key(const struct replica *r)
{
	struct wire_key key = {.index = r->index};

	memccpy(key.service, r->service->name, '\0', sizeof(key.service));
	memcpy(key.incarnation, r->incarnation, sizeof(key.incarnation));
	return key;
}

void replica_say(struct replica *r, const char *reason, const char *fmt, ...)
{
	char message[REPLICA_MESSAGE_MAX];
	va_list ap;

	r->reason = reason;
	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	mem_free(r->message);
	r->message = mem_strdup(message);
}

void replica_publish(const struct replica *r, const char *type, const char *from, const char *cause,
		     const char *to)
{
	struct journal_entry *e = journal_next(r->service->controller->journal);

	memccpy(e->service, r->service->name, '\0', sizeof(e->service) - 1);
	e->replica = (int32_t)r->index;
	e->type = type;
	e->reason = r->reason;
	e->from = from;
	e->cause = cause;
	e->to = to;
	memccpy(e->message, replica_message(r), '\0', sizeof(e->message) - 1);
}

void replica_flush_note(struct replica *r)
{
	struct controller *c = r->service->controller;
	struct wire_key key = replica_key(r);

	if (!r->note_dirty)
		return;
	r->note_dirty = false;
	buf_clear(&c->note);
	buf_clear(&c->packet);
	replica_note_encode(r, &c->note);
	if (c->note.failed) {
		log_warn("replica=%s/%u note does not fit, ignoring", key.service, key.index);
		return;
	}
	wire_encode_note(&c->packet, &key, (const uint8_t *)buf_cstr(&c->note),
			 (uint32_t)c->note.len);
	link_send(c->link, &c->packet);
	POINT("controller.ack.note_sent");
}

struct replica_last_exit replica_last_exit(const struct replica_exit *x)
{
	return (struct replica_last_exit){x->cause, x->at_wall_ms, x->code, x->signal};
}

void replica_start_failed(struct replica *r, const char *cause, const char *message)
{
	const struct policy_end end = {.now_mono_ms = clock_mono_ms(),
				       .random = controller_random(r->service->controller)};

	replica_say(r, "spawn_failed", "cannot start: %s", message);
	r->decision = task_after_end(r->service->spec, &r->policy, &end);
	if (r->decision.delay_ms < SPAWN_FAILED_MS) /* it would fail again at once, for ever */
		r->decision.next_at_mono_ms = clock_add(end.now_mono_ms, SPAWN_FAILED_MS);
	r->last_exit = (struct replica_last_exit){
		.code = -1, .cause = cause, .at_wall_ms = clock_wall_ms()};
	replica_post(r, REPLICA_EV_SPAWN_FAILED);
}

/* It never ran: as an end, by the policy. */
void replica_spawn_failed(struct replica *r, const char *message)
{
	replica_start_failed(r, "start", message);
}

/* What of the last process does not hold for the next one. */
static void begin_incarnation(struct replica *r)
{
	r->pid = 0;
	r->frozen = r->freeze_asked = r->freeze_failed = false;
	r->freeze_request = 0;
	r->recycle = NULL;
	r->in_place = false;
	r->ready_mono_ms = 0;
	r->condemned_mono_ms = 0;
	r->above_until_mono_ms = 0;
	r->gave_up = false;
	r->started_wall_ms = clock_wall_ms();
	r->next_at_mono_ms = 0;
	health_end(&r->health);
	replica_push_begin(r);
	replica_unit_begin(r);
	traffic_forget(r);
	strangers_forget(r);
	reaction_begun(r);
}

/* What the process and the hooks before it run as. */
static void prepare_spawn(struct replica *r)
{
	/* What aictld still says of the last process is not about this start. */
	controller_new_incarnation(r->service->controller, r->incarnation, r->incarnation);
	if (!r->as_before) {
		replica_take_spec(r);
		r->launch_hash = r->service->launch_hash;
		r->revision = r->service->revision;
	}
	if (replica_ports_take(r) < 0) {
		replica_spawn_failed(r, "no free port in the daemon's --port-range: widen it (an "
					"update needs none with update.order: stop-first)");
		return;
	}
	if (!replica_hooks_before_start(r))
		replica_spawn_prepared(r);
}

void replica_spawn_prepared(struct replica *r)
{
	struct controller *c = r->service->controller;
	_cleanup_err_ struct err *err = NULL;

	r->attempt_ran = true;
	secrets_retry(r->service);
	replica_reload_started(r);
	buf_clear(&c->note);
	buf_clear(&c->packet);
	replica_note_encode(r, &c->note);
	if (launch_encode(c, r, false, &c->note, &c->packet, &err) < 0) {
		replica_spawn_failed(r, err_msg(err));
		return;
	}
	r->note_dirty = false;
	POINT("controller.spawn.sending");
	link_send(c->link, &c->packet);
	POINT("controller.spawn.sent");
	replica_unit_asked(r);
}

/* Starts the next process, or takes over what aictld has started already. */
static void spawn(struct replica *r)
{
	begin_incarnation(r);
	r->attempt = true;
	r->attempt_ran = r->standby_used;
	if (!r->standby_used) {
		prepare_spawn(r);
		return;
	}
	r->standby_used = false;
	memcpy(r->incarnation, r->standby, sizeof(r->incarnation));
	r->launch_hash = r->standby_hash;
	r->secrets_read = r->standby_secrets;
	replica_find_spec(r);
	r->revision = r->standby_revision;
	r->standby[0] = '\0';
	replica_cgroup_send_limits(r); /* it may be older than they are */
	replica_logs_send(r);
}

void replica_send_stop(struct replica *r)
{
	struct wire_stop stop = {.key = replica_key(r), .grace_ms = -1};
	_cleanup_buf_ struct buf packet = {0};

	if (r->spec) {
		stop.signal = (int32_t)r->spec->stop_signal;
		stop.grace_ms = replica_hooks_grace(r);
	}
	replica_probe_end(r);
	r->standby[0] = '\0'; /* a STOP drops it */
	wire_encode_stop(&packet, &stop);
	POINT("controller.exit.stopping");
	link_send(r->service->controller->link, &packet);
	POINT("controller.exit.stop_sent");
}

/* What an action needs besides the table: how long it had been ready, when it is due again. */
static void enter_state(struct replica *r, enum replica_state from)
{
	int64_t now = clock_mono_ms();

	if (r->state == REPLICA_READY && r->ready_mono_ms == 0) {
		r->ready_mono_ms = now;
		if (r->health.begun_mono_ms)
			r->start_ms =
				now > r->health.begun_mono_ms ? now - r->health.begun_mono_ms : 1;
		service_zero_started(r->service, r->start_ms);
	}
	if (r->state == REPLICA_READY)
		replica_push_ready(r);
	if (r->state == REPLICA_DRAINING) {
		replica_probe_end(r);
		r->standby[0] = '\0'; /* nobody starts anything now */
		replica_standby_off(r);
		traffic_drain(r);
	}
	if (replica_sm_is_ending(r->state))
		strangers_forget(r); /* it is asked no more, whoever listens */
	if (r->state == REPLICA_STOPPING) {
		r->stopping_mono_ms = now;
		r->frozen = false; /* the STOP thaws it */
	} else if (from == REPLICA_STOPPING && r->stopping_mono_ms)
		r->stop_ms = now > r->stopping_mono_ms ? now - r->stopping_mono_ms : 1;
	if (r->state == REPLICA_BACKOFF)
		r->next_at_mono_ms = r->decision.next_at_mono_ms;
	if (!replica_sm_is_live(r->state)) {
		replica_probe_end(r);
		replica_reload_cancel(r);
		strangers_forget(r);
		r->pid = 0;
		r->frozen = false;
		if (replica_sm_is_live(from))
			replica_hooks_after_end(r);
	}
}

/* A start that nobody asked for, after an end. */
static bool is_automatic(const struct replica *r, enum replica_state from)
{
	bool again =
		from == REPLICA_BACKOFF || (from == REPLICA_WAITING && r->last_exit.at_wall_ms);

	return again && !r->recycle && !r->uncounted;
}

static void step(struct replica *r, enum replica_event event)
{
	const struct replica_sm_in in = {.verdict = r->decision.verdict,
					 .intent = r->intent,
					 .drains = event == REPLICA_EV_STOP && traffic_drains(r)};
	enum replica_state from = r->state;
	struct replica_sm_out out;

	if (event == REPLICA_EV_HEALTHY && strangers_hold(r))
		return; /* comes again when it may */
	out = replica_sm_step(from, event, &in);

	if (out.bug)
		log_error("replica=%s/%u state=%s event=%s cannot happen", r->service->name,
			  r->index, replica_sm_state_name(from), replica_sm_event_name(event));
	if (!out.handled)
		return;
	r->state = out.to;
	r->note_dirty = true;
	if (out.to != from) {
		r->since_wall_ms = clock_wall_ms();
		enter_state(r, from);
		replica_publish(r, "state", replica_sm_state_name(from),
				replica_sm_event_name(event), replica_sm_state_name(out.to));
	}
	if (out.action == REPLICA_ACT_SPAWN) {
		if (is_automatic(r, from) && r->restarts < UINT32_MAX)
			r->restarts++;
		r->uncounted = false;
		spawn(r);
	} else if (out.action == REPLICA_ACT_STOP) {
		if (!replica_hooks_before_stop(r))
			replica_send_stop(r);
	} else if (out.action == REPLICA_ACT_PROBE && r->spec) {
		replica_hooks_after_start(r);
		replica_probe_begin(r);
	}
	controller_touch(r->service);
}

void replica_post(struct replica *r, enum replica_event event)
{
	assert(r->n_queued < sizeof(r->queue));
	r->queue[r->n_queued++] = (uint8_t)event;
	if (r->posting)
		return;
	r->posting = true;
	while (r->n_queued > 0) {
		event = (enum replica_event)r->queue[0];
		memmove(r->queue, r->queue + 1, --r->n_queued);
		step(r, event);
	}
	r->posting = false;
}

void replica_recycle(struct replica *r, const char *reason, bool in_place)
{
	if (r->recycle && strcmp(r->recycle, "user_restart") == 0 &&
	    (strcmp(reason, "user_restart") != 0 || !in_place)) /* --now is more than without */
		return;
	r->recycle = reason;
	r->in_place = in_place;
	r->note_dirty = true;
	controller_touch(r->service);
}

void replica_start(struct replica *r, bool as_before)
{
	bool user = r->recycle && strcmp(r->recycle, "user_restart") == 0;

	r->as_before = as_before;
	if (user || (!replica_is_current(r) && !as_before)) { /* the user's doing: nothing of the
								 past counts */
		policy_reset(&r->policy);
		if (user)
			r->restarts = 0;
	}
	replica_say(r, "spawning", "%s", r->last_exit.cause ? "starting again" : "starting");
	replica_post(r, REPLICA_EV_START);
}

void replica_wait(struct replica *r)
{
	if (service_task_rests(r->service))
		replica_say(r, "scheduled", "has not run yet");
	else
		replica_say(r, "waiting_dependency", "%s", r->service->order.text);
	replica_post(r, REPLICA_EV_WAIT);
}

void replica_held(struct replica *r, const char *text, bool give_up)
{
	if (strcmp(replica_message(r), text) != 0)
		replica_say(r, "waiting_dependency", "%s", text);
	if (!give_up)
		return;
	r->reason = REASON_GIVEN_UP;
	r->gave_up = true;
	r->recycle = NULL; /* else it would wait, and give up, again and again */
	r->in_place = false;
	replica_post(r, REPLICA_EV_GIVE_UP);
}

void replica_restore_given_up(struct replica *r)
{
	replica_say(r, REASON_GIVEN_UP, "what it depends on was not there in time");
}

bool replica_has_given_up(const struct replica *r)
{
	return r->state == REPLICA_FAILED && r->gave_up;
}

void replica_signal(struct replica *r, int signal)
{
	struct controller *c = r->service->controller;
	struct wire_key key = replica_key(r);

	if (!r->pid)
		return;
	buf_clear(&c->packet);
	wire_encode_signal(&c->packet, &key, signal);
	link_send(c->link, &c->packet);
}

void replica_reset(struct replica *r)
{
	policy_reset(&r->policy);
	r->service->forgiven_wall_ms = clock_wall_ms();
	r->restarts = 0;
	r->note_dirty = true;
	if (r->state == REPLICA_BACKOFF || r->state == REPLICA_FAILED ||
	    (r->state == REPLICA_STOPPING && r->intent == STOP_HEAL)) /* it will be one of them */
		replica_recycle(r, "user_restart", false);
	replica_standby_renew(r);
}

static const char *stop_cause(const char *reason)
{
	static const char *const causes[][2] = {{"manifest_changed", "update"},
						{"rolled_back", "rollback"},
						{"scale_down", "scale"},
						{"deleted", "delete"},
						{"user_stop", "user"},
						{"user_restart", "user"},
						{"max_age", "max_age"},
						{"memory", "memory"},
						{"dependency", "dependency"},
						{"shutting_down", "shutdown"},
						{"idle", "scale"}};

	for (size_t i = 0; i < ARRAY_SIZE(causes); i++)
		if (strcmp(reason, causes[i][0]) == 0)
			return causes[i][1];
	return "unknown";
}

void replica_stop(struct replica *r, enum stop_intent intent, const char *reason)
{
	const struct service *s = r->service;

	r->intent = intent;
	if (strcmp(reason, "manifest_changed") == 0 && service_rollout_is_back(s))
		reason = "rolled_back";
	r->stop_cause = stop_cause(reason);
	if (strcmp(reason, "rolled_back") == 0)
		replica_say(r, reason, "%s",
			    service_rollout_message(s) ? service_rollout_message(s)
						       : "rolled back");
	else if (strcmp(reason, "max_age") == 0)
		replica_say(r, reason, "recycled: max_age");
	else if (strcmp(reason, "memory") == 0)
		replica_say(r, reason, "recycled: it uses more than restart.max_memory");
	else if (strcmp(reason, "dependency") == 0)
		replica_say(r, reason, "recycled: a dependency was restarted");
	else if (strcmp(reason, "manifest_changed") == 0)
		replica_say(r, reason, "manifest changed: %s", s->changed_keys);
	else if (strcmp(reason, "scale_down") == 0)
		replica_say(r, reason, "scaled to %u", service_desired(s));
	else if (strcmp(reason, "idle") == 0)
		replica_say(r, reason, "no request for a while: to zero");
	else if (strcmp(reason, "deleted") == 0)
		replica_say(r, reason, "service deleted");
	else if (strcmp(reason, "shutting_down") == 0)
		replica_say(r, reason, "the daemon is shutting down");
	else
		replica_say(r, reason, "user: %s",
			    strcmp(reason, "user_restart") == 0 ? "restart" : "stop");
	replica_post(r, REPLICA_EV_STOP);
}

/* Liveness or the start's stall: the stop heals it. The back-off counts from now, not from the end
 * of the stop. */
void replica_condemn(struct replica *r, const char *cause)
{
	struct policy_end end = {.now_mono_ms = clock_mono_ms(),
				 .random = controller_random(r->service->controller)};

	end.ready_ms = r->ready_mono_ms ? end.now_mono_ms - r->ready_mono_ms : 0;
	if (r->state == REPLICA_DRAINING) { /* it is to end anyway: only sooner */
		replica_post(r, REPLICA_EV_CONDEMNED);
		return;
	}
	r->condemned_mono_ms = end.now_mono_ms;
	r->intent = STOP_HEAL;
	r->stop_cause = cause;
	r->decision = task_after_end(r->service->spec, &r->policy, &end);
	replica_post(r, REPLICA_EV_CONDEMNED);
}

/* What would have ended its start. Borrowed. */
static const char *awaited(const struct replica *r)
{
	const char *said = replica_probe_said(r, PROBE_STARTUP);

	if (!probe_spec_polls(&r->spec->probes[PROBE_STARTUP]))
		return "it has not said that it is ready";
	return *said ? said : "the startup probe has not run";
}

void replica_verdict(struct replica *r, enum health_verdict v, enum probe_kind kind)
{
	const struct probe_spec *spec = &r->spec->probes[kind];
	const struct health_probe *h = &r->health.probes[kind];
	const char *said = replica_probe_said(r, kind);
	const char *name = replica_probe_kind_name(kind);

	switch (v) {
	case HEALTH_NONE:
		break;
	case HEALTH_READY:
		if (replica_hooks_hold(r)) {
			replica_say(r, "post_start", "post_start runs");
			break;
		}
		if (probe_spec_polls(&r->spec->probes[PROBE_READINESS]))
			replica_say(r, "probe_passed", "readiness probe passed");
		else if (r->spec->probes[PROBE_WARMUP].enabled)
			replica_say(r, "probe_passed", "warm-up passed");
		else if (probe_spec_polls(&r->spec->probes[PROBE_STARTUP]))
			replica_say(r, "probe_passed", "startup probe passed");
		else
			replica_say(r, "started", "running");
		replica_post(r, REPLICA_EV_HEALTHY);
		break;
	case HEALTH_UNREADY:
		replica_say(r, "probe_failed", "%s probe failed %u/%lld: %s", name, h->failures,
			    (long long)spec->failure_threshold, said);
		replica_post(r, REPLICA_EV_UNHEALTHY);
		break;
	case HEALTH_DEAD:
		replica_say(r, "probe_failed", "%s probe failed %u/%lld: %s", name, h->failures,
			    (long long)spec->failure_threshold, said);
		replica_condemn(r, "probe");
		break;
	case HEALTH_STALLED:
		replica_say(r, "stalled", "no progress for %llds: %s",
			    (long long)spec->stall_ms / 1000, awaited(r));
		replica_condemn(r, "stall");
		break;
	case HEALTH_LATE:
		replica_say(r, "stalled", "not started within %llds: %s",
			    (long long)spec->deadline_ms / 1000, awaited(r));
		replica_condemn(r, "timeout");
		break;
	}
}

void replica_restore_end(struct replica *r, enum replica_state state, const struct replica_exit *x)
{
	r->state = state;
	r->since_wall_ms = x->at_wall_ms;
	r->started_wall_ms = x->started_wall_ms;
	r->revision = r->service->revision;
	r->last_exit = replica_last_exit(x);
	if (x->signal)
		replica_say(r, "signaled", "signal %d, before the daemon started", x->signal);
	else
		replica_say(r, "exited", "exit code %d, before the daemon started", x->code);
}

void replica_take_over(struct replica *r)
{
	replica_take_spec(r);
	replica_cgroup_send_limits(r);
	replica_logs_send(r);
	r->note_dirty = true;
	if (r->pid && !replica_sm_is_ending(r->state))
		replica_probe_resume(r);
}

void replica_respec(struct replica *r)
{
	replica_take_spec(r);
	replica_cgroup_send_limits(r);
	r->revision = r->service->revision;
	replica_logs_send(r);
	r->note_dirty = true;
	replica_probe_respec(r);
	if (r->spec && replica_hooks_need_us(r->spec)) /* they may be new */
		replica_standby_renew(r);
}
