/*
 * health: when to probe and what the results mean. Pure: no clock, no I/O. Kubernetes' semantics
 * (research/supervisors.md 3.1): until the startup probe has passed once the others are silent;
 * readiness never restarts; liveness failing failure_threshold times in a row, or a start that
 * passes no probe for `stall`, condemns the replica. Probes of one kind never overlap; the period
 * counts from start to start.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_HEALTH_H
#define AICTL_CONTROLLER_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/manifest.h"

enum health_verdict {
	HEALTH_NONE,	/* nothing changes */
	HEALTH_READY,	/* became ready */
	HEALTH_UNREADY, /* was ready, is not */
	HEALTH_DEAD,	/* liveness failed often enough */
	HEALTH_STALLED, /* never got through its start */
};

struct health_probe {
	bool running;
	int64_t next_at_ms;	      /* mono; INT64_MAX = not scheduled */
	uint32_t failures, successes; /* in a row */
};

struct health {
	bool active;  /* between health_begin and health_end */
	bool started; /* the startup probe has passed, or there is none */
	bool ready;
	int64_t begun_mono_ms;
	struct health_probe probes[PROBE_KIND_MAX_];
};

/* The process runs. Without startup and readiness probes it is ready at once. */
enum health_verdict health_begin(struct health *h, const struct probe_spec *specs, int64_t now_ms);
/*
 * After a controller's restart: takes up where h->started, ready and begun_mono_ms say it was (from
 * the note). spread: 0..1, so that not all probe at once.
 */
void health_resume(struct health *h, const struct probe_spec *specs, int64_t now_ms, double spread);
void health_end(struct health *h);
/* No probe is due before health_resume, which finds all as it is now. */
void health_pause(struct health *h);
/* The manifest's probes changed live: schedules are kept where the kind stays enabled. May make it
 * ready. */
enum health_verdict health_respec(struct health *h, const struct probe_spec *specs, int64_t now_ms);
/* Earliest time at which health_due has something, INT64_MAX = never. */
int64_t health_next_ms(const struct health *h);
/* A kind that is due now, marked running; -1 = none. */
int health_due(struct health *h, int64_t now_ms);
enum health_verdict health_result(struct health *h, const struct probe_spec *specs,
				  enum probe_kind kind, bool ok, int64_t now_ms);

#endif
