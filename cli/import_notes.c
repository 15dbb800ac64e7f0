/* import_notes: see import_notes.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/import_notes.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cli/import_out.h"
#include "cli/table.h"
#include "cli/x.h"
#include "lib/buf.h"
#include "lib/mem.h"

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

static void put_rows(const struct import_notes *l, const char *service, struct table *t)
{
	for (size_t i = 0; i < l->n; i++) {
		if (!same(l->v[i].service, service))
			continue;
		table_row(t);
		table_cell(t, NULL, "%s", service ? service : "-");
		table_cell(t, NULL, "%s", l->v[i].field);
		table_cell(t, NULL, "%s: %s", words[l->v[i].kind], l->v[i].text);
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
	struct table t = {.term = term};
	_cleanup_buf_ struct buf out = {0};

	if (l->n == 0)
		return;
	table_header(&t, "SERVICE", "FIELD", "WHAT HAPPENS", NULL);
	put_rows(l, NULL, &t);
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].service && is_first(l, i))
			put_rows(l, l->v[i].service, &t);
	table_render(&t, "\n", &out);
	table_done(&t);
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
