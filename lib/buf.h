/*
 * buf: a growing byte buffer, always NUL-terminated.
 *
 * Failure is sticky: once an allocation fails, `failed` is set, later appends are no-ops and the
 * caller checks once at the end. `limit` (0 = none) bounds the length in bytes; beyond it `failed`.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_BUF_H
#define AICTL_LIB_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct buf {
	char *data; /* NULL until the first append */
	size_t len, cap, limit;
	bool failed;
};

void buf_append(struct buf *b, const void *p, size_t n);
/* Inline, for the length of a literal is known. */
static inline void buf_str(struct buf *b, const char *s)
{
	buf_append(b, s, strlen(s));
}
void buf_char(struct buf *b, char c);
void buf_u64(struct buf *b, uint64_t n); /* decimal */
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
/* Room for n more bytes at the returned pointer (then buf_added); NULL when out of memory or limit.
 */
char *buf_reserve(struct buf *b, size_t n);
void buf_added(struct buf *b, size_t n);
void buf_consume(struct buf *b, size_t n); /* drops n bytes from the front */
void buf_clear(struct buf *b);		   /* length 0, memory kept, failed reset */
void buf_done(struct buf *b);		   /* frees; the struct may be used again */
char *buf_take(struct buf *b);		   /* the string (caller frees), or NULL when failed */
const char *buf_cstr(const struct buf *b); /* borrowed; "" when empty */
#define _cleanup_buf_ __attribute__((cleanup(buf_done)))

#endif
