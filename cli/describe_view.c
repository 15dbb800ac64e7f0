/* describe_view: see describe_view.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/describe_view.h"

#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/event.h"
#include "cli/js.h"
#include "cli/log_safe.h"
#include "cli/spec_view.h"
#include "cli/table.h"
#include "cli/term.h"
#include "cli/text.h"
#include "cli/x.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/mem.h"

#define EVENTS_SHOWN 10
#define LINES_SHOWN 5
#define ID_SHOWN 12 /* as engines shorten it */
#define LABEL_AT 2
#define TEXT_AT 14

struct page {
	const struct term *term;
	int64_t now_ms;
	bool wide;
};

static void print(const struct buf *b)
{
	if (b->failed)
		x_check(NULL);
	puts(buf_cstr(b));
}

/* "  LABEL       text", wrapped; nothing for an empty text. */
static void field(const struct page *p, const char *label, const char *color, const char *text)
{
	_cleanup_buf_ struct buf out = {0};

	if (!*text)
		return;
	buf_printf(&out, "%*s%-*s", LABEL_AT, "", TEXT_AT - LABEL_AT, label);
	buf_str(&out, term_paint(p->term, color));
	term_wrap(p->term, &out, text, TEXT_AT);
	buf_str(&out, *color ? term_paint(p->term, TERM_RESET) : "");
	print(&out);
}

static void field_take(const struct page *p, const char *label, char *text)
{
	field(p, label, "", text);
	mem_free(text);
}

static void heading(const struct page *p, const char *title)
{
	printf("\n%s%s%s\n", term_paint(p->term, TERM_BOLD), title,
	       term_paint(p->term, TERM_RESET));
}

/* ---- the service ---- */

static void state_field(const struct page *p, const cJSON *s)
{
	const char *state = js_str(s, "state", "unknown");
	_cleanup_free_ char *text = NULL;

	if (strcmp(state, "stopped") == 0)
		text = x_strdup(state);
	else if (strcmp(state, "idle") == 0)
		text = x_printf("%s, 0/0 (from zero)", state);
	else
		text = x_printf("%s, %lld of %lld ready", state, (long long)js_int(s, "ready", 0),
				(long long)js_int(s, "desired", 0));
	field(p, "State", term_state_color(p->term, state), text);
	field(p, "Why", "", js_str(s, "message", ""));
}

static void drift_field(const struct page *p, const cJSON *s)
{
	_cleanup_free_ char *text = text_drift(js_get(s, "drift"));

	field(p, "Drift", TERM_YELLOW, text);
}

static void scaler_field(const struct page *p, const cJSON *s)
{
	const cJSON *scaler = js_get(s, "autoscale");
	_cleanup_free_ char *text = scaler ? text_scaler(scaler) : x_strdup("");

	field(p, "Scaler", "", text);
}

static void origin_fields(const struct page *p, const cJSON *s)
{
	_cleanup_free_ char *ago = text_age(s, "updated_at", p->now_ms), *place = text_place(s);
	const char *set = js_str(s, "set", NULL);

	if (set)
		field_take(p, "Set",
			   x_printf("%s, revision %lld, applied %s ago", set,
				    (long long)js_int(s, "revision", 0), ago));
	field(p, "Manifest", "", place);
}

/* "docker, postgres:16"; nothing of a process. */
static void runtime_field(const struct page *p, const cJSON *s)
{
	const char *runtime = js_str(s, "runtime", "process");

	if (strcmp(runtime, "process") != 0)
		field_take(p, "Runtime",
			   x_printf("%s, %s", runtime, js_str(js_get(s, "spec"), "image", "?")));
}

/* Limits stand in the specification; what is not kept is news. */
static void limits_field(const struct page *p, const cJSON *s)
{
	_cleanup_buf_ struct buf out = {0};
	const cJSON *key;

	cJSON_ArrayForEach (key, js_get(s, "limits_not_enforced"))
		buf_printf(&out, "%s%s", out.len ? ", " : "not enforced here: ",
			   cJSON_IsString(key) ? key->valuestring : "?");
	field(p, "Limits", TERM_YELLOW, buf_cstr(&out));
}

