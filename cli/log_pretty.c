/* log_pretty: see log_pretty.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/log_pretty.h"

#include <string.h>

#include "cli/term.h"
#include "lib/buf.h"
#include "lib/logjson.h"
#include "lib/loglevel.h"

#define LEVEL_WIDTH 5 /* most have no more letters */

struct pretty {
	struct buf *out;
	const struct term *term;
	const char *prefix;
	size_t prefix_len;
};

static const char *color_of(enum loglevel level)
{
	switch (level) {
	case LOGLEVEL_EMERG:
	case LOGLEVEL_ALERT:
	case LOGLEVEL_CRIT:
		return TERM_BOLD_RED;
	case LOGLEVEL_ERR:
		return TERM_RED;
	case LOGLEVEL_WARNING:
		return TERM_YELLOW;
	case LOGLEVEL_NOTICE:
	case LOGLEVEL_INFO:
		return TERM_GREEN;
	case LOGLEVEL_DEBUG:
		return TERM_DIM;
	case LOGLEVEL_NONE:
		break;
	}
	return "";
}

static void new_line(struct pretty *p)
{
	buf_char(p->out, '\n');
	buf_append(p->out, p->prefix, p->prefix_len);
}

/* A JSON string, which may be of several lines. */
static void put_lines(struct pretty *p, const struct logjson_member *m)
{
	_cleanup_buf_ struct buf text = {0};
	const char *at, *newline;
	size_t left;

	logjson_put_text(&text, m->value, m->value_len, true);
	p->out->failed = p->out->failed || text.failed;
	at = buf_cstr(&text);
	for (left = text.len; left && at[left - 1] == '\n';)
		left--;
	while ((newline = memchr(at, '\n', left))) {
		buf_append(p->out, at, (size_t)(newline - at));
		new_line(p);
		left -= (size_t)(newline + 1 - at);
		at = newline + 1;
	}
	buf_append(p->out, at, left);
}

static void put_level(struct pretty *p, const struct logjson *j)
{
	buf_printf(p->out, "%s%-*s%s", term_paint(p->term, color_of(j->priority)), LEVEL_WIDTH,
		   j->name, term_paint(p->term, TERM_RESET));
}

static void put_json(struct pretty *p, const struct logjson *j)
{
	const char *space = "";

	if (j->level) {
		put_level(p, j);
		space = " ";
	}
	if (j->message && j->message->value_len) {
		buf_str(p->out, space);
		put_lines(p, j->message);
		space = " ";
	}
	buf_str(p->out, term_paint(p->term, TERM_DIM));
	for (size_t i = 0; i < j->n; i++) {
		if (j->members[i].hidden || logjson_is_trace(&j->members[i]))
			continue;
		buf_str(p->out, space);
		logjson_put_member(p->out, &j->members[i]);
		space = " ";
	}
	buf_str(p->out, term_paint(p->term, TERM_RESET));
	for (size_t i = 0; i < j->n; i++) {
		if (j->members[i].hidden || !logjson_is_trace(&j->members[i]))
			continue;
		new_line(p);
		put_lines(p, &j->members[i]);
	}
}

/* Only what is out of the ordinary is painted, and only where the service did not. */
static const char *plain_color(const struct pretty *p, const char *text, size_t n)
{
	enum loglevel level;

	if (!*term_paint(p->term, TERM_RESET) || memchr(text, '\033', n))
		return "";
	level = loglevel_of_line(text, n);
	return level == LOGLEVEL_NOTICE || level == LOGLEVEL_INFO ? "" : color_of(level);
}

void log_pretty(struct buf *out, const struct term *term, const char *text, size_t n,
		const char *prefix, size_t prefix_len)
{
	struct pretty p = {out, term, prefix, prefix_len};
	const char *color;

	if (n > 0 && text[0] == '{') {
		struct logjson j;

		if (logjson_read(text, n, &j)) {
			put_json(&p, &j);
			return;
		}
	}
	color = plain_color(&p, text, n);
	buf_str(out, color);
	buf_append(out, text, n);
	buf_str(out, *color ? TERM_RESET : "");
}
