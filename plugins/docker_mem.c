/*
 * docker_mem: see docker_mem.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "docker_mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned long countdown;

void docker_mem_fail_after(unsigned long nth)
{
	countdown = nth;
}

static bool fails(void)
{
	return countdown > 0 && --countdown == 0;
}

void *docker_mem_zalloc(size_t size)
{
	return fails() ? NULL : calloc(1, size ? size : 1);
}

void *docker_mem_realloc(void *p, size_t size)
{
	return fails() ? NULL : realloc(p, size ? size : 1);
}

void docker_mem_free(void *p)
{
	free(p);
}

void docker_mem_freep(void *pp)
{
	free(*(void **)pp);
}

char *docker_mem_copy(const void *p, size_t n)
{
	char *s = n < SIZE_MAX ? docker_mem_realloc(NULL, n + 1) : NULL;

	if (!s)
		return NULL;
	if (n)
		memcpy(s, p, n);
	s[n] = '\0';
	return s;
}

char *docker_mem_dup(const char *s)
{
	return s ? docker_mem_copy(s, strlen(s)) : NULL;
}

char *docker_mem_printf(const char *fmt, ...)
{
	char *s = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n >= 0)
		s = docker_mem_realloc(NULL, (size_t)n + 1);
	if (!s)
		return NULL;
	va_start(ap, fmt);
	vsnprintf(s, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return s;
}

void docker_mem_add(struct docker_buf *b, const void *p, size_t n)
{
	size_t cap = b->cap;
	char *grown;

	if (b->failed || n > SIZE_MAX / 4 || (b->limit && b->len + n > b->limit)) {
		b->failed = true;
		return;
	}
	while (cap < b->len + n + 1)
		cap = cap ? cap * 2 : 128;
	if (cap != b->cap) {
		grown = docker_mem_realloc(b->data, cap);
		if (!grown) {
			b->failed = true;
			return;
		}
		b->data = grown;
		b->cap = cap;
	}
	if (n)
		memcpy(b->data + b->len, p, n);
	b->len += n;
	b->data[b->len] = '\0';
}

void docker_mem_text(struct docker_buf *b, const char *s)
{
	docker_mem_add(b, s, strlen(s));
}

void docker_mem_drop(struct docker_buf *b, size_t n)
{
	if (n >= b->len) {
		b->len = 0;
		return;
	}
	memmove(b->data, b->data + n, b->len - n + 1);
	b->len -= n;
}

void docker_mem_done(struct docker_buf *b)
{
	size_t limit = b->limit;

	free(b->data);
	*b = (struct docker_buf){.limit = limit};
}
