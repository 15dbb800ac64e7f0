/*
 * replica: see replica.h. post() is the single writer of `state`: it logs, publishes the event,
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
#include "daemon/controller/replica_note.h"
#include "daemon/controller/replica_ports.h"
#include "daemon/controller/replica_probe.h"
#include "daemon/controller/service.h"
#include "daemon/controller/store.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/parse.h"
#include "lib/point.h"

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
	uv_timer_init(s->controller->loop, &r->timer);
	r->timer.data = r;
	return r;
}

static void on_closed(uv_handle_t *h)
{
	struct replica *r = h->data;

	for (int k = 0; k < PROBE_KIND_MAX_; k++)
		mem_free(r->probes[k]);
	policy_reset(&r->policy);
	mem_free(r->message);
	mem_free(r);
}

/* Its process is (to be) run by the service's present specification. */
static void take_spec(struct replica *r)
{
	struct spec_source *old = r->source;
	struct identity *former = r->identity;

	r->source = r->service->source ? service_source_ref(r->service->source) : NULL;
	r->spec = r->service->spec;
	r->identity = r->service->identity ? identity_ref(r->service->identity) : NULL;
	service_source_unref(old);
	identity_unref(former);
}

void replica_free(struct replica *r)
{
	service_source_unref(r->source);
	identity_unref(r->identity);
	replica_probe_end(r);
	replica_ports_release(r);
	r->closing = true;
	uv_close((uv_handle_t *)&r->timer, on_closed);
}

const char *replica_message(const struct replica *r)
{
	return r->message ? r->message : "";
}

