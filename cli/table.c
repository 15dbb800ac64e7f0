/* table: see table.h. The header, where there is one, is row 0. */
/* SPDX-License-Identifier: MIT */
#include "cli/table.h"

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/term.h"
#include "cli/x.h"
#include "lib/buf.h"
#include "lib/mem.h"

#define GAP 2

static void add(struct table *t, const char *color, char *text)
{
	x_grow(&t->cells, &t->cap_cells, t->n_cells + 1, sizeof(*t->cells));
	t->cells[t->n_cells++] = (struct table_cell){text, color};
}

void table_header(struct table *t, ...)
{
	const char *title;
	va_list ap;

	va_start(ap, t);
	while ((title = va_arg(ap, const char *)) != NULL) {
		add(t, NULL, x_strdup(title));
		t->n_columns++;
	}
	va_end(ap);
	assert(t->n_columns <= TABLE_COLUMNS_MAX);
	t->n_rows = 1;
}

void table_plain(struct table *t, size_t n)
{
	assert(n <= TABLE_COLUMNS_MAX);
	t->n_columns = n;
}

void table_row(struct table *t)
{
	assert(t->n_cells == t->n_rows * t->n_columns);
	t->n_rows++;
}

void table_cell(struct table *t, const char *color, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(t, color, x_check(mem_vprintf(fmt, ap)));
	va_end(ap);
}

struct layout {
	size_t widths[TABLE_COLUMNS_MAX];
	bool hidden[TABLE_COLUMNS_MAX];
};

static void measure(const struct table *t, struct layout *l)
{
	if (t->widths)
		memcpy(l->widths, t->widths, t->n_columns * sizeof(*l->widths));
	for (size_t i = 0; i < t->n_cells; i++) {
		size_t w = term_width(t->term, t->cells[i].text), c = i % t->n_columns;

		if (w > l->widths[c])
			l->widths[c] = w;
	}
	if (t->widths)
		memcpy(t->widths, l->widths, t->n_columns * sizeof(*l->widths));
}

static void pad(struct buf *out, size_t n)
{
	while (n-- > 0)
		buf_char(out, ' ');
}

/* Columns of the terminal that the visible columns need. */
static size_t needed(const struct table *t, const struct layout *l)
{
	size_t last = t->n_columns - 1, n = l->widths[last];

	if (n > TABLE_LAST_MIN)
		n = TABLE_LAST_MIN;
	for (size_t c = 0; c < last; c++)
		n += l->hidden[c] ? 0 : l->widths[c] + GAP;
	return n;
}

static void hide(const struct table *t, struct layout *l, const char *title, size_t n)
{
	for (size_t c = 0; c < t->n_columns; c++) {
		if (strlen(t->cells[c].text) == n && memcmp(t->cells[c].text, title, n) == 0)
			l->hidden[c] = true;
	}
}

static void drop(const struct table *t, struct layout *l)
{
	const char *p = t->drop;

	while (p && *p && t->term->columns && needed(t, l) > t->term->columns) {
		size_t n = strcspn(p, " ");

		hide(t, l, p, n);
		p += n + (p[n] == ' ');
	}
}

/* Trailing blanks are not written; `room` columns are left (0 = no limit). */
static void print_row(const struct table *t, const struct table_cell *row, const struct layout *l,
		      struct buf *out)
{
	size_t at = 0, owed = 0, room = t->term->columns;

	for (size_t c = 0; c < t->n_columns; c++) {
		const struct table_cell *cell = &row[c];
		bool paint = t->term->color && cell->color && *cell->color;
		size_t used;

		if (l->hidden[c])
			continue;
		if (!*cell->text) {
			owed += l->widths[c] + GAP;
			continue;
		}
		if (room && at + owed >= room)
			break;
		pad(out, owed);
		at += owed;
		buf_str(out, paint ? cell->color : "");
		used = term_put(t->term, out, cell->text, room ? room - at : 0);
		buf_str(out, paint ? TERM_RESET : "");
		at += used;
		owed = (used < l->widths[c] ? l->widths[c] - used : 0) + GAP;
	}
}

void table_render(const struct table *t, const char *eol, struct buf *out)
{
	struct layout l = {0};

	if (t->n_columns == 0)
		return;
	measure(t, &l);
	drop(t, &l);
	for (size_t r = t->header_shown; r < t->n_rows; r++) {
		print_row(t, &t->cells[r * t->n_columns], &l, out);
		buf_str(out, eol);
	}
}

void table_print(const struct table *t)
{
	_cleanup_buf_ struct buf out = {0};

	table_render(t, "\n", &out);
	if (out.failed)
		x_check(NULL);
	if (out.len)
		fwrite(out.data, 1, out.len, stdout);
}

void table_done(struct table *t)
{
	for (size_t i = 0; i < t->n_cells; i++)
		mem_free(t->cells[i].text);
	mem_free(t->cells);
	*t = (struct table){0};
}
