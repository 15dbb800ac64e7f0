/*
 * manifest_print: an error as a compiler shows it.
 *
 *   aictl.yaml:12:11: error: port: 99999 is not in 1..65535
 *      12 |     port: 99999
 *         |           ^~~~~
 *   hint: ...
 *
 * The caret stands at the place, the tail below what stands there: a quoted text, a ${...}, a list
 * or map that ends on the line, a word. Errors carry no length: it is read off the line. Columns are characters; the caret is put by display width (tabs kept, wide characters count two).
 * Nothing but printable text leaves, whatever the file holds.
 */
/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "lib/buf.h"
#include "lib/err.h"
#include "lib/manifest.h"
#include "lib/yamltree.h"

#define BEFORE_MAX 60 /* characters shown left of the caret, in a long line */
#define AFTER_MAX 60

#define BOLD "\033[1m"
#define RED "\033[1;31m"
#define YELLOW "\033[1;33m"
#define GREEN "\033[1;32m"
#define RESET "\033[0m"

/* Columns a character takes on a terminal: enough of Unicode's East Asian Width for a caret. */
static unsigned width_of(unsigned c)
{
	static const struct {
		unsigned from, to, width;
	} ranges[] = {{0x300, 0x36f, 0},    {0x200b, 0x200f, 0},   {0xfe00, 0xfe0f, 0},
		      {0x1100, 0x115f, 2},  {0x2e80, 0xa4cf, 2},   {0xac00, 0xd7a3, 2},
		      {0xf900, 0xfaff, 2},  {0xfe30, 0xfe6f, 2},   {0xff00, 0xff60, 2},
		      {0xffe0, 0xffe6, 2},  {0x1f300, 0x1f64f, 2}, {0x1f680, 0x1faff, 2},
		      {0x20000, 0x3fffd, 2}};

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		if (c >= ranges[i].from && c <= ranges[i].to)
			return ranges[i].width;
	return 1;
}

/* Start of the 1-based line and its *end, or NULL. */
static const char *find_line(const char *text, unsigned line, const char **end)
{
	const char *stop = text + strlen(text), *p = text;
	size_t n = 0;

	for (unsigned i = 1; i < line && p < stop; p += n ? n : 1) {
		n = yamltree_break_len(p, stop);
		i += n > 0;
	}
	for (*end = p; *end < stop && yamltree_break_len(*end, stop) == 0;)
		(*end)++;
	return p < stop ? p : NULL;
}

/* One character at p: its bytes and code; a byte that is no UTF-8 counts as one character '?'. */
static size_t next_char(const char *p, const char *end, unsigned *code)
{
	size_t n = yamltree_utf8(p, end, code);

	if (n == 0) {
		*code = '?';
		return 1;
	}
	if ((*code < 0x20 && *code != '\t') || (*code >= 0x7f && *code < 0xa0))
		*code = '?';
	return n;
}

/* Behind the quote that ends the text beginning at p; NULL = not on this line. */
static const char *quoted_end(const char *p, const char *end)
{
	char quote = *p++;

	for (; p < end; p++) {
		if (*p == '\\' && quote == '"')
			p++;
		else if (*p == quote && quote == '\'' && p + 1 < end && p[1] == '\'')
			p++;
		else if (*p == quote)
			return p + 1;
	}
	return NULL;
}

/* Behind the bracket that closes the one at p; NULL = not on this line. */
static const char *bracket_end(const char *p, const char *end)
{
	unsigned depth = 0;

	while (p && p < end) {
		if (*p == '"' || *p == '\'') {
			p = quoted_end(p, end);
			continue;
		}
		if (*p == '[' || *p == '{')
			depth++;
		else if ((*p == ']' || *p == '}') && --depth == 0)
			return p + 1;
		p++;
	}
	return NULL;
}

/* Does p stand inside a list or map that began on its line? */
static bool is_flow(const char *line, const char *p)
{
	int depth = 0;

	for (; line < p; line++)
		depth += (*line == '[' || *line == '{') - (*line == ']' || *line == '}');
	return depth > 0;
}

/* Behind a text without quotes. */
static const char *plain_end(const char *p, const char *end, bool flow)
{
	const char *q = p;

	for (; q < end; q++) {
		if (*q == ':' && (q + 1 == end || q[1] == ' ' || (flow && strchr(",]}", q[1]))))
			break;
		if ((*q == '#' && q > p && q[-1] == ' ') || (flow && strchr(",[]{}", *q)))
			break;
	}
	while (q > p && (q[-1] == ' ' || q[-1] == '\t'))
		q--;
	return q;
}

