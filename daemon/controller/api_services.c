/*
 * api_services: GET /v1/services (the contract of `aictl ps -o json`: keys are added, never
 * renamed) and GET /v1/services/NAME.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdbool.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "daemon/controller/api.h"
#include "daemon/controller/api_autoscale.h"
#include "daemon/controller/api_exits.h"
#include "daemon/controller/api_probes.h"
#include "daemon/controller/callers.h"
#include "daemon/controller/controller.h"
#include "daemon/controller/events.h"
#include "daemon/controller/hold.h"
#include "daemon/controller/journal.h"
#include "daemon/controller/exits.h"
#include "daemon/controller/limits.h"
#include "daemon/controller/replica.h"
#include "daemon/controller/replica_cgroup.h"
#include "daemon/controller/replica_hooks.h"
#include "daemon/controller/replica_ports.h"
#include "daemon/controller/replica_log_fault.h"
#include "daemon/controller/replica_push.h"
#include "daemon/controller/replica_probe.h"
#include "daemon/controller/replica_unit.h"
#include "daemon/controller/runtimes.h"
#include "daemon/controller/service.h"
#include "daemon/controller/service_task.h"
#include "daemon/controller/service_rollout.h"
#include "daemon/controller/service_zero.h"
#include "daemon/controller/service_scale.h"
#include "daemon/controller/traffic.h"
#include "daemon/controller/traffic_view.h"
#include "daemon/controller/usage.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/http_server.h"
#include "lib/jsonw.h"
#include "lib/manifest.h"
#include "lib/manifest_write.h"
#include "lib/mem.h"
#include "lib/parse.h"

#define EVENTS_SHOWN 20

/* What was asked for besides; usage is that of items, which are sorted as services and replicas. */
struct shown {
	bool probes, usage, brief;
	const struct usage_item *items;
	size_t n_items;
};

/* The request whose answer waits until a worker has read what is used; outlives its client. */
struct pending {
	uv_work_t work;
	struct controller *c;
	struct http_request *r; /* NULL: the client has left */
	char *name;		/* describe: of the service */
	bool show_values;
	char *cgroup_dir;
	struct usage_item *items;
	size_t n_items;
};

static void write_id(struct jsonw *w, const struct replica *r)
{
	_cleanup_free_ char *id = mem_printf("%s/%u", r->service->name, r->index);

	jsonw_string(w, "id", id);
}

static void write_last_exit(struct jsonw *w, const struct replica_last_exit *x)
{
	if (!x->cause) {
		jsonw_null(w, "last_exit");
		return;
	}
	jsonw_object_begin(w, "last_exit");
	if (x->code >= 0)
		jsonw_int(w, "code", x->code);
	else
		jsonw_null(w, "code");
	api_exits_write_signal(w, x->signal);
	jsonw_string(w, "cause", x->cause);
	jsonw_time(w, "at", x->at_wall_ms);
	jsonw_object_end(w);
}

static int by_replica(const void *key, const void *item)
{
	const struct replica *r = key;
	const struct usage_item *u = item;
	int order = strcmp(r->service->name, u->service);

	return order ? order : (r->index > u->index) - (r->index < u->index);
}

static void write_usage(struct jsonw *w, const struct replica *r, const struct shown *shown)
{
	const struct usage_item *item =
		shown->n_items ? bsearch(r, shown->items, shown->n_items, sizeof(*item), by_replica)
			       : NULL;

	if (!item || !item->usage.source || item->pid != r->pid) {
		jsonw_null(w, "usage");
		return;
	}
	jsonw_object_begin(w, "usage");
	jsonw_int(w, "memory_bytes", item->usage.memory_bytes);
	jsonw_int(w, "cpu_usec", item->usage.cpu_us);
	jsonw_int(w, "pids", item->usage.pids);
	jsonw_string(w, "source", item->usage.source);
	jsonw_object_end(w);
}

