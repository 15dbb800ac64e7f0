/* health: see health.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/health.h"

#include "lib/clock.h"

#define NEVER INT64_MAX
/* A look at a start: so that the stall is found at most an eighth late. */
#define LOOKS_IN_STALL 8
#define LOOK_MIN_MS 200
#define LOOK_MAX_MS 15000

static void schedule(struct health *h, const struct probe_spec *specs, enum probe_kind kind,
		     int64_t at_ms)
{
	h->probes[kind] =
		(struct health_probe){.next_at_ms = probe_spec_polls(&specs[kind]) ? at_ms : NEVER};
}

static enum health_verdict judge(struct health *h, const struct probe_spec *specs)
{
	const struct probe_spec *spec = &specs[PROBE_READINESS];
	bool ready = (h->passed || !probe_spec_polls(spec)) &&
		     (h->pushed || !probe_spec_is_pushed(spec));

	if (ready == h->ready)
		return HEALTH_NONE;
	h->ready = ready;
	return ready ? HEALTH_READY : HEALTH_UNREADY;
}

/* Is there anything that tells when the start is over? */
static bool has_start(const struct health *h, const struct probe_spec *specs)
{
	return probe_spec_polls(&specs[PROBE_STARTUP]) ||
	       (probe_spec_is_pushed(&specs[PROBE_READINESS]) && !h->pushed);
}

/* When the next look is worth its price: at a deadline, and some times before. */
static void schedule_look(struct health *h, const struct probe_spec *specs, int64_t now_ms)
{
	const struct probe_spec *spec = &specs[PROBE_STARTUP];
	int64_t pause = spec->stall_ms / LOOKS_IN_STALL;
	int64_t cap = spec->deadline_ms ? clock_add(h->begun_mono_ms, spec->deadline_ms) : NEVER;

	pause = pause < LOOK_MIN_MS ? LOOK_MIN_MS : pause > LOOK_MAX_MS ? LOOK_MAX_MS : pause;
	h->look_at_ms = clock_add(now_ms, pause);
	if (cap > now_ms && cap < h->look_at_ms)
		h->look_at_ms = cap;
}

static int64_t share(const struct probe_spec *spec, double spread)
{
	return (int64_t)((double)spec->period_ms * spread);
}

/* The start is over: readiness and liveness begin. */
static enum health_verdict begin_steady(struct health *h, const struct probe_spec *specs,
					int64_t now_ms)
{
	h->started = true;
	h->probes[PROBE_STARTUP].next_at_ms = h->probes[PROBE_WARMUP].next_at_ms = NEVER;
	schedule(h, specs, PROBE_READINESS,
		 clock_add(now_ms, specs[PROBE_READINESS].initial_delay_ms));
	schedule(h, specs, PROBE_LIVENESS,
		 clock_add(now_ms, specs[PROBE_LIVENESS].initial_delay_ms +
					   share(&specs[PROBE_LIVENESS], h->spread)));
	h->spread_next = h->spread > 0;
	h->passed = false;
	h->look_at_ms = NEVER;
	return judge(h, specs);
}

/* The service has come up. What it is warmed up with is part of its start. */
static enum health_verdict begin_warmup(struct health *h, const struct probe_spec *specs,
					int64_t now_ms)
{
	if (!probe_spec_polls(&specs[PROBE_WARMUP]))
		return begin_steady(h, specs, now_ms);
	h->probes[PROBE_STARTUP].next_at_ms = NEVER;
	if (!h->warming)
		schedule(h, specs, PROBE_WARMUP, now_ms);
	h->warming = true;
	return HEALTH_NONE;
}

enum health_verdict health_begin(struct health *h, const struct probe_spec *specs, int64_t now_ms)
{
	*h = (struct health){.active = true,
			     .begun_mono_ms = now_ms,
			     .progress_mono_ms = now_ms,
			     .pushed = h->pushed,
			     .spread = h->spread,
			     .extend_until_mono_ms = h->extend_until_mono_ms};
	for (int k = 0; k < PROBE_KIND_MAX_; k++)
		h->probes[k].next_at_ms = NEVER;
	schedule_look(h, specs, now_ms);
	if (!has_start(h, specs))
		return begin_warmup(h, specs, now_ms);
	schedule(h, specs, PROBE_STARTUP, clock_add(now_ms, specs[PROBE_STARTUP].initial_delay_ms));
	return HEALTH_NONE;
}

void health_recall(struct health *h, int64_t progress_mono_ms)
{
	if (!h->active || h->started || progress_mono_ms <= 0 ||
	    progress_mono_ms >= h->progress_mono_ms)
		return;
	h->progress_mono_ms =
		progress_mono_ms > h->begun_mono_ms ? progress_mono_ms : h->begun_mono_ms;
}

