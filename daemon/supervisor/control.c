/* control: see control.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/control.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "daemon/supervisor/cgroup.h"
#include "daemon/supervisor/evidence.h"
#include "daemon/supervisor/gateway.h"
#include "daemon/supervisor/giveback.h"
#include "daemon/supervisor/launch.h"
#include "daemon/supervisor/listen.h"
#include "daemon/supervisor/manifests.h"
#include "daemon/supervisor/push.h"
#include "daemon/supervisor/run.h"
#include "daemon/supervisor/secrets.h"
#include "daemon/supervisor/shutdown.h"
#include "daemon/supervisor/slot.h"
#include "daemon/supervisor/standby.h"
#include "daemon/supervisor/stream.h"
#include "daemon/supervisor/stream_fault.h"
#include "daemon/supervisor/supervisor.h"
#include "daemon/supervisor/unit.h"
#include "daemon/wire/wire.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/log.h"

#define LATER_MS 5

static void on_later(void *user)
{
	struct supervisor *sup = user;

	link_flush(&sup->controller.link);
}

void control_init(struct supervisor *sup)
{
	sup->control.later = (struct loop_timer){.fn = on_later, .user = sup};
}

void control_done(struct supervisor *sup)
{
	loop_timer_disarm(&sup->loop, &sup->control.later);
}

void control_flush_later(struct supervisor *sup)
{
	if (!sup->control.later.armed)
		loop_timer_arm(&sup->loop, &sup->control.later, clock_mono_ms() + LATER_MS);
}

/* ---- what is due ---- */

void control_mark(struct supervisor *sup, struct slot *s)
{
	struct control *c = &sup->control;

	notify_changed(sup);
	if (s->dirty)
		return;
	s->dirty = true;
	s->next_dirty = NULL;
	s->prev_dirty = c->last;
	if (c->last)
		c->last->next_dirty = s;
	else
		c->first = s;
	c->last = s;
}

void control_forget(struct supervisor *sup, struct slot *s)
{
	struct control *c = &sup->control;

	if (!s->dirty)
		return;
	s->dirty = false;
	if (s->prev_dirty)
		s->prev_dirty->next_dirty = s->next_dirty;
	else
		c->first = s->next_dirty;
	if (s->next_dirty)
		s->next_dirty->prev_dirty = s->prev_dirty;
	else
		c->last = s->prev_dirty;
}

void control_connected(struct supervisor *sup)
{
	struct control *c = &sup->control;

	c->hello_due = c->status_due = c->synced_due = true;
	c->synced = false;
	for (uint32_t i = 0; i < sup->n_slots; i++) {
		if (!sup->slots[i])
			continue;
		sup->slots[i]->note_due = true;
		sup->slots[i]->refused = 0;
		unit_controller_connected(sup->slots[i]);
		control_mark(sup, sup->slots[i]);
	}
	runtime_controller_connected(sup);
	manifests_connected(sup);
	gateway_pair(sup);
	link_flush(&sup->gateway.link);
}

void control_set_mode(struct supervisor *sup, uint8_t mode)
{
	sup->mode = mode;
	sup->control.status_due = true;
	notify_changed(sup);
	link_flush(&sup->controller.link);
}

/* ---- sending ---- */

static bool send_hello(struct link *l)
{
	struct supervisor *sup = l->sup;
	struct wire_hello m;

	supervisor_fill_hello(sup, &m);
	buf_clear(&l->out);
	wire_encode_hello(&l->out, &m);
	return link_send(l, &sup->activation.api_fd, 1);
}

static bool send_status(struct link *l)
{
	struct supervisor *sup = l->sup;
	struct wire_status m = {.mode = sup->mode,
				.logger_pid = helper_pid(&sup->logger),
				.controller_restarts = sup->controller.restarts,
				.logger_restarts = sup->logger.restarts,
				.gateway_pid = helper_pid(&sup->gateway),
				.gateway_restarts = sup->gateway.restarts,
				.gateway_threads = sup->opt->gateway_threads,
				.gateways_leaving = giveback_count_gateways(sup),
				.slots = sup->n_used,
				.cgroup_can = sup->cgroups.can};

	m.started_wall_ms = sup->started_wall_ms;
	m.adopted = sup->adopt.n_living;
	m.refusals = sup->detach.refusals;
	memcpy(m.refusal, sup->detach.refusal, sizeof(m.refusal));
	if (sup->cgroups.dir)
		snprintf(m.cgroup_dir, sizeof(m.cgroup_dir), "%s", sup->cgroups.dir);
	buf_clear(&l->out);
	wire_encode_status(&l->out, &m);
	return link_send(l, NULL, 0);
}

