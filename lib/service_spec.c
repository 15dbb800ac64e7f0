/*
 * service_spec: comparing and freeing a specification. Which fields there are, and what a change of
 * each means, is said by the rows of schema_table.c; nothing here names a key. Called by the planner for
 * every service of an apply, so that `aictl plan` and apply agree by construction.
 * Tables are compared by name: what is on one side only is named as a whole ("ports.metrics"), of
 * the others the keys that differ ("ports.http.port"). Lists of objects are compared as a whole.
 *
 * An object that is absent on either side (a probe) is compared as a whole: its keys would only say
 * how the defaults differ.
 */
/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/manifest.h"
#include "lib/mem.h"
#include "lib/schema.h"

struct diff {
	enum change_class change;
	bool container;	      /* both are */
	unsigned never;	      /* flag of the rows that neither has */
	struct buf *keys;     /* or NULL */
	const char *table;    /* inside an element: the table's path as shown, */
	const char *element;  /* its name */
	size_t element_start; /* where its keys begin in a row's path */
	bool element_noted;   /* as a whole, for what it holds */
};

struct pair { /* the same place in both */
	const void *a, *b;
};

static void free_secrets(struct spec_table *secrets)
{
	for (size_t i = 0; i < secrets->n; i++) {
		struct secret_spec *s = &((struct secret_spec *)secrets->v)[i];

		if (s->data)
			explicit_bzero(s->data, s->len);
		mem_free(s->data);
	}
}

void service_spec_free(struct service_spec *s)
{
	struct spec_place *places;

	if (!s)
		return;
	places = s->places.v;
	for (size_t i = 0; i < s->places.n; i++)
		mem_free(places[i].key);
	mem_free(places);
	free_secrets(&s->secrets);
	schema_free_fields(schema_find("services.*"), s);
	mem_free(s->name);
	mem_free(s);
}

const struct port_spec *service_spec_main_port(const struct service_spec *s)
{
	const struct port_spec *ports = s->ports.v;

	for (size_t i = 0; i < s->ports.n; i++)
		if (strcmp(ports[i].name, "http") == 0)
			return &ports[i];
	return s->ports.n == 1 ? ports : NULL;
}

/* An address that takes the port on all others. */
static bool is_wildcard(const char *listen)
{
	return strcmp(listen, "0.0.0.0") == 0 || strspn(listen, ":0") == strlen(listen);
}

static bool is_clash(const struct port_spec *a, const struct port_spec *b)
{
	return a->port != 0 && a->port == b->port &&
	       (strcmp(a->listen, b->listen) == 0 || is_wildcard(a->listen) ||
		is_wildcard(b->listen));
}

const struct port_spec *service_spec_clash(const struct service_spec *a,
					   const struct service_spec *b,
					   const struct port_spec **ret_a)
{
	const struct port_spec *p = a->ports.v, *q = b->ports.v;

	for (size_t k = 0; k < b->ports.n; k++) {
		for (size_t i = 0; i < a->ports.n; i++) {
			if ((a == b && i >= k) || !is_clash(&p[i], &q[k]))
				continue;
			if (ret_a)
				*ret_a = &p[i];
			return &q[k];
		}
	}
	return NULL;
}

/* Rows of the other kind: what `defaults` say of them does not count. */
static unsigned never_of(const struct service_spec *a, const struct service_spec *b)
{
	if (service_spec_is_container(a) != service_spec_is_container(b))
		return 0;
	return service_spec_is_container(a) ? SCHEMA_PROCESS : SCHEMA_CONTAINER;
}

/* Limits of a process are its cgroup's, which is ours to write; those of a container its engine's. */
static enum change_class change_of(const struct schema_row *row, bool container)
{
	static const char limits[] = "services.*.resources.limits.";

	return container && strncmp(row->path, limits, strlen(limits)) == 0 ? CHANGE_REPLACE
									    : row->change;
}