/* What it says of itself; null without a notify socket. */
static void write_push(struct jsonw *w, const struct replica *r)
{
	const struct wire_push *p = replica_push_levels(r);

	if (!p) {
		jsonw_null(w, "notify");
		return;
	}
	jsonw_object_begin(w, "notify");
	jsonw_bool(w, "ready", p->flags & WIRE_PUSH_READY);
	jsonw_bool(w, "reloading", p->flags & WIRE_PUSH_RELOADING);
	jsonw_bool(w, "stopping", p->flags & WIRE_PUSH_STOPPING);
	jsonw_string(w, "status", p->status);
	jsonw_int(w, "errno", p->err);
	jsonw_int(w, "watchdog_ms", p->watchdog_ms);
	jsonw_bool(w, "watched", p->flags & WIRE_PUSH_WATCHED);
	jsonw_int(w, "dropped", p->dropped);
	jsonw_object_end(w);
}

/* Of its schedule; 0 while it runs, or waits for a retry. */
static int64_t next_run_wall_ms(const struct replica *r)
{
	bool over = r->state == REPLICA_WAITING || r->state == REPLICA_SUCCEEDED ||
		    r->state == REPLICA_FAILED;

	return over ? service_task_next_wall_ms(r->service) : 0;
}

/* "starting: startup probe: connection refused": what a start waits for. Else "", or NULL without
 * memory. Caller frees. */
static char *awaited(const struct replica *r)
{
	const struct health *h = &r->health;
	enum probe_kind kind = h->warming ? PROBE_WARMUP : PROBE_READINESS;
	const char *said;

	if (r->state != REPLICA_STARTING || strcmp(r->reason, "spawning") != 0 || !r->spec ||
	    !h->active)
		return mem_strdup("");
	if (!h->started && r->spec->probes[PROBE_STARTUP].enabled)
		kind = PROBE_STARTUP;
	said = replica_probe_said(r, kind);
	if (*said)
		return mem_printf("%s: %s probe: %s", replica_message(r),
				  replica_probe_kind_name(kind), said);
	if (!h->pushed && probe_spec_is_pushed(&r->spec->probes[PROBE_READINESS]))
		return mem_printf("%s: it has not said that it is ready", replica_message(r));
	return mem_strdup("");
}

/* With the hook that runs around its stop: what comes next waits for that. And what else is wrong
 * while it runs. */
static void write_message(struct jsonw *w, const struct replica *r)
{
	const char *hook = replica_hooks_running(r), *said = replica_message(r);
	_cleanup_free_ char *start = awaited(r);
	_cleanup_buf_ struct buf out = {0};

	if (start && *start)
		said = start;
	if (r->frozen)
		said = REPLICA_CGROUP_MESSAGE;
	if (replica_unit_is_lost(r))
		said = replica_unit_why_lost(r);
	buf_str(&out, said);
	if (r->state == REPLICA_DRAINING) {
		buf_str(&out, out.len ? "; " : "");
		traffic_say(r, &out);
	}
	if (hook && strstr(hook, "_stop"))
		buf_printf(&out, "%s%s runs", out.len ? "; " : "", hook);
	if (r->limits_failed && r->pid)
		buf_printf(&out, "%s" REPLICA_LIMITS_MESSAGE, out.len ? "; " : "",
			   r->limits_failed);
	if (replica_log_fault_is(r)) {
		buf_str(&out, out.len ? "; " : "");
		replica_log_fault_say(r, &out);
	} else if (replica_log_fault_is_weak(r)) {
		buf_str(&out, out.len ? "; logs are copied" : "logs are copied");
	}
	w->out->failed |= out.failed;
	jsonw_string(w, "message", buf_cstr(&out));
}