/* "task, 0 3 * * * Europe/Vienna; next run in 3h (2026-11-23T03:00:00Z)" */
static void schedule_field(const struct page *p, const cJSON *s)
{
	const cJSON *schedule = js_get(js_get(s, "spec"), "schedule");
	int64_t next = js_time(s, "next_run_at");
	_cleanup_free_ char *run = next ? text_next_run(next, p->now_ms) : NULL;
	const char *cron = js_str(schedule, "cron", ""), *every = js_str(schedule, "every", "");
	_cleanup_buf_ struct buf out = {0};

	if (strcmp(js_str(s, "type", ""), "task") != 0)
		return;
	buf_str(&out, "task");
	if (*every)
		buf_printf(&out, ", every %s", every);
	else if (*cron)
		buf_printf(&out, ", %s %s", cron, js_str(schedule, "timezone", "(local time)"));
	if (run)
		buf_printf(&out, "; %s", run);
	field(p, "Type", "", buf_cstr(&out));
}

/* "tokenizer (ready), import (completed: starting)": with its state where the condition does not
 * hold. */
static void depends_field(const struct page *p, const cJSON *s)
{
	_cleanup_buf_ struct buf out = {0};
	bool missing = false;
	const cJSON *d;

	cJSON_ArrayForEach (d, js_get(s, "depends_on")) {
		bool holds = js_bool(d, "holds");

		buf_printf(&out, "%s%s (%s%s%s)", out.len ? ", " : "", js_str(d, "service", "?"),
			   js_str(d, "condition", "?"), holds ? "" : ": ",
			   holds ? "" : js_str(d, "state", "there is no such service"));
		missing |= !holds;
	}
	field(p, "Depends on", missing ? TERM_YELLOW : "", buf_cstr(&out));
}

static void hooks_field(const struct page *p, const cJSON *s)
{
	_cleanup_buf_ struct buf out = {0};
	const cJSON *h;

	cJSON_ArrayForEach (h, js_get(js_get(s, "spec"), "hooks")) {
		int n = cJSON_GetArraySize(h);

		if (n > 0)
			buf_printf(&out, "%s%s", out.len ? ", " : "", h->string);
		if (n > 1)
			buf_printf(&out, " (%d steps)", n);
	}
	field(p, "Hooks", "", buf_cstr(&out));
}

static void labels_field(const struct page *p, const cJSON *s)
{
	_cleanup_buf_ struct buf out = {0};
	const cJSON *l;

	cJSON_ArrayForEach (l, js_get(s, "labels"))
		buf_printf(&out, "%s%s=%s", out.len ? ", " : "", l->string,
			   cJSON_IsString(l) ? l->valuestring : "");
	field(p, "Labels", "", buf_cstr(&out));
}

/* The port of a service that the manifest names; or that of {"port": N}. */
static void put_port(struct buf *out, const char *name, const cJSON *port)
{
	long long n = cJSON_IsNumber(port) ? (long long)port->valuedouble : js_int(port, "port", 0);

	if (n)
		buf_printf(out, "%s%s %lld", out->len ? ", " : "", name, n);
}

static void endpoint_field(const struct page *p, const cJSON *e)
{
	const char *error = js_str(e, "error", NULL);
	long long active = js_int(e, "active", 0);
	_cleanup_buf_ struct buf out = {0};

	buf_printf(&out, "%s %s", js_str(e, "protocol", ""), js_str(e, "address", ""));
	if (strcmp(js_str(e, "mode", ""), "socket") == 0)
		buf_str(&out, ", replicas accept");
	if (error)
		buf_printf(&out, ", not open: %s", error);
	if (active)
		buf_printf(&out, ", %lld under way", active);
	field(p, "Endpoint", error ? TERM_RED : "", buf_cstr(&out));
}

/* "30 requests, 3 errors; 12.0 req/s, p95 120ms (first byte 90ms)"; "" for nothing. */
static void put_traffic(struct buf *out, const cJSON *t)
{
	_cleanup_free_ char *n = text_count(js_int(t, "requests", 0), "request");
	_cleanup_free_ char *errors = text_count(js_int(t, "errors", 0), "error");
	_cleanup_free_ char *p95 = text_ms(t, "p95_ms"), *first = text_ms(t, "first_byte_p95_ms");

	if (!t)
		return;
	buf_printf(out, "%s, %s; ", n, errors);
	if (js_double(t, "p95_ms", -1) < 0)
		buf_str(out, "none in the last minute");
	else
		buf_printf(out, "%.1f/s, p95 %s, first byte %s",
			   js_double(t, "requests_per_second", 0), p95, first);
	if (js_int(t, "in_flight", 0))
		buf_printf(out, ", %lld under way", (long long)js_int(t, "in_flight", 0));
	if (js_int(t, "waiting", 0))
		buf_printf(out, ", %lld waiting", (long long)js_int(t, "waiting", 0));
	if (cJSON_IsTrue(js_get(t, "ejected")))
		buf_str(out, "; it gets none for a while: it failed some in a row");
}

