/* metrics: see metrics.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/metrics.h"

#include <stdio.h>
#include <string.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/exposition.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/replica_ports.h"
#include "daemon/controller/replica_sm.h"
#include "daemon/controller/routes.h"
#include "daemon/controller/service.h"
#include "daemon/controller/stats.h"
#include "daemon/controller/traffic.h"
#include "daemon/controller/usage.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/manifest.h"
#include "lib/mem.h"

/* ---- the daemon ---- */

static void one(struct buf *b, const char *name, const char *type, const char *help, double value)
{
	exposition_family(b, name, type, help);
	exposition_begin(b, name);
	exposition_end_double(b, value);
}

static void helper(struct buf *b, const char *name, uint32_t restarts)
{
	exposition_begin(b, "aictl_helper_restarts_total");
	exposition_label(b, "helper", name);
	exposition_end_int(b, restarts);
}

static void write_daemon(const struct controller *c, struct buf *b)
{
	exposition_family(b, "aictl_build_info", "gauge", "Always 1; the version is a label");
	exposition_begin(b, "aictl_build_info");
	exposition_label(b, "version", PKGVERSION);
	exposition_end_int(b, 1);
	one(b, "aictl_daemon_start_time_seconds", "gauge", "When this aictld started, in Unix time",
	    (double)c->status.started_wall_ms / 1000);
	one(b, "aictl_controller_start_time_seconds", "gauge",
	    "When its controller started, in Unix time: what it counts begins there",
	    (double)c->started_wall_ms / 1000);
	one(b, "aictl_gateway_up", "gauge", "Whether the gateway is connected",
	    traffic_has_gateway(c->traffic));
	exposition_family(b, "aictl_helper_restarts_total", "counter",
			  "Restarts of the daemon's own processes since aictld started");
	helper(b, "controller", c->status.controller_restarts);
	helper(b, "logger", c->status.logger_restarts);
	helper(b, "gateway", c->status.gateway_restarts);
}

/* ---- services and replicas ---- */

static void service_sample(struct buf *b, const char *name, const struct service *s, uint64_t value)
{
	exposition_begin(b, name);
	exposition_label(b, "service", s->name);
	exposition_end_int(b, value);
}

static unsigned count_in(const struct service *s, enum replica_state state)
{
	unsigned n = 0;

	for (size_t i = 0; i < s->n_replicas; i++)
		n += s->replicas[i]->state == state;
	return n;
}

static void write_services(const struct controller *c, struct buf *b)
{
	exposition_family(b, "aictl_service_state", "gauge",
			  "1 for the state that the service is in");
	for (size_t i = 0; i < c->n_services; i++) {
		exposition_begin(b, "aictl_service_state");
		exposition_label(b, "service", c->services[i]->name);
		exposition_label(b, "state", service_state_name(service_state(c->services[i])));
		exposition_end_int(b, 1);
	}
	exposition_family(b, "aictl_replicas_desired", "gauge", "Replicas that there shall be");
	for (size_t i = 0; i < c->n_services; i++)
		service_sample(b, "aictl_replicas_desired", c->services[i],
			       service_desired(c->services[i]));
	exposition_family(b, "aictl_replicas", "gauge", "Replicas by state");
	for (size_t i = 0; i < c->n_services; i++) {
		for (int k = 0; k < REPLICA_STATE_MAX_; k++) {
			exposition_begin(b, "aictl_replicas");
			exposition_label(b, "service", c->services[i]->name);
			exposition_label(b, "state", replica_sm_state_name((enum replica_state)k));
			exposition_end_int(b, count_in(c->services[i], (enum replica_state)k));
		}
	}
}

static void begin_replica(struct buf *b, const char *name, const char *service, unsigned index)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", index);
	exposition_begin(b, name);
	exposition_label(b, "service", service);
	exposition_label(b, "replica", text);
}

