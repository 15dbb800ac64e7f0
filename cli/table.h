/*
 * table: rows of cells in aligned columns. Widths come from the contents; on a terminal a line is
 * cut at its width and never wraps: first the columns named in `drop` are left out, one after the
 * other, until the last column has room for TABLE_LAST_MIN; then that one is cut.
 *
 *   struct table t = {.term = &cli->term};
 *   table_header(&t, "NAME", "STATE", NULL);
 *   table_row(&t); table_cell(&t, NULL, "chat"); table_cell(&t, TERM_GREEN, "ready");
 *   table_print(&t); table_done(&t);
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_TABLE_H
#define AICTL_CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>

struct buf;
struct term;

#define TABLE_COLUMNS_MAX 20
#define TABLE_LAST_MIN 16

struct table_cell {
	char *text;
	const char *color; /* borrowed; NULL or "" = none */
};

struct table {
	const struct term *term;
	const char *drop; /* titles, separated by blanks: the least important first; or NULL */
	size_t *widths; /* at least these, and then what was used: for rows printed one by one; or NULL */
	struct table_cell *cells; /* n_rows x n_columns */
	size_t n_cells, cap_cells, n_columns, n_rows;
	bool header_shown; /* by an earlier table: it counts for the columns, and is not printed */
};

/* Titles end with NULL. */
void table_header(struct table *t, ...) __attribute__((sentinel));
/* Instead of a header: n columns without titles. */
void table_plain(struct table *t, size_t n);
void table_row(struct table *t);
/* The next cell of the row begun last. color is borrowed and must be a literal or "". */
void table_cell(struct table *t, const char *color, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void table_print(const struct table *t); /* to stdout */
/* Appends the lines, each ending in eol. */
void table_render(const struct table *t, const char *eol, struct buf *out);
void table_done(struct table *t);

#endif
