/* log_exits: see log_exits.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/log_exits.h"

#include <string.h>

#include "cli/client.h"
#include "cli/js.h"
#include "cli/log_out.h"
#include "cli/report.h"
#include "cli/tail.h"
#include "cli/x.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/logidx.h"
#include "lib/logview.h"
#include "lib/mem.h"

static bool has_seen(const struct log_exits *x, const char *object)
{
	for (size_t i = x->n; i-- > 0;)
		if (strcmp(x->seen[i], object) == 0)
			return true;
	return false;
}

void log_exits_saw(struct log_exits *x, const struct tail_line *line)
{
	char *object = x_printf("%s/%lld", line->service, (long long)line->replica);

	if (has_seen(x, object)) {
		mem_free(object);
		return;
	}
	x_grow(&x->seen, &x->cap, x->n + 1, sizeof(*x->seen));
	x->seen[x->n++] = object;
}

void log_exits_done(struct log_exits *x)
{
	for (size_t i = 0; i < x->n; i++)
		mem_free(x->seen[i]);
	mem_free(x->seen);
	*x = (struct log_exits){0};
}

/* The kept lines of one run. */
struct kept {
	const struct logview_opts *choose;
	const struct logview_runs *run;
	struct log_out *out;
	struct buf text; /* of the line that is shown */
	struct tail_line line;
};

static void read_line(struct kept *k, const cJSON *json)
{
	buf_clear(&k->text);
	buf_str(&k->text, js_str(json, "line", ""));
	k->line = (struct tail_line){.service = k->choose->service,
				     .incarnation = k->run->previous,
				     .replica = k->run->index,
				     .stream = logidx_stream_of(js_str(json, "stream", "")),
				     .cut = js_bool(json, "cut"),
				     .wall_ms = js_time(json, "at")};
	if (k->choose->raw)
		buf_char(&k->text, '\n');
	else if (k->line.cut)
		buf_str(&k->text, LOGVIEW_CUT);
	k->line.text = buf_cstr(&k->text);
	k->line.len = k->text.len;
	if (k->text.failed)
		x_check(NULL);
}

/* 1, 0, or negative. */
static int is_wanted(const struct kept *k, struct err **reterr)
{
	const struct logview_opts *o = k->choose;
	const struct tail_line *l = &k->line;

	if ((o->since_ms && l->wall_ms < o->since_ms) ||
	    (o->until_ms && l->wall_ms > o->until_ms) ||
	    (o->streams && !(o->streams & 1U << l->stream)) ||
	    (o->raw && !o->streams && l->stream == LOGIDX_NOTE))
		return 0;
	return o->filter ? o->filter(o->filter_user, l->text, l->len - o->raw, reterr) : 1;
}

/* How many of the lines are wanted; with `skip` < their number the others are shown. */
static int64_t go_through(struct kept *k, const cJSON *lines, int64_t skip, struct err **reterr)
{
	const cJSON *json;
	int64_t n = 0;

	cJSON_ArrayForEach (json, lines) {
		int r;

		read_line(k, json);
		r = is_wanted(k, reterr);
		if (r < 0)
			return r;
		if (r > 0 && n++ >= skip)
			log_out_line(k->out, &k->line);
	}
	return n;
}

/* The lines that were kept with the end of that run; NULL = none. */
static const cJSON *lines_of(const cJSON *reply, const char *incarnation)
{
	const cJSON *e;

	cJSON_ArrayForEach (e, js_get(reply, "exits"))
		if (strcmp(js_str(e, "incarnation", ""), incarnation) == 0)
			return js_get(e, "lines");
	return NULL;
}

static int show_run(struct client *client, struct kept *k, struct err **reterr)
{
	_cleanup_free_ char *path =
		x_printf("/v1/services/%s/exits?replica=%u", k->choose->service, k->run->index);
	_cleanup_reply_ struct reply reply = {0};
	_cleanup_err_ struct err *e = NULL;
	const cJSON *lines;
	int64_t n, r;

	if (client_call(client, &(struct client_request){.method = "GET", .path = path}, &reply,
			&e) < 0 ||
	    reply.status != 200)
		return 0;
	lines = lines_of(reply.json, k->run->previous);
	n = go_through(k, lines, INT64_MAX, reterr);
	if (n <= 0 || k->choose->tail == 0)
		return n < 0 ? (int)n : 0;
	report_warning("the log files of the run before of %s/%u are gone: these last lines of it "
		       "were kept with its end",
		       k->choose->service, k->run->index);
	r = go_through(k, lines,
		       k->choose->tail > 0 && n > k->choose->tail ? n - k->choose->tail : 0,
		       reterr);
	return r < 0 ? (int)r : 1;
}

int log_exits_show(const struct log_exits *x, struct client *client, struct log_out *out,
		   const struct logview_opts *choose, struct err **reterr)
{
	int shown = 0;

	for (size_t i = 0; i < choose->n_runs; i++) {
		struct kept k = {.choose = choose, .run = &choose->runs[i], .out = out};
		_cleanup_free_ char *object = x_printf("%s/%u", choose->service, k.run->index);
		int r;

		if (!k.run->previous[0] || has_seen(x, object) ||
		    (choose->index >= 0 && choose->index != k.run->index))
			continue;
		r = show_run(client, &k, reterr);
		buf_done(&k.text);
		if (r < 0)
			return r;
		shown |= r;
	}
	return shown;
}
