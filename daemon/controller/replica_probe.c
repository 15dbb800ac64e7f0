/* replica_probe: see replica_probe.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/replica_probe.h"

#include <stdio.h>
#include <string.h>

#include "daemon/controller/controller.h"
#include "daemon/controller/probe_exec.h"
#include "daemon/controller/probe_log.h"
#include "daemon/controller/probe_progress.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/replica_standby.h"
#include "daemon/controller/replica_ports.h"
#include "daemon/controller/replica_push.h"
#include "daemon/controller/replica_unit.h"
#include "daemon/controller/launch_unit.h"
#include "daemon/controller/service.h"
#include "daemon/controller/strangers.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/mem.h"

#define PAGE_MAX (8 << 20) /* of metrics */

const char *replica_probe_kind_name(enum probe_kind kind)
{
	static const char *const names[] = {"startup", "readiness", "liveness", "warmup"};

	return (unsigned)kind < PROBE_KIND_MAX_ ? names[kind] : "unknown";
}

static void take_result(struct replica *r, enum probe_kind kind, bool ok)
{
	enum health_verdict v =
		health_result(&r->health, r->spec->probes, kind, ok, clock_mono_ms());

	replica_verdict(r, v, kind);
	replica_probe_arm(r);
	if (kind == PROBE_READINESS)
		strangers_chance(r->service->controller->strangers);
}

static void on_result(const struct probe_result *result, void *user)
{
	struct replica_probe *p = user;

	p->run = NULL;
	p->exec = NULL;
	p->log_runs = false;
	mem_free(p->page);
	p->page = NULL;
	probe_history_add(&p->history, clock_wall_ms(), result->duration_ms, result->ok,
			  result->message);
	take_result(p->replica, p->kind, result->ok);
}

const char *replica_probe_said(const struct replica *r, enum probe_kind kind)
{
	return r->probes[kind]
		       ? probe_history_message(probe_history_at(&r->probes[kind]->history, 0))
		       : "";
}

void replica_probe_free(struct replica *r)
{
	for (int k = 0; k < PROBE_KIND_MAX_; k++) {
		struct replica_probe *p = r->probes[k];

		if (!p)
			continue;
		probe_history_done(&p->history);
		probe_log_free(p->log);
		mem_free(p->page);
		mem_free(p->progress);
		mem_free(p);
	}
}

static void on_page(const char *data, size_t n, void *user)
{
	probe_progress_add(((struct replica_probe *)user)->page, data, n);
}

static void on_progress(const struct probe_result *result, void *user)
{
	struct replica_probe *p = user;
	const struct probe_spec *spec = &p->replica->spec->probes[p->kind];
	struct probe_result r = *result;

	if (r.ok) {
		probe_progress_end(p->page);
		r.ok = probe_progress_judge(p->progress, p->page, spec->progress_stall_ms,
					    clock_mono_ms(), r.message, sizeof(r.message));
	}
	on_result(&r, p);
}

static int start_progress(struct replica_probe *p, const struct probe_spec *spec,
			  struct err **reterr)
{
	const struct replica *r = p->replica;
	char path[REPLICA_PORTS_PATH_SIZE];
	const struct probe_http req = {
		.host = replica_ports_host(r, spec->progress_host, spec->progress_port, path),
		.port = replica_ports_resolve(r, spec->progress_port),
		.path = spec->progress_path,
		.timeout_ms = spec->timeout_ms,
		.on_body = on_page,
		.body_max = PAGE_MAX};
	bool known = strcmp(p->progress_of, r->incarnation) == 0;

	if (!p->progress)
		p->progress = mem_alloc(sizeof(*p->progress));
	p->page = mem_alloc(sizeof(*p->page));
	if (!p->progress || !p->page) {
		mem_free(p->page);
		p->page = NULL;
		return err_nomem(reterr);
	}
	if (!known)
		*p->progress = (struct probe_progress){0};
	snprintf(p->progress_of, sizeof(p->progress_of), "%s", r->incarnation);
	snprintf(p->page->metric, sizeof(p->page->metric), "%s", spec->progress_metric);
	snprintf(p->page->pending, sizeof(p->page->pending), "%s", spec->progress_pending);
	return prober_http(r->service->controller->prober, &req, on_progress, p, &p->run, reterr);
}