/* What a narrow table shows; what is null or false is left out. */
static void write_replica_brief(struct jsonw *w, const struct replica *r)
{
	int64_t next = replica_next_attempt_wall_ms(r);

	jsonw_object_begin(w, NULL);
	write_id(w, r);
	if (r->pid > 0)
		jsonw_int(w, "pid", r->pid);
	if (r->pid) {
		jsonw_time(w, "started_at", r->started_wall_ms);
	}
	jsonw_string(w, "state", replica_sm_state_name(replica_unit_shown(r)));
	if (r->port)
		jsonw_int(w, "port", r->port);
	jsonw_int(w, "restarts", r->restarts);
	write_message(w, r);
	if (r->frozen)
		jsonw_bool(w, "frozen", true);
	if (next) {
		jsonw_time(w, "next_attempt_at", next);
		jsonw_bool(w, "slow_mode", r->policy.slow);
	}
	if (next_run_wall_ms(r))
		jsonw_time(w, "next_run_at", next_run_wall_ms(r));
	jsonw_object_end(w);
}

static const char *reason_of(const struct replica *r)
{
	if (replica_unit_is_lost(r))
		return RUNTIMES_REASON;
	return r->frozen ? REPLICA_CGROUP_REASON : r->reason;
}

static void write_replica(struct jsonw *w, const struct replica *r, const struct shown *shown)
{
	const struct port_spec *port;

	if (shown->brief) {
		write_replica_brief(w, r);
		return;
	}
	jsonw_object_begin(w, NULL);
	write_id(w, r);
	jsonw_int(w, "index", r->index);
	if (r->pid > 0)
		jsonw_int(w, "pid", r->pid);
	else
		jsonw_null(w, "pid");
	jsonw_string(w, "incarnation", r->incarnation);
	jsonw_string(w, "state", replica_sm_state_name(replica_unit_shown(r)));
	jsonw_int(w, "revision", (int64_t)r->revision);
	if (r->port)
		jsonw_int(w, "port", r->port);
	else
		jsonw_null(w, "port");
	jsonw_object_begin(w, "ports");
	for (unsigned i = 0; (port = replica_ports_at(r->spec, i)); i++)
		if (replica_ports_number(r, port->name))
			jsonw_int(w, port->name, replica_ports_number(r, port->name));
	jsonw_object_end(w);
	jsonw_int(w, "restarts", r->restarts);
	jsonw_time(w, "started_at", r->pid ? r->started_wall_ms : 0);
	jsonw_time(w, "since", r->since_wall_ms);
	jsonw_string(w, "reason", reason_of(r));
	write_message(w, r);
	jsonw_bool(w, "frozen", r->frozen);
	jsonw_bool(w, "slow_mode", r->policy.slow);
	jsonw_time(w, "next_attempt_at", replica_next_attempt_wall_ms(r));
	jsonw_time(w, "next_run_at", next_run_wall_ms(r));
	write_last_exit(w, &r->last_exit);
	replica_unit_write(r, w);
	write_push(w, r);
	replica_log_fault_write(r, w);
	if (shown->probes)
		api_probes_write(w, r);
	traffic_view_write_replica(r, w);
	if (shown->usage)
		write_usage(w, r, shown);
	jsonw_object_end(w);
}

static void write_labels(struct jsonw *w, const struct service_spec *spec)
{
	jsonw_object_begin(w, "labels");
	for (size_t i = 0; spec && spec->labels && spec->labels[i]; i++) {
		size_t n = strcspn(spec->labels[i], "=");
		_cleanup_free_ char *key = mem_strndup(spec->labels[i], n);

		w->out->failed |= !key;
		if (key)
			jsonw_string(w, key, spec->labels[i] + n + (spec->labels[i][n] == '='));
	}
	jsonw_object_end(w);
}

