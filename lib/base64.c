/* base64: see base64.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/base64.h"

#include <stdint.h>

#include "lib/err.h"
#include "lib/mem.h"

#define BAD 0xff

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *base64_encode(const void *data, size_t n)
{
	const unsigned char *p = data;
	size_t groups = n / 3 + (n % 3 != 0);
	char *text = groups < SIZE_MAX / 4 ? mem_alloc(groups * 4 + 1) : NULL, *out = text;

	if (!text)
		return NULL;
	for (; n > 0; p += 3, n -= n < 3 ? n : 3) {
		unsigned bits = (unsigned)p[0] << 16 | (n > 1 ? (unsigned)p[1] << 8 : 0) |
				(n > 2 ? (unsigned)p[2] : 0);

		*out++ = alphabet[bits >> 18];
		*out++ = alphabet[bits >> 12 & 63];
		*out++ = n > 1 ? alphabet[bits >> 6 & 63] : '=';
		*out++ = n > 2 ? alphabet[bits & 63] : '=';
	}
	return text;
}

static unsigned value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (unsigned)(c - 'A');
	if (c >= 'a' && c <= 'z')
		return (unsigned)(c - 'a') + 26;
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0') + 52;
	return c == '+' ? 62 : c == '/' ? 63 : BAD;
}

/* How many of the last group's characters are padding; more than two are found as bad ones. */
static size_t padding(const char *text, size_t len)
{
	if (len == 0 || text[len - 1] != '=')
		return 0;
	return text[len - 2] == '=' ? 2 : 1;
}

static int not_base64(size_t at, struct err **reterr)
{
	return err_set(reterr, ERR_INVALID, "not base64 at character %zu", at + 1);
}

int base64_decode(const char *text, size_t len, char **ret_data, size_t *ret_len,
		  struct err **reterr)
{
	size_t pad = len % 4 == 0 ? padding(text, len) : 0, n = 0;
	_cleanup_free_ char *data = NULL;
	unsigned bits = 0;

	if (len % 4 != 0)
		return err_set(reterr, ERR_INVALID,
			       "not base64: %zu characters are no multiple of 4", len);
	data = mem_alloc(len / 4 * 3 + 1);
	if (!data)
		return err_nomem(reterr);
	for (size_t i = 0; i < len; i++) {
		unsigned v = i < len - pad ? value_of(text[i]) : 0;

		if (v == BAD)
			return not_base64(i, reterr);
		bits = bits << 6 | v;
		if (i % 4 != 3)
			continue;
		data[n++] = (char)(bits >> 16);
		data[n++] = (char)(bits >> 8);
		data[n++] = (char)bits;
		if (i == len - 1 && (bits & ((1U << pad * 8) - 1)))
			return not_base64(len - pad - 1, reterr); /* bits that nobody would see */
		bits = 0;
	}
	data[n - (len ? pad : 0)] = '\0';
	*ret_len = n - pad;
	*ret_data = TAKE_PTR(data);
	return 0;
}