void health_resume(struct health *h, const struct probe_spec *specs, int64_t now_ms, double spread)
{
	struct health before = *h;

	health_begin(h, specs, now_ms);
	h->begun_mono_ms = before.begun_mono_ms;
	health_recall(h, before.progress_mono_ms);
	if (before.started && !h->started)
		begin_steady(h, specs, now_ms);
	if (h->started) {
		h->passed = before.ready; /* it was, or would not have been ready */
		h->ready = before.ready || !specs[PROBE_READINESS].enabled;
	}
	for (int k = 0; k < PROBE_KIND_MAX_; k++)
		if (h->probes[k].next_at_ms != NEVER)
			h->probes[k].next_at_ms = clock_add(now_ms, share(&specs[k], spread));
	h->spread_next = false;
}

void health_end(struct health *h)
{
	h->active = false;
	h->ready = h->pushed = false;
	h->extend_until_mono_ms = 0;
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
		schedule_look(h, specs, now_ms);
		return h->warming || !has_start(h, specs) ? begin_warmup(h, specs, now_ms)
							  : HEALTH_NONE;
	}
	for (int k = PROBE_READINESS; k < PROBE_KEYS; k++) {
		bool scheduled = h->probes[k].running || h->probes[k].next_at_ms != NEVER;

		if (probe_spec_polls(&specs[k]) != scheduled)
			schedule(h, specs, (enum probe_kind)k, now_ms);
	}
	if (h->ready) /* what is asked more of it now has time to be found out */
		return HEALTH_NONE;
	return judge(h, specs);
}

enum health_verdict health_push(struct health *h, const struct probe_spec *specs, bool ready,
				int64_t extend_until_mono_ms, int64_t now_ms)
{
	h->pushed = ready;
	h->extend_until_mono_ms = extend_until_mono_ms;
	if (!h->active)
		return HEALTH_NONE;
	if (h->started)
		return judge(h, specs);
	return has_start(h, specs) ? HEALTH_NONE : begin_warmup(h, specs, now_ms);
}

bool health_look_due(struct health *h, const struct probe_spec *specs, int64_t now_ms)
{
	if (!h->active || h->started || h->look_at_ms > now_ms)
		return false;
	schedule_look(h, specs, now_ms);
	return true;
}

enum health_verdict health_looked(struct health *h, const struct probe_spec *specs, bool progress,
				  int64_t now_ms)
{
	const struct probe_spec *spec = &specs[PROBE_STARTUP];

	if (!h->active || h->started)
		return HEALTH_NONE;
	if (progress)
		h->progress_mono_ms = now_ms;
	if (spec->deadline_ms && now_ms - h->begun_mono_ms >= spec->deadline_ms)
		return HEALTH_LATE;
	if (now_ms < clock_add(h->progress_mono_ms, spec->stall_ms) ||
	    now_ms < h->extend_until_mono_ms)
		return HEALTH_NONE;
	return HEALTH_STALLED;
}

void health_now(struct health *h, int64_t now_ms)
{
	for (int k = 0; h->active && k < PROBE_KIND_MAX_; k++)
		if (!h->probes[k].running && h->probes[k].next_at_ms != NEVER)
			h->probes[k].next_at_ms = now_ms;
}

int64_t health_next_ms(const struct health *h)
{
	int64_t next = NEVER;

	for (int k = 0; h->active && k < PROBE_KIND_MAX_; k++)
		if (!h->probes[k].running && h->probes[k].next_at_ms < next)
			next = h->probes[k].next_at_ms;
	if (h->active && !h->started && h->look_at_ms < next)
		next = h->look_at_ms;
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

static enum health_verdict readiness_result(struct health *h, const struct probe_spec *specs)
{
	const struct probe_spec *spec = &specs[PROBE_READINESS];
	const struct health_probe *p = &h->probes[PROBE_READINESS];

	if (p->successes >= spec->success_threshold)
		h->passed = true;
	if (p->failures >= spec->failure_threshold)
		h->passed = false;
	return judge(h, specs);
}

enum health_verdict health_result(struct health *h, const struct probe_spec *specs,
				  enum probe_kind kind, bool ok, int64_t now_ms)
{
	struct health_probe *p = &h->probes[kind];
	int64_t next;

	if (!h->active || !p->running)
		return HEALTH_NONE;
	next = clock_add(p->next_at_ms, specs[kind].period_ms);
	if (kind == PROBE_READINESS && h->spread_next) {
		next = clock_add(p->next_at_ms, share(&specs[kind], h->spread));
		h->spread_next = false;
	}
	p->running = false;
	p->next_at_ms = !probe_spec_polls(&specs[kind]) ? NEVER : next > now_ms ? next : now_ms;
	p->successes = ok ? p->successes + (p->successes < UINT32_MAX) : 0;
	p->failures = ok ? 0 : p->failures + (p->failures < UINT32_MAX);
	if (!probe_spec_polls(&specs[kind]))
		return HEALTH_NONE;
	if (kind == PROBE_STARTUP)
		return ok && !h->started ? begin_warmup(h, specs, now_ms) : HEALTH_NONE;
	if (kind == PROBE_WARMUP)
		return ok && !h->started ? begin_steady(h, specs, now_ms) : HEALTH_NONE;
	if (kind == PROBE_READINESS)
		return readiness_result(h, specs);
	return p->failures >= specs[kind].failure_threshold ? HEALTH_DEAD : HEALTH_NONE;
}
