/* chars: see chars.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/gateway/chars.h"

#include <stdint.h>
#include <string.h>

#define V CHARS_VALUE
#define G (V | CHARS_TARGET)
#define A (G | CHARS_AUTHORITY)
#define T (A | CHARS_TOKEN)
#define I (T | CHARS_ID)

/* clang-format off */
const unsigned char chars_kinds[256] = {
	['\t'] = V, [' '] = V, ['!'] = T, ['"'] = G, ['#'] = V | CHARS_TOKEN, ['$' ... '\''] = T,
	['(' ... ')'] = A, ['*'] = T, ['+'] = I, [','] = G, ['-' ... '.'] = I, ['/'] = G | CHARS_ID,
	['0' ... '9'] = I, [':'] = A | CHARS_ID, [';'] = A, ['<'] = G, ['='] = A | CHARS_ID,
	['>' ... '@'] = G, ['A' ... 'Z'] = I, ['['] = A, ['\\'] = G, [']'] = A, ['^'] = T, ['_'] = I,
	['`'] = T, ['a' ... 'z'] = I, ['{'] = A, ['|'] = T, ['}'] = A, ['~'] = T, [0x80 ... 0xff] = V,
};
/* clang-format on */

#define EACH UINT64_C(0x0101010101010101)
#define TOPS (EACH * 0x80)

/* A byte below ' ', or DEL. */
static bool has_control(uint64_t eight)
{
	uint64_t del = eight ^ EACH * 0x7f;

	return ((((eight - EACH * ' ') & ~eight) | ((del - EACH) & ~del)) & TOPS) != 0;
}

size_t chars_span_of_value(const char *s, size_t n)
{
	size_t i = 0;

	while (i + 8 <= n) {
		uint64_t eight;
		size_t k;

		memcpy(&eight, s + i, 8);
		if (!has_control(eight)) {
			i += 8;
			continue;
		}
		k = chars_span(s + i, 8, CHARS_VALUE);
		i += k;
		if (k < 8)
			return i;
	}
	return i + chars_span(s + i, n - i, CHARS_VALUE);
}
