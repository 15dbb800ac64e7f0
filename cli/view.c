/* view: see view.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/view.h"

#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/term.h"
#include "cli/x.h"
#include "lib/buf.h"
#include "lib/mem.h"

#define NO_REPLICA UINT32_MAX

struct view_object {
	char *name;  /* "sentiment/0", or "sentiment" */
	size_t base; /* length of its service */
	uint32_t number, hash;
	struct buf prefix;
	size_t width; /* that the prefix was made for */
};

static uint32_t hash_bytes(const char *s, size_t n)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < n; i++)
		h = (h ^ (uint8_t)s[i]) * 16777619u;
	return h;
}

static uint32_t hash_of(const char *service, size_t n, uint32_t number)
{
	return (hash_bytes(service, n) ^ number) * 16777619u;
}

static void rehash(struct view *v)
{
	size_t n = v->n_places ? 2 * v->n_places : 64;

	mem_free(v->places);
	v->places = x_alloc(n * sizeof(*v->places));
	v->n_places = n;
	for (size_t i = 0; i < v->n_objects; i++) {
		size_t at = v->objects[i].hash % n;

		while (v->places[at])
			at = (at + 1) % n;
		v->places[at] = (uint32_t)i + 1;
	}
}

static struct view_object *find(const struct view *v, const char *service, size_t n,
				uint32_t number)
{
	uint32_t hash = hash_of(service, n, number);

	for (size_t at = hash; v->n_places; at++) {
		uint32_t place = v->places[at % v->n_places];
		struct view_object *o = place ? &v->objects[place - 1] : NULL;

		if (!o || (o->hash == hash && o->number == number && o->base == n &&
			   memcmp(o->name, service, n) == 0))
			return o;
	}
	return NULL;
}

static struct view_object *add(struct view *v, const char *service, size_t n, uint32_t number)
{
	struct view_object *o;

	x_grow(&v->objects, &v->cap_objects, v->n_objects + 1, sizeof(*v->objects));
	o = &v->objects[v->n_objects++];
	*o = (struct view_object){.name = number == NO_REPLICA
						  ? x_printf("%.*s", (int)n, service)
						  : x_printf("%.*s/%u", (int)n, service, number),
				  .base = n,
				  .number = number,
				  .hash = hash_of(service, n, number)};
	if (strlen(o->name) > v->width)
		v->width = strlen(o->name);
	if (2 * v->n_objects > v->n_places) {
		rehash(v);
	} else {
		size_t at = o->hash % v->n_places;

		while (v->places[at])
			at = (at + 1) % v->n_places;
		v->places[at] = (uint32_t)v->n_objects;
	}
	return o;
}

/* "sentiment/0" taken apart; "sentiment" is the service itself. */
static size_t split(const char *object, uint32_t *number)
{
	const char *slash = strrchr(object, '/');
	size_t n = slash ? (size_t)(slash - object) : strlen(object);

	*number = slash ? 0 : NO_REPLICA;
	for (const char *s = slash ? slash + 1 : ""; *s >= '0' && *s <= '9'; s++)
		*number = *number * 10 + (uint32_t)(*s - '0');
	return n;
}

bool view_expect(struct view *v, const char *object)
{
	uint32_t number;
	size_t n = split(object, &number);

	if (find(v, object, n, number))
		return false;
	add(v, object, n, number);
	return true;
}

/* Neighbours differ, and each looks the same in every view. */
static const char *color_of(const struct view *v, const struct view_object *o)
{
	static const char *const colors[] = {"\033[36m", "\033[33m", "\033[32m", "\033[35m",
					     "\033[34m", "\033[96m", "\033[93m", "\033[95m"};

	return term_paint(v->term,
			  colors[(hash_bytes(o->name, o->base) % ARRAY_SIZE(colors) + o->number) %
				 ARRAY_SIZE(colors)]);
}

static void put_prefix(const struct view *v, const struct view_object *o, struct buf *out,
		       const char *bar)
{
	buf_printf(out, "%s%-*s%s%s ", color_of(v, o), (int)v->width, o->name, bar,
		   term_paint(v->term, TERM_RESET));
}

const char *view_prefix(struct view *v, const char *service, int64_t replica, size_t *len)
{
	size_t n = strlen(service);
	struct view_object *o = v->prefix ? find(v, service, n, (uint32_t)replica) : NULL;

	*len = 0;
	if (!v->prefix)
		return "";
	if (!o)
		o = add(v, service, n, (uint32_t)replica);
	if (o->width != v->width) {
		buf_clear(&o->prefix);
		put_prefix(v, o, &o->prefix, " |");
		if (o->prefix.failed)
			x_check(NULL);
		o->width = v->width;
	}
	*len = o->prefix.len;
	return buf_cstr(&o->prefix);
}

void view_note(struct view *v, const char *object, const char *color, const char *text)
{
	_cleanup_buf_ struct buf out = {0};
	uint32_t number;
	size_t n = split(object, &number);
	struct view_object *o = find(v, object, n, number);

	put_prefix(v, o ? o : add(v, object, n, number), &out, "  ");
	buf_str(&out, term_paint(v->term, color));
	term_put(v->term, &out, text, 0);
	buf_str(&out, *color ? term_paint(v->term, TERM_RESET) : "");
	puts(buf_cstr(&out));
}

void view_done(struct view *v)
{
	for (size_t i = 0; i < v->n_objects; i++) {
		mem_free(v->objects[i].name);
		buf_done(&v->objects[i].prefix);
	}
	mem_free(v->objects);
	mem_free(v->places);
	*v = (struct view){0};
}
