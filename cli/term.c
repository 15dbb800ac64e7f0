/* term: see term.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/term.h"

#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "cli/cli.h"
#include "lib/buf.h"
#include "lib/err.h"
#include "lib/mem.h"
#include "lib/parse.h"

#define WRAP_MIN 16 /* columns that a wrapped text needs */

bool term_can_redraw(int fd)
{
	const char *name = getenv("TERM");

	return isatty(fd) && name && strcmp(name, "dumb") != 0;
}

bool term_wants_color(int fd)
{
	const char *no = getenv("NO_COLOR");

	return term_can_redraw(fd) && !(no && *no);
}

unsigned term_columns(int fd)
{
	const char *env = getenv("COLUMNS");
	struct winsize ws;
	int64_t n;

	if (!isatty(fd))
		return 0;
	if (env && parse_i64(env, 1, 100000, &n, NULL) == 0)
		return (unsigned)n;
	if (ioctl(fd, TIOCGWINSZ, &ws) < 0 || ws.ws_col == 0)
		return 80;
	return ws.ws_col;
}

void term_init(struct term *t)
{
	setlocale(LC_CTYPE, "");
	t->utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	t->tty = isatty(STDOUT_FILENO);
	t->color = term_wants_color(STDOUT_FILENO);
	t->err_color = term_wants_color(STDERR_FILENO);
	t->columns = term_columns(STDOUT_FILENO);
}

struct glyph {
	size_t bytes; /* taken from the text */
	size_t width; /* columns */
	bool bad;     /* shown as '?' */
};

/* Marks that turn the order of what follows, far beyond their own text. */
static bool is_direction(wchar_t c)
{
	return (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0x200e ||
	       c == 0x200f;
}

static struct glyph utf8_glyph(const char *p)
{
	mbstate_t st = {0};
	wchar_t wc;
	size_t n = mbrtowc(&wc, p, MB_CUR_MAX, &st);
	int w;

	if (n == 0 || n > MB_CUR_MAX)
		return (struct glyph){1, 1, true};
	w = wcwidth(wc);
	if (is_direction(wc))
		return (struct glyph){n, 1, true};
	return w < 0 ? (struct glyph){n, 1, true} : (struct glyph){n, (size_t)w, false};
}

/* Without UTF-8 a run of continuation bytes is one '?'. */
static struct glyph plain_glyph(const char *p)
{
	size_t n = 1;

	while (((unsigned char)p[n] & 0xc0) == 0x80)
		n++;
	return (struct glyph){n, 1, true};
}

static struct glyph next_glyph(const struct term *t, const char *p)
{
	unsigned char c = (unsigned char)*p;

	if (c < 0x80)
		return (struct glyph){1, 1, c < 0x20 || c == 0x7f};
	return t->utf8 ? utf8_glyph(p) : plain_glyph(p);
}

size_t term_width(const struct term *t, const char *text)
{
	size_t w = 0;

	for (const char *p = text; *p;) {
		struct glyph g = next_glyph(t, p);

		w += g.width;
		p += g.bytes;
	}
	return w;
}

static void put_glyph(struct buf *out, const char *p, struct glyph g)
{
	if (g.bad)
		buf_char(out, *p == '\n' || *p == '\t' ? ' ' : '?');
	else
		buf_append(out, p, g.bytes);
}

size_t term_put(const struct term *t, struct buf *out, const char *text, size_t max)
{
	const char *dots = t->utf8 ? "\xe2\x80\xa6" : "...";
	size_t dots_width = t->utf8 ? 1 : 3, w = 0, full = term_width(t, text);
	bool cut = max && full > max;

	if (cut && dots_width >= max)
		dots = "", dots_width = 0;
	for (const char *p = text; *p;) {
		struct glyph g = next_glyph(t, p);

		if (cut && w + g.width > max - dots_width)
			break;
		put_glyph(out, p, g);
		w += g.width;
		p += g.bytes;
	}
	if (!cut)
		return w;
	buf_str(out, dots);
	return w + dots_width;
}

struct wrap {
	const struct term *t;
	struct buf *out;
	size_t indent, at, room; /* room 0 = no limit */
};

static void wrap_line(struct wrap *w)
{
	buf_char(w->out, '\n');
	for (size_t i = 0; i < w->indent; i++)
		buf_char(w->out, ' ');
	w->at = w->indent;
}

/* A word and the blanks before it; one longer than a line is broken between glyphs. */
static void wrap_word(struct wrap *w, size_t blanks, const char *p, const char *end)
{
	size_t width = 0;

	for (const char *q = p; q < end; q += next_glyph(w->t, q).bytes)
		width += next_glyph(w->t, q).width;
	if (w->room && w->at > w->indent && w->at + blanks + width > w->room)
		wrap_line(w);
	else
		for (; blanks > 0 && !(w->room && w->at >= w->room); blanks--, w->at++)
			buf_char(w->out, ' ');
	while (p < end) {
		struct glyph g = next_glyph(w->t, p);

		if (w->room && w->at + g.width > w->room)
			wrap_line(w);
		put_glyph(w->out, p, g);
		w->at += g.width;
		p += g.bytes;
	}
}

void term_wrap(const struct term *t, struct buf *out, const char *text, size_t indent)
{
	struct wrap w = {.t = t, .out = out, .indent = indent, .at = indent, .room = t->columns};

	if (w.room && w.room < indent + WRAP_MIN && w.room < indent + term_width(t, text)) {
		w.indent = w.room > WRAP_MIN ? 4 : 0;
		wrap_line(&w);
	}
	while (*text) {
		size_t blanks = strspn(text, " "), n = strcspn(text + blanks, " \n");

		text += blanks;
		if (n)
			wrap_word(&w, blanks, text, text + n);
		text += n;
		if (*text == '\n' && text[1])
			wrap_line(&w);
		text += *text == '\n';
	}
}

const char *term_paint(const struct term *t, const char *color)
{
	return t->color ? color : "";
}

const char *term_state_color(const struct term *t, const char *state)
{
	static const struct {
		const char *state, *color;
	} colors[] = {
		{"ready", TERM_GREEN},	   {"succeeded", TERM_GREEN}, {"starting", TERM_CYAN},
		{"pending", TERM_CYAN},	   {"waiting", TERM_CYAN},    {"updating", TERM_CYAN},
		{"stopping", TERM_YELLOW}, {"draining", TERM_YELLOW}, {"unready", TERM_YELLOW},
		{"degraded", TERM_YELLOW}, {"frozen", TERM_CYAN},     {"backoff", TERM_YELLOW},
		{"failed", TERM_RED},	   {"unknown", TERM_RED},     {"exited", TERM_DIM},
		{"stopped", TERM_DIM},	   {"idle", TERM_DIM},
	};

	for (size_t i = 0; t->color && i < ARRAY_SIZE(colors); i++) {
		if (strcmp(colors[i].state, state) == 0)
			return colors[i].color;
	}
	return "";
}
