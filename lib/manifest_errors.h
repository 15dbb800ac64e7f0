/*
 * manifest_errors: the first MANIFEST_ERRORS_MAX errors of a set of files, in order of their place,
 * so that a file is repaired in one round. Messages are made safe for a terminal: a value from the
 * file cannot carry escape sequences into it.
 *
 * Running out of memory is remembered in `nomem`: callers add freely and look once at the end.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_MANIFEST_ERRORS_H
#define AICTL_LIB_MANIFEST_ERRORS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct err;

#define MANIFEST_ERRORS_MAX 20

struct manifest_errors {
	struct err *errs[MANIFEST_ERRORS_MAX];
	size_t n;
	bool more;  /* there were more */
	bool nomem; /* an error could not be recorded */
};

/* Where something stands; file is borrowed. */
struct manifest_place {
	const char *file;
	unsigned line, column; /* 1-based, 0 = unknown */
};

/* Adds "MESSAGE" at a place; hint may be NULL and is copied. */
void manifest_errors_add(struct manifest_errors *l, const struct manifest_place *at,
			 const char *hint, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void manifest_errors_vadd(struct manifest_errors *l, const struct manifest_place *at,
			  const char *hint, const char *fmt, va_list ap)
	__attribute__((format(printf, 4, 0)));
/* Adds *e (taken, left NULL) with "CONTEXT: " before its message, at a place. */
void manifest_errors_take(struct manifest_errors *l, const struct manifest_place *at,
			  const char *context, struct err **e);
void manifest_errors_done(struct manifest_errors *l); /* empties; the list may be used again */

#endif
