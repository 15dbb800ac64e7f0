/*
 * x: allocation that cannot fail: out of memory ends the program with a message and exit code 1.
 * For cli/ only; lib/ reports ERR_NOMEM instead.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_CLI_X_H
#define AICTL_CLI_X_H

#include <stdarg.h>
#include <stddef.h>

void *x_alloc(size_t size); /* zeroed */
char *x_strdup(const char *s);
char *x_strndup(const char *s, size_t n);
char *x_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* mem_grow or exit. */
void x_grow(void *array, size_t *cap, size_t need, size_t size);
/* p itself, or exit when it is NULL: for results of lib and cJSON. */
void *x_check(void *p);

#endif