static int start_warmup(struct replica_probe *p, struct err **reterr);

/* One request after the other; the probe has passed with the last one, and a failed one is tried again. */
static void on_warmup(const struct probe_result *result, void *user)
{
	struct replica_probe *p = user;
	const struct spec_table *warmup = &p->replica->spec->warmup;
	struct probe_result r = *result;
	struct err *err = NULL;

	snprintf(r.message, sizeof(r.message), "%u of %zu: %.140s", p->step + 1, warmup->n,
		 result->message);
	p->step += result->ok;
	if (!result->ok || p->step >= warmup->n) {
		on_result(&r, p);
		return;
	}
	p->run = NULL;
	probe_history_add(&p->history, clock_wall_ms(), r.duration_ms, r.ok, r.message);
	if (start_warmup(p, &err) < 0) {
		r.ok = false;
		snprintf(r.message, sizeof(r.message), "%s", err_msg(err));
		on_result(&r, p);
	}
	err_free(err);
}

static int start_warmup(struct replica_probe *p, struct err **reterr)
{
	const struct replica *r = p->replica;
	const struct spec_table *warmup = &r->spec->warmup;
	const struct warmup_spec *w = warmup->v;
	char path[REPLICA_PORTS_PATH_SIZE];
	struct probe_http req;

	if (p->step >= warmup->n) /* it has become shorter */
		p->step = 0;
	w += p->step;
	req = prober_request(&w->request, replica_ports_resolve(r, w->request.port), w->timeout_ms);
	req.host = replica_ports_host(r, req.host, w->request.port, path);
	return prober_http(r->service->controller->prober, &req, on_warmup, p, &p->run, reterr);
}

static int start(struct replica_probe *p, const struct probe_spec *spec, struct err **reterr)
{
	const struct replica *r = p->replica;
	struct prober *prober = r->service->controller->prober;
	char path[REPLICA_PORTS_PATH_SIZE];

	if (p->kind == PROBE_WARMUP)
		return start_warmup(p, reterr);
	if (spec->grpc) {
		const struct probe_grpc req = {
			.host = replica_ports_host(r, spec->grpc_host, spec->grpc_port, path),
			.port = replica_ports_resolve(r, spec->grpc_port),
			.service = spec->grpc_service,
			.timeout_ms = spec->timeout_ms};

		return prober_grpc(prober, &req, on_result, p, &p->run, reterr);
	}
	if (spec->log) {
		const struct probe_log_args args = {spec->log_pattern, spec->timeout_ms, on_result,
						    p};
		int rc = probe_log_start(r, &args, &p->log, reterr);

		p->log_runs = rc == 0;
		return rc;
	}
	if (spec->progress)
		return start_progress(p, spec, reterr);
	if (spec->exec || spec->file)
		return probe_exec_start(r, p->kind, on_result, p, &p->exec, reterr);
	if (spec->tcp) {
		const struct port_spec *port = replica_ports_named(r, spec->tcp_port);
		const char *inside = port ? replica_unit_address(r) : NULL;
		struct probe_tcp req = {
			.host = replica_ports_host(r, spec->tcp_host, spec->tcp_port, path),
			.port = replica_ports_resolve(r, spec->tcp_port),
			.timeout_ms = spec->timeout_ms};

		if (inside) { /* a proxy of the engine's would accept for it */
			req.host = inside;
			req.port = launch_unit_port(r->spec, port, req.port);
		}

		return prober_tcp(prober, &req, on_result, p, &p->run, reterr);
	}
	struct probe_http req = prober_request(
		&spec->request, replica_ports_resolve(r, spec->request.port), spec->timeout_ms);

	req.host = replica_ports_host(r, req.host, spec->request.port, path);
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
	if (p->log_runs) {
		probe_log_free(p->log);
		p->log = NULL;
	}
	p->run = NULL;
	p->exec = NULL;
	p->log_runs = false;
	p->step = 0;
	mem_free(p->page);
	p->page = NULL;
}

