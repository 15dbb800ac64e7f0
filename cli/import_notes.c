/* import_notes: see import_notes.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/import_notes.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cli/import_out.h"
#include "cli/cli.h"
#include "cli/term.h"
#include "cli/x.h"
#include "lib/buf.h"
#include "lib/mem.h"

#define GAP 2
#define TEXT 40	    /* columns that a text should have at a terminal */
#define FIELD_MIN 8 /* ... and its field, before that */

static const char *const titles[] = {"SERVICE", "FIELD", "WHAT HAPPENS"};
static const char *const words[] = {"dropped", "changed", "to do"};

static bool same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* A value in it may hold anything. */
static void make_safe(char *text)
{
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
}

void import_notes_add(struct import_notes *l, enum import_kind kind, const char *service,
		      const char *field, const char *fmt, ...)
{
	struct import_note note = {service ? x_strdup(service) : NULL, x_strdup(field), NULL, kind};
	va_list ap;

	va_start(ap, fmt);
	note.text = x_check(mem_vprintf(fmt, ap));
	va_end(ap);
	make_safe(note.text);
	make_safe(note.field);
	for (size_t i = 0; i < l->n; i++) {
		if (!same(l->v[i].service, service) || !same(l->v[i].field, note.field) ||
		    !same(l->v[i].text, note.text))
			continue;
		mem_free(note.service);
		mem_free(note.field);
		mem_free(note.text);
		return;
	}
	x_grow(&l->v, &l->cap, l->n + 1, sizeof(*l->v));
	l->v[l->n++] = note;
}

void import_notes_comment(const struct import_notes *l, const char *service, int depth,
			  struct buf *out)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct import_note *n = &l->v[i];
		_cleanup_free_ char *line = NULL;

		if (!same(n->service, service))
			continue;
		line = x_printf("%s: %s: %s", n->field, words[n->kind], n->text);
		import_out_comment(out, depth, line);
	}
}

/* Columns; the fields that are wider have their text on the next line. */
struct layout {
	const struct term *term;
	size_t service, field;
};

static void pad(struct buf *out, size_t n)
{
	while (n-- > 0)
		buf_char(out, ' ');
}

static void put_row(const struct layout *l, const char *service, const char *field,
		    const char *text, struct buf *out)
{
	size_t at = l->service + GAP + l->field + GAP, used;

	used = term_put(l->term, out, service, 0);
	pad(out, l->service - used + GAP);
	used = term_put(l->term, out, field, 0);
	if (used > l->field) {
		buf_char(out, '\n');
		pad(out, at);
	} else {
		pad(out, l->field - used + GAP);
	}
	term_wrap(l->term, out, text, at);
	buf_char(out, '\n');
}

static void measure(const struct import_notes *notes, struct layout *l)
{
	size_t columns = l->term->columns, room, width;

	for (size_t i = 0; i < notes->n; i++) {
		const char *service = notes->v[i].service;

		width = service ? term_width(l->term, service) : 1;
		l->service = width > l->service ? width : l->service;
		width = term_width(l->term, notes->v[i].field);
		l->field = width > l->field ? width : l->field;
	}
	room = columns > l->service + 2 * GAP + TEXT + FIELD_MIN
		       ? columns - l->service - 2 * GAP - TEXT
		       : FIELD_MIN;
	if (columns && l->field > room)
		l->field = room;
}

static void put_rows(const struct import_notes *notes, const struct layout *l, const char *service,
		     struct buf *out)
{
	for (size_t i = 0; i < notes->n; i++) {
		const struct import_note *n = &notes->v[i];
		_cleanup_free_ char *text = x_printf("%s: %s", words[n->kind], n->text);

		if (same(n->service, service))
			put_row(l, service ? service : "-", n->field, text, out);
	}
}

/* Of its service. */
static bool is_first(const struct import_notes *l, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (same(l->v[k].service, l->v[i].service))
			return false;
	return true;
}

void import_notes_print(const struct import_notes *l, const struct term *term)
{
	struct layout wide = {term, strlen(titles[0]), strlen(titles[1])};
	_cleanup_buf_ struct buf out = {0};

	if (l->n == 0)
		return;
	measure(l, &wide);
	put_row(&wide, titles[0], titles[1], titles[2], &out);
	put_rows(l, &wide, NULL, &out);
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].service && is_first(l, i))
			put_rows(l, &wide, l->v[i].service, &out);
	if (out.failed)
		x_check(NULL);
	fflush(stdout);
	fputs(buf_cstr(&out), stderr);
}

void import_notes_done(struct import_notes *l)
{
	for (size_t i = 0; i < l->n; i++) {
		mem_free(l->v[i].service);
		mem_free(l->v[i].field);
		mem_free(l->v[i].text);
	}
	mem_free(l->v);
	*l = (struct import_notes){0};
}
