/* services_view: see services_view.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/services_view.h"

#include <string.h>

#include "cli/cli.h"
#include "cli/js.h"
#include "cli/table.h"
#include "cli/term.h"
#include "cli/text.h"
#include "cli/x.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/mem.h"

struct view {
	struct table table;
	int64_t now_ms;
	bool wide, usage;
};

static void header(struct view *v)
{
	v->table.drop = "INCARNATION SET REVISION SINCE LAST-EXIT PIDS PORTS PORT CPU PID "
			"IN-FLIGHT P95 REQ/S CONTAINER RUNTIME RESTARTS "
			"AGE MEM";
	if (v->wide)
		table_header(&v->table, "NAME", "STATE", "PID", "PORTS", "RESTARTS", "AGE", "MEM",
			     "CPU", "PIDS", "REQ/S", "IN-FLIGHT", "P95", "LAST-EXIT", "SINCE",
			     "RUNTIME", "CONTAINER", "SET", "REVISION", "INCARNATION", "MESSAGE",
			     NULL);
	else if (v->usage)
		table_header(&v->table, "NAME", "STATE", "PID", "PORT", "RESTARTS", "AGE", "MEM",
			     "CPU", "PIDS", "MESSAGE", NULL);
	else
		table_header(&v->table, "NAME", "STATE", "PID", "PORT", "RESTARTS", "AGE",
			     "MESSAGE", NULL);
}

/* "20001", or "http=20001,metrics=20002" when there are several or it has another name. */
static char *ports(const cJSON *replica)
{
	const cJSON *map = js_get(replica, "ports"), *p;
	struct buf out = {0};

	if (cJSON_GetArraySize(map) == 1 && js_get(map, "http"))
		return text_number(map, "http");
	cJSON_ArrayForEach (p, map) {
		if (cJSON_IsNumber(p))
			buf_printf(&out, "%s%s=%lld", out.len ? "," : "", p->string,
				   (long long)js_int(map, p->string, 0));
	}
	return out.data ? x_check(buf_take(&out)) : text_number(replica, "port");
}

/* What passes its stable ports; also of a service. */
static void traffic_cells(struct view *v, const cJSON *o)
{
	const cJSON *traffic = js_get(o, "traffic");
	_cleanup_free_ char *p95 = text_ms(traffic, "p95_ms");

	if (traffic) {
		table_cell(&v->table, NULL, "%.1f", js_double(traffic, "requests_per_second", 0));
		table_cell(&v->table, NULL, "%lld", (long long)js_int(traffic, "in_flight", 0));
	} else {
		table_cell(&v->table, NULL, "-");
		table_cell(&v->table, NULL, "-");
	}
	table_cell(&v->table, NULL, "%s", p95);
}

static void wide_cells(struct view *v, const cJSON *service, const cJSON *r)
{
	_cleanup_free_ char *revision = text_number(r, "revision");
	_cleanup_free_ char *since = text_age(r, "since", v->now_ms);
	const cJSON *last = js_get(r, "last_exit");

	if (last) {
		_cleanup_free_ char *how = text_exit(last), *ago = text_age(last, "at", v->now_ms);

		table_cell(&v->table, NULL, "%s, %s ago", how, ago);
	} else {
		table_cell(&v->table, NULL, "-");
	}
	table_cell(&v->table, NULL, "%s", since);
	table_cell(&v->table, NULL, "%s", js_str(service, "runtime", "-"));
	table_cell(&v->table, NULL, "%.12s", js_str(js_get(r, "container"), "id", "-"));
	table_cell(&v->table, NULL, "%s", js_str(service, "set", "-"));
	table_cell(&v->table, NULL, "%s", revision);
	table_cell(&v->table, NULL, "%s", js_str(r, "incarnation", "-"));
}

static void usage_cells(struct view *v, const cJSON *r)
{
	const cJSON *usage = js_get(r, "usage");
	_cleanup_free_ char *memory = text_bytes(js_int(usage, "memory_bytes", 0));
	_cleanup_free_ char *cpu = text_duration(js_int(usage, "cpu_usec", 0) / 1000);
	_cleanup_free_ char *pids = text_number(usage, "pids");

	table_cell(&v->table, NULL, "%s", usage ? memory : "-");
	table_cell(&v->table, NULL, "%s", usage ? cpu : "-");
	table_cell(&v->table, NULL, "%s", pids);
}

/* With what it says of itself, in wide. Caller frees. */
static char *message_of(const struct view *v, const cJSON *r)
{
	const char *status = js_str(js_get(r, "notify"), "status", "");
	char *message = text_replica_message(r, v->now_ms), *both;

	if (!v->wide || !*status)
		return message;
	both = x_printf("%s%ssays: %s", message, *message ? "; " : "", status);
	mem_free(message);
	return both;
}