static void write_replicas(const struct controller *c, struct buf *b)
{
	exposition_family(b, "aictl_replica_restarts_total", "counter",
			  "Automatic restarts since the replica was last started by hand");
	for (size_t i = 0; i < c->n_services; i++) {
		const struct service *s = c->services[i];

		for (size_t k = 0; k < s->n_replicas; k++) {
			begin_replica(b, "aictl_replica_restarts_total", s->name,
				      s->replicas[k]->index);
			exposition_end_int(b, s->replicas[k]->restarts);
		}
	}
	exposition_family(b, "aictl_replica_start_time_seconds", "gauge",
			  "When its process started, in Unix time");
	for (size_t i = 0; i < c->n_services; i++) {
		const struct service *s = c->services[i];

		for (size_t k = 0; k < s->n_replicas; k++) {
			if (!s->replicas[k]->pid)
				continue;
			begin_replica(b, "aictl_replica_start_time_seconds", s->name,
				      s->replicas[k]->index);
			exposition_end_double(b, (double)s->replicas[k]->started_wall_ms / 1000);
		}
	}
}

static void write_usage(const struct usage_item *items, size_t n, struct buf *b)
{
	exposition_family(b, "aictl_replica_cpu_seconds_total", "counter",
			  "Processor time that its processes have used");
	for (size_t i = 0; i < n; i++) {
		if (!items[i].usage.source)
			continue;
		begin_replica(b, "aictl_replica_cpu_seconds_total", items[i].service,
			      items[i].index);
		exposition_end_double(b, (double)items[i].usage.cpu_us / 1e6);
	}
	exposition_family(b, "aictl_replica_memory_bytes", "gauge",
			  "Memory of its processes, without file cache that can be dropped");
	for (size_t i = 0; i < n; i++) {
		if (!items[i].usage.source)
			continue;
		begin_replica(b, "aictl_replica_memory_bytes", items[i].service, items[i].index);
		exposition_end_int(b, (uint64_t)items[i].usage.memory_bytes);
	}
	exposition_family(b, "aictl_replica_threads", "gauge", "Its processes and threads");
	for (size_t i = 0; i < n; i++) {
		if (!items[i].usage.source)
			continue;
		begin_replica(b, "aictl_replica_threads", items[i].service, items[i].index);
		exposition_end_int(b, (uint64_t)items[i].usage.pids);
	}
}

/* ---- ports ---- */

static void write_ports(const struct controller *c, struct buf *b)
{
	exposition_family(b, "aictl_port_open", "gauge",
			  "Whether the service's stable port is listened on");
	for (size_t i = 0; i < c->n_services; i++) {
		const struct service *s = c->services[i];
		const struct port_spec *p;
		struct wire_listen_at at;

		for (size_t k = 0; !s->deleted && (p = routes_port(s->spec, k, &at)); k++) {
			_cleanup_buf_ struct buf address = {0};

			routes_say(&at, &address);
			exposition_begin(b, "aictl_port_open");
			exposition_label(b, "service", s->name);
			exposition_label(b, "port", p->name);
			exposition_label(b, "address", buf_cstr(&address));
			exposition_end_int(b, traffic_error(c->traffic, &at) == 0);
			b->failed |= address.failed;
		}
	}
}

static void write_in_flight(const struct controller *c, struct buf *b)
{
	exposition_family(b, "aictl_requests_in_flight", "gauge",
			  "Requests (tcp: connections) that a replica is at now");
	for (size_t i = 0; i < c->n_services; i++) {
		const struct service *s = c->services[i];
		const struct port_spec *p;

		for (size_t k = 0; k < s->n_replicas; k++) {
			for (size_t m = 0; !s->deleted && (p = routes_port(s->spec, m, NULL));
			     m++) {
				if (!replica_ports_number(s->replicas[k], p->name))
					continue;
				begin_replica(b, "aictl_requests_in_flight", s->name,
					      s->replicas[k]->index);
				exposition_label(b, "port", p->name);
				exposition_end_int(b, traffic_active_of(s->replicas[k], p->name));
			}
		}
	}
}

/* ---- requests ---- */

