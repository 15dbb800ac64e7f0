/* delta: see delta.h. Greedy, with one remembered position per hash of four bytes. */
/* SPDX-License-Identifier: MIT */
#include "lib/delta.h"

#include <stdbool.h>
#include <string.h>

#include "lib/buf.h"

#define HASH_BITS 10
#define POSITIONS (1U << HASH_BITS)
#define MATCH_MIN 5 /* a copy takes three bytes or four */

/* Positions count through base and text, as if one followed the other. */
struct coder {
	struct delta_bytes base, text;
	uint32_t seen[POSITIONS]; /* position + 1; 0 = none */
	uint32_t step;		  /* so many positions apart are remembered: all, of short texts */
};

static void put(struct buf *b, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		buf_char(b, (char)(0x80 | (v & 0x7f)));
	buf_char(b, (char)v);
}

/* Differences are small and have a sign. */
static uint64_t fold(int64_t v)
{
	return v < 0 ? ~((uint64_t)v << 1) : (uint64_t)v << 1;
}

static int64_t unfold(uint64_t v)
{
	return v & 1 ? (int64_t) ~(v >> 1) : (int64_t)(v >> 1);
}

static uint32_t hash(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return (v * 2654435761U) >> (32 - HASH_BITS);
}

static void remember(struct coder *c, const uint8_t *p, size_t position)
{
	c->seen[hash(p)] = (uint32_t)position + 1;
}

static void remember_base(struct coder *c)
{
	for (size_t i = 0; i + sizeof(uint32_t) <= c->base.n; i += c->step)
		remember(c, c->base.p + i, i);
}

/* How many bytes at `from` are those of the text at `at`? Only what lies before `at` counts. */
static size_t match(const struct coder *c, size_t from, size_t at)
{
	bool in_base = from < c->base.n;
	const uint8_t *p = in_base ? c->base.p + from : c->text.p + (from - c->base.n);
	size_t n = 0, max = in_base ? c->base.n - from : at - (from - c->base.n);

	if (max > c->text.n - at)
		max = c->text.n - at;
	while (n < max && p[n] == c->text.p[at + n])
		n++;
	return n;
}

/* The best copy for the text at `at`: its length, 0 = none. `next` is where the last one ended. */
static size_t find(const struct coder *c, size_t at, size_t next, size_t *from)
{
	uint32_t seen = c->seen[hash(c->text.p + at)];
	size_t n = next < c->base.n ? match(c, next, at) : 0, other;

	*from = next;
	if (seen) {
		other = match(c, seen - 1, at);
		if (other > n) {
			n = other;
			*from = seen - 1;
		}
	}
	return n >= MATCH_MIN ? n : 0;
}

static void encode(struct coder *c, struct buf *out)
{
	size_t at = 0, fresh = 0, next = 0; /* fresh: where the bytes not yet written begin */

	while (at + sizeof(uint32_t) <= c->text.n) {
		size_t from, n = find(c, at, next + (at - fresh), &from);

		if (n == 0) {
			if (at % c->step == 0)
				remember(c, c->text.p + at, c->base.n + at);
			at++;
			continue;
		}
		put(out, at - fresh);
		buf_append(out, c->text.p + fresh, at - fresh);
		put(out, n);
		put(out, fold((int64_t)from - (int64_t)(next + (at - fresh))));
		at += n;
		fresh = at;
		next = from + n;
	}
	put(out, c->text.n - fresh);
	buf_append(out, c->text.p + fresh, c->text.n - fresh);
}

void delta_encode(struct buf *out, struct delta_bytes base, struct delta_bytes text)
{
	struct coder c = {.base = base, .text = text};

	if (base.n > DELTA_MAX || text.n > DELTA_MAX - base.n) {
		out->failed = true;
		return;
	}
	c.step = 1 + (uint32_t)((base.n + text.n) / (8 * POSITIONS));
	remember_base(&c);
	encode(&c, out);
}

struct reader {
	struct delta_bytes in;
	bool bad;
};

static uint64_t get(struct reader *r)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 63 && r->in.n > 0; shift += 7) {
		uint8_t byte = *r->in.p++;

		r->in.n--;
		v |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return v;
	}
	r->bad = true;
	return 0;
}

/* Where a copy of n bytes comes from; NULL = from nowhere. done: so much of the text is made. */
static const uint8_t *source(struct delta_bytes base, const uint8_t *text, size_t done,
			     int64_t from, size_t n)
{
	size_t at = (size_t)from;

	if (from < 0)
		return NULL;
	if (at < base.n)
		return n <= base.n - at ? base.p + at : NULL;
	at -= base.n;
	return at <= done && n <= done - at ? text + at : NULL;
}

int delta_decode(struct delta_bytes base, struct delta_bytes delta, uint8_t *text, size_t n)
{
	struct reader r = {.in = delta};
	size_t done = 0;
	int64_t next = 0;

	for (;;) {
		const uint8_t *from;
		uint64_t len = get(&r), off;

		if (r.bad || len > r.in.n || len > n - done)
			return -1;
		if (len > 0)
			memcpy(text + done, r.in.p, len);
		r.in.p += len;
		r.in.n -= len;
		done += len;
		if (r.in.n == 0)
			return done == n ? 0 : -1;
		next += (int64_t)len;
		len = get(&r);
		off = get(&r);
		if (r.bad || len > n - done || off > 4 * (uint64_t)DELTA_MAX)
			return -1;
		next += unfold(off);
		from = source(base, text, done, next, len);
		if (!from)
			return -1;
		memcpy(text + done, from, len);
		done += len;
		next += (int64_t)len;
	}
}
