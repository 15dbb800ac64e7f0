/* stream_fault: see stream_fault.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/supervisor/stream_fault.h"

#include <string.h>

#include "daemon/supervisor/slot.h"
#include "daemon/supervisor/stream.h"
#include "daemon/supervisor/supervisor.h"
#include "lib/clock.h"
#include "lib/mem.h"

/* Of one incarnation. */
struct stream_fault {
	struct wire_log_fault said;
	bool stale; /* by a former logger */
};

/* Of a slot. */
struct slot_fault {
	struct wire_log_fault now;
	uint64_t gone_bytes, gone_lines; /* what is no more had dropped; and former loggers */
	uint64_t base_bytes, base_lines; /* before the present or last trouble */
};

/* The newest one with trouble decides; else whether some are copied. */
static const struct wire_log_fault *worst(const struct slot *s)
{
	const struct wire_log_fault *weak = NULL;

	for (const struct stream *t = s->streams; t; t = t->next_of_slot) {
		if (!t->fault)
			continue;
		if (wire_logs_is_trouble(t->fault->said.state))
			return &t->fault->said;
		if (t->fault->said.state == WIRE_LOG_WEAK)
			weak = &t->fault->said;
	}
	return weak;
}

static void sum_up(const struct slot *s, struct wire_log_fault *now)
{
	now->all_bytes = s->fault->gone_bytes;
	now->all_lines = s->fault->gone_lines;
	for (const struct stream *t = s->streams; t; t = t->next_of_slot) {
		now->all_bytes += t->fault ? t->fault->said.dropped_bytes : 0;
		now->all_lines += t->fault ? t->fault->said.dropped_lines : 0;
	}
}

static void update(struct slot *s)
{
	struct slot_fault *f = s->fault;
	const struct wire_log_fault *w = worst(s);
	struct wire_log_fault now = f->now;
	bool was = wire_logs_is_trouble(f->now.state), is = w && wire_logs_is_trouble(w->state);

	sum_up(s, &now);
	if (!was && (is || now.all_bytes > f->now.all_bytes)) { /* or it is over already */
		f->base_bytes = f->now.all_bytes;
		f->base_lines = f->now.all_lines;
	}
	if (was != is)
		now.since_wall_ms = is ? w->since_wall_ms : clock_wall_ms();
	now.state = w ? w->state : (uint8_t)WIRE_LOG_OK;
	now.err = w ? w->err : 0;
	now.dropped_bytes = now.all_bytes - f->base_bytes;
	now.dropped_lines = now.all_lines - f->base_lines;
	if (memcmp(&now, &f->now, sizeof(now)) == 0)
		return;
	f->now = now;
	control_mark(s->sup, s);
	control_flush_later(s->sup);
}

void stream_fault_take(struct supervisor *sup, const struct wire_key *key,
		       const struct wire_log_fault *m)
{
	struct slot *s = slot_find(sup, key);
	struct stream *t = s ? s->streams : NULL;

	while (t && strcmp(t->incarnation, key->incarnation) != 0)
		t = t->next_of_slot;
	if (!t)
		return;
	if (!s->fault)
		s->fault = mem_alloc(sizeof(*s->fault));
	if (!t->fault)
		t->fault = mem_alloc(sizeof(*t->fault));
	if (!s->fault || !t->fault)
		return; /* not told then */
	*t->fault = (struct stream_fault){.said = *m};
	update(s);
}

/* Its counts stay. */
static void forget(struct slot *s, struct stream *t)
{
	if (s->fault) {
		s->fault->gone_bytes += t->fault->said.dropped_bytes;
		s->fault->gone_lines += t->fault->said.dropped_lines;
	}
	t->fault->said.dropped_bytes = t->fault->said.dropped_lines = 0;
}

void stream_fault_end(struct stream *t)
{
	struct slot *s = t->slot;

	if (!t->fault)
		return;
	forget(s, t);
	mem_free(t->fault);
	t->fault = NULL;
	if (s->fault)
		update(s);
}

/* The new logger has had time to say so if it is not all right. */
static void on_stale(void *user)
{
	struct supervisor *sup = user;

	for (uint32_t i = 0; i < sup->n_slots; i++) {
		struct slot *s = sup->slots[i];

		if (!s || !s->fault)
			continue;
		for (struct stream *t = s->streams; t; t = t->next_of_slot) {
			if (!t->fault || !t->fault->stale)
				continue;
			mem_free(t->fault);
			t->fault = NULL;
		}
		update(s);
	}
}

void stream_fault_connected(struct supervisor *sup)
{
	bool any = false;

	for (uint32_t i = 0; i < sup->n_slots; i++) {
		struct slot *s = sup->slots[i];

		for (struct stream *t = s ? s->streams : NULL; t; t = t->next_of_slot) {
			if (!t->fault)
				continue;
			forget(s, t);
			any = t->fault->stale = true;
		}
	}
	if (any)
		loop_timer_arm(&sup->loop, &sup->streams.stale,
			       clock_mono_ms() + STREAM_FAULT_STALE_MS);
}

void stream_fault_fill(const struct slot *s, struct wire_slot *m)
{
	const struct wire_log_fault *f = s->fault ? &s->fault->now : NULL;

	m->has_log = f && (f->state != WIRE_LOG_OK || f->told != WIRE_LOG_OK || f->all_bytes > 0);
	if (m->has_log)
		m->log = *f;
}

void stream_fault_told(struct slot *s)
{
	if (s->fault)
		s->fault->now.told = s->fault->now.state;
}

void stream_fault_free(struct slot *s)
{
	mem_free(s->fault);
	s->fault = NULL;
}

void stream_fault_init(struct supervisor *sup)
{
	sup->streams.stale = (struct loop_timer){.fn = on_stale, .user = sup};
}

void stream_fault_done(struct supervisor *sup)
{
	loop_timer_disarm(&sup->loop, &sup->streams.stale);
}
