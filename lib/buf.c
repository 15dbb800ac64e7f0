/* buf: see buf.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/buf.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "lib/mem.h"

char *buf_reserve(struct buf *b, size_t n)
{
	if (b->failed || n > SIZE_MAX - b->len - 1 || (b->limit && b->len + n > b->limit) ||
	    mem_grow(&b->data, &b->cap, b->len + n + 1, 1) < 0) {
		b->failed = true;
		return NULL;
	}
	b->data[b->len] = '\0'; /* also when nothing is added in the end */
	return b->data + b->len;
}

void buf_added(struct buf *b, size_t n)
{
	b->len += n;
	b->data[b->len] = '\0';
}

void buf_append(struct buf *b, const void *p, size_t n)
{
	bool fits = b->len < b->cap && n < b->cap - b->len && !b->failed && !b->limit;
	char *to = fits ? b->data + b->len : buf_reserve(b, n);

	if (!to)
		return;
	if (n)
		memcpy(to, p, n);
	buf_added(b, n);
}

void buf_char(struct buf *b, char c)
{
	buf_append(b, &c, 1);
}

void buf_u64(struct buf *b, uint64_t n)
{
	char digits[20], *at = digits + sizeof(digits);

	do {
		*--at = (char)('0' + n % 10);
		n /= 10;
	} while (n > 0);
	buf_append(b, at, (size_t)(digits + sizeof(digits) - at));
}

void buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	size_t room = b->cap > b->len ? b->cap - b->len : 0;
	va_list again;
	char *to;
	int n;

	if (b->failed)
		return;
	va_copy(again, ap);
	n = vsnprintf(room ? b->data + b->len : NULL, room, fmt,
		      again); /* mostly it fits at once */
	va_end(again);
	if (n >= 0 && (size_t)n < room && (!b->limit || b->len + (size_t)n <= b->limit)) {
		b->len += (size_t)n;
		return;
	}
	if (room)
		b->data[b->len] = '\0';
	to = n < 0 ? NULL : buf_reserve(b, (size_t)n);
	if (!to) {
		b->failed = true;
		return;
	}
	vsnprintf(to, (size_t)n + 1, fmt, ap);
	b->len += (size_t)n;
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(b, fmt, ap);
	va_end(ap);
}

void buf_consume(struct buf *b, size_t n)
{
	if (n > b->len)
		n = b->len;
	if (n == 0)
		return;
	memmove(b->data, b->data + n, b->len - n);
	b->len -= n;
	b->data[b->len] = '\0';
}

void buf_clear(struct buf *b)
{
	b->len = 0;
	b->failed = false;
	if (b->data)
		b->data[0] = '\0';
}

void buf_done(struct buf *b)
{
	mem_free(b->data);
	b->data = NULL;
	b->len = b->cap = 0;
	b->failed = false;
}

char *buf_take(struct buf *b)
{
	char *s;

	if (b->failed) {
		buf_done(b);
		return NULL;
	}
	s = b->data ? b->data : mem_strdup("");
	b->data = NULL;
	b->len = b->cap = 0;
	return s;
}

const char *buf_cstr(const struct buf *b)
{
	return b->data ? b->data : "";
}