static void traffic_field(const struct page *p, const cJSON *s)
{
	_cleanup_buf_ struct buf out = {0};

	put_traffic(&out, js_get(s, "traffic"));
	field(p, "Traffic", "", buf_cstr(&out));
}

static void callers_field(const struct page *p, const cJSON *s)
{
	_cleanup_buf_ struct buf out = {0};
	const cJSON *c;

	cJSON_ArrayForEach (c, js_get(s, "callers")) {
		int64_t n = js_int(c, "connections", 0);
		_cleanup_free_ char *now = text_count(n, "connection");
		_cleanup_free_ char *ago = text_age(c, "seen_at", p->now_ms);

		buf_printf(&out, "%s%s (%s%s%s)", out.len ? ", " : "", js_str(c, "service", "?"),
			   n ? now : "", n ? "" : ago, n ? "" : " ago");
	}
	field(p, "Called by", "", buf_cstr(&out));
}

static void endpoint_fields(const struct page *p, const cJSON *s)
{
	const cJSON *spec = js_get(s, "spec"), *e;
	_cleanup_buf_ struct buf ports = {0};

	if (cJSON_GetArraySize(js_get(s, "endpoints")) == 0) {
		put_port(&ports, "http", js_get(spec, "port"));
		cJSON_ArrayForEach (e, js_get(spec, "ports"))
			put_port(&ports, e->string, e);
		if (ports.len)
			buf_str(&ports, " (not served; replicas have ports of their own)");
		field(p, "Ports", "", buf_cstr(&ports));
	}

	cJSON_ArrayForEach (e, js_get(s, "endpoints"))
		endpoint_field(p, e);
	traffic_field(p, s);
	callers_field(p, s);
}

/* ---- replicas ---- */

/* text, wrapped from column `at` on; its first n bytes in colour. */
static void put_text(const struct page *p, struct buf *out, const char *text, size_t at,
		     const char *color, size_t n)
{
	_cleanup_buf_ struct buf wrapped = {0};
	const char *w;

	term_wrap(p->term, &wrapped, text, at);
	w = buf_cstr(&wrapped);
	if (!*color || strncmp(w, text, n) != 0) {
		buf_str(out, w);
		return;
	}
	buf_printf(out, "%s%.*s%s%s", term_paint(p->term, color), (int)n, w,
		   term_paint(p->term, TERM_RESET), w + n);
}

/* "    LABEL      text" below a replica; the first n bytes of text in colour. */
static void replica_field(const struct page *p, const char *label, const char *text,
			  const char *color, size_t n)
{
	_cleanup_buf_ struct buf out = {0};

	if (*label)
		buf_printf(&out, "    %-10s ", label);
	else
		buf_str(&out, "    ");
	put_text(p, &out, text, *label ? 15 : 4, color, n);
	print(&out);
}

/* "9 passed in 1ms to 4ms"; "" without any. Caller frees. */
static char *history_passed(const cJSON *history)
{
	int64_t low = INT64_MAX, high = 0;
	const cJSON *e;
	size_t n = 0;

	cJSON_ArrayForEach (e, history) {
		int64_t took = js_int(e, "duration_ms", 0);

		if (!js_bool(e, "ok"))
			continue;
		n++;
		low = took < low ? took : low;
		high = took > high ? took : high;
	}
	if (n == 0)
		return x_strdup("none passed");
	return low == high ? x_printf("%zu passed in %lldms", n, (long long)low)
			   : x_printf("%zu passed in %lld to %lldms", n, (long long)low,
				      (long long)high);
}

/* Of the last results: how many passed, and each that failed; wide shows each. */
static void history_lines(const struct page *p, const cJSON *history)
{
	_cleanup_free_ char *passed = history_passed(history);
	_cleanup_free_ char *head =
		x_printf("of the last %d: %s", cJSON_GetArraySize(history), passed);
	const cJSON *e;

	if (cJSON_GetArraySize(history) < 2)
		return;
	replica_field(p, "", head, TERM_DIM, strlen(head));
	cJSON_ArrayForEach (e, history) {
		_cleanup_free_ char *ago = text_age(e, "at", p->now_ms), *line = NULL;
		bool ok = js_bool(e, "ok");

		if (ok && !p->wide)
			continue;
		line = x_printf("%s %s ago after %lldms: %s", ok ? "passed" : "failed", ago,
				(long long)js_int(e, "duration_ms", 0), js_str(e, "message", ""));
		replica_field(p, "", line, ok ? "" : TERM_RED, ok ? 0 : strlen("failed"));
	}
}

