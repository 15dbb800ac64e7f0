/* health: see health.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/health.h"

#include "lib/clock.h"

#define NEVER INT64_MAX

static void schedule(struct health *h, const struct probe_spec *specs, enum probe_kind kind,
		     int64_t at_ms)
{
	h->probes[kind] = (struct health_probe){.next_at_ms = specs[kind].enabled ? at_ms : NEVER};
}

/* The start is over: readiness and liveness begin. */
static enum health_verdict begin_steady(struct health *h, const struct probe_spec *specs,
					int64_t now_ms)
{
	h->started = true;
	h->probes[PROBE_STARTUP].next_at_ms = NEVER;
	schedule(h, specs, PROBE_READINESS,
		 clock_add(now_ms, specs[PROBE_READINESS].initial_delay_ms));
	schedule(h, specs, PROBE_LIVENESS,
		 clock_add(now_ms, specs[PROBE_LIVENESS].initial_delay_ms));
	if (specs[PROBE_READINESS].enabled)
		return HEALTH_NONE;
	h->ready = true;
	return HEALTH_READY;
}

enum health_verdict health_begin(struct health *h, const struct probe_spec *specs, int64_t now_ms)
{
	*h = (struct health){.active = true, .begun_mono_ms = now_ms};
	for (int k = 0; k < PROBE_KIND_MAX_; k++)
		h->probes[k].next_at_ms = NEVER;
	if (!specs[PROBE_STARTUP].enabled)
		return begin_steady(h, specs, now_ms);
	schedule(h, specs, PROBE_STARTUP, clock_add(now_ms, specs[PROBE_STARTUP].initial_delay_ms));
	return HEALTH_NONE;
}

void health_resume(struct health *h, const struct probe_spec *specs, int64_t now_ms, double spread)
{
	struct health before = *h;

	health_begin(h, specs, now_ms);
	h->begun_mono_ms = before.begun_mono_ms;
	if (before.started && !h->started)
		begin_steady(h, specs, now_ms);
	if (h->started)
		h->ready = before.ready || !specs[PROBE_READINESS].enabled;
	for (int k = 0; k < PROBE_KIND_MAX_; k++)
		if (h->probes[k].next_at_ms != NEVER)
			h->probes[k].next_at_ms =
				clock_add(now_ms, (int64_t)((double)specs[k].period_ms * spread));
}

void health_end(struct health *h)
{
	h->active = false;
	h->ready = false;
}

void health_pause(struct health *h)
{
	h->active = false;
}

enum health_verdict health_respec(struct health *h, const struct probe_spec *specs, int64_t now_ms)
{
	if (!h->active)
		return HEALTH_NONE;
	if (!h->started) {
		if (!specs[PROBE_STARTUP].enabled)
			return begin_steady(h, specs, now_ms);
		return HEALTH_NONE;
	}
	for (int k = PROBE_READINESS; k < PROBE_KIND_MAX_; k++) {
		bool scheduled = h->probes[k].running || h->probes[k].next_at_ms != NEVER;

		if (specs[k].enabled != scheduled)
			schedule(h, specs, (enum probe_kind)k, now_ms);
	}
	if (!h->ready && !specs[PROBE_READINESS].enabled) {
		h->ready = true;
		return HEALTH_READY;
	}
	return HEALTH_NONE;
}

int64_t health_next_ms(const struct health *h)
{
	int64_t next = NEVER;

	for (int k = 0; h->active && k < PROBE_KIND_MAX_; k++)
		if (!h->probes[k].running && h->probes[k].next_at_ms < next)
			next = h->probes[k].next_at_ms;
	return next;
}

int health_due(struct health *h, int64_t now_ms)
{
	for (int k = 0; h->active && k < PROBE_KIND_MAX_; k++) {
		if (!h->probes[k].running && h->probes[k].next_at_ms <= now_ms) {
			h->probes[k].running = true;
			return k;
		}
	}
	return -1;
}

static enum health_verdict startup_result(struct health *h, const struct probe_spec *specs, bool ok,
					  int64_t now_ms)
{
	if (h->started)
		return HEALTH_NONE;
	if (ok)
		return begin_steady(h, specs, now_ms);
	return now_ms - h->begun_mono_ms >= specs[PROBE_STARTUP].stall_ms ? HEALTH_STALLED
									  : HEALTH_NONE;
}

static enum health_verdict readiness_result(struct health *h, const struct probe_spec *spec)
{
	const struct health_probe *p = &h->probes[PROBE_READINESS];

	if (!h->ready && p->successes >= spec->success_threshold) {
		h->ready = true;
		return HEALTH_READY;
	}
	if (h->ready && p->failures >= spec->failure_threshold) {
		h->ready = false;
		return HEALTH_UNREADY;
	}
	return HEALTH_NONE;
}

enum health_verdict health_result(struct health *h, const struct probe_spec *specs,
				  enum probe_kind kind, bool ok, int64_t now_ms)
{
	struct health_probe *p = &h->probes[kind];
	int64_t next;

	if (!h->active || !p->running)
		return HEALTH_NONE;
	next = clock_add(p->next_at_ms, specs[kind].period_ms);
	p->running = false;
	p->next_at_ms = !specs[kind].enabled ? NEVER : next > now_ms ? next : now_ms;
	p->successes = ok ? p->successes + (p->successes < UINT32_MAX) : 0;
	p->failures = ok ? 0 : p->failures + (p->failures < UINT32_MAX);
	if (!specs[kind].enabled)
		return HEALTH_NONE;
	if (kind == PROBE_STARTUP)
		return startup_result(h, specs, ok, now_ms);
	if (kind == PROBE_READINESS)
		return readiness_result(h, &specs[kind]);
	return p->failures >= specs[kind].failure_threshold ? HEALTH_DEAD : HEALTH_NONE;
}
