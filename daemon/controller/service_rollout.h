/*
 * service_rollout: the rollout (rollout.h) of one service at work: what it sees of the replicas,
 * the last good revision it may return to, its history, and its record in the store, so that it
 * goes on where it was after the controller's death and after a reboot.
 *
 * The last good revision's manifest is kept, parsed, only while a rollout is under way: afterwards
 * it is the service's own. Made with the first rollout of a service.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_SERVICE_ROLLOUT_H
#define AICTL_CONTROLLER_SERVICE_ROLLOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/controller/rollout.h"

struct controller;
struct err;
struct identity;
struct jsonw;
struct service;
struct service_spec;
struct spec_source;
struct store_rollout;

#define SERVICE_ROLLOUTS_KEPT 10 /* STORE_ROLLOUTS_KEPT */

/* A revision to run. */
struct service_good {
	struct spec_source *source; /* NULL: none */
	const struct service_spec *spec;
	struct identity *identity;
	uint64_t revision, hash;
};

struct service_past {
	uint64_t number, revision, hash;
	const char *state; /* static: rollout_state_name() or "superseded" */
	int64_t started_wall_ms, ended_wall_ms;
	char *reason, *keys; /* owned */
};

struct canary_count;

struct service_rollout {
	struct rollout now;
	struct canary_count *count;	    /* service_canary.h; NULL: there is no canary */
	struct judge_result judged;	    /* with count: what comes of that */
	uint64_t number;		    /* of the service's, from 1 */
	char keys[160];			    /* what changed: "environment.MODEL" */
	char said[ROLLOUT_REASON_MAX + 64]; /* service_rollout_message() */
	bool agreed; /* ROLLED_BACK, and the manifest has been applied again as it is now */
	struct service_good good;
	struct service_past past[SERVICE_ROLLOUTS_KEPT]; /* oldest first, without the present one */
	unsigned n_past;
};

/* Another revision. */
struct service_next {
	uint64_t revision, hash;
	const char *keys; /* what changed; borrowed */
	bool steps;	  /* update.strategy canary: by steps, if there is something to return to */
};

/* What the store must know before the service gets another revision, in the same transaction; s may
 * be NULL. keys and the good one's sources are borrowed. */
struct store_rollout service_rollout_row(const struct service *s, const char *name,
					 const struct service_next *next);
/* The service is about to get another revision: call it before service_set_spec. */
void service_rollout_begin(struct service *s, const struct service_next *next);
/* What is desired already was applied again: that another one was rolled back is no news any more. */
void service_rollout_agree(struct service *s);
/*
 * Another revision of s, or its end, is on its way to the disk: until release nothing else of it may
 * be written, or the store would keep what is older. So the rollout waits, too. By name: s may have
 * gone meanwhile.
 */
void service_rollout_hold(struct service *s);
void service_rollout_release(struct controller *c, const char *name);
/* From the store, oldest first. */
void service_rollout_restore(struct service *s, const struct store_rollout *row);
/* The replicas that are still there are known. */
void service_rollout_resumed(struct service *s);
/* What it may return to; refers to what is in it. */
void service_rollout_set_good(struct service *s, const struct service_good *good);
/* Looks at the replicas; true: something changed, plan again. Sooner of *wake_mono_ms and its own
 * time. */
bool service_rollout_step(struct service *s, int64_t *wake_mono_ms);
struct plan_update service_rollout_bounds(const struct service *s);
/* The user's; false: not in this state. */
bool service_rollout_pause(struct service *s);
bool service_rollout_resume(struct service *s);
/* To the last good revision while a rollout is under way or has failed; true, too, when *reterr says
 * why it cannot be. */
bool service_rollout_undo(struct service *s, struct err **reterr);
/* May s return to that revision, beside what is there today? What it depends on may have gone, ...
 */
int service_rollout_check(const struct service *s, const struct service_good *to,
			  struct err **reterr);
/* The same, and said so. */
bool service_rollout_abort(struct service *s, struct err **reterr);
/* The steps of the canary are over. */
bool service_rollout_promote(struct service *s);
bool service_rollout_is_canary(const struct service *s);
/* The revision before the present one that had completed; 0 = none is known. */
uint64_t service_rollout_previous(const struct service *s);
/* An end that a waiting change must be told: it was of this revision and failed; or NULL. Borrowed. */
const char *service_rollout_failure(const struct service *s, uint64_t revision);
/* It returns to, or runs, the last good revision. */
bool service_rollout_is_back(const struct service *s);
/* A revision of this hash was rolled out last, and taken back. */
bool service_rollout_has_failed(const struct service *s, uint64_t hash);
bool service_rollout_is_paused(const struct service *s);
bool service_rollout_is_progressing(const struct service *s);
/* An update with something to return to is still to be proved. */
bool service_rollout_is_open(const struct service *s);
/* "update paused: ...", or NULL. Borrowed. */
const char *service_rollout_message(const struct service *s);
/* What a replica that was started with this hash runs as, or NULL: nobody knows. */
const struct service_good *service_rollout_good(const struct service *s, uint64_t hash);
/* The last good revision, if replicas of it can still be started at new indexes, or NULL. */
const struct service_good *service_rollout_growable(const struct service *s);
void service_rollout_write_json(const struct service *s, struct jsonw *w);
void service_rollout_free(struct service_rollout *ro); /* NULL is a no-op */

#endif