static void probe_line(const struct page *p, const char *kind, const cJSON *probe)
{
	_cleanup_free_ char *ago = text_age(probe, "at", p->now_ms);
	const char *message = js_str(probe, "message", ""), *handler = js_str(probe, "handler", "");
	bool ok = js_bool(probe, "ok"), ran = js_time(probe, "at") != 0;
	const char *word = !ran ? "not run yet" : ok ? "passed" : "failed";
	long long limit = js_int(probe, "failure_threshold", 0),
		  failures = js_int(probe, "failures", 0);
	_cleanup_buf_ struct buf out = {0};

	if (!probe || !js_bool(probe, "enabled"))
		return;
	buf_str(&out, word);
	if (ran && !ok && failures > limit)
		buf_printf(&out, " %lld times", failures);
	else if (ran && !ok && limit > 1)
		buf_printf(&out, " %lld of %lld", failures, limit);
	if (ran)
		buf_printf(&out, ", %s ago", ago);
	if (*message)
		buf_printf(&out, ": %s", message);
	if (*handler)
		buf_printf(&out, " (%s)", handler);
	replica_field(p, kind, buf_cstr(&out),
		      !ran ? TERM_DIM
		      : ok ? TERM_GREEN
			   : TERM_RED,
		      strlen(word));
	history_lines(p, js_get(probe, "history"));
}

static void put_ports(struct buf *out, const cJSON *r)
{
	const cJSON *map = js_get(r, "ports"), *port;
	size_t n = 0;

	cJSON_ArrayForEach (port, map) {
		bool plain = strcmp(port->string, "http") == 0;

		buf_printf(out, "%s%s%s%lld", n++ ? ", " : ", port ", plain ? "" : port->string,
			   plain ? "" : " ", (long long)js_int(map, port->string, 0));
	}
	if (n == 0 && js_int(r, "port", 0))
		buf_printf(out, ", port %lld", (long long)js_int(r, "port", 0));
}

static void replica_head(const struct page *p, const cJSON *r)
{
	_cleanup_free_ char *age = text_age(r, "started_at", p->now_ms);
	_cleanup_free_ char *count = text_count(js_int(r, "restarts", 0), "restart");
	const char *state = text_replica_state(r), *id = js_str(r, "id", "?");
	_cleanup_buf_ struct buf out = {0}, text = {0};
	long long pid = js_int(r, "pid", 0);

	buf_str(&text, state);
	if (pid)
		buf_printf(&text, ", pid %lld, up %s", pid, age);
	put_ports(&text, r);
	buf_printf(&text, ", %s%s", count, js_bool(r, "slow_mode") ? ", in slow mode" : "");
	buf_printf(&out, "  %s  ", id);
	put_text(p, &out, buf_cstr(&text), 4 + strlen(id), term_state_color(p->term, state),
		 strlen(state));
	print(&out);
}

/* "2GiB", or "" where memory is not limited, or nobody keeps the limit. */
static const char *memory_limit(const cJSON *service)
{
	const cJSON *limits = js_get(js_get(js_get(service, "spec"), "resources"), "limits"), *key;

	cJSON_ArrayForEach (key, js_get(service, "limits_not_enforced"))
		if (cJSON_IsString(key) && strcmp(key->valuestring, "resources.limits.memory") == 0)
			return "";
	return js_str(limits, "memory", "");
}

static void usage_line(const struct page *p, const cJSON *service, const cJSON *r)
{
	const cJSON *usage = js_get(r, "usage");
	const char *limit = memory_limit(service);
	_cleanup_free_ char *memory = text_bytes(js_int(usage, "memory_bytes", 0));
	_cleanup_free_ char *cpu = text_duration(js_int(usage, "cpu_usec", 0) / 1000);
	long long n = js_int(usage, "pids", 0);
	_cleanup_free_ char *text =
		x_printf("%s%s%s memory, %s CPU time, %lld %s", memory, *limit ? " of " : "", limit,
			 cpu, n, n == 1 ? "process" : "processes and threads");

	if (usage)
		replica_field(p, "uses", text, "", 0);
}