static bool send_slot(struct link *l, struct slot *s)
{
	struct wire_slot *m = &l->sup->slot_message;

	if (!unit_tell(l, s))
		return false;
	*m = (struct wire_slot){0};
	slot_fill(s, m);
	m->tracked = s->cgroup.dir_fd > 0;
	m->freeze_request = s->cgroup.freeze_answered;
	m->freeze_err = s->cgroup.freeze_err;
	if (s->cgroup.limits_failed)
		snprintf(m->limits_failed, sizeof(m->limits_failed), "%s", s->cgroup.limits_failed);
	buf_clear(&l->out);
	wire_encode_slot(&l->out, m);
	if (!link_send(l, NULL, 0))
		return false;
	s->note_due = false;
	s->refused = 0;
	stream_fault_told(s);
	return true;
}

static bool send_once(struct link *l, bool *due, bool (*send)(struct link *))
{
	if (*due && !send(l))
		return false;
	*due = false;
	return true;
}

static bool send_synced(struct link *l)
{
	buf_clear(&l->out);
	wire_encode_empty(&l->out, WIRE_SYNCED);
	if (!link_send(l, NULL, 0))
		return false;
	l->sup->control.synced = true;
	return true;
}

void control_flush(void *user)
{
	struct helper *h = user;
	struct control *c = &h->sup->control;
	struct link *l = &h->link;

	if (!send_once(l, &c->hello_due, send_hello) || !runtime_tell(h->sup, l))
		return;
	while (c->first) {
		struct slot *s = c->first;

		if (!send_slot(l, s))
			return;
		control_forget(h->sup, s);
	}
	if (!run_flush(h->sup) || !secrets_flush(h->sup) || !logwork_send_done(l) ||
	    !send_once(l, &c->status_due, send_status) ||
	    !send_once(l, &c->synced_due, send_synced) || !listen_flush_state(h->sup, l) ||
	    !gateway_flush_peer(h->sup, l, GATEWAY_END_CONTROLLER))
		return;
	manifests_flush(h->sup);
}

void control_refuse(struct supervisor *sup, const struct wire_key *key, int err)
{
	struct link *l = &sup->controller.link;
	struct wire_slot *m = &sup->slot_message;

	*m = (struct wire_slot){.key = *key, .stage = WIRE_STAGE_REFUSED, .err = err};
	m->swept = true;
	buf_clear(&l->out);
	wire_encode_slot(&l->out, m);
	link_send(l, NULL, 0);
}

/* ---- receiving ---- */

static int get_spawn(struct supervisor *sup, const struct wire_packet *p)
{
	struct wire_spawn m;
	int r = wire_decode_spawn(p->body, p->len, &m);

	if (r < 0)
		return r;
	launch_spawn(sup, &m);
	return 0;
}

static int get_unit_start(struct supervisor *sup, const struct wire_packet *p)
{
	struct wire_unit_start m;
	int r = wire_unit_decode_start(p->body, p->len, &m);

	if (r == 0)
		unit_start(sup, &m, p);
	return r;
}

/* The slot of key when its present incarnation is meant, else NULL. */
static struct slot *find_current(struct supervisor *sup, const struct wire_key *key)
{
	struct slot *s = slot_find(sup, key);
	struct wire_key now;

	if (!s)
		return NULL;
	supervisor_fill_key(&now, s, s->t->incarnation);
	return wire_key_equal(&now, key) ? s : NULL;
}

/*
 * The slot in which key is to be stopped. Where nothing runs it is answered under the name that was asked for, also
 * when that incarnation never came to be: whoever stops it waits for the word.
 */
static struct slot *find_to_stop(struct supervisor *sup, const struct wire_key *key)
{
	struct slot *s = slot_find(sup, key);

	if (!s && slot_new(sup, key, &s) < 0)
		return NULL; /* RELEASE frees it again */
	if (!slot_is_living(s))
		memcpy(s->t->incarnation, key->incarnation, sizeof(key->incarnation));
	return find_current(sup, key);
}