static void run(struct replica *r, enum probe_kind kind)
{
	struct replica_probe *p = r->probes[kind];
	_cleanup_err_ struct err *err = NULL;
	struct probe_result result = {0};

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
		snprintf(result.message, sizeof(result.message), "%s", err_msg(err));
		on_result(&result, p);
	}
}

static const char *method_name(int64_t method)
{
	static const char *const names[] = {"GET", "HEAD", "POST", "PUT"};

	return (size_t)method < ARRAY_SIZE(names) ? names[method] : "?";
}

void replica_probe_describe(const struct replica *r, enum probe_kind kind, struct buf *handler,
			    struct buf *target)
{
	const struct probe_spec *spec = &r->spec->probes[kind];

	if (kind == PROBE_WARMUP) {
		buf_printf(handler, "%zu requests", r->spec->warmup.n);
	} else if (spec->exec) {
		buf_str(handler, "exec");
		for (size_t i = 0; spec->exec_command && spec->exec_command[i]; i++)
			buf_printf(handler, " %s", spec->exec_command[i]);
	} else if (spec->file) {
		buf_printf(handler, "file %s", spec->file_path);
	} else if (spec->log) {
		buf_printf(handler, "log %s", spec->log_pattern);
	} else if (spec->grpc) {
		buf_printf(handler, "grpc%s%s", spec->grpc_service[0] ? " " : "",
			   spec->grpc_service);
		replica_ports_say(r, spec->grpc_host, spec->grpc_port, target);
	} else if (spec->progress) {
		buf_printf(handler, "progress %s while %s", spec->progress_metric,
			   spec->progress_pending);
		replica_ports_say(r, spec->progress_host, spec->progress_port, target);
		buf_str(target, spec->progress_path);
	} else if (spec->tcp) {
		buf_str(handler, "tcp");
		replica_ports_say(r, spec->tcp_host, spec->tcp_port, target);
	} else {
		buf_printf(handler, "http %s %s", method_name(spec->request.method),
			   spec->request.path);
		replica_ports_say(r, spec->request.host, spec->request.port, target);
	}
}

static void on_timer(uv_timer_t *timer)
{
	struct replica *r = timer->data;
	int kind;

	if (r->spec && health_look_due(&r->health, r->spec->probes, clock_mono_ms()))
		replica_push_look(r);
	while ((kind = health_due(&r->health, clock_mono_ms())) >= 0)
		run(r, (enum probe_kind)kind);
	replica_standby_give(r);
	replica_probe_arm(r);
}

static void stop_timer(struct replica *r)
{
	if (r->timer)
		uv_timer_stop(r->timer);
}

void replica_probe_arm(struct replica *r)
{
	int64_t next = health_next_ms(&r->health), now;
	uv_timer_t *timer;

	if (r->closing)
		return;
	if (replica_standby_due(r) < next)
		next = replica_standby_due(r);
	if (next == INT64_MAX) {
		stop_timer(r);
		return;
	}
	timer = replica_timer(r);
	if (!timer) { /* once armed it stays */
		log_error("replica=%s/%u is not probed: out of memory", r->service->name, r->index);
		return;
	}
	now = clock_mono_ms();
	uv_update_time(r->service->controller->loop);
	uv_timer_start(timer, on_timer, next > now ? (uint64_t)(next - now) : 0, 0);
}

void replica_probe_begin(struct replica *r)
{
	enum health_verdict v;

	r->health.spread = controller_random_unit(r->service->controller);
	v = health_begin(&r->health, r->spec->probes, clock_mono_ms());

	if (r->frozen)
		health_pause(&r->health);
	replica_verdict(r, v, PROBE_READINESS);
	replica_standby_give(r); /* if it is due: then there is mostly nothing to arm a timer for */
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

void replica_probe_now(struct replica *r)
{
	health_now(&r->health, clock_mono_ms());
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
	stop_timer(r);
	cancel_all(r);
}

void replica_probe_pause(struct replica *r)
{
	health_pause(&r->health);
	cancel_all(r);
	replica_probe_arm(r);
}
