/*
 * wire_traffic: what the gateway has measured, for the controller, over the same socket as
 * wire_routes.h.
 *
 *   DEMAND  of the routes whose numbers have changed, and of those where something waits or is under
 *           way: at most every WIRE_TRAFFIC_DEMAND_MS, at least once a second; at once when a request
 *           begins to wait in a route without an active backend
 *   STATS   of the backends whose numbers have changed: once a second
 *
 * Totals are since this gateway began; another one begins at 0. After a PEER all are sent once.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_DAEMON_WIRE_TRAFFIC_H
#define AICTL_DAEMON_WIRE_TRAFFIC_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/wire/wire.h"
#include "daemon/wire/wire_routes.h"

#define WIRE_TRAFFIC_DEMAND_MS 250
#define WIRE_TRAFFIC_STATS_MS 1000
#define WIRE_TRAFFIC_DEMANDS_MAX 256 /* in one packet */
#define WIRE_TRAFFIC_STATS_MAX 96
#define WIRE_TRAFFIC_DOUBLING 4 /* buckets to a doubling: two times as long is not the same */
#define WIRE_TRAFFIC_BUCKETS 82 /* to 262 s; the last one has no upper bound */
#define WIRE_TRAFFIC_CLASSES 6	/* no whole answer, 1xx to 5xx */

struct wire_traffic_demand {
	char service[WIRE_SERVICE_SIZE];
	char name[WIRE_ROUTES_NAME_SIZE]; /* of the port */
	uint32_t waiting, active;	  /* now */
	uint32_t longest_wait_ms;	  /* of those that wait now */
	uint64_t arrived, refused;	  /* refused: answered by the gateway itself, for want of a
					     replica */
	uint64_t area_us; /* integral over time of waiting and active: request-microseconds */
};

struct wire_traffic_stats {
	struct wire_key key;
	char name[WIRE_ROUTES_NAME_SIZE];
	uint64_t revision;
	uint64_t answers[WIRE_TRAFFIC_CLASSES];
	uint64_t
		cancelled; /* their clients left, or sent no whole request, before an answer began */
	uint64_t connect_failures, retries; /* retries: sent again after it broke; not in answers */
	uint64_t bytes_in, bytes_out;	    /* to it, from it; with heads */
	uint32_t ejections, ejected_for_ms; /* the second: from now on; 0 = it is in use */
	uint64_t latency_us, first_byte_us; /* sums */
	uint64_t latency[WIRE_TRAFFIC_BUCKETS], first_byte[WIRE_TRAFFIC_BUCKETS];
};

/* The upper bound of bucket i in ms: 0.25, 0.297, 0.354, 0.42, 0.5 ...; of the last one INFINITY. */
double wire_traffic_bound_ms(unsigned i);
unsigned wire_traffic_bucket(uint64_t us);

/* As many of the list as fit into one packet; returns how many that were, at least one of n > 0. */
uint32_t wire_traffic_encode_demand(struct buf *b, const struct wire_traffic_demand *list,
				    uint32_t n);
uint32_t wire_traffic_encode_stats(struct buf *b, const struct wire_traffic_stats *list,
				   uint32_t n);
/* Calls fn for each; 0 or -ERR_INVALID, then for none. */
int wire_traffic_decode_demand(const uint8_t *body, size_t len,
			       void (*fn)(void *user, const struct wire_traffic_demand *m),
			       void *user);
int wire_traffic_decode_stats(const uint8_t *body, size_t len,
			      void (*fn)(void *user, const struct wire_traffic_stats *m),
			      void *user);

#endif
