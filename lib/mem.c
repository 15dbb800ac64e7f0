/* mem: see mem.h. The one place that calls malloc, realloc and free. */
/* SPDX-License-Identifier: MIT */
#include "lib/mem.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static unsigned long
	fail_in; /* fault injection of the tests; 0 = off (named exception of the globals lint) */

static bool must_fail(void)
{
	unsigned long n = __atomic_load_n(&fail_in, __ATOMIC_RELAXED);

	return n != 0 && __atomic_sub_fetch(&fail_in, 1, __ATOMIC_RELAXED) == 0;
}

void mem_fail_after(unsigned long nth)
{
	__atomic_store_n(&fail_in, nth, __ATOMIC_RELAXED);
}

void *mem_alloc(size_t size)
{
	return mem_array(1, size);
}

void *mem_array(size_t count, size_t size)
{
	size_t bytes;

	if (must_fail() || __builtin_mul_overflow(count, size, &bytes))
		return NULL;
	return calloc(1, bytes ? bytes : 1);
}

void *mem_realloc(void *p, size_t count, size_t size)
{
	size_t bytes;

	if (must_fail() || __builtin_mul_overflow(count, size, &bytes))
		return NULL;
	return realloc(p, bytes ? bytes : 1);
}

void mem_free(void *p)
{
	free(p);
}

void *mem_dup(const void *p, size_t size)
{
	void *copy = must_fail() ? NULL : malloc(size ? size : 1);

	if (copy && size)
		memcpy(copy, p, size);
	return copy;
}

char *mem_strndup(const char *s, size_t n)
{
	size_t len = strnlen(s, n);
	char *copy = mem_alloc(len + 1);

	if (copy)
		memcpy(copy, s, len);
	return copy;
}

char *mem_strdup(const char *s)
{
	return mem_dup(s, strlen(s) + 1);
}

char *mem_vprintf(const char *fmt, va_list ap)
{
	char *s = NULL;

	if (must_fail() || vasprintf(&s, fmt, ap) < 0)
		return NULL;
	return s;
}

char *mem_printf(const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	s = mem_vprintf(fmt, ap);
	va_end(ap);
	return s;
}

char **mem_strv_dup(const char *const *v)
{
	size_t n = 0;
	char **copy;

	while (v && v[n])
		n++;
	copy = mem_array(n + 1, sizeof(*copy));
	for (size_t i = 0; copy && i < n; i++) {
		copy[i] = mem_strdup(v[i]);
		if (!copy[i]) {
			mem_strv_free(copy);
			return NULL;
		}
	}
	return copy;
}

void mem_strv_free(char **v)
{
	for (size_t i = 0; v && v[i]; i++)
		mem_free(v[i]);
	mem_free(v);
}

int mem_grow(void *array, size_t *cap, size_t need, size_t size)
{
	void *old, *p;
	size_t want = *cap ? *cap : 8;

	if (need <= *cap)
		return 0;
	while (want < need) {
		if (want > SIZE_MAX / 2)
			return -1;
		want *= 2;
	}
	memcpy(&old, array, sizeof(old));
	p = mem_realloc(old, want, size);
	if (!p)
		return -1;
	memcpy(array, &p, sizeof(p));
	*cap = want;
	return 0;
}

void mem_freep(void *pp)
{
	void *p;

	memcpy(&p, pp, sizeof(p));
	mem_free(p);
}

void mem_closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void mem_strv_freep(char ***v)
{
	mem_strv_free(*v);
}
