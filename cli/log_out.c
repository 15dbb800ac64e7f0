/* log_out: see log_out.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/log_out.h"

#include <stdio.h>
#include <time.h>

#include "cli/tail.h"
#include "cli/term.h"
#include "cli/x.h"
#include "cli/yaml_out.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/jsonw.h"
#include "lib/mem.h"

/* "2026-01-02 03:04:05.123 " */
static void put_time(const struct term *term, struct buf *out, int64_t wall_ms)
{
	time_t s = (time_t)(wall_ms / 1000);
	char text[32] = "";
	struct tm tm;

	if (localtime_r(&s, &tm) == NULL ||
	    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm) == 0)
		text[0] = '\0';
	buf_printf(out, "%s%s.%03d%s ", term_paint(term, TERM_DIM), text, (int)(wall_ms % 1000),
		   term_paint(term, TERM_RESET));
}

static void text_line(struct log_out *o, const struct tail_line *l)
{
	_cleanup_free_ char *object = x_printf("%s/%lld", l->service, (long long)l->replica);
	_cleanup_buf_ struct buf out = {0};

	if (!o->timestamps && !o->streams) {
		view_log(&o->view, object, l->text, l->len);
		return;
	}
	if (o->timestamps)
		put_time(o->view.term, &out, l->wall_ms);
	if (o->streams)
		buf_str(&out, l->is_stderr ? "stderr " : "stdout ");
	buf_append(&out, l->text, l->len);
	if (out.failed)
		x_check(NULL);
	view_log(&o->view, object, out.data, out.len);
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
	jsonw_string(&w, "stream", l->is_stderr ? "stderr" : "stdout");
	jsonw_string(&w, "at", at);
	jsonw_string_n(&w, "line", l->text, l->len);
	jsonw_object_end(&w);
	if (out->failed)
		x_check(NULL);
}

static void json_line(const struct tail_line *l)
{
	_cleanup_buf_ struct buf out = {0};

	put_json(&out, l);
	puts(buf_cstr(&out));
}

static void yaml_line(struct log_out *o, const struct tail_line *l)
{
	_cleanup_buf_ struct buf json = {0}, out = {0};

	put_json(&json, l);
	buf_str(&out, o->begun ? "---\n" : "");
	yaml_out_json(buf_cstr(&json), json.len, &out);
	if (out.failed)
		x_check(NULL);
	fputs(buf_cstr(&out), stdout);
	o->begun = true;
}

static void name_line(struct log_out *o, const struct tail_line *l)
{
	_cleanup_free_ char *object = x_printf("%s/%lld", l->service, (long long)l->replica);

	if (view_expect(&o->view, object))
		puts(object);
}

void log_out_line(struct log_out *o, const struct tail_line *l)
{
	switch (o->format) {
	case LOG_OUT_TEXT:
		text_line(o, l);
		break;
	case LOG_OUT_RAW:
		fwrite(l->text, 1, l->len, stdout);
		if (o->add_newline)
			putchar('\n');
		break;
	case LOG_OUT_JSON:
		json_line(l);
		break;
	case LOG_OUT_YAML:
		yaml_line(o, l);
		break;
	case LOG_OUT_NAME:
		name_line(o, l);
		break;
	}
}