/* The runs of a replica at one port and revision are one series. */
static bool same_series(const struct stats_entry *a, const struct stats_entry *b)
{
	return a->key.index == b->key.index && a->revision == b->revision &&
	       strcmp(a->port, b->port) == 0 && strcmp(a->key.service, b->key.service) == 0;
}

static void begin_series(struct buf *b, const char *name, const struct stats_entry *e)
{
	char revision[24];

	snprintf(revision, sizeof(revision), "%llu", (unsigned long long)e->revision);
	begin_replica(b, name, e->key.service, e->key.index);
	exposition_label(b, "port", e->port);
	exposition_label(b, "revision", revision);
}

struct family {
	const char *name, *help;
	size_t offset; /* in struct stats_counts */
};

typedef void (*series_fn)(struct buf *b, const struct family *f, const struct stats_entry *e,
			  const struct stats_counts *sum);

static void each_series(const struct stats *s, struct buf *b, const struct family *f, series_fn fn)
{
	struct stats_counts sum, one;

	for (size_t i = 0, k; i < stats_count(s); i = k) {
		stats_counts_of(stats_at(s, i), &sum);
		for (k = i + 1; k < stats_count(s) && same_series(stats_at(s, i), stats_at(s, k));
		     k++) {
			stats_counts_of(stats_at(s, k), &one);
			stats_add(&sum, &one);
		}
		fn(b, f, stats_at(s, i), &sum);
	}
}

static const uint64_t *counter_of(const struct stats_counts *sum, size_t offset)
{
	return (const uint64_t *)((const char *)sum + offset);
}

static void counter(struct buf *b, const struct family *f, const struct stats_entry *e,
		    const struct stats_counts *sum)
{
	begin_series(b, f->name, e);
	exposition_end_int(b, *counter_of(sum, f->offset));
}

static void classes(struct buf *b, const struct family *f, const struct stats_entry *e,
		    const struct stats_counts *sum)
{
	static const char *const names[WIRE_TRAFFIC_CLASSES] = {"none", "1xx", "2xx",
								"3xx",	"4xx", "5xx"};

	for (int i = 0; i < WIRE_TRAFFIC_CLASSES; i++) {
		if (i == 1 && sum->answers[i] == 0) /* an upgrade is rare */
			continue;
		begin_series(b, f->name, e);
		exposition_label(b, "code", names[i]);
		exposition_end_int(b, sum->answers[i]);
	}
}

static void bucket(struct buf *b, const char *name, const struct stats_entry *e, const char *le,
		   uint64_t n)
{
	begin_series(b, name, e);
	exposition_label(b, "le", le);
	exposition_end_int(b, n);
}

static void histogram(struct buf *b, const char *family, const struct stats_entry *e,
		      const uint64_t *buckets, uint64_t sum_us)
{
	char name[64], le[32];
	uint64_t n = 0;

	snprintf(name, sizeof(name), "%s_bucket", family);
	for (unsigned i = 0; i < WIRE_TRAFFIC_BUCKETS - 1; i++) {
		n += buckets[i];
		if (i % WIRE_TRAFFIC_DOUBLING != 0) /* so many nobody wants to keep */
			continue;
		snprintf(le, sizeof(le), "%.9g", wire_traffic_bound_ms(i) / 1000);
		bucket(b, name, e, le, n);
	}
	n += buckets[WIRE_TRAFFIC_BUCKETS - 1];
	bucket(b, name, e, "+Inf", n);
	snprintf(name, sizeof(name), "%s_sum", family);
	begin_series(b, name, e);
	exposition_end_double(b, (double)sum_us / 1e6);
	snprintf(name, sizeof(name), "%s_count", family);
	begin_series(b, name, e);
	exposition_end_int(b, n);
}

static void latency(struct buf *b, const struct family *f, const struct stats_entry *e,
		    const struct stats_counts *sum)
{
	histogram(b, f->name, e, sum->latency, sum->latency_us);
}

static void first_byte(struct buf *b, const struct family *f, const struct stats_entry *e,
		       const struct stats_counts *sum)
{
	histogram(b, f->name, e, sum->first_byte, sum->first_byte_us);
}

