/* replica_probe: see replica_probe.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/replica_probe.h"

#include <stdio.h>
#include <string.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/service.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/parse.h"

const char *replica_probe_kind_name(enum probe_kind kind)
{
	static const char *const names[] = {"startup", "readiness", "liveness"};

	return (unsigned)kind < PROBE_KIND_MAX_ ? names[kind] : "unknown";
}

static void finished(struct replica_probe *p, bool ok, const char *message)
{
	struct replica *r = p->replica;
	enum health_verdict v;

	p->run = NULL;
	p->ok = ok;
	p->at_wall_ms = clock_wall_ms();
	snprintf(p->message, sizeof(p->message), "%s", message);
	v = health_result(&r->health, r->spec->probes, p->kind, ok, clock_mono_ms());
	replica_verdict(r, v, p->kind);
	replica_probe_arm(r);
}

static void on_result(const struct probe_result *result, void *user)
{
	finished(user, result->ok, result->message);
}

static void run(struct replica *r, enum probe_kind kind)
{
	const struct probe_spec *spec = &r->spec->probes[kind];
	struct replica_probe *p = &r->probes[kind];
	int64_t port = 0;
	const struct probe_http req = {.host = spec->host,
				       .port = parse_i64(spec->port, 1, 65535, &port, NULL) == 0
						       ? (unsigned)port
						       : r->port,
				       .path = spec->path,
				       .timeout_ms = spec->timeout_ms};
	_cleanup_err_ struct err *err = NULL;

	if (prober_http(r->service->controller->prober, &req, on_result, p, &p->run, &err) < 0) {
		log_warn("replica=%s/%u probe=%s cannot run: %s", r->service->name, r->index,
			 replica_probe_kind_name(kind), err_msg(err));
		finished(p, false, err_msg(err));
	}
}

static void on_timer(uv_timer_t *timer)
{
	struct replica *r = timer->data;
	int kind;

	while ((kind = health_due(&r->health, clock_mono_ms())) >= 0)
		run(r, (enum probe_kind)kind);
	replica_give_standby(r);
	replica_probe_arm(r);
}

void replica_probe_arm(struct replica *r)
{
	int64_t next = health_next_ms(&r->health), now;

	if (r->closing)
		return;
	if (replica_standby_due(r) < next)
		next = replica_standby_due(r);
	if (next == INT64_MAX) {
		uv_timer_stop(&r->timer);
		return;
	}
	now = clock_mono_ms();
	uv_update_time(r->service->controller->loop);
	uv_timer_start(&r->timer, on_timer, next > now ? (uint64_t)(next - now) : 0, 0);
}

void replica_probe_begin(struct replica *r)
{
	enum health_verdict v = health_begin(&r->health, r->spec->probes, clock_mono_ms());

	replica_verdict(r, v, PROBE_READINESS);
	replica_probe_arm(r);
}

void replica_probe_resume(struct replica *r)
{
	struct controller *c = r->service->controller;

	health_resume(&r->health, r->spec->probes, clock_mono_ms(), controller_random_unit(c));
	replica_probe_arm(r);
}

void replica_probe_respec(struct replica *r)
{
	enum health_verdict v = health_respec(&r->health, r->spec->probes, clock_mono_ms());

	replica_verdict(r, v, PROBE_READINESS);
	replica_probe_arm(r);
}

void replica_probe_end(struct replica *r)
{
	health_end(&r->health);
	uv_timer_stop(&r->timer);
	for (int k = 0; k < PROBE_KIND_MAX_; k++) {
		if (r->probes[k].run)
			prober_cancel(r->probes[k].run);
		r->probes[k].run = NULL;
	}
}
