/*
 * service_zero: going to zero and coming back (zero.h) of one service at work: what the gateway says
 * of its requests, what is told to the gateway while they wait, how long a start is expected to
 * take.
 *
 * To those that depend on it it is there while it sleeps, and while it wakes: its stable ports are
 * open, and what comes there is held.
 *
 * That it sleeps is not stored: a service without a replica does, if it may. How long a start takes
 * is, for it is asked for when no replica is left to remember it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_SERVICE_ZERO_H
#define AICTL_CONTROLLER_SERVICE_ZERO_H

#include <stdbool.h>
#include <stdint.h>

struct controller;
struct jsonw;
struct replica;
struct service;
struct service_spec;
struct service_zero;
struct wire_route;

#define SERVICE_ZERO_IDLE_MS (10 * 60 * INT64_C(1000)) /* where the manifest does not say */

/* What the gateway says of one of its stable ports. */
struct service_zero_demand {
	const char *port;
	uint32_t waiting, active;
	uint64_t arrived; /* since that gateway has known it */
};

/* Its range begins at 0. */
bool service_zero_may(const struct service_spec *spec);
/* Before it is planned. Sooner of *wake_mono_ms and its own time. */
void service_zero_step(struct service *s, int64_t *wake_mono_ms);
bool service_zero_is_asleep(const struct service *s);
/* Of the number that the scaler wants: what is wanted now. */
unsigned service_zero_bound(const struct service *s, unsigned n);
/* It sleeps, or wakes up and has not failed: who asks it is answered in the end. */
bool service_zero_holds(const struct service *s);
/* The user's: up now, and to sleep now; nothing for a service that cannot be at zero. False then. */
void service_zero_rouse(struct service *s);
bool service_zero_lull(struct service *s);
/* It has another specification than before (NULL: none), with other ports perhaps. */
void service_zero_respec(struct service *s, const struct service_spec *before);
void service_zero_demand(struct service *s, const struct service_zero_demand *d);
/* There is another gateway, or none. */
void service_zero_forget(struct controller *c);
/* What is known of the requests has changed. */
void service_zero_touch_all(struct controller *c);
/* One has become ready, which took so long. */
void service_zero_started(struct service *s, int64_t took_ms);
/* Requests that are held until it is up. */
uint32_t service_zero_waiting(const struct service *s);
/* What the gateway is to know of it. */
void service_zero_fill(const struct service *s, struct wire_route *route);
/* "a request at 127.0.0.1:8000 starts a replica, in about 12s", or "". Borrowed, until the next
 * call. */
const char *service_zero_message(const struct service *s);
/* The object "from_zero", or null. */
void service_zero_write(const struct service *s, struct jsonw *w);

#endif