static void port_sample(struct buf *b, const char *name, const struct stats_port *p, double value)
{
	exposition_begin(b, name);
	exposition_label(b, "service", p->service);
	exposition_label(b, "port", p->port);
	exposition_end_double(b, value);
}

static void write_demand(const struct stats *s, struct buf *b)
{
	exposition_family(b, "aictl_requests_arrived_total", "counter",
			  "Requests (tcp: connections) that came to the stable port");
	for (size_t i = 0; i < stats_count_ports(s); i++)
		port_sample(b, "aictl_requests_arrived_total", stats_port_at(s, i),
			    (double)stats_port_at(s, i)->arrived);
	exposition_family(b, "aictl_requests_refused_total", "counter",
			  "Requests that were answered 503 for want of a replica");
	for (size_t i = 0; i < stats_count_ports(s); i++)
		port_sample(b, "aictl_requests_refused_total", stats_port_at(s, i),
			    (double)stats_port_at(s, i)->refused);
	exposition_family(b, "aictl_requests_waiting", "gauge",
			  "Requests that wait for a replica now");
	for (size_t i = 0; i < stats_count_ports(s); i++)
		port_sample(b, "aictl_requests_waiting", stats_port_at(s, i),
			    stats_port_at(s, i)->waiting);
	exposition_family(b, "aictl_request_longest_wait_seconds", "gauge",
			  "How long the one of them has waited that waits longest");
	for (size_t i = 0; i < stats_count_ports(s); i++)
		port_sample(b, "aictl_request_longest_wait_seconds", stats_port_at(s, i),
			    stats_port_at(s, i)->longest_wait_ms / 1e3);
}

static const struct family counters[] = {
	{"aictl_requests_cancelled_total",
	 "Requests whose client left, or sent no whole request, before an answer began",
	 offsetof(struct stats_counts, cancelled)},
	{"aictl_request_retries_total",
	 "Requests that broke there without an answer and were sent again",
	 offsetof(struct stats_counts, retries)},
	{"aictl_connect_failures_total", "Connections to the replica that failed",
	 offsetof(struct stats_counts, connect_failures)},
	{"aictl_request_bytes_total", "Bytes sent to the replica, with heads",
	 offsetof(struct stats_counts, bytes_in)},
	{"aictl_response_bytes_total", "Bytes that came from the replica, with heads",
	 offsetof(struct stats_counts, bytes_out)},
	{"aictl_ejections_total",
	 "How often the replica was given no requests for a while after failures",
	 offsetof(struct stats_counts, ejections)},
};

static void write_requests(const struct stats *s, struct buf *b)
{
	static const struct family requests = {.name = "aictl_requests_total"};
	static const struct family whole = {.name = "aictl_request_duration_seconds"};
	static const struct family first = {.name = "aictl_request_first_byte_seconds"};

	exposition_family(
		b, requests.name, "counter",
		"Requests that ended, by the replica's status; none: no whole answer came "
		"(tcp: 2xx is a connection that came to its end)");
	each_series(s, b, &requests, classes);
	for (size_t i = 0; i < ARRAY_SIZE(counters); i++) {
		exposition_family(b, counters[i].name, "counter", counters[i].help);
		each_series(s, b, &counters[i], counter);
	}
	exposition_family(b, whole.name, "histogram",
			  "From a request's head to the last byte of its answer, with all waiting");
	each_series(s, b, &whole, latency);
	exposition_family(
		b, first.name, "histogram",
		"From a request's head to the first byte of its answer, with all waiting");
	each_series(s, b, &first, first_byte);
}

void metrics_write(const struct controller *c, const struct usage_item *items, size_t n_items,
		   struct buf *b)
{
	write_daemon(c, b);
	write_services(c, b);
	write_replicas(c, b);
	write_usage(items, n_items, b);
	if (!c->traffic)
		return;
	write_ports(c, b);
	write_in_flight(c, b);
	write_demand(traffic_stats(c->traffic), b);
	write_requests(traffic_stats(c->traffic), b);
}