/* "ready, loading shard 3/8, error 28; served its watchdog of 30s" */
static void notify_line(const struct page *p, const cJSON *r)
{
	const cJSON *n = js_get(r, "notify");
	const char *status = js_str(n, "status", "");
	long long err = js_int(n, "errno", 0), dropped = js_int(n, "dropped", 0);
	_cleanup_free_ char *watchdog = text_duration(js_int(n, "watchdog_ms", 0));
	_cleanup_buf_ struct buf out = {0};

	if (!cJSON_IsObject(n))
		return;
	buf_str(&out, js_bool(n, "stopping")	? "stopping"
		      : js_bool(n, "reloading") ? "reloading"
		      : js_bool(n, "ready")	? "ready"
						: "nothing yet");
	if (*status)
		buf_printf(&out, ": %s", status);
	if (err)
		buf_printf(&out, ", error %lld", err);
	if (js_bool(n, "watched"))
		buf_printf(&out, ", watchdog %s", watchdog);
	if (dropped)
		buf_printf(&out, " (%lld of others not heard)", dropped);
	replica_field(p, "says", buf_cstr(&out), "", 0);
}

/* "wait: No space left on device, for 2m; lost: 12 lines, 1.4 KiB" */
static void logs_line(const struct page *p, const cJSON *r)
{
	const cJSON *logs = js_get(r, "logs");
	const char *state = js_str(logs, "state", ""), *error = js_str(logs, "error", "");
	_cleanup_free_ char *since = text_age(logs, "since", p->now_ms);
	_cleanup_free_ char *bytes = text_bytes(js_int(logs, "dropped_bytes", 0));
	_cleanup_free_ char *lines = text_count(js_int(logs, "dropped_lines", 0), "line");
	_cleanup_buf_ struct buf out = {0};

	if (!cJSON_IsObject(logs))
		return;
	if (strcmp(state, "waiting") == 0 || strcmp(state, "dropping") == 0)
		buf_printf(&out, "%s%s%s, for %s",
			   strcmp(state, "waiting") == 0 ? "logs wait" : "log lines are dropped",
			   *error ? ": " : "", error, since);
	else if (strcmp(state, "copied") == 0)
		buf_str(&out, "copied: if the logger is killed, the last bytes may come twice");
	if (js_int(logs, "dropped_bytes", 0) > 0)
		buf_printf(&out, "%slost: %s, %s", out.len ? "; " : "", lines, bytes);
	if (out.len)
		replica_field(p, "logs", buf_cstr(&out), "", 0);
}

static void traffic_line(const struct page *p, const cJSON *r)
{
	_cleanup_buf_ struct buf out = {0};

	put_traffic(&out, js_get(r, "traffic"));
	if (out.len)
		replica_field(p, "traffic", buf_cstr(&out), "", 0);
}

/* "3f2a9c81d0e4, running, 172.17.0.2" */
static void container_line(const struct page *p, const cJSON *r)
{
	const cJSON *c = js_get(r, "container");
	const char *id = js_str(c, "id", ""), *ip = js_str(c, "ip", "");
	_cleanup_buf_ struct buf out = {0};

	if (!cJSON_IsObject(c))
		return;
	buf_printf(&out, "%.*s", p->wide ? 64 : ID_SHOWN, id);
	buf_printf(&out, "%s%s", out.len ? ", " : "", js_str(c, "state", ""));
	if (*ip)
		buf_printf(&out, ", %s", ip);
	replica_field(p, "container", buf_cstr(&out), "", 0);
}

static void replica(const struct page *p, const cJSON *service, const cJSON *r)
{
	static const char *const kinds[] = {"startup", "warmup", "readiness", "liveness"};
	_cleanup_free_ char *message = text_replica_message(r, p->now_ms);
	const cJSON *last = js_get(r, "last_exit"), *probes = js_get(r, "probes");

	replica_head(p, r);
	if (*message)
		replica_field(p, "", message, "", 0);
	container_line(p, r);
	usage_line(p, service, r);
	traffic_line(p, r);
	notify_line(p, r);
	logs_line(p, r);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		probe_line(p, kinds[i], js_get(probes, kinds[i]));
	if (last) {
		_cleanup_free_ char *how = text_exit(last), *ago = text_age(last, "at", p->now_ms);
		_cleanup_free_ char *text = x_printf("%s, %s ago", how, ago);

		replica_field(p, "last exit", text, "", 0);
	}
	if (p->wide) {
		_cleanup_free_ char *text =
			x_printf("%s, revision %lld", js_str(r, "incarnation", "-"),
				 (long long)js_int(r, "revision", 0));

		replica_field(p, "process", text, "", 0);
	}
}

