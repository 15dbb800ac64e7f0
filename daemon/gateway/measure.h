/*
 * measure: what the gateway counts of the requests that pass, for the controller (wire_traffic.h).
 *
 * Of each port of a service (its route and all its backends share one struct demand): how many wait
 * and are under way, and the integral of that over time. Of each backend: how its requests ended, how
 * long they took, and how many bytes passed. A request is counted once, at the backend that it ended
 * at: by its status, as `none` when the replica gave no whole answer, or as cancelled when its client
 * left, or sent no whole request, before an answer began. What was sent again elsewhere is a retry of
 * the one that broke, or a failed connection, and nothing else.
 *
 * Times begin with the whole head of a request (or the connection, in tcp mode), so they include what
 * it waited. The clock is read once in a turn of the loop, when somebody asks.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_GATEWAY_MEASURE_H
#define AICTL_GATEWAY_MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "daemon/wire/wire_routes.h"
#include "daemon/wire/wire_traffic.h"

struct backend;
struct exchange;
struct gateway;
struct route;

struct measure {
	uv_prepare_t prepare;
	bool fresh; /* now_us is of this turn */
	uint64_t now_us;
	struct demand *demands;
};

struct demand {
	char service[WIRE_SERVICE_SIZE], name[WIRE_ROUTES_NAME_SIZE];
	unsigned refs;
	bool due;	  /* the controller is to hear of it */
	uint64_t told_at; /* uv_now of the last time */
	uint32_t waiting, active;
	uint64_t arrived, refused;
	uint64_t area_us, at_us; /* the integral until then */
	struct demand *next, *prev;
};

/* Of an exchange. */
struct measured {
	uint64_t arrived_us;
	uint64_t first_us; /* the answer's first byte; 0 = none yet */
	uint64_t bytes_in, bytes_out;
	uint16_t status; /* then; in tcp mode 200 */
	bool repeats;	 /* this attempt's end is not the request's */
};

void measure_init(struct measure *m, uv_loop_t *uv);
void measure_close(struct measure *m); /* its handle; then run the loop once */
uint64_t measure_now_us(struct measure *m);

/* That of one port; NULL: no memory, and nothing is counted. */
struct demand *measure_demand(struct measure *m, const char *service, const char *name);
void measure_demand_drop(struct measure *m, struct demand *d); /* NULL is a no-op */
/* Its service and name are known: it gets that one, and gives up the last. */
void measure_route(struct measure *m, struct route *r);
/* It counts as one of that from now on. */
void measure_revision(struct backend *b, uint64_t revision);
/* So many more of each. d may be NULL. */
void measure_change(struct measure *m, struct demand *d, int waiting, int active);
uint64_t measure_area_us(struct measure *m, struct demand *d); /* until now */
/* How long the one that waits longest does. */
uint32_t measure_longest_wait_ms(struct measure *m, const struct route *r);

void measure_arrived(struct gateway *g, struct exchange *x, struct route *r);
void measure_refused(struct route *r); /* NULL is a no-op */
void measure_began(struct exchange *x, unsigned status);
/* x->b is about to be left; failed: by the backend's fault. */
void measure_ended(struct exchange *x, bool failed);
#endif
