/*
 * service_spec: comparing and freeing a specification. Which fields there are, and what a change of
 * each means, is said by the rows of schema.c; nothing here names a key. Called by the planner for
 * every service of an apply, so that `aictl plan` and apply agree by construction.
 *
 * An object that is absent on either side (a probe) is compared as a whole: its keys would only say
 * how the defaults differ.
 */
/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "lib/buf.h"
#include "lib/manifest.h"
#include "lib/mem.h"
#include "lib/schema.h"

struct diff {
	enum change_class change;
	struct buf *keys; /* or NULL */
};

void service_spec_free(struct service_spec *s)
{
	if (!s)
		return;
	mem_free(s->name);
	mem_free(s->description);
	mem_strv_free(s->command);
	mem_free(s->working_dir);
	mem_free(s->user);
	mem_strv_free(s->environment);
	for (int i = 0; i < PROBE_KIND_MAX_; i++) {
		mem_free(s->probes[i].path);
		mem_free(s->probes[i].host);
	}
	mem_free(s);
}

/* Notes that row differs; sub is the variable's name in a map, or NULL. */
static void note(struct diff *d, const struct schema_row *row, const char *sub, size_t sub_len)
{
	if (row->change > d->change)
		d->change = row->change;
	if (!d->keys)
		return;
	buf_printf(d->keys, "%s%s", d->keys->len ? ", " : "", schema_shown(row));
	if (sub)
		buf_printf(d->keys, ".%.*s", (int)sub_len, sub);
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_list(char *const *a, char *const *b)
{
	size_t i = 0;

	if (!a || !b)
		return a == b;
	while (a[i] && b[i] && strcmp(a[i], b[i]) == 0)
		i++;
	return !a[i] && !b[i];
}

/* Two sorted lists of "NAME=value", either may be NULL. */
static void diff_map(struct diff *d, const struct schema_row *row, char *const *a, char *const *b)
{
	while ((a && *a) || (b && *b)) {
		size_t la = a && *a ? strcspn(*a, "=") : 0, lb = b && *b ? strcspn(*b, "=") : 0;
		int order = la == 0 ? 1 : lb == 0 ? -1 : strncmp(*a, *b, la < lb ? la : lb);

		if (order == 0)
			order = (la > lb) - (la < lb);
		if (order < 0)
			note(d, row, *a, la);
		else if (order > 0 || strcmp(*a, *b) != 0)
			note(d, row, *b, lb);
		if (order <= 0)
			a++;
		if (order >= 0)
			b++;
	}
}

/* Compares the field of one row. */
static void diff_field(struct diff *d, const struct schema_row *row, const void *a, const void *b)
{
	bool same = true;

	switch (row->type) {
	case SCHEMA_OBJECT:
		same = *(const bool *)a == *(const bool *)b;
		break;
	case SCHEMA_STRING:
		same = same_text(*(char *const *)a, *(char *const *)b);
		break;
	case SCHEMA_LIST:
		same = same_list(*(char **const *)a, *(char **const *)b);
		break;
	case SCHEMA_MAP:
		diff_map(d, row, *(char **const *)a, *(char **const *)b);
		return;
	case SCHEMA_NUMBER:
		same = memcmp(a, b, sizeof(double)) == 0;
		break;
	case SCHEMA_INT:
	case SCHEMA_DURATION:
	case SCHEMA_SIZE:
	case SCHEMA_ENUM:
	case SCHEMA_SIGNAL:
		same = *(const int64_t *)a == *(const int64_t *)b;
		break;
	case SCHEMA_SERVICES:
	case SCHEMA_TYPE_MAX_:
	default:
		break;
	}
	if (!same)
		note(d, row, NULL, 0);
}

enum change_class service_spec_diff(const struct service_spec *a, const struct service_spec *b,
				    struct buf *keys)
{
	const struct schema_row *service = schema_find("services.*"), *absent = NULL, *rows;
	struct diff d = {.keys = keys};
	size_t n;

	rows = schema_rows(&n);
	for (size_t i = 0; i < n; i++) {
		const struct schema_row *row = &rows[i];
		const char *x, *y;

		if (row->offset == SCHEMA_NO_FIELD || row == service ||
		    !schema_below(row, service) || (absent && schema_below(row, absent)))
			continue;
		x = (const char *)a + row->offset;
		y = (const char *)b + row->offset;
		diff_field(&d, row, x, y);
		if (row->type == SCHEMA_OBJECT && !(*(const bool *)x && *(const bool *)y))
			absent = row; /* what an absent object would hold does not matter */
	}
	return d.change;
}

/* FNV-1a, 64 bits (Fowler, Noll, Vo): no secret is kept by it, it only has to differ. */
static uint64_t mix(uint64_t h, const void *data, size_t n)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < n; i++)
		h = (h ^ p[i]) * UINT64_C(1099511628211);
	return h;
}

static uint64_t mix_text(uint64_t h, const char *text)
{
	return text ? mix(h, text, strlen(text) + 1) : mix(h, "\1", 1);
}

static uint64_t mix_field(uint64_t h, const struct schema_row *row, const void *field)
{
	char *const *list;

	if (row->type == SCHEMA_STRING)
		return mix_text(h, *(char *const *)field);
	if (row->type != SCHEMA_LIST && row->type != SCHEMA_MAP)
		return mix(h, field, row->type == SCHEMA_OBJECT ? sizeof(bool) : sizeof(int64_t));
	for (list = *(char **const *)field; list && *list; list++)
		h = mix_text(h, *list);
	return mix_text(h, NULL);
}

uint64_t service_spec_hash(const struct service_spec *s)
{
	const struct schema_row *service = schema_find("services.*"), *rows;
	uint64_t h = UINT64_C(14695981039346656037);
	size_t n;

	rows = schema_rows(&n);
	for (size_t i = 0; i < n; i++) {
		const struct schema_row *row = &rows[i];

		if (row->offset == SCHEMA_NO_FIELD || row == service ||
		    row->change != CHANGE_REPLACE || !schema_below(row, service))
			continue;
		h = mix_text(h, row->path); /* two keys with swapped values differ */
		h = mix_field(h, row, (const char *)s + row->offset);
	}
	return h;
}