static void replicas(const struct page *p, const cJSON *service)
{
	const cJSON *list = js_get(service, "replicas"), *r;

	if (cJSON_GetArraySize(list) == 0)
		return;
	heading(p, "Replicas");
	cJSON_ArrayForEach (r, list)
		replica(p, service, r);
}

/* ---- what happened ---- */

static void exit_row(const struct page *p, struct table *t, const cJSON *service, const cJSON *e)
{
	_cleanup_free_ char *how = text_exit(e), *ago = text_age(e, "at", p->now_ms);
	_cleanup_free_ char *ran = text_age(e, "started_at", js_time(e, "at"));

	table_row(t);
	table_cell(t, NULL, "  %s ago", ago);
	table_cell(t, NULL, "%s/%lld", js_str(service, "name", ""),
		   (long long)js_int(e, "replica", 0));
	table_cell(t, NULL, "%s", how);
	table_cell(t, NULL, "after %s", ran);
}

static void exits(const struct page *p, const cJSON *service)
{
	const cJSON *list = js_get(service, "exits"), *e;
	struct table t = {.term = p->term};

	if (cJSON_GetArraySize(list) == 0)
		return;
	heading(p, "Last exits");
	table_plain(&t, 4);
	cJSON_ArrayForEach (e, list)
		exit_row(p, &t, service, e);
	table_print(&t);
	table_done(&t);
}

/* What the last process that failed said before, as it is kept with its end. */
static void last_lines(const cJSON *service)
{
	const cJSON *e, *lines, *line;
	int skip;

	cJSON_ArrayForEach (e, js_get(service, "ends"))
		if (js_int(e, "code", -1) != 0)
			break;
	lines = js_get(e, "lines");
	if (cJSON_GetArraySize(lines) == 0)
		return;
	skip = cJSON_GetArraySize(lines) - LINES_SHOWN;
	printf("  the last lines of %s/%lld:\n", js_str(service, "name", ""),
	       (long long)js_int(e, "replica", 0));
	cJSON_ArrayForEach (line, lines) {
		_cleanup_buf_ struct buf scratch = {0};
		const char *text = js_str(line, "line", "");
		size_t n = strlen(text);

		if (skip-- > 0)
			continue;
		text = log_safe(&scratch, text, &n, false);
		printf("    %.*s\n", (int)n, text);
	}
}

static void event_row(const struct page *p, struct table *t, const cJSON *e)
{
	_cleanup_free_ char *ago = text_age(e, "at", p->now_ms), *object = event_object(e);
	_cleanup_free_ char *what = event_what(e);

	table_row(t);
	table_cell(t, NULL, "  %s ago", ago);
	table_cell(t, NULL, "%s", object);
	table_cell(t, NULL, "%s", what);
}

static void events(const struct page *p, const cJSON *service)
{
	const cJSON *list = js_get(service, "events"), *e;
	int n = cJSON_GetArraySize(list), skip = p->wide ? 0 : n - EVENTS_SHOWN;
	struct table t = {.term = p->term};

	if (n == 0)
		return;
	heading(p, "Events");
	table_plain(&t, 3);
	cJSON_ArrayForEach (e, list) {
		if (skip-- <= 0)
			event_row(p, &t, e);
	}
	table_print(&t);
	table_done(&t);
}

void describe_view(const struct term *term, const cJSON *service, bool wide)
{
	const struct page p = {.term = term, .now_ms = clock_wall_ms(), .wide = wide};
	const cJSON *spec = js_get(service, "spec");

	printf("%s%s%s\n", term_paint(term, TERM_BOLD), js_str(service, "name", "?"),
	       term_paint(term, TERM_RESET));
	state_field(&p, service);
	drift_field(&p, service);
	scaler_field(&p, service);
	field(&p, "About", "", js_str(spec, "description", ""));
	origin_fields(&p, service);
	runtime_field(&p, service);
	labels_field(&p, service);
	schedule_field(&p, service);
	depends_field(&p, service);
	hooks_field(&p, service);
	limits_field(&p, service);
	endpoint_fields(&p, service);
	replicas(&p, service);
	exits(&p, service);
	last_lines(service);
	events(&p, service);
	spec_view(term, service);
}
