/*
 * stats: what the gateways have counted of each replica (wire_traffic.h, STATS), as sums that never
 * go backwards while this controller lives: what a gateway that is gone had told is a base to which
 * the next one's counters are added. A gateway counts from zero and tells sums, so one told twice
 * counts once. What a gateway had not told when it died, at most a second's worth, is lost.
 *
 * Replicas that are no more stay known, the newest STATS_OLD_MAX of each service, so that the sums
 * over a revision or a service do not shrink with each update.
 *
 * Besides: what happened in the last minute, for tables (requests per second, quantiles).
 *
 * Of the many buckets few are used, so both are kept as tallies (tally.h): about 1.4 KB for a replica
 * that is busy, a third of that for one that is no more.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CONTROLLER_STATS_H
#define AICTL_CONTROLLER_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/controller/tally.h"
#include "daemon/wire/wire_traffic.h"

struct stats;

#define STATS_OLD_MAX 128
#define STATS_SECONDS 60

struct stats_counts {
	uint64_t answers[WIRE_TRAFFIC_CLASSES]; /* [0]: the replica gave no whole answer */
	uint64_t cancelled, connect_failures, retries;
	uint64_t bytes_in, bytes_out;
	uint64_t ejections;
	uint64_t latency_us, first_byte_us; /* sums */
	uint64_t latency[WIRE_TRAFFIC_BUCKETS], first_byte[WIRE_TRAFFIC_BUCKETS];
};

struct stats_recent; /* what ended in the last minute */

/* One run of a replica, at one of its ports, as one revision. stats_counts_of: what was counted of it. */
struct stats_entry {
	struct wire_key key;
	char port[WIRE_ROUTES_NAME_SIZE];
	uint64_t revision;
	struct tally last;	     /* the sums that were told last */
	struct tally base;	     /* what was counted, less that: modulo 2^64 */
	uint64_t told;		     /* by which gateway; 0 = it is told as another revision now */
	int64_t told_mono_ms;	     /* when */
	int64_t ejected_until_ms;    /* monotonic; 0 = in use */
	struct stats_recent *recent; /* NULL: nothing has ended lately */
};

/* What was asked for at one port of a service. */
struct stats_port {
	char service[WIRE_SERVICE_SIZE], port[WIRE_ROUTES_NAME_SIZE];
	uint32_t waiting, longest_wait_ms; /* at the last word; 0 without a gateway */
	uint64_t arrived, refused;	   /* sums */
	uint64_t told;			   /* by which gateway */
	uint64_t last_arrived, last_refused;
};

struct stats_minute {
	uint64_t requests, errors;    /* that ended; errors: 5xx and no whole answer */
	uint32_t each[STATS_SECONDS]; /* requests of each second, the last one last */
	double per_second;	      /* over the last ten seconds */
	uint64_t latency[WIRE_TRAFFIC_BUCKETS], first_byte[WIRE_TRAFFIC_BUCKETS];
};

/* is_live: it runs, and may be told of again. NULL: no memory. */
struct stats *stats_new(bool (*is_live)(const struct stats_entry *e, void *user), void *user);
void stats_free(struct stats *s); /* NULL is a no-op */
/* The gateway is gone; what is told from now on comes from another one. */
void stats_new_gateway(struct stats *s);
/* old: it may have counted before we were here; that is not of the last minute. */
void stats_take(struct stats *s, const struct wire_traffic_stats *m, bool old, int64_t now_mono_ms);
void stats_take_demand(struct stats *s, const struct wire_traffic_demand *m);
void stats_forget(struct stats *s, const char *service);
/* Only those ports of it are asked for any more. */
void stats_keep_ports(struct stats *s, const char *service,
		      bool (*has)(const void *user, const char *port), const void *user);

/* Sorted by service, port, index, revision and incarnation. */
size_t stats_count(const struct stats *s);
const struct stats_entry *stats_at(const struct stats *s, size_t i);
void stats_counts_of(const struct stats_entry *e, struct stats_counts *out);

size_t stats_count_ports(const struct stats *s); /* in no order */
const struct stats_port *stats_port_at(const struct stats *s, size_t i);

/* Those of a service: of one port (NULL: all), revision (0: all), replica (-1: all), run (NULL: all). */
struct stats_which {
	const char *service, *port;
	uint64_t revision;
	int64_t index;
	const char *incarnation;
};
void stats_sum(const struct stats *s, const struct stats_which *which, struct stats_counts *out);
void stats_minute(const struct stats *s, const struct stats_which *which, int64_t now_mono_ms,
		  struct stats_minute *out);

bool stats_is_ejected(const struct stats *s, const struct stats_which *which, int64_t now_mono_ms);

uint64_t stats_requests(const struct stats_counts *c); /* that ended, with an answer or without */
uint64_t stats_errors(const struct stats_counts *c);   /* of them */
void stats_add(struct stats_counts *to, const struct stats_counts *c);
/* to less c: what happened in between, of two sums over the same. */
void stats_subtract(struct stats_counts *to, const struct stats_counts *c);
/* As Prometheus' histogram_quantile: in proportion within a bucket. Milliseconds; -1: no samples. */
double stats_quantile_ms(const uint64_t *buckets, double q);

#endif
