/* linediff: see linediff.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/linediff.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "cli/x.h"
#include "lib/mem.h"

struct line {
	const char *text;
	size_t n;
};

struct lines {
	struct line *v;
	size_t n, cap;
};

/* The script: one character for each line of the diff. */
struct diff {
	struct lines a, b;
	char *ops;
	size_t n_ops;
};

static void split(struct lines *l, const char *text)
{
	while (*text) {
		size_t n = strcspn(text, "\n");

		x_grow(&l->v, &l->cap, l->n + 1, sizeof(*l->v));
		l->v[l->n++] = (struct line){text, n};
		text += n + (text[n] == '\n');
	}
}

static bool same(const struct line *a, const struct line *b)
{
	return a->n == b->n && memcmp(a->text, b->text, a->n) == 0;
}

static void op(struct diff *d, char sign, size_t times)
{
	while (times-- > 0)
		d->ops[d->n_ops++] = sign;
}

/* len[i * (m + 1) + j]: the longest common subsequence of a[i..] and b[j..]. */
static void measure(const struct line *a, size_t n, const struct line *b, size_t m, uint32_t *len)
{
	for (size_t i = n; i-- > 0;) {
		for (size_t j = m; j-- > 0;) {
			uint32_t *here = &len[i * (m + 1) + j];
			uint32_t down = here[m + 1], right = here[1];

			*here = same(&a[i], &b[j]) ? here[m + 2] + 1 : down > right ? down : right;
		}
	}
}

static void middle(struct diff *d, size_t from, size_t n, size_t m)
{
	const struct line *a = d->a.v + from, *b = d->b.v + from;
	_cleanup_free_ uint32_t *len = NULL;
	size_t i = 0, j = 0;

	if ((n + 1) > LINEDIFF_CELLS_MAX / (m + 1)) {
		op(d, '-', n);
		op(d, '+', m);
		return;
	}
	len = x_alloc((n + 1) * (m + 1) * sizeof(*len));
	measure(a, n, b, m, len);
	while (i < n && j < m) {
		if (same(&a[i], &b[j])) {
			op(d, ' ', 1);
			i++, j++;
		} else if (len[(i + 1) * (m + 1) + j] >= len[i * (m + 1) + j + 1]) {
			op(d, '-', 1);
			i++;
		} else {
			op(d, '+', 1);
			j++;
		}
	}
	op(d, '-', n - i);
	op(d, '+', m - j);
}

static void compare(struct diff *d)
{
	size_t n = d->a.n, m = d->b.n, head = 0, tail = 0;

	d->ops = x_alloc(n + m + 1);
	while (head < n && head < m && same(&d->a.v[head], &d->b.v[head]))
		head++;
	while (tail < n - head && tail < m - head &&
	       same(&d->a.v[n - tail - 1], &d->b.v[m - tail - 1]))
		tail++;
	op(d, ' ', head);
	middle(d, head, n - head - tail, m - head - tail);
	op(d, ' ', tail);
}

/* Where the group that begins at op `from` ends: after a run of more than twice the context. */
static size_t group_end(const struct diff *d, size_t from)
{
	size_t end = from, quiet = 0;

	for (size_t i = from; i < d->n_ops && quiet <= 2 * LINEDIFF_CONTEXT; i++) {
		quiet = d->ops[i] == ' ' ? quiet + 1 : 0;
		if (!quiet)
			end = i + 1;
	}
	return end + LINEDIFF_CONTEXT < d->n_ops ? end + LINEDIFF_CONTEXT : d->n_ops;
}

struct place {
	size_t a, b; /* lines used of each text */
};

static void header(const struct diff *d, size_t from, size_t to, struct place at,
		   void (*fn)(void *user, char sign, const char *text, size_t n), void *user)
{
	size_t n = 0, m = 0;
	char text[96];
	int len;

	for (size_t i = from; i < to; i++) {
		n += d->ops[i] != '+';
		m += d->ops[i] != '-';
	}
	len = snprintf(text, sizeof(text), "@@ -%zu,%zu +%zu,%zu @@", at.a + (n > 0), n,
		       at.b + (m > 0), m);
	fn(user, '@', text, (size_t)len);
}

static void print(const struct diff *d,
		  void (*fn)(void *user, char sign, const char *text, size_t n), void *user)
{
	struct place at = {0};
	size_t end = 0; /* of the group under way */

	for (size_t i = 0; i < d->n_ops; i++) {
		char sign = d->ops[i];
		const struct line *l = sign == '+' ? &d->b.v[at.b] : &d->a.v[at.a];
		size_t soon = i + LINEDIFF_CONTEXT < d->n_ops ? i + LINEDIFF_CONTEXT : d->n_ops - 1;
		bool near = sign != ' ';

		for (size_t k = i; !near && k <= soon; k++)
			near = d->ops[k] != ' ';
		if (i >= end && near) {
			end = group_end(d, i);
			header(d, i, end, at, fn, user);
		}
		if (i < end)
			fn(user, sign, l->text, l->n);
		at.a += sign != '+';
		at.b += sign != '-';
	}
}

bool linediff_run(const char *before, const char *after,
		  void (*fn)(void *user, char sign, const char *text, size_t n), void *user)
{
	struct diff d = {0};
	bool differ;

	split(&d.a, before);
	split(&d.b, after);
	compare(&d);
	differ = memchr(d.ops, '-', d.n_ops) || memchr(d.ops, '+', d.n_ops);
	print(&d, fn, user);
	mem_free(d.a.v);
	mem_free(d.b.v);
	mem_free(d.ops);
	return differ;
}
