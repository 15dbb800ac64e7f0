/*
 * cmd_autoscale: aictl autoscale, how many replicas a service's scaler wants and how it came to that
 * number.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <string.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/js.h"
#include "cli/output.h"
#include "cli/table.h"
#include "cli/term.h"
#include "cli/text.h"
#include "cli/x.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/mem.h"

#define TEXT_AT 11

struct page {
	const struct term *term;
	int64_t now_ms;
};

/* Takes text. */
static void field(const struct page *p, const char *label, const char *color, char *text)
{
	_cleanup_buf_ struct buf out = {0};

	buf_printf(&out, "%-*s%s", TEXT_AT, label, term_paint(p->term, color));
	term_wrap(p->term, &out, text, TEXT_AT);
	buf_str(&out, *color ? term_paint(p->term, TERM_RESET) : "");
	if (out.failed)
		x_check(NULL);
	puts(buf_cstr(&out));
	mem_free(text);
}

static double number(const cJSON *o, const char *name)
{
	const cJSON *v = js_get(o, name);

	return cJSON_IsNumber(v) ? v->valuedouble : 0;
}

static bool is_percent(const cJSON *m)
{
	const char *kind = js_str(m, "metric", "");

	return strcmp(kind, "cpu") == 0 || strcmp(kind, "memory") == 0;
}

static void metric_rows(struct table *t, const cJSON *reply, const cJSON *m)
{
	const cJSON *rules = js_get(reply, "rules");
	const char *unit = is_percent(m) ? "%" : "";
	bool known = js_bool(m, "known"), kpa = js_get(m, "panic_value") != NULL;
	char window[32] = "mean";

	if (kpa)
		clock_human(js_int(rules, "window_ms", 0), window, sizeof(window));
	table_row(t);
	table_cell(t, NULL, "%s", js_str(m, "name", js_str(m, "metric", "?")));
	table_cell(t, NULL, "%.4g%s", number(m, "target"), unit);
	table_cell(t, NULL, "%s", window);
	if (!known) {
		table_cell(t, TERM_YELLOW, "not known");
		table_cell(t, NULL, "-");
		table_cell(t, TERM_YELLOW, "%s", js_str(m, "error", "held"));
		return;
	}
	table_cell(t, NULL, "%.4g%s", number(m, "value"), unit);
	table_cell(t, NULL, "%lld", (long long)js_int(m, "wants", 0));
	table_cell(t, NULL, "%s", js_bool(m, "within_tolerance") ? "within tolerance" : "");
	if (!kpa)
		return;
	table_row(t);
	table_cell(t, NULL, "%s", "");
	table_cell(t, NULL, "%s", "");
	table_cell(t, NULL, "%s",
		   clock_human(js_int(rules, "panic_window_ms", 0), window, sizeof(window)));
	table_cell(t, NULL, "%.4g", number(m, "panic_value"));
	table_cell(t, NULL, "%lld", (long long)js_int(m, "panic_wants", 0));
	table_cell(t, js_bool(m, "panicking") ? TERM_YELLOW : NULL, "%s",
		   js_bool(m, "panicking") ? "panic" : "");
}

static void metrics(const struct page *p, const cJSON *reply)
{
	struct table t = {.term = p->term};
	const cJSON *m;

	table_header(&t, "METRIC", "TARGET", "OVER", "VALUE", "WANTS", "NOTE", NULL);
	cJSON_ArrayForEach (m, js_get(reply, "metrics"))
		metric_rows(&t, reply, m);
	table_print(&t);
	table_done(&t);
}

static void override_field(const struct page *p, const cJSON *reply)
{
	const cJSON *o = js_get(reply, "override");
	int64_t left = js_time(o, "until") - p->now_ms;
	char human[32];

	if (!o)
		return;
	clock_human(left > 0 ? left : 0, human, sizeof(human));
	field(p, "Override", TERM_YELLOW,
	      x_printf("%lld, by the user%s%s; aictl scale %s --auto ends it",
		       (long long)js_int(o, "replicas", 0), js_get(o, "until") ? ", for " : "",
		       js_get(o, "until") ? human : "", js_str(reply, "service", "?")));
}

static void range_field(const struct page *p, const cJSON *reply)
{
	int64_t open = js_int(reply, "windows_open", 0);
	int64_t left = js_time(reply, "bounds_until") - p->now_ms;
	char human[32];

	clock_human(left > 0 ? left : 0, human, sizeof(human));
	field(p, "Range", "",
	      x_printf("%lld..%lld%s%s%s", (long long)js_int(reply, "min", 0),
		       (long long)js_int(reply, "max", 0),
		       open ? ", by a window of the schedule" : "",
		       js_get(reply, "bounds_until") ? ", for " : "",
		       js_get(reply, "bounds_until") ? human : ""));
}

static void result_field(const struct page *p, const cJSON *reply)
{
	_cleanup_free_ char *age = text_age(reply, "changed_at", p->now_ms);
	const char *message = js_str(reply, "message", "");

	field(p, "Scaler", "",
	      x_printf("%lld%s%s", (long long)js_int(reply, "replicas", 0), *message ? ": " : "",
		       *message ? message : ", nothing decided yet"));
	if (js_get(reply, "changed_at"))
		field(p, "Changed", "", x_printf("%s ago", age));
}

static void table(const struct output *out, const cJSON *reply)
{
	const struct page p = {&out->cli->term, clock_wall_ms()};
	const cJSON *demand = js_get(reply, "demand");

	field(&p, "Service", "", x_strdup(js_str(reply, "service", "?")));
	field(&p, "Replicas", "",
	      x_printf("%lld wanted, %lld ready, %lld starting",
		       (long long)js_int(reply, "desired", 0), (long long)js_int(reply, "ready", 0),
		       (long long)js_int(reply, "starting", 0)));
	override_field(&p, reply);
	range_field(&p, reply);
	if (js_bool(demand, "known"))
		field(&p, "Load", "",
		      x_printf("%lld under way or waiting", (long long)js_int(demand, "now", 0)));
	result_field(&p, reply);
	puts("");
	metrics(&p, reply);
}

static int run(struct cli *cli, const struct args *args)
{
	static const struct output_view view = {table, "metrics", "metric"};
	_cleanup_client_ struct client *client = client_open(cli);
	struct output out;

	output_begin(&out, cli, args);
	for (size_t i = 0; i < args->n_operands; i++) {
		_cleanup_free_ char *name = client_escape(args->operands[i]);
		_cleanup_free_ char *path = x_printf("/v1/services/%s/autoscale", name);
		_cleanup_reply_ struct reply reply = {0};

		client_get(client, path, &reply);
		output_reply(&out, &view, &reply);
	}
	return CODE_OK;
}

static const struct option_spec options[] = {
	OUTPUT_OPTION,
	{0},
};

const struct command cmd_autoscale_command = {
	.name = "autoscale",
	.group = GROUP_LOOK,
	.synopsis = "[OPTIONS] SERVICE...",
	.summary = "Show how many replicas a scaler wants, and the arithmetic",
	.details =
		"Of services whose replicas are a range: each metric with its target for one replica,\n"
		"what it is over which time, how many replicas that wants by itself, the bounds in\n"
		"force, what the user has set instead, and the result with its reason.",
	.examples = "aictl autoscale chat\n"
		    "aictl autoscale chat -o json | jq .metrics",
	.options = options,
	.args_min = 1,
	.args_max = ARGS_MANY,
	.run = run,
};