bool replica_is_current(const struct replica *r)
{
	return r->launch_hash == r->service->launch_hash;
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

static void set_message(struct replica *r, const char *reason, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void set_message(struct replica *r, const char *reason, const char *fmt, ...)
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

static void publish(const struct replica *r, const char *type, const char *from, const char *cause,
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

static void post(struct replica *r, enum replica_event event);
static void send_stop(struct replica *r);

/* It never ran: as an end, by the policy. */
static void spawn_failed(struct replica *r, const char *message)
{
	const struct policy_end end = {.now_mono_ms = clock_mono_ms(),
				       .random = controller_random(r->service->controller)};

	set_message(r, "spawn_failed", "cannot start: %s", message);
	r->decision = policy_after_end(&r->service->spec->restart, &r->policy, &end);
	if (r->decision.delay_ms < SPAWN_FAILED_MS) /* it would fail again at once, for ever */
		r->decision.next_at_mono_ms = clock_add(end.now_mono_ms, SPAWN_FAILED_MS);
	r->last_exit = (struct replica_exit){
		.known = true, .code = -1, .cause = "start", .at_wall_ms = clock_wall_ms()};
	post(r, REPLICA_EV_SPAWN_FAILED);
}

/* What of the last process does not hold for the next one. */
static void begin_incarnation(struct replica *r)
{
	r->pid = 0;
	r->frozen = r->freeze_asked = false;
	r->restart_wanted = false;
	r->ready_mono_ms = 0;
	r->condemned_mono_ms = 0;
	r->started_wall_ms = clock_wall_ms();
	r->next_at_mono_ms = 0;
	health_end(&r->health);
}

static void send_spawn(struct replica *r)
{
	struct controller *c = r->service->controller;
	_cleanup_err_ struct err *err = NULL;

	controller_new_incarnation(c, r->incarnation);
	take_spec(r);
	r->launch_hash = r->service->launch_hash;
	r->revision = r->service->revision;
	if (replica_ports_take(r) < 0) {
		spawn_failed(r, "no free port in the daemon's --port-range");
		return;
	}
	buf_clear(&c->note);
	buf_clear(&c->packet);
	replica_note_encode(r, &c->note);
	if (launch_encode(c, r, false, &c->note, &c->packet, &err) < 0) {
		spawn_failed(r, err_msg(err));
		return;
	}
	r->note_dirty = false;
	POINT("controller.spawn.sending");
	link_send(c->link, &c->packet);
	POINT("controller.spawn.sent");
}

/* Starts the next process, or takes over what aictld has started already. */
static void spawn(struct replica *r)
{
	begin_incarnation(r);
	if (!r->standby_used) {
		send_spawn(r);
		return;
	}
	r->standby_used = false;
	take_spec(r);
	memcpy(r->incarnation, r->standby, sizeof(r->incarnation));
	r->launch_hash = r->standby_hash;
	r->revision = r->standby_revision;
	r->standby[0] = '\0';
	replica_cgroup_send_limits(r); /* it may be older than they are */
}

/* ---- standby ---- */

int64_t replica_standby_due(const struct replica *r)
{
	const struct service *s = r->service;

	if (r->standby[0] || r->pid == 0 || !s->spec || s->stopped || s->deleted || s->left_alone ||
	    r->state == REPLICA_STOPPING || !replica_is_current(r) || r->restart_wanted ||
	    controller_frozen(s->controller))
		return INT64_MAX;
	return policy_at_once_from(&s->spec->restart, &r->policy, r->ready_mono_ms);
}

void replica_give_standby(struct replica *r)
{
	struct controller *c = r->service->controller;
	char current[WIRE_INCARNATION_SIZE];
	int rc;

	if (replica_standby_due(r) > clock_mono_ms())
		return;
	controller_new_incarnation(c, r->standby);
	r->standby_hash = r->service->launch_hash;
	r->standby_revision = r->service->revision;
	buf_clear(&c->note);
	buf_clear(&c->packet);
	replica_note_encode_standby(r, &c->note);
	memcpy(current, r->incarnation, sizeof(current)); /* the packet is made for the next one */
	memcpy(r->incarnation, r->standby, sizeof(r->incarnation));
	rc = launch_encode(c, r, true, &c->note, &c->packet, NULL);
	memcpy(r->incarnation, current, sizeof(r->incarnation));
	if (rc < 0 || c->note.failed)
		r->standby[0] = '\0'; /* the ordinary way will say why */
	else
		link_send(c->link, &c->packet);
	POINT("controller.spawn.standby");
}

static void send_standby_off(const struct replica *r)
{
	struct controller *c = r->service->controller;
	struct wire_key key = replica_key(r);

	buf_clear(&c->packet);
	wire_encode_key(&c->packet, WIRE_STANDBY_OFF, &key);
	link_send(c->link, &c->packet);
}

void replica_renew_standby(struct replica *r)
{

	if (!r->standby[0])
		return;
	r->standby[0] = '\0';
	replica_give_standby(r);
	if (!r->standby[0]) /* else it has replaced the old one */
		send_standby_off(r);
}

/* Our process has ended and the slot has the next one already: aictld has used the standby. */
static bool standby_is_used(const struct replica *r, const struct wire_slot *slot)
{
	bool living = slot->state != WIRE_SLOT_EMPTY;

	if (strcmp(slot->key.incarnation, r->incarnation) == 0)
		return false;
	return living || (r->standby[0] && strcmp(slot->key.incarnation, r->standby) == 0);
}

static void take_standby(struct replica *r, const char *incarnation)
{
	if (r->state == REPLICA_STOPPING) { /* our STOP named the old one: again */
		memcpy(r->incarnation, incarnation, sizeof(r->incarnation));
		send_stop(r);
		return;
	}
	if (strcmp(r->standby, incarnation) != 0) { /* a former controller's */
		memcpy(r->standby, incarnation, sizeof(r->standby));
		r->standby_hash = r->launch_hash;
		r->standby_revision = r->revision;
	}
	r->standby_used = true;
	set_message(r, "spawning", "starting again");
	post(r, REPLICA_EV_START);
	r->standby_used = false;
}

static void send_stop(struct replica *r)
{
	struct wire_stop stop = {.key = replica_key(r), .grace_ms = -1};
	_cleanup_buf_ struct buf packet = {0};

	if (r->spec) {
		stop.signal = (int32_t)r->spec->stop_signal;
		stop.grace_ms = r->spec->grace_period_ms;
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
	}
	if (r->state == REPLICA_STOPPING) {
		r->stopping_mono_ms = now;
		r->frozen = false; /* the STOP thaws it */
	} else if (from == REPLICA_STOPPING && r->stopping_mono_ms)
		r->stop_ms = now > r->stopping_mono_ms ? now - r->stopping_mono_ms : 1;
	if (r->state == REPLICA_BACKOFF)
		r->next_at_mono_ms = r->decision.next_at_mono_ms;
	if (!replica_sm_is_live(r->state)) {
		replica_probe_end(r);
		r->pid = 0;
		r->frozen = false;
	}
}

static void step(struct replica *r, enum replica_event event)
{
	const struct replica_sm_in in = {.verdict = r->decision.verdict, .intent = r->intent};
	enum replica_state from = r->state;
	struct replica_sm_out out = replica_sm_step(from, event, &in);

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
		publish(r, "state", replica_sm_state_name(from), replica_sm_event_name(event),
			replica_sm_state_name(out.to));
	}
	if (out.action == REPLICA_ACT_SPAWN) {
		if (from == REPLICA_BACKOFF && !r->restart_wanted && !r->uncounted &&
		    r->restarts < UINT32_MAX)
			r->restarts++;
		r->uncounted = false;
		spawn(r);
	} else if (out.action == REPLICA_ACT_STOP)
		send_stop(r);
	else if (out.action == REPLICA_ACT_PROBE && r->spec)
		replica_probe_begin(r);
	controller_touch(r->service);
}

static void post(struct replica *r, enum replica_event event)
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

void replica_start(struct replica *r)
{
	if (r->restart_wanted ||
	    !replica_is_current(r)) { /* the user's doing: nothing of the past counts */
		policy_reset(&r->policy);
		if (r->restart_wanted)
			r->restarts = 0;
	}
	set_message(r, "spawning", "%s", r->last_exit.known ? "starting again" : "starting");
	post(r, REPLICA_EV_START);
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
	r->restarts = 0;
	r->note_dirty = true;
	if (r->state == REPLICA_BACKOFF || r->state == REPLICA_FAILED ||
	    (r->state == REPLICA_STOPPING && r->intent == STOP_HEAL)) /* it will be one of them */
		r->restart_wanted = true;
	replica_renew_standby(r);
}

static const char *stop_cause(const char *reason)
{
	static const char *const causes[][2] = {
		{"manifest_changed", "update"}, {"scale_down", "scale"},
		{"deleted", "delete"},		{"user_stop", "user"},
		{"user_restart", "user"},	{"shutting_down", "shutdown"}};

	for (size_t i = 0; i < ARRAY_SIZE(causes); i++)
		if (strcmp(reason, causes[i][0]) == 0)
			return causes[i][1];
	return "unknown";
}

void replica_stop(struct replica *r, enum stop_intent intent, const char *reason)
{
	const struct service *s = r->service;

	r->intent = intent;
	r->stop_cause = stop_cause(reason);
	if (strcmp(reason, "manifest_changed") == 0)
		set_message(r, reason, "manifest changed: %s", s->changed_keys);
	else if (strcmp(reason, "scale_down") == 0)
		set_message(r, reason, "scaled to %u", service_desired(s));
	else if (strcmp(reason, "deleted") == 0)
		set_message(r, reason, "service deleted");
	else if (strcmp(reason, "shutting_down") == 0)
		set_message(r, reason, "the daemon is shutting down");
	else
		set_message(r, reason, "user: %s",
			    strcmp(reason, "user_restart") == 0 ? "restart" : "stop");
	post(r, REPLICA_EV_STOP);
}

/* Liveness or the start's stall: the stop heals it. The back-off counts from now, not from the end
 * of the stop. */
static void condemn(struct replica *r, const char *cause)
{
	struct policy_end end = {.now_mono_ms = clock_mono_ms(),
				 .random = controller_random(r->service->controller)};

	end.ready_ms = r->ready_mono_ms ? end.now_mono_ms - r->ready_mono_ms : 0;
	r->condemned_mono_ms = end.now_mono_ms;
	r->intent = STOP_HEAL;
	r->stop_cause = cause;
	r->decision = policy_after_end(&r->service->spec->restart, &r->policy, &end);
	post(r, REPLICA_EV_CONDEMNED);
}

void replica_verdict(struct replica *r, enum health_verdict v, enum probe_kind kind)
{
	const struct probe_spec *spec = &r->spec->probes[kind];
	const struct health_probe *h = &r->health.probes[kind];
	const char *said = r->probes[kind] ? r->probes[kind]->message : "";
	const char *name = replica_probe_kind_name(kind);

	switch (v) {
	case HEALTH_NONE:
		break;
	case HEALTH_READY:
		if (r->spec->probes[PROBE_READINESS].enabled)
			set_message(r, "probe_passed", "readiness probe passed");
		else if (r->spec->probes[PROBE_STARTUP].enabled)
			set_message(r, "probe_passed", "startup probe passed");
		else
			set_message(r, "started", "running");
		post(r, REPLICA_EV_HEALTHY);
		break;
	case HEALTH_UNREADY:
		set_message(r, "probe_failed", "%s probe failed %u/%lld: %s", name, h->failures,
			    (long long)spec->failure_threshold, said);
		post(r, REPLICA_EV_UNHEALTHY);
		break;
	case HEALTH_DEAD:
		set_message(r, "probe_failed", "%s probe failed %u/%lld: %s", name, h->failures,
			    (long long)spec->failure_threshold, said);
		condemn(r, "probe");
		break;
	case HEALTH_STALLED:
		set_message(r, "stalled", "not started within %llds: startup probe: %s",
			    (long long)spec->stall_ms / 1000, said);
		condemn(r, "stall");
		break;
	}
}

void replica_take_over(struct replica *r)
{
	take_spec(r);
	replica_cgroup_send_limits(r);
	r->note_dirty = true;
	if (r->pid && r->state != REPLICA_STOPPING)
		replica_probe_resume(r);
}

void replica_respec(struct replica *r)
{
	take_spec(r);
	replica_cgroup_send_limits(r);
	r->revision = r->service->revision;
	r->note_dirty = true;
	replica_probe_respec(r);
}

/* ---- what aictld says ---- */

/* An exit record on its way to the store; aictld keeps it until then. */
struct exit_ack {
	struct controller *c;
	struct wire_key key;
	uint64_t seq;
};

static void on_stored(void *user, const struct err *err)
{
	struct exit_ack *ack = user;
	_cleanup_buf_ struct buf packet = {0};

	POINT("controller.ack.stored");
	if (!err && !ack->c->ended) { /* else aictld keeps it and the next controller stores it */
		wire_encode_ack(&packet, &ack->key, ack->seq);
		link_send(ack->c->link, &packet);
		POINT("controller.ack.sent");
	}
	mem_free(ack);
}

static void store_exit(struct controller *c, const struct wire_key *key, const struct wire_exit *x,
		       const char *cause)
{
	const struct store_exit e = {
		key->service, key->index, x->incarnation,     x->seq,	       x->code, x->signal,
		x->pid,	      cause,	  x->started_wall_ms, x->ended_wall_ms};
	struct exit_ack *ack = mem_alloc(sizeof(*ack));

	if (!ack)
		return;
	ack->c = c;
	ack->key = *key;
	ack->seq = x->seq;
	POINT("controller.ack.exit");
	if (store_add_exit(c->store, &e, on_stored, ack) < 0)
		mem_free(ack);
}

static void describe_exit(struct replica *r, const struct wire_exit *x)
{
	char message[REPLICA_MESSAGE_MAX];
	const char *reason = replica_exit_describe(x, r->spec, message, sizeof(message));

	set_message(r, reason, "%s", message);
}

/* aictld died before it could start it: not the service's doing, and not counted. */
static void never_begun(struct replica *r)
{
	r->decision = (struct policy_decision){.verdict = POLICY_RESTART,
					       .next_at_mono_ms = clock_mono_ms()};
	r->uncounted = true;
	set_message(r, "spawn_failed", "the daemon ended before it had started this");
	post(r, REPLICA_EV_SPAWN_FAILED);
}

/* The current process ended by itself. */
static void ended(struct replica *r, const struct wire_exit *x)
{
	struct policy_end end = {.exited = x->status_known && !x->signal && !x->err &&
					   x->stage >= WIRE_STAGE_EXEC,
				 .code = x->code,
				 .now_mono_ms = clock_mono_ms(),
				 .random = controller_random(r->service->controller)};
	bool never_ran = x->stage < WIRE_STAGE_EXEC || x->err;

	if (x->stage <= WIRE_STAGE_CLONE && x->err == ECANCELED) {
		never_begun(r);
		return;
	}
	end.ready_ms = r->ready_mono_ms ? x->ended_mono_ms - r->ready_mono_ms : 0;
	r->decision = policy_after_end(&r->service->spec->restart, &r->policy, &end);
	describe_exit(r, x);
	if (r->decision.by_rule)
		set_message(r, "exited", "exit code %d: rule says %s", x->code,
			    policy_rule_name(r->decision.then));
	if (r->decision.budget_spent)
		r->reason = "budget_spent";
	else if (r->decision.slow)
		r->reason = "slow_mode";
	else if (r->decision.verdict == POLICY_RESTART && r->policy.streak > 1)
		r->reason = "crash_loop";
	post(r, never_ran ? REPLICA_EV_SPAWN_FAILED : REPLICA_EV_EXITED);
}

/* New to us: the state machine hears of it. */
static void on_exit_record(struct replica *r, const struct wire_exit *x, const char *cause)
{
	r->exit_seq = x->seq;
	r->note_dirty = true;
	r->last_exit = (struct replica_exit){.known = true,
					     .code = x->signal || !x->status_known ? -1 : x->code,
					     .signal = x->signal,
					     .cause = cause,
					     .started_wall_ms = x->started_wall_ms,
					     .at_wall_ms = x->ended_wall_ms};
	memcpy(r->last_exit.incarnation, x->incarnation, sizeof(r->last_exit.incarnation));
	exits_add(r->service->exits, r->index, &r->last_exit);
	exec_end_of(r->service->controller, r, x->incarnation);
	if (strcmp(x->incarnation, r->incarnation) != 0)
		return;
	if (r->state == REPLICA_STOPPING || !r->service->spec) {
		const char *reason = r->reason;
		_cleanup_free_ char *message = mem_strdup(replica_message(r));

		describe_exit(r,
			      x); /* the exit's own event; the stop's reason stays the replica's */
		publish(r, "exit", NULL, NULL, NULL);
		set_message(r, reason, "%s", message ? message : "");
		post(r, REPLICA_EV_EXITED);
		return;
	}
	if (replica_sm_is_live(r->state))
		ended(r, x);
}

static void on_spawned(struct replica *r, const struct wire_slot *slot)
{
	r->pid = slot->pid;
	r->started_wall_ms = slot->started_wall_ms;
	post(r, REPLICA_EV_SPAWNED);
	replica_give_standby(r);
	replica_probe_arm(r); /* it may be ready already: no probe will come to do it */
}

static void on_current(struct replica *r, const struct wire_slot *slot)
{
	switch ((enum wire_slot_state)slot->state) {
	case WIRE_SLOT_RUNNING:
		if (slot->stage == WIRE_STAGE_EXEC && r->pid != slot->pid)
			on_spawned(r, slot);
		if (r->pid)
			replica_cgroup_take(r, slot);
		break;
	case WIRE_SLOT_STUCK:
		set_message(r, "stuck", "SIGKILL does not end it (stuck in %s)",
			    wire_stage_name((enum wire_stage)slot->stage));
		post(r, REPLICA_EV_STUCK);
		break;
	case WIRE_SLOT_EMPTY:
		if (slot->swept)
			post(r, REPLICA_EV_CLEARED);
		break;
	case WIRE_SLOT_SPAWNING:
	case WIRE_SLOT_STOPPING:
	case WIRE_SLOT_STATE_MAX_:
		break;
	}
}

static void handle_slot(struct replica *r, const struct wire_slot *slot, const char **causes)
{
	bool ours;

	for (uint32_t i = 0; i < slot->n_exits; i++) {
		causes[i] = replica_exit_cause(&slot->exits[i], r->stop_cause);
		if (slot->exits[i].seq <= r->exit_seq)
			continue;
		ours = strcmp(slot->exits[i].incarnation, r->incarnation) == 0;
		on_exit_record(r, &slot->exits[i], causes[i]);
		if (ours && standby_is_used(r, slot))
			take_standby(r, slot->key.incarnation);
		else if (ours)
			r->standby[0] = '\0'; /* it came too late, and is dropped there */
	}
	if (slot->stage == WIRE_STAGE_REFUSED && r->state == REPLICA_STARTING && r->pid == 0)
		spawn_failed(r, strerror(slot->err));
	else if (r->state == REPLICA_STOPPING && slot->state == WIRE_SLOT_EMPTY &&
		 strcmp(slot->key.incarnation, r->incarnation) > 0)
		memcpy(r->incarnation, slot->key.incarnation,
		       sizeof(r->incarnation)); /* a standby came and went */
	if (strcmp(slot->key.incarnation, r->incarnation) == 0)
		on_current(r, slot);
}

static void store_exits(struct controller *c, const struct wire_slot *slot,
			const char *const *causes)
{
	for (uint32_t i = 0; i < slot->n_exits; i++)
		store_exit(c, &slot->key, &slot->exits[i], causes[i]);
}

void replica_on_slot(struct replica *r, const struct wire_slot *slot)
{
	struct controller *c = r->service->controller;
	const char *causes[WIRE_EXITS_MAX];

	handle_slot(r, slot, causes);
	controller_settle(c); /* a restart waits for nothing else; r may be gone after it */
	store_exits(c, slot, causes);
}

void replica_store_exits_of(struct controller *c, const struct wire_slot *slot)
{
	for (uint32_t i = 0; i < slot->n_exits; i++)
		store_exit(c, &slot->key, &slot->exits[i], "unknown");
}

/* The note's state, made to fit what the slot says now. */
void replica_restore(struct replica *r, const struct wire_slot *slot)
{
	bool living = slot->state == WIRE_SLOT_RUNNING || slot->state == WIRE_SLOT_SPAWNING;
	const char *causes[WIRE_EXITS_MAX];

	if (slot->note && replica_note_decode(r, slot->note, slot->note_len) < 0)
		log_warn("replica=%s/%u its note cannot be read, ignoring", r->service->name,
			 r->index);
	memcpy(r->incarnation, slot->key.incarnation, sizeof(r->incarnation));
	replica_ports_adopt(r);
	r->started_wall_ms = slot->started_wall_ms;
	r->frozen = r->freeze_asked = living && slot->frozen;
	r->tracked = slot->tracked;
	set_message(r, "adopted", "found running");
	if (slot->state == WIRE_SLOT_STOPPING) {
		r->state = REPLICA_STOPPING;
	} else if (slot->state == WIRE_SLOT_STUCK) {
		r->state = REPLICA_UNKNOWN;
	} else if (living && r->state == REPLICA_STOPPING) {
		send_stop(r); /* decided, but the STOP did not get out any more */
	} else if (living && (r->state != REPLICA_READY && r->state != REPLICA_UNREADY)) {
		r->state = REPLICA_STARTING;
	}
	if (slot->state == WIRE_SLOT_EMPTY && r->state == REPLICA_STOPPING && !slot->swept)
		send_stop(r);
	if (slot->state == WIRE_SLOT_EMPTY && slot->n_exits == 0 && replica_sm_is_live(r->state) &&
	    r->state != REPLICA_STOPPING)
		r->state = REPLICA_PENDING; /* it was decided to start it, but the SPAWN did not get
					       out */
	take_spec(r);
	if (living) {
		send_standby_off(r);	       /* a former controller's: we do not know it */
		replica_cgroup_send_limits(r); /* they may have changed, and the word not got out */
	}
	if (living && (r->state != REPLICA_STARTING || !r->spec)) {
		r->pid = slot->pid;
		if (r->spec)
			replica_probe_resume(r);
	}
	if (r->state == REPLICA_BACKOFF)
		set_message(r, "crash_loop", "waits for its next attempt");
	handle_slot(r, slot, causes);
	store_exits(r->service->controller, slot, causes);
	r->note_dirty = true;
}
