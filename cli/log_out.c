/* log_out: see log_out.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/log_out.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/log_pretty.h"
#include "cli/log_safe.h"
#include "cli/tail.h"
#include "cli/term.h"
#include "cli/x.h"
#include "cli/yaml_out.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/jsonw.h"
#include "lib/logidx.h"
#include "lib/logview.h"
#include "lib/mem.h"

#define GATHER (128 << 10)

/* "2026-01-02 03:04:05.123 "; the calendar is asked once a second of the log. */
static void put_time(struct log_out *o, int64_t wall_ms)
{
	time_t s = (time_t)(wall_ms / 1000);
	struct tm tm;

	if (s != o->stamp_s || !o->stamp[0]) {
		if (localtime_r(&s, &tm) == NULL ||
		    strftime(o->stamp, sizeof(o->stamp), "%Y-%m-%d %H:%M:%S", &tm) == 0)
			o->stamp[0] = '\0';
		o->stamp_s = s;
	}
	buf_printf(&o->out, "%s%s.%03d%s ", term_paint(o->view.term, TERM_DIM), o->stamp,
		   (int)(wall_ms % 1000), term_paint(o->view.term, TERM_RESET));
}

/* Notes and marks are ours, and look so. prefix: what stands before it. */
static void put_text(struct log_out *o, const struct tail_line *l, const char *prefix, size_t len)
{
	size_t mark = l->cut && l->len >= strlen(LOGVIEW_CUT) ? strlen(LOGVIEW_CUT) : 0;
	size_t n = l->len - mark;
	const char *dim = term_paint(o->view.term, TERM_DIM);
	const char *reset = term_paint(o->view.term, TERM_RESET);
	const char *text = l->text;

	if (o->safe)
		text = log_safe(&o->scratch, text, &n, o->view.term->color);
	if (l->stream == LOGIDX_NOTE) {
		buf_str(&o->out, dim);
		buf_append(&o->out, text, n);
		buf_str(&o->out, reset);
	} else if (mark) {
		buf_append(&o->out, text, n);
		buf_str(&o->out, dim);
		buf_append(&o->out, l->text + l->len - mark, mark);
		buf_str(&o->out, reset);
	} else if (o->as_written) {
		buf_append(&o->out, text, n);
	} else {
		log_pretty(&o->out, o->view.term, text, n, prefix, len);
	}
}

static void text_line(struct log_out *o, const struct tail_line *l)
{
	size_t n;
	const char *prefix = view_prefix(&o->view, l->service, l->replica, &n);

	buf_append(&o->out, prefix, n);
	if (o->timestamps)
		put_time(o, l->wall_ms);
	if (o->streams)
		buf_printf(&o->out, "%-6s ", logidx_stream_name(l->stream));
	put_text(o, l, prefix, n);
	buf_char(&o->out, '\n');
}

static void put_json(struct buf *out, const struct tail_line *l)
{
	char stamp[CLOCK_RFC3339_SIZE], at[CLOCK_RFC3339_SIZE + 8];
	struct jsonw w = {.out = out};

	clock_rfc3339(l->wall_ms, stamp);
	snprintf(at, sizeof(at), "%.19s.%03dZ", stamp, (int)(l->wall_ms % 1000));
	jsonw_object_begin(&w, NULL);
	jsonw_string(&w, "service", l->service);
	jsonw_int(&w, "replica", l->replica);
	jsonw_string(&w, "incarnation", l->incarnation);
	jsonw_string(&w, "stream", logidx_stream_name(l->stream));
	jsonw_string(&w, "at", at);
	jsonw_string_n(&w, "line", l->text, l->len);
	if (l->cut)
		jsonw_bool(&w, "cut", true);
	jsonw_object_end(&w);
}

static void json_line(struct log_out *o, const struct tail_line *l)
{
	put_json(&o->out, l);
	buf_char(&o->out, '\n');
}

static void yaml_line(struct log_out *o, const struct tail_line *l)
{
	_cleanup_buf_ struct buf json = {0};

	put_json(&json, l);
	if (json.failed)
		x_check(NULL);
	buf_str(&o->out, o->begun ? "---\n" : "");
	yaml_out_json(buf_cstr(&json), json.len, &o->out);
	o->begun = true;
}

static void name_line(struct log_out *o, const struct tail_line *l)
{
	_cleanup_free_ char *object = x_printf("%s/%lld", l->service, (long long)l->replica);

	if (view_expect(&o->view, object))
		buf_printf(&o->out, "%s\n", object);
}

void log_out_line(struct log_out *o, const struct tail_line *l)
{
	switch (o->format) {
	case LOG_OUT_TEXT:
		text_line(o, l);
		break;
	case LOG_OUT_RAW:
		buf_append(&o->out, l->text, l->len);
		break;
	case LOG_OUT_JSON:
		json_line(o, l);
		break;
	case LOG_OUT_YAML:
		yaml_line(o, l);
		break;
	case LOG_OUT_NAME:
		name_line(o, l);
		break;
	}
	if (!o->gather || o->out.len >= GATHER || o->out.failed)
		log_out_flush(o);
}

void log_out_flush(struct log_out *o)
{
	if (o->out.failed || o->scratch.failed)
		x_check(NULL);
	if (o->out.len)
		fwrite(o->out.data, 1, o->out.len, stdout);
	buf_clear(&o->out);
}

void log_out_done(struct log_out *o)
{
	log_out_flush(o);
	buf_done(&o->out);
	buf_done(&o->scratch);
	view_done(&o->view);
}