static int get_stop(struct supervisor *sup, const struct wire_packet *p)
{
	struct wire_stop m;
	struct slot *s;
	int r = wire_decode_stop(p->body, p->len, &m);

	if (r < 0 || m.signal < 0 || m.signal > 64)
		return -ERR_INVALID;
	s = find_to_stop(sup, &m.key);
	if (s)
		slot_stop(s, m.signal, m.grace_ms);
	return 0;
}

static int get_standby_off(struct supervisor *sup, const struct wire_packet *p)
{
	struct wire_key key;
	struct slot *s;
	int r = wire_decode_key(p->body, p->len, &key);

	s = r < 0 ? NULL : slot_find(sup, &key);
	if (s)
		standby_drop(s);
	return r;
}

static int get_signal(struct supervisor *sup, const struct wire_packet *p)
{
	struct wire_key key;
	struct slot *s;
	int32_t n;
	int r = wire_decode_signal(p->body, p->len, &key, &n);

	if (r < 0 || n < 1 || n > 64)
		return -ERR_INVALID;
	s = find_current(sup, &key);
	if (s)
		slot_signal(s, n);
	return 0;
}

static int get_note(struct supervisor *sup, const struct wire_packet *p)
{
	const uint8_t *note;
	struct wire_key key;
	struct slot *s;
	uint32_t len;
	int r = wire_decode_note(p->body, p->len, &key, &note, &len);

	s = r < 0 ? NULL : slot_find(sup, &key);
	if (s && slot_is_living(s)) /* a late note about the last one is not for the next one */
		s = find_current(sup, &key);
	if (s)
		slot_note(s, note, len);
	return r;
}

static int get_ack(struct supervisor *sup, const struct wire_packet *p)
{
	struct wire_key key;
	struct slot *s;
	uint64_t seq;
	int r = wire_decode_ack(p->body, p->len, &key, &seq);

	s = r < 0 ? NULL : slot_find(sup, &key);
	if (s)
		slot_ack(s, seq);
	return r;
}

static int get_release(struct supervisor *sup, const struct wire_packet *p)
{
	struct wire_key key;
	struct slot *s;
	int r = wire_decode_key(p->body, p->len, &key);

	s = r < 0 ? NULL : slot_find(sup, &key);
	if (s)
		slot_release(s);
	return r;
}

static int get_control(struct supervisor *sup, const struct wire_packet *p)
{
	uint32_t what;
	int r = wire_decode_u32(p->body, p->len, &what);

	if (r < 0)
		return r;
	if (what == WIRE_CONTROL_STOP)
		shutdown_begin(sup, false);
	else if (what == WIRE_CONTROL_LEAVE_SAFE)
		supervisor_leave_safe(sup);
	else if (what == WIRE_CONTROL_RELOAD)
		supervisor_reload(sup);
	else if (what == WIRE_CONTROL_ORDERED || what == WIRE_CONTROL_UNORDERED)
		shutdown_ordered(sup, what == WIRE_CONTROL_ORDERED);
	else if (what == WIRE_CONTROL_HOOKS || what == WIRE_CONTROL_NO_HOOKS)
		shutdown_hooks(sup, what == WIRE_CONTROL_HOOKS);
	else if (what == WIRE_CONTROL_DETACH || what == WIRE_CONTROL_REEXEC)
		detach_begin(sup, what == WIRE_CONTROL_REEXEC);
	else
		return -ERR_INVALID;
	return 0;
}

static int get_limits(struct supervisor *sup, const struct wire_packet *p)
{
	struct wire_limits m;
	struct wire_key key;
	struct slot *s;
	int r = wire_cgroup_decode_limits(p->body, p->len, &key, &m);

	s = r < 0 ? NULL : find_current(sup, &key);
	if (s && slot_is_living(s) && !unit_of(s))
		cgroup_set_limits(s, &m);
	return r;
}

static int get_logs(struct supervisor *sup, const struct wire_packet *p)
{
	struct wire_logs m;
	struct wire_key key;
	struct slot *s;
	int r = wire_logs_decode(p->body, p->len, &key, &m);

	s = r < 0 ? NULL : find_current(sup, &key);
	if (s) {
		slot_set_logs(s, &m);
		stream_set_logs(s, &m);
	}
	return r;
}

static int get_freeze(struct supervisor *sup, const struct wire_packet *p)
{
	struct wire_key key;
	struct slot *s;
	uint32_t request;
	bool frozen;
	int r = wire_cgroup_decode_freeze(p->body, p->len, &key, &frozen, &request);

	s = r < 0 ? NULL : find_current(sup, &key);
	if (s)
		cgroup_take_freeze(s, frozen, request);
	if (s && !frozen)
		push_thawed(s);
	return r;
}