static void replica_row(struct view *v, const cJSON *service, const cJSON *r)
{
	const char *state = text_replica_state(r);
	_cleanup_free_ char *pid = text_number(r, "pid");
	_cleanup_free_ char *port = v->wide ? ports(r) : text_number(r, "port");
	_cleanup_free_ char *age = text_age(r, "started_at", v->now_ms);
	_cleanup_free_ char *message = message_of(v, r);
	struct table *t = &v->table;

	table_row(t);
	table_cell(t, NULL, "%s", js_str(r, "id", "?"));
	table_cell(t, term_state_color(t->term, state), "%s", state);
	table_cell(t, NULL, "%s", pid);
	table_cell(t, NULL, "%s", port);
	table_cell(t, NULL, "%lld", (long long)js_int(r, "restarts", 0));
	table_cell(t, NULL, "%s", js_int(r, "pid", 0) ? age : "-");
	if (v->usage)
		usage_cells(v, r);
	if (v->wide) {
		traffic_cells(v, r);
		wide_cells(v, service, r);
	}
	table_cell(t, NULL, "%s", message);
}

/* What there is to say about the service as a whole. Caller frees. */
static char *service_text(const cJSON *s, const char *drift)
{
	const char *message = js_str(s, "message", "");
	const cJSON *scaler = js_get(s, "autoscale");

	if (!*drift && !*message && scaler)
		return text_scaler(scaler);

	if (!*drift && strcmp(js_str(s, "state", ""), "idle") == 0)
		return x_printf("0/0 (from zero): %s", message);
	if (!*drift)
		return x_strdup(message);
	if (js_int(s, "desired", 0) == 0 && js_int(s, "ready", 0) == 0)
		return x_strdup(drift);
	return x_printf("%lld/%lld ready, %s", (long long)js_int(s, "ready", 0),
			(long long)js_int(s, "desired", 0), drift);
}

static void service_row(struct view *v, const cJSON *s, const char *drift)
{
	const char *state = js_str(s, "state", "unknown");
	_cleanup_free_ char *revision = text_number(s, "revision"), *text = service_text(s, drift);
	struct table *t = &v->table;

	table_row(t);
	table_cell(t, NULL, "%s", js_str(s, "name", "?"));
	table_cell(t, term_state_color(t->term, state), "%s", state);
	for (int i = 0; i < 4 + (v->usage ? 3 : 0); i++)
		table_cell(t, NULL, "-");
	if (v->wide) {
		traffic_cells(v, s);
		table_cell(t, NULL, "-");
		table_cell(t, NULL, "-");
		table_cell(t, NULL, "%s", js_str(s, "runtime", "-"));
		table_cell(t, NULL, "-");
		table_cell(t, NULL, "%s", js_str(s, "set", "-"));
		table_cell(t, NULL, "%s", revision);
		table_cell(t, NULL, "-");
	}
	table_cell(t, *drift ? term_paint(t->term, TERM_YELLOW) : NULL, "%s", text);
}

void services_view_render(const struct term *term, const cJSON *reply, unsigned flags,
			  const char *eol, struct buf *out)
{
	bool wide = flags & SERVICES_VIEW_WIDE;
	struct view v = {.table = {.term = term},
			 .now_ms = clock_wall_ms(),
			 .wide = wide,
			 .usage = wide || (flags & SERVICES_VIEW_USAGE)};
	const cJSON *s, *r, *list = js_get(reply, "services");

	if (cJSON_GetArraySize(list) == 0)
		return;
	header(&v);
	cJSON_ArrayForEach (s, list) {
		const cJSON *replicas = js_get(s, "replicas");
		_cleanup_free_ char *drift = text_drift(js_get(s, "drift"));

		if (cJSON_GetArraySize(replicas) == 0 || *drift || (wide && js_get(s, "autoscale")))
			service_row(&v, s, drift);
		cJSON_ArrayForEach (r, replicas)
			replica_row(&v, s, r);
	}
	table_render(&v.table, eol, out);
	table_done(&v.table);
}

void services_view_signature(const cJSON *reply, struct buf *out)
{
	const cJSON *s, *r;

	cJSON_ArrayForEach (s, js_get(reply, "services")) {
		_cleanup_free_ char *drift = text_drift(js_get(s, "drift"));

		buf_printf(out, "%s|%s|%lld|%lld|%s|%s\n", js_str(s, "name", ""),
			   js_str(s, "state", ""), (long long)js_int(s, "desired", 0),
			   (long long)js_int(s, "ready", 0), js_str(s, "message", ""), drift);
		cJSON_ArrayForEach (r, js_get(s, "replicas"))
			buf_printf(out, " %s|%s|%lld|%lld|%lld|%s\n", js_str(r, "id", ""),
				   text_replica_state(r), (long long)js_int(r, "pid", 0),
				   (long long)js_int(r, "port", 0),
				   (long long)js_int(r, "restarts", 0), js_str(r, "message", ""));
	}
}