/* What the user has asked for since, other than the manifest says. */
static void write_drift(struct jsonw *w, const struct service *s)
{
	jsonw_array_begin(w, "drift");
	if (s->spec && s->stopped) {
		jsonw_object_begin(w, NULL);
		jsonw_string(w, "key", "stopped");
		jsonw_bool(w, "manifest", false);
		jsonw_bool(w, "actual", true);
		jsonw_object_end(w);
	}
	if (s->spec && s->replicas_override >= 0 &&
	    (s->scale || s->replicas_override != s->spec->replicas)) {
		jsonw_object_begin(w, NULL);
		jsonw_string(w, "key", "replicas");
		jsonw_int(w, "manifest", s->spec->replicas);
		if (s->scale)
			jsonw_int(w, "scaler", s->scale->number);
		jsonw_int(w, "actual", s->replicas_override);
		if (s->override_until_wall_ms)
			jsonw_time(w, "until", s->override_until_wall_ms);
		jsonw_object_end(w);
	}
	jsonw_array_end(w);
}

static void write_service_message(struct jsonw *w, const struct service *s)
{
	_cleanup_free_ char *held = hold_say(s);
	const char *said = held ? held : service_message(s);
	/* nothing wakes what sleeps behind a port that is not open */
	bool quiet = !*said || (!held && service_zero_is_asleep(s));
	_cleanup_free_ char *complaint = quiet ? traffic_complaint(s) : NULL;

	jsonw_string(w, "message", complaint ? complaint : said);
	jsonw_time(w, "held_until", s->held_until_wall_ms);
}

static void write_service(struct jsonw *w, const struct service *s, const struct shown *shown)
{
	jsonw_string(w, "name", s->name);
	jsonw_string(w, "set", s->set);
	jsonw_string(w, "state", service_state_name(service_state(s)));
	jsonw_string(w, "runtime", runtimes_name_of(s->spec));
	jsonw_string(w, "type", service_task_is(s) ? "task" : "service");
	jsonw_time(w, "next_run_at", service_task_next_wall_ms(s));
	jsonw_int(w, "revision", (int64_t)s->revision);
	jsonw_int(w, "desired", service_desired(s));
	jsonw_int(w, "ready", service_ready(s));
	write_service_message(w, s);
	service_zero_write(s, w);
	traffic_write_endpoints(s, w);
	if (!shown->brief)
		traffic_view_write_service(s, w);
	write_labels(w, s->spec);
	write_drift(w, s);
	api_autoscale_write(s, w);
	jsonw_array_begin(w, "replicas");
	for (size_t i = 0; i < s->n_replicas; i++)
		write_replica(w, s->replicas[i], shown);
	jsonw_array_end(w);
}

static bool asked_for(struct http_request *r, const char *name)
{
	const char *q;

	if (!http_request_query(r, "service"))
		return true;
	for (size_t i = 0; (q = http_request_query_nth(r, "service", i)); i++)
		if (strcmp(q, name) == 0)
			return true;
	return false;
}

static bool names_exist(struct api_call *call)
{
	const char *q;

	for (size_t i = 0; (q = http_request_query_nth(call->r, "service", i)); i++) {
		if (controller_find(call->c, q))
			continue;
		api_reply_error(call->r, 404, "not_found", "no service \"%s\"", q);
		return false;
	}
	return true;
}

static void reply_list(const struct controller *c, struct http_request *r,
		       const struct shown *shown)
{
	_cleanup_buf_ struct buf b = {0};
	struct jsonw w = {.out = &b};

	jsonw_object_begin(&w, NULL);
	jsonw_string(&w, "api_version", "v1");
	jsonw_array_begin(&w, "services");
	for (size_t i = 0; i < c->n_services; i++) {
		const struct service *s = c->services[i];

		if (!asked_for(r, s->name))
			continue;
		jsonw_object_begin(&w, NULL);
		write_service(&w, s, shown);
		jsonw_object_end(&w);
	}
	jsonw_array_end(&w);
	jsonw_object_end(&w);
	api_reply(r, 200, &b);
}

/* ---- describe ---- */

