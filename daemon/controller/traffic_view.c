/* traffic_view: see traffic_view.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/traffic_view.h"

#include <stdbool.h>
#include <string.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/routes.h"
#include "daemon/controller/service.h"
#include "daemon/controller/stats.h"
#include "daemon/controller/traffic.h"
#include "lib/clock.h"
#include "lib/jsonw.h"

/* The stats, or NULL: nothing passes there. */
static const struct stats *stats_of(const struct service *s)
{
	const struct traffic *t = s->controller->traffic;

	return t && !s->deleted && routes_port(s->spec, 0, NULL) ? traffic_stats(t) : NULL;
}

/* Rounded to microseconds; null: no samples. */
static void write_ms(struct jsonw *w, const char *key, const uint64_t *buckets, double q)
{
	double ms = stats_quantile_ms(buckets, q);

	if (ms < 0)
		jsonw_null(w, key);
	else
		jsonw_double(w, key, (double)(int64_t)(ms * 1000 + 0.5) / 1000);
}

static void write_minute(struct jsonw *w, const struct stats_minute *m)
{
	jsonw_double(w, "requests_per_second", m->per_second);
	jsonw_double(w, "error_rate", m->requests ? (double)m->errors / (double)m->requests : 0);
	write_ms(w, "p50_ms", m->latency, 0.5);
	write_ms(w, "p95_ms", m->latency, 0.95);
	write_ms(w, "p99_ms", m->latency, 0.99);
	write_ms(w, "first_byte_p50_ms", m->first_byte, 0.5);
	write_ms(w, "first_byte_p95_ms", m->first_byte, 0.95);
}

static void write_counts(struct jsonw *w, const struct stats_counts *c)
{
	jsonw_int(w, "requests", (int64_t)stats_requests(c));
	jsonw_int(w, "errors", (int64_t)stats_errors(c));
	jsonw_int(w, "retries", (int64_t)c->retries);
	jsonw_int(w, "connect_failures", (int64_t)c->connect_failures);
	jsonw_int(w, "cancelled", (int64_t)c->cancelled);
}

static void write_queue(struct jsonw *w, const struct stats *stats, const char *service)
{
	int64_t waiting = 0, longest = 0, refused = 0;

	for (size_t i = 0; i < stats_count_ports(stats); i++) {
		const struct stats_port *p = stats_port_at(stats, i);

		if (strcmp(p->service, service) != 0)
			continue;
		waiting += p->waiting;
		refused += (int64_t)p->refused;
		longest = p->longest_wait_ms > longest ? p->longest_wait_ms : longest;
	}
	jsonw_int(w, "waiting", waiting);
	jsonw_int(w, "longest_wait_ms", longest);
	jsonw_int(w, "refused", refused);
}

void traffic_view_write_service(const struct service *s, struct jsonw *w)
{
	const struct stats *stats = stats_of(s);
	const struct stats_which all = {.service = s->name, .index = -1};
	struct stats_counts counts;
	struct stats_minute minute;
	int64_t active = 0;

	if (!stats) {
		jsonw_null(w, "traffic");
		return;
	}
	stats_sum(stats, &all, &counts);
	stats_minute(stats, &all, clock_mono_ms(), &minute);
	for (size_t i = 0; i < s->n_replicas; i++)
		active += (int64_t)traffic_active(s->replicas[i]);
	jsonw_object_begin(w, "traffic");
	write_minute(w, &minute);
	jsonw_int(w, "in_flight", active);
	write_queue(w, stats, s->name);
	write_counts(w, &counts);
	jsonw_array_begin(w, "last_minute");
	for (int i = 0; i < STATS_SECONDS; i++)
		jsonw_int(w, NULL, minute.each[i]);
	jsonw_array_end(w);
	jsonw_object_end(w);
}

void traffic_view_write_replica(const struct replica *r, struct jsonw *w)
{
	const struct stats *stats = stats_of(r->service);
	const struct stats_which run = {
		.service = r->service->name, .index = r->index, .incarnation = r->incarnation};
	int64_t now = clock_mono_ms();
	struct stats_counts counts;
	struct stats_minute minute;

	if (!stats || !r->pid) {
		jsonw_null(w, "traffic");
		return;
	}
	stats_sum(stats, &run, &counts);
	stats_minute(stats, &run, now, &minute);
	jsonw_object_begin(w, "traffic");
	write_minute(w, &minute);
	jsonw_int(w, "in_flight", (int64_t)traffic_active(r));
	write_counts(w, &counts);
	jsonw_bool(w, "ejected", stats_is_ejected(stats, &run, now));
	jsonw_object_end(w);
}
