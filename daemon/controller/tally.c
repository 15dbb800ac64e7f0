/* tally: see tally.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/tally.h"

#include <string.h>

#include "lib/err.h"
#include "lib/mem.h"

#define VARINT_MAX 10
#define ROUND 16 /* the next few counters need no other block */

static size_t put(uint8_t *at, uint64_t v)
{
	size_t n = 0;

	for (; v >= 128; v >>= 7)
		at[n++] = (uint8_t)(v | 128);
	at[n++] = (uint8_t)v;
	return n;
}

static size_t get(const uint8_t *at, uint64_t *ret)
{
	uint64_t v = 0;
	size_t n = 0;

	do
		v |= (uint64_t)(at[n] & 127) << 7 * n;
	while (at[n++] & 128);
	*ret = v;
	return n;
}

int tally_set(struct tally *t, const uint64_t *counters, size_t n)
{
	uint8_t bytes[TALLY_MAX * (2 + VARINT_MAX)];
	size_t len = 0, next = 0;

	for (size_t i = 0; i < n && i < TALLY_MAX; i++) {
		if (counters[i] == 0)
			continue;
		len += put(bytes + len, i - next);
		len += put(bytes + len, counters[i]);
		next = i + 1;
	}
	if (len > t->cap) {
		size_t cap = (len + ROUND - 1) / ROUND * ROUND;
		uint8_t *more = mem_realloc(t->bytes, cap, 1);

		if (!more)
			return -ERR_NOMEM;
		t->bytes = more;
		t->cap = (uint16_t)cap;
	}
	if (len > 0)
		memcpy(t->bytes, bytes, len);
	t->len = (uint16_t)len;
	return 0;
}

void tally_add_to(const struct tally *t, uint64_t *counters, size_t n)
{
	uint64_t gap, v;

	for (size_t at = 0, i = 0; at < t->len; i++) {
		at += get(t->bytes + at, &gap);
		at += get(t->bytes + at, &v);
		i += gap;
		if (i >= n)
			return;
		counters[i] += v;
	}
}

void tally_done(struct tally *t)
{
	mem_free(t->bytes);
	*t = (struct tally){0};
}
