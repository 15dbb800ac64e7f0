/* top_view: see top_view.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/top_view.h"

#include <stdlib.h>
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

#define SPARKS 15 /* of a minute */

/* ---- the processor ---- */

static void forget(struct top_seen *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		mem_free(list[i].incarnation);
	mem_free(list);
}

static int by_incarnation(const void *a, const void *b)
{
	return strcmp(((const struct top_seen *)a)->incarnation,
		      ((const struct top_seen *)b)->incarnation);
}

void top_view_take(struct top_view *v, const cJSON *reply)
{
	int64_t now = clock_mono_ms();
	const cJSON *s, *r;

	forget(v->before, v->n_before);
	v->before = v->seen;
	v->n_before = v->n;
	v->span_ms = v->at_mono_ms ? now - v->at_mono_ms : 0;
	v->at_mono_ms = now;
	v->seen = NULL;
	v->n = v->cap = 0;
	cJSON_ArrayForEach (s, js_get(reply, "services")) {
		cJSON_ArrayForEach (r, js_get(s, "replicas")) {
			int64_t cpu = js_int(js_get(r, "usage"), "cpu_usec", -1);

			if (cpu < 0)
				continue;
			x_grow(&v->seen, &v->cap, v->n + 1, sizeof(*v->seen));
			v->seen[v->n++] =
				(struct top_seen){x_strdup(js_str(r, "incarnation", "")), cpu};
		}
	}
	if (v->n > 0)
		qsort(v->seen, v->n, sizeof(*v->seen), by_incarnation);
}

void top_view_done(struct top_view *v)
{
	forget(v->seen, v->n);
	forget(v->before, v->n_before);
	*v = (struct top_view){0};
}

/* us since the last look; -1: it was not there then. */
static int64_t cpu_since(const struct top_view *v, const cJSON *replica)
{
	const char *incarnation = js_str(replica, "incarnation", "");
	int64_t now = js_int(js_get(replica, "usage"), "cpu_usec", -1);

	for (size_t low = 0, high = v->n_before; low < high;) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(incarnation, v->before[middle].incarnation);

		if (order == 0)
			return now < v->before[middle].cpu_us ? -1 : now - v->before[middle].cpu_us;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return -1;
}

static void usage_cells(const struct top_view *v, struct table *t, const cJSON *service)
{
	int64_t us = -1, memory = -1;
	_cleanup_free_ char *bytes = NULL;
	const cJSON *r;

	cJSON_ArrayForEach (r, js_get(service, "replicas")) {
		int64_t more = js_get(r, "usage") ? cpu_since(v, r) : -1;

		if (more >= 0)
			us = us < 0 ? more : us + more;
		if (js_get(r, "usage"))
			memory = (memory < 0 ? 0 : memory) +
				 js_int(js_get(r, "usage"), "memory_bytes", 0);
	}
	if (us < 0 || v->span_ms <= 0)
		table_cell(t, NULL, "-");
	else
		table_cell(t, NULL, "%.0f%%", (double)us / (double)v->span_ms / 10);
	bytes = text_bytes(memory);
	table_cell(t, NULL, "%s", memory < 0 ? "-" : bytes);
}

/* ---- requests ---- */

/* Four seconds a sign, as high as the highest one's share. Caller frees. */
static char *sparks(const cJSON *seconds, bool utf8)
{
	static const char *const blocks[] = {" ",      "\u2581", "\u2582", "\u2583", "\u2584",
					     "\u2585", "\u2586", "\u2587", "\u2588"};
	static const char *const plain[] = {" ", ".", ".", ":", ":", "-", "=", "+", "#"};
	int n = cJSON_GetArraySize(seconds), i = 0;
	double sums[SPARKS] = {0}, most = 0;
	_cleanup_buf_ struct buf out = {0};
	const cJSON *e;

	cJSON_ArrayForEach (e, seconds) {
		int at = i++ * SPARKS / n;

		sums[at] += e->valuedouble;
		most = sums[at] > most ? sums[at] : most;
	}
	for (int k = 0; k < SPARKS && most > 0; k++) {
		int level = (int)(sums[k] / most * 8 + 0.999);

		buf_str(&out, (utf8 ? blocks : plain)[level < 0 ? 0 : level > 8 ? 8 : level]);
	}
	return x_strdup(buf_cstr(&out));
}

static void ms_cell(struct table *t, const cJSON *traffic, const char *member)
{
	_cleanup_free_ char *text = text_ms(traffic, member);

	table_cell(t, NULL, "%s", text);
}

static void count_cell(struct table *t, const cJSON *traffic, const char *member, const char *color)
{
	int64_t n = js_int(traffic, member, 0);

	if (!traffic)
		table_cell(t, NULL, "-");
	else
		table_cell(t, n ? color : NULL, "%lld", (long long)n);
}

static void error_cell(struct table *t, const cJSON *traffic)
{
	double rate = js_double(traffic, "error_rate", 0) * 100;

	if (!traffic)
		table_cell(t, NULL, "-");
	else
		table_cell(t, rate > 0 ? term_paint(t->term, TERM_RED) : NULL,
			   rate > 0 && rate < 10 ? "%.1f%%" : "%.0f%%", rate);
}

static void row(const struct top_view *v, struct table *t, const cJSON *s)
{
	const cJSON *traffic = js_get(s, "traffic");
	const char *state = js_str(s, "state", "unknown");
	_cleanup_free_ char *line = sparks(js_get(traffic, "last_minute"), t->term->utf8);
	double rate = js_double(traffic, "requests_per_second", -1);

	table_row(t);
	table_cell(t, NULL, "%s", js_str(s, "name", "?"));
	table_cell(t, term_state_color(t->term, state), "%lld/%lld",
		   (long long)js_int(s, "ready", 0), (long long)js_int(s, "desired", 0));
	if (rate < 0)
		table_cell(t, NULL, "-");
	else
		table_cell(t, NULL, rate < 100 ? "%.1f" : "%.0f", rate);
	count_cell(t, traffic, "in_flight", NULL);
	count_cell(t, traffic, "waiting", term_paint(t->term, TERM_YELLOW));
	ms_cell(t, traffic, "p50_ms");
	ms_cell(t, traffic, "p95_ms");
	ms_cell(t, traffic, "first_byte_p95_ms");
	error_cell(t, traffic);
	usage_cells(v, t, s);
	table_cell(t, term_paint(t->term, TERM_CYAN), "%s", line);
}

void top_view_render(const struct top_view *v, const struct term *term, const cJSON *reply,
		     const char *eol, struct buf *out)
{
	struct table t = {.term = term,
			  .drop = "TTFB P50 MEM CPU QUEUE ERRORS P95 IN-FLIGHT READY"};
	const cJSON *s;

	table_header(&t, "NAME", "READY", "REQ/S", "IN-FLIGHT", "QUEUE", "P50", "P95", "TTFB",
		     "ERRORS", "CPU", "MEM", "LAST-MINUTE", NULL);
	cJSON_ArrayForEach (s, js_get(reply, "services"))
		row(v, &t, s);
	table_render(&t, eol, out);
	table_done(&t);
}
