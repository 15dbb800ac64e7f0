/*
 * base64: RFC 4648 section 4, with padding. The decoder is strict: no line breaks, no missing or
 * misplaced "=", no bits behind the end, so that each content has exactly one text.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef AICTL_LIB_BASE64_H
#define AICTL_LIB_BASE64_H

#include <stddef.h>

struct err;

/* The text of n bytes, NUL-terminated. Caller frees; NULL when out of memory. */
char *base64_encode(const void *data, size_t n);
/* The bytes of len characters, with a NUL behind them. Caller frees *ret_data. ERR_INVALID says at
 * which character it is no base64. */
int base64_decode(const char *text, size_t len, char **ret_data, size_t *ret_len,
		  struct err **reterr);

#endif