/* Behind what stands at p. */
static const char *token_end(const char *line, const char *p, const char *end)
{
	const char *found = NULL;
	unsigned code;

	if (p >= end || yamltree_utf8(p, end, &code) == 0)
		return p;
	if (*p == '"' || *p == '\'')
		found = quoted_end(p, end);
	else if (*p == '[' || *p == '{')
		found = bracket_end(p, end);
	else if (*p == '$' && p + 1 < end && p[1] == '{')
		found = memchr(p, '}', (size_t)(end - p));
	else if (!strchr("]},: \t#|>@`%", *p))
		found = plain_end(p, end, is_flow(line, p));
	if (found && *p == '$')
		return found + (*found == '}');
	return found ? found : p;
}

/* What is shown of a line, and what stands below it. */
struct source {
	struct buf line, pad, tail;
};

/* A character at i, left of column, at it, or behind it and part of what is underlined. */
static void mark_char(struct source *s, unsigned code, unsigned i, unsigned column, bool underlined)
{
	struct buf *to = i < column ? &s->pad : &s->tail;

	if (i < column && code == '\t')
		buf_char(to, '\t');
	else if (i < column || underlined)
		for (unsigned w = code == '\t' ? 1 : width_of(code); w > 0; w--)
			buf_char(to, i < column ? ' ' : '~');
}

/* The start of the 1-based column, or end. */
static const char *find_column(const char *p, const char *end, unsigned column)
{
	unsigned code;

	while (--column > 0 && p < end)
		p += next_char(p, end, &code);
	return p;
}

/* The part of the line around the column. */
static void cut_line(struct source *s, const char *line, const char *end, unsigned column)
{
	unsigned first = column > BEFORE_MAX + 1 ? column - BEFORE_MAX : 1, code = 0;
	const char *stop = column ? token_end(line, find_column(line, end, column), end) : line;
	const char *p = line;

	if (first > 1) {
		buf_str(&s->line, "...");
		buf_str(&s->pad, "   ");
	}
	for (unsigned i = 1; p < end; i++) {
		size_t n = next_char(p, end, &code);

		if (i >= first && i > column + AFTER_MAX) {
			buf_str(&s->line, "...");
			break;
		}
		if (i >= first && (code == '?' || n == 0))
			buf_char(&s->line, '?');
		else if (i >= first)
			buf_append(&s->line, p, n);
		if (i >= first)
			mark_char(s, code, i, column, p < stop);
		p += n;
	}
}

static void print_source(struct buf *out, const struct err *e, const char *text, bool colour)
{
	struct source s = {0};
	const char *end, *start = find_line(text, e->line, &end);

	if (!start || end == start)
		return;
	cut_line(&s, start, end, e->column);
	buf_printf(out, "%5u | %s\n", e->line, buf_cstr(&s.line));
	if (e->column > 0)
		buf_printf(out, "      | %s%s^%s%s\n", buf_cstr(&s.pad), colour ? GREEN : "",
			   s.tail.len ? buf_cstr(&s.tail) + 1 : "", colour ? RESET : "");
	out->failed |= s.line.failed || s.pad.failed || s.tail.failed;
	buf_done(&s.line);
	buf_done(&s.pad);
	buf_done(&s.tail);
}

/* word: "error", in that colour, or without when it is "". */
static int print(struct buf *out, const struct err *e, const char *text, const char *word,
		 const char *word_colour)
{
	bool colour = word_colour[0] != '\0';

	if (colour)
		buf_str(out, BOLD);
	if (e->file)
		buf_printf(out, "%s:", e->file);
	if (e->line)
		buf_printf(out, "%u:", e->line);
	if (e->line && e->column)
		buf_printf(out, "%u:", e->column);
	buf_printf(out, "%s%s%s:%s %s%s\n", e->file || e->line ? " " : "", word_colour, word,
		   colour ? RESET BOLD : "", e->msg, colour ? RESET : "");
	if (text && e->line)
		print_source(out, e, text, colour);
	if (e->hint)
		buf_printf(out, "hint: %s\n", e->hint);
	return out->failed ? -ERR_NOMEM : 0;
}

int manifest_print_error(struct buf *out, const struct err *e, const char *text, bool colour)
{
	return print(out, e, text, "error", colour ? RED : "");
}

int manifest_print_warning(struct buf *out, const struct err *e, const char *text, bool colour)
{
	return print(out, e, text, "warning", colour ? YELLOW : "");
}