/* Values are for those who may change them: they often hold keys. */
static void write_spec(struct jsonw *w, const struct service_spec *spec, bool show_values)
{
	jsonw_object_begin(w, "spec");
	manifest_write_json(spec, show_values ? 0 : MANIFEST_WRITE_MASKED, w);
	jsonw_object_end(w);
}

/* Where each key that was given stands. */
static void write_places(struct jsonw *w, const struct service_spec *spec)
{
	const struct spec_place *p = spec->places.v;

	jsonw_object_begin(w, "keys");
	for (size_t i = 0; i < spec->places.n; i++) {
		if (!p[i].key[0])
			continue;
		jsonw_object_begin(w, p[i].key);
		jsonw_string(w, "file", p[i].at.file);
		jsonw_int(w, "line", p[i].at.line);
		jsonw_object_end(w);
	}
	jsonw_object_end(w);
}

static void write_events(struct jsonw *w, const struct controller *c, const char *service)
{
	size_t n = events_count(c->events), shown = 0, from = n;

	while (from > 0 && shown < EVENTS_SHOWN)
		shown += strcmp(events_at(c->events, --from)->service, service) == 0;
	jsonw_array_begin(w, "events");
	for (; from < n; from++)
		if (strcmp(events_at(c->events, from)->service, service) == 0)
			events_write_json(events_at(c->events, from), w);
	jsonw_array_end(w);
}

static void write_exits(struct jsonw *w, const struct service *s)
{
	jsonw_array_begin(w, "exits");
	for (size_t i = 0; i < s->exits->n; i++) {
		jsonw_object_begin(w, NULL);
		api_exits_write(w, &s->exits->list[i]);
		jsonw_object_end(w);
	}
	jsonw_array_end(w);
}

static void write_gaps(struct jsonw *w, const struct service *s)
{
	struct limits_gap gaps[LIMITS_GAPS_MAX];
	size_t n = limits_gaps(s->spec, s->controller->status.cgroup_can, gaps);

	jsonw_array_begin(w, "limits_not_enforced");
	for (size_t i = 0; i < n; i++)
		jsonw_string(w, NULL, gaps[i].key);
	jsonw_array_end(w);
}

static void write_depends(struct jsonw *w, const struct service *s)
{
	const struct depend_spec *v = s->spec->depends_on.v;

	jsonw_array_begin(w, "depends_on");
	for (size_t i = 0; i < s->spec->depends_on.n; i++) {
		const struct service *d = controller_find(s->controller, v[i].name);

		jsonw_object_begin(w, NULL);
		jsonw_string(w, "service", v[i].name);
		jsonw_string(w, "condition", deps_condition_name(&v[i]));
		jsonw_bool(w, "required", v[i].required);
		jsonw_bool(w, "holds", order_holds(s, &v[i]));
		jsonw_string(w, "state", d ? service_state_name(service_state(d)) : NULL);
		jsonw_object_end(w);
	}
	jsonw_array_end(w);
}

static void reply_describe(const struct controller *c, struct http_request *r, const char *name,
			   bool show_values, const struct shown *shown)
{
	const struct service *s = controller_find(c, name);
	_cleanup_buf_ struct buf b = {0};
	struct jsonw w = {.out = &b};

	if (!s) {
		api_reply_error(r, 404, "not_found", "no service \"%s\"", name);
		return;
	}
	jsonw_object_begin(&w, NULL);
	write_service(&w, s, shown);
	if (s->spec) {
		write_spec(&w, s->spec, show_values);
		write_places(&w, s->spec);
		jsonw_string(&w, "file", s->spec->file);
		jsonw_int(&w, "line", s->spec->line);
		write_gaps(&w, s);
		write_depends(&w, s);
	}
	service_rollout_write_json(s, &w);
	callers_write(c->callers, s, &w);
	jsonw_time(&w, "updated_at", s->updated_wall_ms);
	write_events(&w, c, s->name);
	write_exits(&w, s);
	jsonw_object_end(&w);
	api_reply(r, 200, &b);
}

