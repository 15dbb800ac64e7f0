/* replica_probe: see replica_probe.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/replica_probe.h"

#include <stdio.h>
#include <string.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/probe_exec.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/replica_ports.h"
#include "daemon/controller/service.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/mem.h"

const char *replica_probe_kind_name(enum probe_kind kind)
{
	static const char *const names[] = {"startup", "readiness", "liveness"};

	return (unsigned)kind < PROBE_KIND_MAX_ ? names[kind] : "unknown";
}

static void take_result(struct replica *r, enum probe_kind kind, bool ok)
{
	enum health_verdict v =
		health_result(&r->health, r->spec->probes, kind, ok, clock_mono_ms());

	replica_verdict(r, v, kind);
	replica_probe_arm(r);
}

static void finished(struct replica_probe *p, bool ok, const char *message)
{
	p->run = NULL;
	p->exec = NULL;
	p->ok = ok;
	p->at_wall_ms = clock_wall_ms();
	snprintf(p->message, sizeof(p->message), "%s", message);
	take_result(p->replica, p->kind, ok);
}

static void on_result(const struct probe_result *result, void *user)
{
	finished(user, result->ok, result->message);
}

static int start(struct replica_probe *p, const struct probe_spec *spec, struct err **reterr)
{
	const struct replica *r = p->replica;
	struct prober *prober = r->service->controller->prober;

	if (spec->exec)
		return probe_exec_start(r, p->kind, on_result, p, &p->exec, reterr);
	if (spec->tcp) {
		const struct probe_tcp req = {.host = spec->tcp_host,
					      .port = replica_ports_resolve(r, spec->tcp_port),
					      .timeout_ms = spec->timeout_ms};

		return prober_tcp(prober, &req, on_result, p, &p->run, reterr);
	}
	const struct probe_http req = {.host = spec->host,
				       .port = replica_ports_resolve(r, spec->port),
				       .path = spec->path,
				       .timeout_ms = spec->timeout_ms};

	return prober_http(prober, &req, on_result, p, &p->run, reterr);
}

static void cancel(struct replica_probe *p)
{
	if (!p)
		return;
	if (p->run)
		prober_cancel(p->run);
	if (p->exec)
		probe_exec_cancel(p->exec);
	p->run = NULL;
	p->exec = NULL;
}

static void run(struct replica *r, enum probe_kind kind)
{
	struct replica_probe *p = r->probes[kind];
	_cleanup_err_ struct err *err = NULL;

	if (!p)
		p = r->probes[kind] = mem_alloc(sizeof(*p));
	if (!p) {
		log_error("replica=%s/%u probe=%s cannot run: out of memory", r->service->name,
			  r->index, replica_probe_kind_name(kind));
		take_result(r, kind, false);
		return;
	}
	p->replica = r;
	p->kind = kind;
	if (start(p, &r->spec->probes[kind], &err) < 0) {
		log_warn("replica=%s/%u probe=%s cannot run: %s", r->service->name, r->index,
			 replica_probe_kind_name(kind), err_msg(err));
		finished(p, false, err_msg(err));
	}
}

void replica_probe_describe(const struct replica *r, enum probe_kind kind, struct buf *handler,
			    struct buf *target)
{
	const struct probe_spec *spec = &r->spec->probes[kind];

	if (spec->exec) {
		buf_str(handler, "exec");
		for (size_t i = 0; spec->exec_command && spec->exec_command[i]; i++)
			buf_printf(handler, " %s", spec->exec_command[i]);
	} else if (spec->tcp) {
		buf_str(handler, "tcp");
		buf_printf(target, "%s:%u", spec->tcp_host,
			   replica_ports_resolve(r, spec->tcp_port));
	} else {
		buf_printf(handler, "http GET %s", spec->path);
		buf_printf(target, "%s:%u", spec->host, replica_ports_resolve(r, spec->port));
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

	if (r->frozen)
		health_pause(&r->health);
	replica_verdict(r, v, PROBE_READINESS);
	replica_probe_arm(r);
}

void replica_probe_resume(struct replica *r)
{
	struct controller *c = r->service->controller;

	if (r->frozen)
		return;
	health_resume(&r->health, r->spec->probes, clock_mono_ms(), controller_random_unit(c));
	replica_probe_arm(r);
}

void replica_probe_respec(struct replica *r)
{
	enum health_verdict v = health_respec(&r->health, r->spec->probes, clock_mono_ms());

	for (int k = 0; k < PROBE_KIND_MAX_; k++)
		if (!r->health.probes[k].running) /* it is not asked for any more */
			cancel(r->probes[k]);
	replica_verdict(r, v, PROBE_READINESS);
	replica_probe_arm(r);
}

static void cancel_all(struct replica *r)
{
	for (int k = 0; k < PROBE_KIND_MAX_; k++)
		cancel(r->probes[k]);
}

void replica_probe_end(struct replica *r)
{
	health_end(&r->health);
	uv_timer_stop(&r->timer);
	cancel_all(r);
}

void replica_probe_pause(struct replica *r)
{
	health_pause(&r->health);
	cancel_all(r);
	replica_probe_arm(r);
}
