/* replica_slot: see replica_slot.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/replica_slot.h"

#include <errno.h>
#include <string.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/exec.h"
#include "daemon/controller/exit_lines.h"
#include "daemon/controller/exits.h"
#include "daemon/controller/link.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/replica_evidence.h"
#include "daemon/controller/replica_cgroup.h"
#include "daemon/controller/replica_exit.h"
#include "daemon/controller/replica_hooks.h"
#include "daemon/controller/replica_log_fault.h"
#include "daemon/controller/replica_logs.h"
#include "daemon/controller/replica_note.h"
#include "daemon/controller/replica_own.h"
#include "daemon/controller/replica_ports.h"
#include "daemon/controller/replica_probe.h"
#include "daemon/controller/replica_push.h"
#include "daemon/controller/replica_standby.h"
#include "daemon/controller/replica_unit.h"
#include "daemon/controller/service.h"
#include "daemon/controller/store.h"
#include "daemon/controller/task.h"
#include "daemon/controller/traffic.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/point.h"

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

static void want_lines(struct controller *c, const struct wire_key *slot, const struct wire_exit *x)
{
	struct wire_key key = *slot;

	memcpy(key.incarnation, x->incarnation, sizeof(key.incarnation));
	exit_lines_want(c->exit_lines, &key);
}

static void store_exit(struct controller *c, const struct wire_key *key, const struct wire_exit *x,
		       const char *cause)
{
	const struct store_exit e = {.service = key->service,
				     .index = key->index,
				     .incarnation = x->incarnation,
				     .seq = x->seq,
				     .code = x->code,
				     .signal = x->signal,
				     .pid = x->pid,
				     .cause = cause,
				     .started_wall_ms = x->started_wall_ms,
				     .ended_wall_ms = x->ended_wall_ms};
	struct exit_ack *ack = mem_alloc(sizeof(*ack));

	if (!ack)
		return;
	ack->c = c;
	ack->key = *key;
	ack->seq = x->seq;
	POINT("controller.ack.exit");
	if (store_add_exit(c->store, &e, on_stored, ack) < 0)
		mem_free(ack);
	else if (x->stage >= WIRE_STAGE_EXEC && !x->err)
		want_lines(c, key, x);
}

static void describe_exit(struct replica *r, const struct wire_exit *x)
{
	char message[REPLICA_MESSAGE_MAX];
	const char *reason = replica_exit_describe(x, r->spec, message, sizeof(message));
	const char *engine = replica_unit_failure(r, x->incarnation);

	if (engine && (x->stage < WIRE_STAGE_EXEC || x->err)) {
		replica_say(r, x->what == WIRE_WHAT_IMAGE ? "image_failed" : reason,
			    "cannot start: %s", engine);
		return;
	}
	replica_say(r, reason, "%s", message);
}

/* aictld died before it could start it: not the service's doing, and not counted. */
static void never_begun(struct replica *r)
{
	r->decision = (struct policy_decision){.verdict = POLICY_RESTART,
					       .next_at_mono_ms = clock_mono_ms()};
	r->uncounted = true;
	replica_say(r, "spawn_failed", "the daemon ended before it had started this");
	replica_post(r, REPLICA_EV_SPAWN_FAILED);
}

/* What it died of does not say why it stays dead. */
static void say_given_up(struct replica *r)
{
	const struct service_spec *spec = r->service->spec;
	bool task = r->decision.retries_spent;
	char message[REPLICA_MESSAGE_MAX];

	snprintf(message, sizeof(message), "%s; given up: %s of %lld %s spent", replica_message(r),
		 task ? "retries" : "restart.budget",
		 (long long)(task ? spec->retries : spec->restart.budget_restarts),
		 task ? "are" : "is");
	replica_say(r, task ? "retries_spent" : "budget_spent", "%s", message);
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
	if (x->stage == WIRE_STAGE_SECRETS && replica_is_current(r))
		secrets_refused(r->service, x->err);
	end.ready_ms = r->ready_mono_ms ? x->ended_mono_ms - r->ready_mono_ms : 0;
	r->decision = task_after_end(r->service->spec, &r->policy, &end);
	describe_exit(r, x);
	if (r->decision.by_rule)
		replica_say(r, "exited", "exit code %d: rule says %s", x->code,
			    policy_rule_name(r->decision.then));
	if (r->decision.budget_spent || r->decision.retries_spent)
		say_given_up(r);
	else if (r->decision.slow)
		r->reason = "slow_mode";
	else if (r->decision.verdict == POLICY_RESTART && r->policy.streak > 1)
		r->reason = "crash_loop";
	replica_post(r, never_ran ? REPLICA_EV_SPAWN_FAILED : REPLICA_EV_EXITED);
}

