/*
 * health: when to probe and what the results mean. Pure: no clock, no I/O. Kubernetes' semantics
 * (research/supervisors.md 3.1): until the startup probe has passed once the others are silent;
 * readiness never restarts; liveness failing failure_threshold times in a row condemns the replica.
 * Probes of one kind never overlap; the period counts from start to start.
 *
 * A replica that has to say that it is ready (readiness.notify) is ready while it says so and, where
 * there is somebody to ask too, while the probe passes. Without a startup probe its start is over
 * with its first word.
 *
 * A start that is not over is looked at now and then (health_look_due) for evidence of progress;
 * without any for `stall`, or at `deadline`, the replica is condemned.
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
	HEALTH_STALLED, /* its start shows no progress */
	HEALTH_LATE,	/* its start takes longer than it may */
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
	/* 0..1, set before health_begin: where in its period a replica is asked, so that a thousand that
	 * start together are not asked together for ever. The first readiness probe comes at once all
	 * the same; the second one, and the first of liveness, come after this share of their period. */
	double spread;
	bool spread_next; /* the next readiness result is the first */
	bool warming;	  /* the startup probe has passed, what it is warmed up with not yet */
	bool passed;	  /* the readiness probe says yes */
	bool pushed;	  /* the replica says yes */
	int64_t begun_mono_ms;
	int64_t progress_mono_ms;     /* last evidence of it, or the beginning */
	int64_t extend_until_mono_ms; /* what it asked for; 0 = nothing */
	int64_t look_at_ms;	      /* INT64_MAX = no more */
	struct health_probe probes[PROBE_KIND_MAX_];
};

/* The process runs. Without startup and readiness probes it is ready at once. */
enum health_verdict health_begin(struct health *h, const struct probe_spec *specs, int64_t now_ms);
/*
 * After a controller's restart: takes up where h->started, ready, begun_mono_ms and progress_mono_ms
 * (0 = not known: now) say it was (from the note). spread: 0..1, so that not all probe at once.
 */
void health_resume(struct health *h, const struct probe_spec *specs, int64_t now_ms, double spread);
/* A start that goes on showed progress last then (0 = not known): not now. */
void health_recall(struct health *h, int64_t progress_mono_ms);
void health_end(struct health *h);
/* No probe is due before health_resume, which finds all as it is now. */
void health_pause(struct health *h);
/* The manifest's probes changed live: schedules are kept where the kind stays enabled. May make it
 * ready. */
enum health_verdict health_respec(struct health *h, const struct probe_spec *specs, int64_t now_ms);
/* What the replica says; extend_until as above. */
enum health_verdict health_push(struct health *h, const struct probe_spec *specs, bool ready,
				int64_t extend_until_mono_ms, int64_t now_ms);
/* Is it time to look for evidence of progress? Then the next time is set, too. */
bool health_look_due(struct health *h, const struct probe_spec *specs, int64_t now_ms);
/* What was found. */
enum health_verdict health_looked(struct health *h, const struct probe_spec *specs, bool progress,
				  int64_t now_ms);
/* What is scheduled for later is due now; its period counts from here. */
void health_now(struct health *h, int64_t now_ms);
/* Earliest time at which health_due has something, INT64_MAX = never. */
int64_t health_next_ms(const struct health *h);
/* A kind that is due now, marked running; -1 = none. */
int health_due(struct health *h, int64_t now_ms);
enum health_verdict health_result(struct health *h, const struct probe_spec *specs,
				  enum probe_kind kind, bool ok, int64_t now_ms);

#endif