/* Notes that row differs; sub is a name inside it (of a variable, an element), or NULL. */
static void note(struct diff *d, const struct schema_row *row, const char *sub, size_t sub_len)
{
	enum change_class change = change_of(row, d->container);

	if (change > d->change)
		d->change = change;
	if (!d->keys || (d->element && (row->flags & SCHEMA_HIDDEN) && d->element_noted))
		return;
	d->element_noted |= row->flags & SCHEMA_HIDDEN;
	buf_str(d->keys, d->keys->len ? ", " : "");
	if (!d->element)
		buf_str(d->keys, schema_shown(row));
	else
		buf_printf(d->keys, "%s.%s", d->table, d->element);
	if (d->element && !(row->flags & SCHEMA_HIDDEN))
		buf_str(d->keys, row->path + d->element_start);
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
		return (!a || !a[0]) && (!b || !b[0]);
	while (a[i] && b[i] && strcmp(a[i], b[i]) == 0)
		i++;
	return !a[i] && !b[i];
}

static bool same_ints(const struct spec_ints *a, const struct spec_ints *b)
{
	return a->n == b->n && (a->n == 0 || memcmp(a->v, b->v, a->n * sizeof(*a->v)) == 0);
}

/* Two sorted lists of "NAME=value", either may be NULL. */
static void diff_map(struct diff *d, const struct schema_row *row, char *const *a, char *const *b)
{
	static char *const none[] = {NULL};

	a = a ? a : none;
	b = b ? b : none;
	while (*a || *b) {
		size_t la = *a ? strcspn(*a, "=") : 0, lb = *b ? strcspn(*b, "=") : 0;
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

/* Is the field of one row equal? Not for maps and tables. */
static bool same_field(const struct schema_row *row, const void *a, const void *b)
{
	switch (row->type) {
	case SCHEMA_OBJECT:
		return *(const bool *)a == *(const bool *)b;
	case SCHEMA_STRING:
	case SCHEMA_PORTREF:
	case SCHEMA_TREE:
		return same_text(*(char *const *)a, *(char *const *)b);
	case SCHEMA_LIST:
		return same_list(*(char **const *)a, *(char **const *)b);
	case SCHEMA_NUMBER:
		return memcmp(a, b, sizeof(double)) == 0;
	case SCHEMA_INTS:
		return same_ints(a, b);
	case SCHEMA_LIMIT:
		return memcmp(a, b, sizeof(struct spec_limit)) == 0;
	case SCHEMA_INT:
	case SCHEMA_DURATION:
	case SCHEMA_SIZE:
	case SCHEMA_ENUM:
	case SCHEMA_SIGNAL:
	case SCHEMA_UMASK:
	case SCHEMA_BOOL:
	case SCHEMA_SHARE:
		return *(const int64_t *)a == *(const int64_t *)b;
	case SCHEMA_SERVICES:
	case SCHEMA_MAP:
	case SCHEMA_TABLE:
	case SCHEMA_DEFAULTS:
	case SCHEMA_ANY:
	case SCHEMA_TYPE_MAX_:
	default:
		return true;
	}
}

static void diff_rows(struct diff *d, const struct schema_row *parent, struct pair base);

static const void *element_at(const struct schema_row *row, const struct spec_table *t, size_t i)
{
	return (const char *)t->v + i * row->size;
}

static const char *element_name(const struct schema_row *row, const struct spec_table *t, size_t i)
{
	return i < t->n ? *(char *const *)element_at(row, t, i) : NULL;
}

/* Two tables sorted by name. */
static void diff_table(struct diff *d, const struct schema_row *row, const struct spec_table *a,
		       const struct spec_table *b)
{
	size_t i = 0, k = 0;

	while (i < a->n || k < b->n) {
		const char *x = element_name(row, a, i), *y = element_name(row, b, k);
		int order = !x ? 1 : !y ? -1 : strcmp(x, y);
		const char *name = order > 0 ? y : x;

		if (order != 0) {
			note(d, row, name, strlen(name));
		} else {
			d->table = schema_shown(row);
			d->element = name;
			d->element_start = strlen(row[1].path);
			d->element_noted = false;
			diff_rows(d, row + 1,
				  (struct pair){element_at(row, a, i), element_at(row, b, k)});
			d->table = d->element = NULL;
		}
		i += order <= 0;
		k += order >= 0;
	}
}

static void diff_listed(struct diff *d, const struct schema_row *row, const struct spec_table *a,
			const struct spec_table *b)
{
	struct diff inner = {0};

	for (size_t i = 0; a->n == b->n && i < a->n; i++)
		diff_rows(&inner, row + 1,
			  (struct pair){element_at(row, a, i), element_at(row, b, i)});
	if (a->n != b->n || inner.change != CHANGE_NONE)
		note(d, row, NULL, 0);
}

/* What an object that is absent on one side holds does not matter, unless it replaces replicas. */
static void diff_absent(struct diff *d, const struct schema_row *object, struct pair base)
{
	const struct schema_row *end = schema_end(object);

	for (const struct schema_row *row = object + 1; row < end; row++) {
		const char *x = (const char *)base.a + row->offset;
		const char *y = (const char *)base.b + row->offset;

		if (!(row->flags & d->never) && row->change == CHANGE_REPLACE &&
		    row->offset != SCHEMA_NO_FIELD && row->type != SCHEMA_OBJECT &&
		    !same_field(row, x, y))
			note(d, row, NULL, 0);
	}
}

/* What stands below parent. */
static void diff_rows(struct diff *d, const struct schema_row *parent, struct pair base)
{
	const struct schema_row *end = schema_end(parent);

	for (const struct schema_row *row = parent + 1; row < end; row++) {
		const char *x, *y;

		if (row->flags & d->never) {
			row = schema_end(row) - 1;
			continue;
		}
		if (row->offset == SCHEMA_NO_FIELD)
			continue;
		x = (const char *)base.a + row->offset;
		y = (const char *)base.b + row->offset;
		if (row->type == SCHEMA_MAP)
			diff_map(d, row, *(char **const *)(const void *)x,
				 *(char **const *)(const void *)y);
		else if (row->type == SCHEMA_TABLE)
			(row->flags & SCHEMA_LISTED ? diff_listed : diff_table)(
				d, row, (const void *)x, (const void *)y);
		else if (!same_field(row, x, y))
			note(d, row, NULL, 0);
		if (row->type == SCHEMA_OBJECT && !(*(const bool *)x && *(const bool *)y))
			diff_absent(d, row, base);
		else if (row->type != SCHEMA_TABLE)
			continue;
		row = schema_end(row) - 1;
	}
}

enum change_class service_spec_diff(const struct service_spec *a, const struct service_spec *b,
				    struct buf *keys)
{
	struct diff d = {.keys = keys,
			 .container = service_spec_is_container(a) && service_spec_is_container(b),
			 .never = never_of(a, b)};

	diff_rows(&d, schema_find("services.*"), (struct pair){a, b});
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

static uint64_t mix_rows(uint64_t h, const struct schema_row *parent, const void *base,
			 unsigned never);

static uint64_t mix_table(uint64_t h, const struct schema_row *row, const struct spec_table *t,
			  unsigned never)
{
	for (size_t i = 0; i < t->n; i++) {
		if (!(row->flags & SCHEMA_LISTED))
			h = mix_text(h, element_name(row, t, i));
		h = mix_rows(h, row + 1, element_at(row, t, i), never);
	}
	return mix_text(h, NULL);
}

static uint64_t mix_field(uint64_t h, const struct schema_row *row, const void *field,
			  unsigned never)
{
	char *const *list;

	if (row->type == SCHEMA_STRING || row->type == SCHEMA_PORTREF || row->type == SCHEMA_TREE)
		return mix_text(h, *(char *const *)field);
	if (row->type == SCHEMA_TABLE)
		return mix_table(h, row, field, never);
	if (row->type == SCHEMA_INTS)
		return mix(h, ((const struct spec_ints *)field)->v,
			   ((const struct spec_ints *)field)->n * sizeof(int64_t));
	if (row->type == SCHEMA_LIMIT)
		return mix(h, field, sizeof(struct spec_limit));
	if (row->type != SCHEMA_LIST && row->type != SCHEMA_MAP)
		return mix(h, field, row->type == SCHEMA_OBJECT ? sizeof(bool) : sizeof(int64_t));
	for (list = *(char **const *)field; list && *list; list++)
		h = mix_text(h, *list);
	return mix_text(h, NULL);
}

/* The number that a field without a value holds. */
static bool is_default_number(const struct schema_row *row, const void *field)
{
	int64_t value = row->flags & SCHEMA_UNSET ? SPEC_UNSET : 0;
	struct schema_row alone = *row;

	alone.offset = 0;
	if (row->def)
		schema_store(&alone, &value, row->def, NULL); /* the tests prove that it is valid */
	return memcmp(&value, field, sizeof(value)) == 0;
}

/* What leaving the key out means. A list with entries of its own by default is never that. */
static bool is_default(const struct schema_row *row, const void *field)
{
	const struct spec_limit *limit = field;
	const char *text;
	char **list;

	switch (row->type) {
	case SCHEMA_STRING:
	case SCHEMA_PORTREF:
	case SCHEMA_TREE:
		text = *(char *const *)field;
		return same_text(text ? text : "", row->def ? row->def : "");
	case SCHEMA_LIST:
	case SCHEMA_MAP:
		list = *(char **const *)field;
		return !list || !list[0];
	case SCHEMA_INTS:
		return ((const struct spec_ints *)field)->n == 0;
	case SCHEMA_TABLE:
		return ((const struct spec_table *)field)->n == 0;
	case SCHEMA_LIMIT:
		return limit->soft == SPEC_UNSET && limit->hard == SPEC_UNSET;
	case SCHEMA_OBJECT:
		return !*(const bool *)field;
	default:
		return is_default_number(row, field);
	}
}

/* Keys that are not given count for nothing: a later version with a key more gets the same hash. */
static uint64_t mix_rows(uint64_t h, const struct schema_row *parent, const void *base,
			 unsigned never)
{
	const struct schema_row *end = schema_end(parent);

	for (const struct schema_row *row = parent + 1; row < end; row++) {
		const void *field = (const char *)base + row->offset;

		if (row->flags & never) {
			row = schema_end(row) - 1;
			continue;
		}
		if (change_of(row, never == SCHEMA_PROCESS) == CHANGE_REPLACE &&
		    row->offset != SCHEMA_NO_FIELD && !is_default(row, field)) {
			h = mix_text(h, row->path); /* two keys with swapped values differ */
			h = mix_field(h, row, field, never);
		}
		if (row->type == SCHEMA_TABLE)
			row = schema_end(row) - 1;
	}
	return h;
}

uint64_t service_spec_hash(const struct service_spec *s)
{
	return mix_rows(UINT64_C(14695981039346656037), schema_find("services.*"), s,
			never_of(s, s));
}

static int by_key(const void *key, const void *place)
{
	return strcmp(key, ((const struct spec_place *)place)->key);
}

bool service_spec_says(const struct service_spec *s, const char *key)
{
	return s->places.n > 0 &&
	       bsearch(key, s->places.v, s->places.n, sizeof(struct spec_place), by_key) != NULL;
}

bool service_spec_place(const struct service_spec *s, const char *key, struct manifest_place *ret)
{
	_cleanup_free_ char *at = mem_strdup(key);

	while (at && s->places.n > 0) {
		const struct spec_place *found =
			bsearch(at, s->places.v, s->places.n, sizeof(*found), by_key);
		char *dot = at + strlen(at);

		if (found) {
			*ret = found->at;
			return true;
		}
		if (!at[0])
			break;
		while (dot > at && *dot != '.' && *dot != '[')
			dot--;
		*dot = '\0';
	}
	return false;
}