/* New to us: the state machine hears of it. */
static void on_exit_record(struct replica *r, const struct wire_exit *x, const char *cause)
{
	struct replica_exit e = {.code = x->signal || !x->status_known ? -1 : x->code,
				 .signal = x->signal,
				 .cause = cause,
				 .started_wall_ms = x->started_wall_ms,
				 .at_wall_ms = x->ended_wall_ms};

	r->exit_seq = x->seq;
	r->note_dirty = true;
	memcpy(e.incarnation, x->incarnation, sizeof(e.incarnation));
	r->last_exit = replica_last_exit(&e);
	exits_add(r->service->exits, r->index, &e);
	exec_end_of(r->service->controller, r, x->incarnation);
	if (strcmp(x->incarnation, r->incarnation) != 0)
		return;
	if (x->stage >= WIRE_STAGE_EXEC && !x->err)
		reaction_ended(r);
	if (replica_sm_is_ending(r->state) || !r->service->spec) {
		const char *reason = r->reason;
		_cleanup_free_ char *message = mem_strdup(replica_message(r));

		describe_exit(r,
			      x); /* the exit's own event; the stop's reason stays the replica's */
		replica_publish(r, "exit", NULL, NULL, NULL);
		replica_say(r, reason, "%s", message ? message : "");
		if (r->state == REPLICA_DRAINING)
			r->pid = 0; /* there is nothing for a pre_stop to speak to */
		replica_post(r, REPLICA_EV_EXITED);
		replica_hooks_process_gone(r);
		return;
	}
	if (replica_sm_is_live(r->state))
		ended(r, x);
}

/* Of a container nobody may be able to say. */
static int pid_of(const struct wire_slot *slot)
{
	return slot->pid || !slot->runtime[0] ? slot->pid : REPLICA_UNIT_PID;
}

static void on_spawned(struct replica *r, const struct wire_slot *slot)
{
	r->pid = pid_of(slot);
	r->started_wall_ms = slot->started_wall_ms;
	replica_post(r, REPLICA_EV_SPAWNED);
	if (r->health.active && slot->started_mono_ms > 0 &&
	    slot->started_mono_ms < r->health.begun_mono_ms)
		r->health.begun_mono_ms = slot->started_mono_ms; /* a former controller's start */
	if (r->seen)
		health_recall(&r->health, r->seen->progress_mono_ms);
	replica_standby_give(r);
	replica_probe_arm(r); /* it may be ready already: no probe will come to do it */
}

