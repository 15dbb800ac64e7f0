/*
 * manifest_print: an error as a compiler shows it.
 *
 *   aictl.yaml:12:11: error: port: 99999 is not in 1..65535
 *      12 |     port: 99999
 *         |           ^
 *   hint: ...
 *
 * Columns are characters; the caret is put by display width (tabs kept, wide characters count two).
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

/* The part of the line around the column, into *line; what stands under the caret's left into *pad.
 */
static void cut_line(const char *p, const char *end, unsigned column, struct buf *line,
		     struct buf *pad)
{
	unsigned first = column > BEFORE_MAX + 1 ? column - BEFORE_MAX : 1, code = 0;

	if (first > 1) {
		buf_str(line, "...");
		buf_str(pad, "   ");
	}
	for (unsigned i = 1; p < end; i++) {
		size_t n = next_char(p, end, &code);

		if (i >= first && i > column + AFTER_MAX) {
			buf_str(line, "...");
			break;
		}
		if (i >= first && (code == '?' || n == 0))
			buf_char(line, '?');
		else if (i >= first)
			buf_append(line, p, n);
		if (i >= first && i < column && code == '\t')
			buf_char(pad, '\t');
		for (unsigned w = width_of(code); i >= first && i < column && code != '\t' && w > 0;
		     w--)
			buf_char(pad, ' ');
		p += n;
	}
}

static void print_source(struct buf *out, const struct err *e, const char *text, bool colour)
{
	_cleanup_buf_ struct buf line = {0}, pad = {0};
	const char *end, *start = find_line(text, e->line, &end);

	if (!start || end == start)
		return;
	cut_line(start, end, e->column, &line, &pad);
	buf_printf(out, "%5u | %s\n", e->line, buf_cstr(&line));
	if (e->column > 0)
		buf_printf(out, "      | %s%s^%s\n", buf_cstr(&pad), colour ? GREEN : "",
			   colour ? RESET : "");
	out->failed |= line.failed || pad.failed;
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