/* ---- with usage ---- */

static void pending_free(struct pending *p)
{
	mem_free(p->items);
	mem_free(p->cgroup_dir);
	mem_free(p->name);
	mem_free(p);
}

static void on_gone(struct http_request *r, void *user)
{
	struct pending *p = user;

	p->r = NULL;
	http_request_forget(r);
}

static void read_usage(uv_work_t *work)
{
	struct pending *p = work->data;

	usage_read(p->items, p->n_items, USAGE_HERE(p->cgroup_dir));
}

static void on_usage(uv_work_t *work, int status)
{
	struct pending *p = work->data;
	const struct shown shown = {
		.probes = p->name != NULL, .usage = true, .items = p->items, .n_items = p->n_items};

	(void)status;
	if (p->r && p->name)
		reply_describe(p->c, p->r, p->name, p->show_values, &shown);
	else if (p->r)
		reply_list(p->c, p->r, &shown);
	pending_free(p);
}

/* Those with a process, of the service, or of all that are asked for. */
static int list_items(struct pending *p)
{
	const struct controller *c = p->c;
	size_t cap = 0;

	for (size_t i = 0; i < c->n_services; i++) {
		const struct service *s = c->services[i];

		if (p->name ? strcmp(p->name, s->name) != 0 : !asked_for(p->r, s->name))
			continue;
		if (mem_grow(&p->items, &cap, p->n_items + s->n_replicas, sizeof(*p->items)) < 0)
			return -ERR_NOMEM;
		for (size_t k = 0; k < s->n_replicas; k++) {
			struct usage_item *item = &p->items[p->n_items];

			if (!s->replicas[k]->pid)
				continue;
			*item = (struct usage_item){.container = replica_unit_is(s->replicas[k]),
						    .index = s->replicas[k]->index,
						    .pid = s->replicas[k]->pid};
			memccpy(item->service, s->name, '\0', sizeof(item->service) - 1);
			p->n_items++;
		}
	}
	return 0;
}

static void begin_usage(struct api_call *call, const char *name)
{
	struct pending *p = mem_alloc(sizeof(*p));
	bool good = false;

	if (p) {
		*p = (struct pending){.work.data = p,
				      .c = call->c,
				      .r = call->r,
				      .name = name ? mem_strdup(name) : NULL,
				      .show_values = api_role_sees_values(call),
				      .cgroup_dir = mem_strdup(call->c->status.cgroup_dir)};
		good = (!name || p->name) && p->cgroup_dir && list_items(p) == 0 &&
		       uv_queue_work(call->c->loop, &p->work, read_usage, on_usage) == 0;
	}
	if (good) {
		http_request_set_user(call->r, p, on_gone);
		return;
	}
	if (p)
		pending_free(p);
	api_reply_error(call->r, 503, "out_of_memory", "out of memory");
}

/* ---- the endpoints ---- */

void api_services_list(struct api_call *call)
{
	int64_t usage, brief;

	if (!api_ready(call) || !names_exist(call) ||
	    (usage = api_query_int(call, "usage", 0, 0, 1)) < 0 ||
	    (brief = api_query_int(call, "brief", 0, 0, 1)) < 0)
		return;
	if (usage)
		begin_usage(call, NULL);
	else
		reply_list(call->c, call->r, &(struct shown){.brief = brief});
}

void api_services_describe(struct api_call *call)
{
	int64_t usage;

	journal_flush(call->c->journal); /* what the caller has caused is in it */
	callers_look(call->c->callers, call->c, CALLERS_ASKED_MS);
	if (!api_ready(call) || (usage = api_query_int(call, "usage", 0, 0, 1)) < 0)
		return;
	if (usage)
		begin_usage(call, call->name);
	else
		reply_describe(call->c, call->r, call->name, api_role_sees_values(call),
			       &(struct shown){.probes = true});
}