static void on_current(struct replica *r, const struct wire_slot *slot)
{
	switch ((enum wire_slot_state)slot->state) {
	case WIRE_SLOT_RUNNING:
		if (slot->stage == WIRE_STAGE_EXEC && !r->pid)
			on_spawned(r, slot);
		else if (r->pid)
			r->pid = pid_of(slot); /* MAINPID */
		if (r->pid)
			replica_cgroup_take(r, slot);
		if (r->pid)
			replica_push_take(r, slot);
		break;
	case WIRE_SLOT_STUCK:
		if (slot->runtime[0])
			replica_say(r, "stuck", "its engine has not ended it by SIGKILL");
		else
			replica_say(r, "stuck", "SIGKILL does not end it (stuck in %s)",
				    wire_stage_name((enum wire_stage)slot->stage));
		replica_post(r, REPLICA_EV_STUCK);
		break;
	case WIRE_SLOT_EMPTY:
		if (slot->swept)
			replica_post(r, REPLICA_EV_CLEARED);
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

	replica_log_fault_take(r, slot);
	for (uint32_t i = 0; i < slot->n_exits; i++) {
		causes[i] = replica_exit_cause(&slot->exits[i], r->stop_cause);
		if (slot->exits[i].seq <= r->exit_seq)
			continue;
		ours = strcmp(slot->exits[i].incarnation, r->incarnation) == 0;
		on_exit_record(r, &slot->exits[i], causes[i]);
		if (ours && replica_standby_is_used(r, slot))
			replica_standby_take(r, slot->key.incarnation);
		else if (ours)
			r->standby[0] = '\0'; /* it came too late, and is dropped there */
	}
	if (slot->stage == WIRE_STAGE_REFUSED && r->state == REPLICA_STARTING && r->pid == 0 &&
	    !r->preparing)
		replica_spawn_failed(r, strerror(slot->err));
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

void replica_slot_take(struct replica *r, const struct wire_slot *slot)
{
	struct controller *c = r->service->controller;
	const char *causes[WIRE_EXITS_MAX];

	handle_slot(r, slot, causes);
	controller_settle(c); /* a restart waits for nothing else; r may be gone after it */
	store_exits(c, slot, causes);
}

void replica_slot_store_exits(struct controller *c, const struct wire_slot *slot)
{
	for (uint32_t i = 0; i < slot->n_exits; i++)
		store_exit(c, &slot->key, &slot->exits[i], "lost");
}

/* An exit that was handled, but had not reached the store when the controller before us died. */
static void recall_exit(struct replica *r, const struct wire_slot *slot)
{
	const struct wire_exit *x = slot->n_exits ? &slot->exits[slot->n_exits - 1] : NULL;

	if (x && x->seq <= r->exit_seq && x->ended_wall_ms > r->last_exit.at_wall_ms)
		r->last_exit = (struct replica_last_exit){
			.cause = replica_exit_cause(x, r->stop_cause),
			.code = x->signal || !x->status_known ? -1 : x->code,
			.signal = x->signal,
			.at_wall_ms = x->ended_wall_ms};
}

/* Of one that is not there. */
static void say_restored(struct replica *r, const struct wire_slot *slot)
{
	if (r->state == REPLICA_BACKOFF)
		replica_say(r, "crash_loop", "waits for its next attempt");
	else if (r->state == REPLICA_FAILED && r->gave_up)
		replica_restore_given_up(r);
	else if (r->state != REPLICA_FAILED && r->state != REPLICA_SUCCEEDED)
		return;
	else if (slot->n_exits > 0)
		describe_exit(r, &slot->exits[slot->n_exits - 1]);
	else if (r->last_exit.cause && r->last_exit.code >= 0)
		replica_say(r, "exited", "exit code %d", r->last_exit.code);
	else
		replica_say(r, "exited", "has ended");
}

/* The note's state, made to fit what the slot says now. */
void replica_slot_restore(struct replica *r, const struct wire_slot *slot)
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
	replica_say(r, "adopted", "found running");
	if (r->state == REPLICA_DRAINING && slot->state == WIRE_SLOT_EMPTY)
		r->state = REPLICA_STOPPING;
	if (slot->state == WIRE_SLOT_STOPPING) {
		r->state = REPLICA_STOPPING;
	} else if (slot->state == WIRE_SLOT_STUCK) {
		r->state = REPLICA_UNKNOWN;
	} else if (living && r->state == REPLICA_STOPPING) {
		replica_send_stop(r); /* decided, but the STOP did not get out any more */
	} else if (living && r->state != REPLICA_READY && r->state != REPLICA_UNREADY &&
		   r->state != REPLICA_DRAINING) {
		r->state = REPLICA_STARTING;
	}
	if (slot->state == WIRE_SLOT_EMPTY && r->state == REPLICA_STOPPING && !slot->swept)
		replica_send_stop(r);
	if (slot->state == WIRE_SLOT_EMPTY && slot->n_exits == 0 && replica_sm_is_live(r->state) &&
	    r->state != REPLICA_STOPPING)
		r->state = REPLICA_PENDING; /* it was decided to start it, but the SPAWN did not get
					       out */
	replica_find_spec(r);
	if (living) {
		replica_standby_off(r);	       /* a former controller's: we do not know it */
		replica_cgroup_send_limits(r); /* they may have changed, and the word not got out */
		replica_logs_send(r);
	}
	if (living && (r->state != REPLICA_STARTING || !r->spec)) {
		r->pid = pid_of(slot);
		if (r->state == REPLICA_DRAINING)
			traffic_drain(r);
		else if (r->spec)
			replica_probe_resume(r);
	}
	recall_exit(r, slot);
	say_restored(r, slot);
	handle_slot(r, slot, causes);
	replica_hooks_resume(r);
	store_exits(r->service->controller, slot, causes);
	r->note_dirty = true;
}
