/* x: see x.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/x.h"

#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "lib/mem.h"

void *x_check(void *p)
{
	if (!p) {
		fputs("error: out of memory\n", stderr);
		exit(CODE_FAILED);
	}
	return p;
}

void *x_alloc(size_t size)
{
	return x_check(mem_alloc(size));
}

char *x_strdup(const char *s)
{
	return x_check(mem_strdup(s));
}

char *x_strndup(const char *s, size_t n)
{
	return x_check(mem_strndup(s, n));
}

char *x_printf(const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	s = mem_vprintf(fmt, ap);
	va_end(ap);
	return x_check(s);
}

void x_grow(void *array, size_t *cap, size_t need, size_t size)
{
	if (mem_grow(array, cap, need, size) < 0)
		x_check(NULL);
}
