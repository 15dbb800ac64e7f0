/*
 * term: what the terminal can do, and text measured for it.
 *
 * Texts that come from services (messages, reasons) are made safe before they are shown: control
 * characters become '?', so nothing a model prints can move the cursor of a table; in a locale that
 * is not UTF-8 each other character becomes '?' too.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_TERM_H
#define AICTL_CLI_TERM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct term;

#define TERM_RESET "\033[0m"
#define TERM_BOLD "\033[1m"
#define TERM_DIM "\033[2m"
#define TERM_RED "\033[31m"
#define TERM_GREEN "\033[32m"
#define TERM_YELLOW "\033[33m"
#define TERM_CYAN "\033[36m"
#define TERM_BOLD_RED "\033[1;31m"

/* Sets the locale; call once. */
void term_init(struct term *t);
/* A terminal, TERM is not dumb, NO_COLOR is not set. */
bool term_wants_color(int fd);
/* A terminal on which lines can be drawn again: TERM is not dumb. */
bool term_can_redraw(int fd);
/* Columns of the terminal at fd, 0 when it is none; COLUMNS wins. */
unsigned term_columns(int fd);

/* Columns that text takes once it is made safe. */
size_t term_width(const struct term *t, const char *text);
/*
 * Appends text, made safe, in at most max columns (0 = all of it; cut text ends in an ellipsis).
 * Returns the columns used.
 */
size_t term_put(const struct term *t, struct buf *out, const char *text, size_t max);
/*
 * Appends text, made safe and wrapped between words: the cursor stands at column `indent`, further
 * lines begin there. A newline in the text is one. Where too little room is left the text goes on
 * its own lines.
 */
void term_wrap(const struct term *t, struct buf *out, const char *text, size_t indent);
/* The colour of a service's or replica's state, "" for none. */
const char *term_state_color(const struct term *t, const char *state);
/* color when colours are wanted, else "". */
const char *term_paint(const struct term *t, const char *color);

#endif