static int get_look(struct supervisor *sup, const struct wire_packet *p)
{
	struct wire_key key;
	struct slot *s;
	int r = wire_decode_key(p->body, p->len, &key);

	s = r < 0 ? NULL : find_current(sup, &key);
	if (s && unit_of(s))
		unit_look(s);
	else if (s)
		evidence_answer(s);
	return r;
}

static int get_watch(struct supervisor *sup, const struct wire_packet *p)
{
	struct wire_key key;
	struct slot *s;
	int r = wire_decode_key(p->body, p->len, &key);

	s = r < 0 ? NULL : find_current(sup, &key);
	if (s && !unit_of(s))
		push_watch(s);
	return r;
}

static int get_run(struct supervisor *sup, struct wire_packet *p)
{
	struct wire_run m;
	int r = wire_run_decode(p->body, p->len, &m);

	if (r < 0)
		return r;
	run_start(sup, &m, p);
	return 0;
}

static int get_run_kill(struct supervisor *sup, const struct wire_packet *p)
{
	uint64_t id;
	int32_t n;
	int r = wire_run_decode_kill(p->body, p->len, &id, &n);

	if (r == 0)
		run_kill(sup, id, n);
	return r;
}

static int get_secrets(struct supervisor *sup, const struct wire_packet *p)
{
	struct wire_secrets m;
	int r = wire_secrets_decode(p->body, p->len, &m);

	if (r == 0)
		secrets_put(sup, &m);
	return r;
}

static int get_secrets_drop(struct supervisor *sup, const struct wire_packet *p)
{
	char service[WIRE_SERVICE_SIZE];
	uint64_t generation;
	int r = wire_secrets_decode_drop(p->body, p->len, service, &generation);

	if (r == 0)
		secrets_drop(sup, service, generation);
	return r;
}

static int get_log_level(struct supervisor *sup, const struct wire_packet *p)
{
	uint32_t level;
	int r = wire_decode_u32(p->body, p->len, &level);

	if (r < 0 || level > LOG_LVL_DEBUG)
		return -ERR_INVALID;
	log_set_level((enum log_level)level);
	stream_log_level(sup);
	gateway_log_level(sup);
	runtime_log_level(sup);
	return 0;
}

static int dispatch(struct supervisor *sup, struct wire_packet *p)
{
	switch ((int)p->type) {
	case WIRE_SPAWN:
		return get_spawn(sup, p);
	case WIRE_UNIT_START:
		return get_unit_start(sup, p);
	case WIRE_STOP:
		return get_stop(sup, p);
	case WIRE_SIGNAL:
		return get_signal(sup, p);
	case WIRE_NOTE:
		return get_note(sup, p);
	case WIRE_ACK:
		return get_ack(sup, p);
	case WIRE_STANDBY_OFF:
		return get_standby_off(sup, p);
	case WIRE_RELEASE:
		return get_release(sup, p);
	case WIRE_CONTROL:
		return get_control(sup, p);
	case WIRE_LOG_WORK:
		return logwork_ask(sup, p);
	case WIRE_LOGS:
		return get_logs(sup, p);
	case WIRE_LIMITS:
		return get_limits(sup, p);
	case WIRE_FREEZE:
		return get_freeze(sup, p);
	case WIRE_LOOK:
		return get_look(sup, p);
	case WIRE_WATCH:
		return get_watch(sup, p);
	case WIRE_RUN:
		return get_run(sup, p);
	case WIRE_RUN_KILL:
		return get_run_kill(sup, p);
	case WIRE_SECRETS:
		return get_secrets(sup, p);
	case WIRE_SECRETS_DROP:
		return get_secrets_drop(sup, p);
	case WIRE_LOG_LEVEL:
		return get_log_level(sup, p);
	case WIRE_LISTEN:
		return listen_ask(sup, p);
	default:
		return -ERR_INVALID;
	}
}

void control_packet(void *user, struct wire_packet *p)
{
	struct helper *h = user;
	int r;

	log_debug("helper=%s packet=%s bytes=%zu", h->name, wire_type_name(p->type), p->len);
	r = dispatch(h->sup, p);
	if (r < 0)
		log_warn("helper=%s sent a bad %s message, ignoring", h->name,
			 wire_type_name(p->type));
}
