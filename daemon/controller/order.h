/*
 * order: depends_on among the services that are here: which of them wait (deps.h says so), who is
 * told when something changes, who stops before whom, and what a dependency's new process means.
 *
 * started: one replica of it runs at least; ready: one is ready at least; completed: it has
 * succeeded. So one bad replica of ten does not keep all that depends on them from restarting.
 *
 * Stops go the other way: what is to stop waits while a dependent that is to stop, too, still runs.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_ORDER_H
#define AICTL_CONTROLLER_ORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/controller/deps.h"

struct controller;
struct depend_spec;
struct replica;
struct service;

/* Part of struct service. */
struct order {
	bool watched;		     /* somebody depends on it */
	uint8_t told;		     /* its facts when its dependents were last told */
	enum deps_kind kind;	     /* the last verdict */
	int64_t waiting_mono_ms;     /* since when it waits; 0 = it does not */
	uint64_t life;		     /* deps.h; of a service that is watched */
	struct service **dependents; /* who depends on it, from order_relink; owned, not they */
	size_t n_dependents, cap_dependents;
	size_t ended;	/* at a shutdown: so many of them, from the first, have */
	char text[160]; /* "waiting for tokenizer (ready): starting"; "" = OPEN */
};

struct order_gate {
	bool held;	      /* nothing new starts */
	bool stop_held;	      /* nothing stops for good yet */
	int64_t wake_mono_ms; /* ask again then; INT64_MAX = when something changes */
};

/* Before it is planned. Judges anew, and gives up what has waited too long. */
struct order_gate order_ask(struct service *s, int64_t now_mono_ms);
/* After it was planned: whoever depends on it, or it on them, is planned if that changed anything. */
void order_settled(struct service *s);
/* r is about to be forgotten. */
void order_removed(struct service *s, const struct replica *r);
/* Services or their specifications have come or gone. */
void order_relink(struct controller *c);
/* At a shutdown: stops what no running service depends on; the others follow as they end. */
void order_stop_all(struct controller *c);
void order_done(struct order *o);
/* That dependency of s is as it must be, now. */
bool order_holds(const struct service *s, const struct depend_spec *spec);
/* All of them are. Else no start may be left to aictld (replica_standby.h). */
bool order_is_open(const struct service *s);

#endif
