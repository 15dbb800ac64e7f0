/* replica_push: see replica_push.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/replica_push.h"

#include <stdbool.h>
#include <string.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/health.h"
#include "daemon/controller/link.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/replica_evidence.h"
#include "daemon/controller/replica_output.h"
#include "daemon/controller/replica_own.h"
#include "daemon/controller/replica_probe.h"
#include "daemon/controller/service.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/mem.h"

/* Less may be the answer to a probe, or a thread that wakes others. */
#define PROGRESS_BYTES (1 << 20)
#define ANSWER_MS 5000 /* who has not answered by then knows nothing */

struct replica_push {
	bool known; /* the levels are of the present process */
	bool condemned;
	struct wire_push levels;
	/* Looking for progress: */
	int64_t asked_mono_ms;
	bool io_asked, output_asked, progress;
};

static struct replica_push *get(struct replica *r)
{
	if (!r->push)
		r->push = mem_alloc(sizeof(*r->push));
	return r->push;
}

void replica_push_free(struct replica *r)
{
	mem_free(r->push);
	r->push = NULL;
	replica_evidence_free(r);
}

void replica_push_begin(struct replica *r)
{
	if (r->push)
		*r->push = (struct replica_push){0};
	replica_evidence_free(r);
}

const struct wire_push *replica_push_levels(const struct replica *r)
{
	return r->push && r->push->known && r->pid ? &r->push->levels : NULL;
}

static void send_key(struct replica *r, enum wire_type type)
{
	struct controller *c = r->service->controller;
	struct wire_key key = replica_key(r);

	buf_clear(&c->packet);
	wire_encode_key(&c->packet, type, &key);
	link_send(c->link, &c->packet);
}

/* ---- levels ---- */

static bool is_up(const struct replica *r)
{
	return r->state == REPLICA_STARTING || r->state == REPLICA_READY ||
	       r->state == REPLICA_UNREADY || r->state == REPLICA_DRAINING;
}

void replica_push_ready(struct replica *r)
{
	const struct wire_push *levels = replica_push_levels(r);

	if (levels && r->spec && r->spec->watchdog_ms > 0 && r->state == REPLICA_READY &&
	    !(levels->flags & (WIRE_PUSH_WATCHED | WIRE_PUSH_EXPIRED)))
		send_key(r, WIRE_WATCH);
}

static void expired(struct replica *r)
{
	int64_t ms = r->push->levels.watchdog_ms;

	r->push->condemned = true;
	if (ms > 0)
		replica_say(r, "watchdog", "watchdog: no WATCHDOG=1 within %lld.%01llds",
			    (long long)ms / 1000, (long long)ms % 1000 / 100);
	else
		replica_say(r, "watchdog", "watchdog: it said WATCHDOG=trigger");
	replica_condemn(r, "watchdog");
}

static void tell(struct replica *r, enum health_verdict v)
{
	const struct wire_push *levels = &r->push->levels;

	if (v == HEALTH_READY && r->spec->probes[PROBE_READINESS].notify_fd)
		replica_say(r, "notified", "said that it is ready on descriptor %lld",
			    (long long)r->spec->probes[PROBE_READINESS].notify_fd);
	else if (v == HEALTH_READY)
		replica_say(r, "notified", "said READY=1");
	else if (v == HEALTH_UNREADY)
		replica_say(r, "notified", "said %s",
			    levels->flags & WIRE_PUSH_STOPPING ? "STOPPING=1"
							       : "that it is not ready");
	if (v == HEALTH_READY)
		replica_post(r, REPLICA_EV_HEALTHY);
	else if (v == HEALTH_UNREADY)
		replica_post(r, REPLICA_EV_UNHEALTHY);
}

void replica_push_take(struct replica *r, const struct wire_slot *slot)
{
	struct replica_push *p = slot->has_push ? get(r) : NULL;
	enum health_verdict v;
	bool ready;

	if (!p) {
		if (r->push)
			r->push->known = false;
		return;
	}
	p->known = true;
	p->levels = slot->push;
	ready = (p->levels.flags & WIRE_PUSH_READY) && !(p->levels.flags & WIRE_PUSH_STOPPING);
	if (r->spec) {
		v = health_push(&r->health, r->spec->probes, ready, p->levels.extend_until_mono_ms,
				clock_mono_ms());
		if (v != HEALTH_NONE)
			tell(r, v);
		replica_probe_arm(r);
	}
	if (r->spec && r->service->spec && p->levels.flags & WIRE_PUSH_EXPIRED && !p->condemned &&
	    is_up(r))
		expired(r);
	replica_push_ready(r);
	controller_touch(r->service);
}

/* ---- progress ---- */

/* The next controller shall know since when there has been none. */
static void keep(struct replica *r)
{
	if (r->seen->progress_mono_ms == r->health.progress_mono_ms)
		return;
	r->seen->progress_mono_ms = r->health.progress_mono_ms;
	r->note_dirty = true;
	controller_touch(r->service);
}

static void finish(struct replica *r)
{
	struct replica_push *p = r->push;
	enum health_verdict v;

	if (p->io_asked || p->output_asked || !r->spec)
		return;
	v = health_looked(&r->health, r->spec->probes, p->progress, clock_mono_ms());
	p->progress = false;
	keep(r);
	replica_verdict(r, v, PROBE_STARTUP);
	replica_probe_arm(r);
}

void replica_push_look(struct replica *r)
{
	int64_t now = clock_mono_ms();
	struct replica_push *p = replica_evidence_get(r) ? get(r) : NULL;

	if (!p) /* without memory there is no evidence either way */
		return;
	if ((p->io_asked || p->output_asked) && now - p->asked_mono_ms < ANSWER_MS)
		return;
	if (p->io_asked || p->output_asked) {
		p->io_asked = p->output_asked = false;
		finish(r);
		if (!r->health.active || r->health.started)
			return;
	}
	p->asked_mono_ms = now;
	p->io_asked = true;
	p->output_asked = replica_output_ask(r);
	send_key(r, WIRE_LOOK);
}

static bool grows(uint64_t now, uint64_t *seen)
{
	if (now < *seen || now - *seen < PROGRESS_BYTES)
		return false;
	*seen = now;
	return true;
}

void replica_push_evidence(struct replica *r, const struct wire_evidence *m)
{
	struct replica_push *p = r->push;
	struct replica_evidence *seen = r->seen;

	if (!p || !p->io_asked)
		return;
	p->io_asked = false;
	if (m->io_bytes < seen->io_bytes) /* a process of it took its share along */
		seen->io_bytes = m->io_bytes;
	p->progress |= grows(m->io_bytes, &seen->io_bytes);
	p->progress |= grows(m->block_bytes, &seen->block_bytes);
	p->progress |= grows(m->memory_bytes, &seen->memory_bytes);
	finish(r);
}

void replica_push_wrote(struct replica *r, uint64_t bytes)
{
	struct replica_push *p = r->push;

	if (!p || !p->output_asked)
		return;
	p->output_asked = false;
	p->progress |= bytes != r->seen->output_bytes;
	r->seen->output_bytes = bytes;
	finish(r);
}
