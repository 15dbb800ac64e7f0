/*
 * service_scale: how many replicas a service shall have: what the user has asked for (until that
 * expires), else the scaler's number, else the manifest's.
 *
 * A service whose replicas are a range has a scaler: each AUTOSCALE_TICK_MS, and at once when the
 * gateway tells of much more than before, it gathers what is known (demand.h, scale_usage.h,
 * scale_page.h), asks autoscale_decide and keeps the number, in the store too: our own restart
 * changes nothing. With nothing under way and nothing to look at it sleeps until the gateway tells
 * of a request, or a window of the schedule opens.
 *
 * What it decides while an override is in force is kept, and counts when that is over. Zero is not
 * its matter (service_zero.h), unless max is zero: it says one as long as there is a range. Of a
 * service that may be at zero it begins a panic_window after the first replica is ready: what has
 * waited for that is served by it, or is still there then.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_SERVICE_SCALE_H
#define AICTL_CONTROLLER_SERVICE_SCALE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "daemon/controller/autoscale.h"
#include "daemon/controller/autoscale_window.h"

struct controller;
struct demand;
struct demand_reading;
struct scale_page;
struct scale_usage;
struct service;
struct service_spec;

#define SERVICE_SCALE_FOR_MS (60 * 60 * 1000) /* of an override where there is a scaler */

/* Lives until its timer is closed. */
struct service_scale {
	struct service *s; /* NULL: it has gone */
	uv_timer_t timer;
	struct autoscale scaler;
	struct autoscale_rules rules;
	struct autoscale_bounds bounds;
	unsigned number;	/* the scaler's */
	bool begun;		/* its scaler has a beginning */
	bool dormant;		/* at zero, or on the way from there: nothing is decided */
	int64_t up_mono_ms;	/* dormant: since when the first one is ready; 0 = none is */
	struct autoscale_in in; /* of the last decision */
	struct autoscale_verdict verdict;
	int64_t decided_wall_ms; /* 0 = not yet */
	int64_t changed_wall_ms; /* the number, the last time; 0 = not since we run */
	/* Events are told at most every few seconds: */
	unsigned told;
	int64_t told_mono_ms;
	struct scale_usage *usage; /* or NULL */
	struct scale_page *pages;  /* or NULL */
};

/* It has another specification than before (NULL: none). */
void service_scale_respec(struct service *s, const struct service_spec *before);
void service_scale_free(struct service *s);
/* Of a service that is neither stopped nor deleted and has a specification. */
unsigned service_scale_number(const struct service *s);
/* What an apply would begin with: the scaler's own number, in the range of want. */
int64_t service_scale_after(const struct service *s, const struct service_spec *want);
/* Ends an override that is over, keeps the scaler awake; *wake_mono_ms becomes sooner. */
void service_scale_settle(struct service *s, int64_t *wake_mono_ms);
/* The user's number; -1 = the scaler's or manifest's again. for_ms 0: until the manifest's number
 * changes, where there is no scaler, else SERVICE_SCALE_FOR_MS. Not in the store. */
void service_scale_override(struct service *s, int64_t replicas, int64_t for_ms);
bool service_scale_is(const struct service *s); /* it has a scaler */
/* Replicas that take load soon. */
unsigned service_scale_starting(const struct service *s);
/* A window of the schedule that is open wants it up. */
bool service_scale_is_pinned(const struct service *s);
/* The gateway came or went; it says something. */
void service_scale_connect(struct controller *c, bool connected);
void service_scale_demand(struct service *s, const struct demand_reading *m);

#endif
