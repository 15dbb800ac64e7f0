/*
 * manifest_decode: see manifest_decode.h. decode_value dispatches on the row's type; each decoder
 * gets the value and the row and stores at base + offset. Errors never stop the walk: the field
 * keeps its default and the next key is read.
 */
/* SPDX-License-Identifier: MIT */
#include "lib/manifest_decode.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/fs.h"
#include "lib/manifest.h"
#include "lib/manifest_check.h"
#include "lib/manifest_value.h"
#include "lib/mem.h"
#include "lib/schema.h"
#include "lib/schema_hint.h"
#include "lib/yamltree.h"

#define WARMUP_AGAIN_MS 2000

static void decode_value(struct manifest_decoder *d, const struct schema_row *row,
			 const struct yitem *item, void *base);

static void add_unknown(struct manifest_decoder *d, const struct schema_row *parent,
			const struct ynode *key, const struct ynode *value)
{
	const char *in = manifest_value_shown(d), *dot = in[0] ? "." : "";
	_cleanup_free_ char *hint = NULL;

	if (schema_hint_unbuilt(parent, key->text)) {
		manifest_value_add(d, key, NULL, "%s%s%s: not supported yet in this version", in,
				   dot, key->text);
		return;
	}
	if (!parent && value->kind == YNODE_MAP && !schema_hint_row(NULL, key->text))
		hint = mem_strdup("services stand below \"services:\"");
	else
		hint = schema_hint_key(parent, key->text);
	d->errors->nomem |= !hint;
	manifest_value_add(d, key, hint, "%s%s%s: unknown key", in, dot, key->text);
}

/* True when an unknown key of the map is probably this row misspelt. */
static bool is_misspelt(const struct schema_row *parent, const struct ynode *node,
			const struct schema_row *row)
{
	for (size_t i = 0; i < node->n; i++) {
		const char *key = node->items[i].key->text;

		if (!schema_child(parent, key) && schema_hint_row(parent, key) == row)
			return true;
	}
	return false;
}

/* None of the keys of which one is needed: the first of them is said to be missing. */
static void check_needed(struct manifest_decoder *d, const struct schema_row *parent,
			 const struct ynode *node, const struct ynode *at, const char *name)
{
	const struct schema_row *r = NULL, *first = NULL;

	while ((r = schema_next(parent, r)) != NULL) {
		if (!(r->flags & SCHEMA_NEEDED))
			continue;
		if (yamltree_get(node, schema_key(r)) || is_misspelt(parent, node, r))
			return;
		first = first ? first : r;
	}
	if (first)
		manifest_value_add(d, at, NULL, "%s: %s is missing", name, schema_key(first));
}

/* Reports each required key that the map lacks, at `at`; name is what is incomplete. */
static void check_required(struct manifest_decoder *d, const struct schema_row *parent,
			   const struct ynode *node, const struct ynode *at, const char *name)
{
	const struct schema_row *r = NULL;

	while ((r = schema_next(parent, r)) != NULL) {
		const char *hint = strcmp(r->path, "version") == 0 ? "begin with version: 1" : NULL;

		if ((r->flags & SCHEMA_REQUIRED) && !yamltree_get(node, schema_key(r)) &&
		    !is_misspelt(parent, node, r))
			manifest_value_add(d, at, hint, "%s%s%s is missing", name,
					   name[0] ? ": " : "", schema_key(r));
	}
}

/* "http, tcp, exec": caller frees. */
static char *choices(const struct schema_row *parent)
{
	const struct schema_row *r = NULL;
	struct buf b = {0};

	while ((r = schema_next(parent, r)) != NULL)
		if (r->flags & SCHEMA_CHOICE)
			buf_printf(&b, "%s%s", b.len ? ", " : "", schema_key(r));
	return buf_take(&b);
}

/* Two of which one is enough: the second is reported. */
static void add_choice(struct manifest_decoder *d, const struct ynode *first,
		       const struct ynode *second, const char *all)
{
	bool merged =
		first->is_default != second->is_default || strcmp(first->file, second->file) != 0;
	_cleanup_free_ char *hint =
		merged ? mem_printf("%s: null takes the other one away", first->text) : NULL;

	manifest_value_add(d, second, hint, "%s: only one of %s can be given, and %s is at line %u",
			   manifest_value_shown(d), all, first->text, first->line);
}

/* A probe has exactly one of http, tcp and exec. */
static void check_choice(struct manifest_decoder *d, const struct schema_row *parent,
			 const struct ynode *node, const struct ynode *at)
{
	_cleanup_free_ char *all = choices(parent);
	const struct ynode *first = NULL;
	bool enough = false;

	for (size_t i = 0; i < node->n; i++) {
		const struct ynode *key = node->items[i].key;
		const struct schema_row *r = schema_child(parent, key->text);

		/* An unknown one was said already, and is probably meant as one of them. */
		enough |= !r || (r->flags & SCHEMA_SUFFICES);
		if (!r || !(r->flags & SCHEMA_CHOICE))
			continue;
		if (first)
			add_choice(d, first, key, all ? all : "them");
		else
			first = key;
	}
	if (!first && !enough)
		manifest_value_add(d, at, NULL, "%s: one of %s must be given",
				   manifest_value_shown(d), all ? all : "its keys");
	d->errors->nomem |= !all;
}

/* Where a key's value stands, if it is one value; else where the key does. */
static const struct ynode *place_of(const struct yitem *item)
{
	return item->value->kind == YNODE_SCALAR ? item->value : item->key;
}

static void decode_keys(struct manifest_decoder *d, const struct schema_row *parent,
			const struct ynode *node, void *base)
{
	for (size_t i = 0; i < node->n; i++) {
		const struct yitem *item = &node->items[i];
		const struct schema_row *row = schema_child(parent, item->key->text);
		size_t length;

		if (!row) {
			add_unknown(d, parent, item->key, item->value);
			continue;
		}
		length = manifest_value_enter(d, item->key->text, 0);
		if (parent)
			manifest_value_place(d, place_of(item));
		decode_value(d, row, item, base);
		manifest_value_leave(d, length);
	}
}

/* Reads a map whose rows stand below row into base; name is the key above it, or the map. */
static void decode_members(struct manifest_decoder *d, const struct schema_row *row,
			   const struct ynode *node, const struct ynode *name, void *base)
{
	decode_keys(d, row, node, base);
	check_required(d, row, node, name, manifest_value_shown(d));
	if (row->flags & SCHEMA_ONE_OF)
		check_choice(d, row, node, name);
}

static void decode_object(struct manifest_decoder *d, const struct schema_row *row,
			  const struct yitem *item, void *base)
{
	const struct ynode *node = item->value;

	if ((row->flags & SCHEMA_LONE) && node->kind == YNODE_LIST) {
		if (node->n != 1 || node->items[0].value->kind != YNODE_MAP) {
			manifest_value_add(d, node, NULL, "%s: expected one map in the list",
					   manifest_value_shown(d));
			return;
		}
		node = node->items[0].value;
	}
	if ((row->flags & SCHEMA_SHORTHAND) && node->kind == YNODE_SCALAR &&
	    !yamltree_is_null(node)) {
		const struct schema_row *first = schema_next(row, NULL);
		bool named = !(first->flags & SCHEMA_BARE);
		size_t length = named ? manifest_value_enter(d, schema_key(first), 0) : 0;

		if (row->offset != SCHEMA_NO_FIELD)
			*(bool *)((char *)base + row->offset) = true;
		manifest_value_decode(d, first, node, base);
		if (named)
			manifest_value_leave(d, length);
		return;
	}
	if (node->kind != YNODE_MAP) {
		manifest_value_wrong_kind(d, row, node, NULL);
		return;
	}
	if (row->offset != SCHEMA_NO_FIELD)
		*(bool *)((char *)base + row->offset) = true;
	decode_members(d, row, node, item->key, base);
}

static int by_element_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Something else stands where an element should. */
static void no_element(struct manifest_decoder *d, const struct schema_row *row,
		       const struct yitem *item)
{
	const struct ynode *node = item->value;
	const struct schema_row *object = row + 1, *first = schema_next(object, NULL);
	_cleanup_free_ char *hint = NULL;

	if (yamltree_is_null(node) && !(object->flags & SCHEMA_ONE_OF))
		hint = mem_strdup("write {} when no key is needed");
	else if (node->kind == YNODE_SCALAR && !yamltree_is_null(node))
		hint = mem_printf("write { %s: %s }", schema_key(first), node->text);
	manifest_value_wrong_kind(d, object, node, item->key ? hint : NULL);
}

/* An element that is written as one text. */
static void decode_brief(struct manifest_decoder *d, const struct schema_row *object,
			 const struct ynode *node, void *element)
{
	_cleanup_err_ struct err *e = NULL;

	manifest_value_place(d, node);
	if (object->brief(node->text, element, &e) == 0)
		return;
	d->errors->nomem |= e->code == ERR_NOMEM;
	manifest_value_add(d, node, e->hint, "%s: %s", manifest_value_shown(d), err_msg(e));
}

/* Reads one named element, or one of a list, into element (zeroed). false: not begun. */
static bool decode_element(struct manifest_decoder *d, const struct schema_row *row,
			   const struct yitem *item, void *element)
{
	bool named = !(row->flags & SCHEMA_LISTED);
	const struct ynode *node = item->value, *name = item->key ? item->key : node;
	const char *wrong = named && row->check ? row->check(name->text) : NULL;

	if (wrong)
		manifest_value_add(d, name, NULL, "%s %s", manifest_value_shown(d), wrong);
	if (named && !(*(char **)element = mem_strdup(name->text))) {
		d->errors->nomem = true;
		return false;
	}
	if (schema_element_defaults(row, element) < 0)
		d->errors->nomem = true;
	if (named)
		manifest_value_place(d, name);
	if (node->kind == YNODE_MAP)
		decode_members(d, row + 1, node, named ? item->key : node, element);
	else if (row[1].brief && node->kind == YNODE_SCALAR && !yamltree_is_null(node))
		decode_brief(d, row + 1, node, element);
	else if (item->key || !named)
		no_element(d, row, item);
	return true;
}

/* A list of names in place of a map: each a text, none twice. */
static bool check_names(struct manifest_decoder *d, const struct ynode *list)
{
	bool good = true;

	for (size_t i = 0; i < list->n; i++) {
		const struct ynode *name = list->items[i].value;
		bool text = name->kind == YNODE_SCALAR && !yamltree_is_null(name);

		if (!text)
			manifest_value_add(d, name, NULL, "%s: expected a name, this is %s",
					   manifest_value_shown(d), yamltree_kind_name(name));
		for (size_t k = 0; text && good && k < i; k++) {
			if (strcmp(list->items[k].value->text, name->text) != 0)
				continue;
			manifest_value_add(d, name, NULL, "%s: \"%s\" is named twice",
					   manifest_value_shown(d), name->text);
			text = false;
		}
		good &= text;
	}
	return good;
}

static void decode_table(struct manifest_decoder *d, const struct schema_row *row,
			 const struct ynode *node, void *base)
{
	struct spec_table *t = (void *)((char *)base + row->offset);
	bool named = !(row->flags & SCHEMA_LISTED);

	bool names = (row->flags & SCHEMA_NAMES) && node->kind == YNODE_LIST;

	if (!names && node->kind != (named ? YNODE_MAP : YNODE_LIST)) {
		manifest_value_wrong_kind(d, row, node, schema_hint_table(row));
		return;
	}
	if (names && !check_names(d, node))
		return;
	if ((int64_t)node->n > row->max || (int64_t)node->n < row->min) {
		manifest_value_add(d, node, NULL,
				   node->n ? "%s: more than %lld entries" : "%s: must not be empty",
				   manifest_value_shown(d), (long long)row->max);
		return;
	}
	t->v = mem_array(node->n + 1, row->size);
	d->errors->nomem |= !t->v;
	for (size_t i = 0; t->v && i < node->n; i++) {
		const struct yitem *item = &node->items[i];
		const char *key = names ? item->value->text : named ? item->key->text : NULL;
		size_t length = manifest_value_enter(d, key, i);

		t->n += decode_element(d, row, item, (char *)t->v + t->n * row->size);
		manifest_value_leave(d, length);
	}
	if (named && t->n > 1)
		qsort(t->v, t->n, row->size, by_element_name);
}

static const struct port_spec *find_port(const struct service_spec *s, const char *name)
{
	const struct port_spec *ports = s->ports.v;

	for (size_t i = 0; i < s->ports.n; i++)
		if (strcmp(ports[i].name, name) == 0)
			return &ports[i];
	return NULL;
}

/* Notes that ports.http, which is not written as such, stands where `port` does. */
static void place_http(struct manifest_decoder *d, const struct ynode *key)
{
	static const char *const keys[] = {"ports", "ports.http", "ports.http.port"};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		size_t length = manifest_value_enter(d, keys[i], 0);

		manifest_value_place(d, key);
		manifest_value_leave(d, length);
	}
}

static const struct yitem *item_of(const struct ynode *map, const char *key)
{
	for (size_t i = 0; i < map->n; i++)
		if (strcmp(map->items[i].key->text, key) == 0)
			return &map->items[i];
	return NULL;
}

/* `port: N` is short for ports: { http: { port: N } }. */
static void normalise_port(struct manifest_decoder *d, struct service_spec *s,
			   const struct ynode *service)
{
	const struct schema_row *table = schema_find("services.*.ports");
	const struct yitem *item = item_of(service, "port");
	struct port_spec *v;

	if (!item)
		return;
	if (find_port(s, "http")) {
		manifest_value_add(d, item->key,
				   "write the number as ports.http.port and drop port",
				   "port: ports.http is given, too");
		return;
	}
	v = mem_realloc(s->ports.v, s->ports.n + 1, sizeof(*v));
	if (!v) {
		d->errors->nomem = true;
		return;
	}
	s->ports.v = v;
	v += s->ports.n;
	*v = (struct port_spec){.name = mem_strdup("http")};
	s->ports.n += v->name != NULL;
	if (!v->name || schema_element_defaults(table, v) < 0) {
		d->errors->nomem = true;
		return;
	}
	v->port = s->port;
	s->port = 0;
	qsort(s->ports.v, s->ports.n, sizeof(*v), by_element_name);
	place_http(d, place_of(item));
}

/* It is waited for as for a probe. */
static void normalise_warmup(struct service_spec *s)
{
	if (s->warmup.n > 0)
		s->probes[PROBE_WARMUP] = (struct probe_spec){.enabled = true,
							      .http = true,
							      .period_ms = WARMUP_AGAIN_MS,
							      .success_threshold = 1,
							      .failure_threshold = 1};
}

static int by_place_key(const void *a, const void *b)
{
	return strcmp(((const struct spec_place *)a)->key, ((const struct spec_place *)b)->key);
}

/* Moves the places into the service. Of two (the short form beside the long one) either will do. */
static void take_places(struct manifest_decoder *d, struct service_spec *s)
{
	if (d->n_places > 1)
		qsort(d->places, d->n_places, sizeof(*d->places), by_place_key);
	s->places = (struct spec_table){TAKE_PTR(d->places), d->n_places};
	d->n_places = d->places_cap = 0;
}

static void read_service(struct manifest_decoder *d, const struct yitem *item,
			 struct service_spec *s)
{
	const struct schema_row *row = schema_find("services.*");

	manifest_value_place(d, item->key);
	if (item->value->kind != YNODE_MAP) {
		size_t length = manifest_value_enter(d, s->name, 0);

		manifest_value_wrong_kind(d, row, item->value, "a service needs at least command");
		manifest_value_leave(d, length);
		return;
	}
	decode_keys(d, row, item->value, s);
	check_required(d, row, item->value, item->key, s->name);
	check_needed(d, row, item->value, item->key, s->name);
	normalise_port(d, s, item->value);
	normalise_warmup(s);
	if (!d->errors->nomem) /* nothing is half-built */
		manifest_check_service(s, item->value, d->errors, &d->set->warnings);
}

/* Reads one service into a new specification; NULL when out of memory. */
static struct service_spec *decode_service(struct manifest_decoder *d, const struct yitem *item)
{
	struct service_spec *s = mem_alloc(sizeof(*s));

	if (!s)
		return NULL;
	s->name = mem_strdup(item->key->text);
	s->file = item->key->file;
	s->line = item->key->line;
	if (!s->name || schema_defaults(s) < 0) {
		service_spec_free(s);
		return NULL;
	}
	read_service(d, item, s);
	take_places(d, s);
	return s;
}

/* The names alone: what they hold is decoded when it is merged. */
static void decode_names(struct manifest_decoder *d, const struct schema_row *row,
			 const struct ynode *node)
{
	static const char hint[] = "write NAME: { command: [...] } below it";

	if (node->kind == YNODE_MAP && node->n == 0)
		manifest_value_add(d, node, hint, "services: must not be empty");
	if (node->kind != YNODE_MAP) {
		manifest_value_wrong_kind(d, row, node, hint);
		return;
	}
	for (size_t i = 0; i < node->n; i++)
		if (!schema_is_label(node->items[i].key->text))
			manifest_value_add(
				d, node->items[i].key, NULL,
				"services.%s: a service's name must be 1 to 63 of a-z, 0-9 and \"-\", "
				"without \"-\" at either end",
				node->items[i].key->text);
}

static void decoder_done(struct manifest_decoder *d)
{
	for (size_t i = 0; i < d->n_places; i++)
		mem_free(d->places[i].key);
	mem_free(d->places);
	buf_done(&d->path);
}

void manifest_decode_services(const struct ynode *services, struct manifest_set *set,
			      struct manifest_errors *errors)
{
	struct manifest_decoder d = {.set = set, .errors = errors};

	for (size_t i = 0; i < services->n; i++) {
		const struct yitem *item = &services->items[i];
		const struct ynode *port = yamltree_get(item->value, "port");
		struct manifest_entry e = {
			.at = {item->key->file, item->key->line, item->key->column}};

		if (port)
			e.port_at = (struct manifest_place){port->file, port->line, port->column};
		e.spec = decode_service(&d, item);
		if (!e.spec ||
		    mem_grow(&set->entries, &set->cap, set->n + 1, sizeof(*set->entries)) < 0) {
			service_spec_free(e.spec);
			errors->nomem = true;
			break;
		}
		set->entries[set->n++] = e;
	}
	decoder_done(&d);
}

static void decode_value(struct manifest_decoder *d, const struct schema_row *row,
			 const struct yitem *item, void *base)
{
	switch ((int)row->type) {
	case SCHEMA_OBJECT:
		decode_object(d, row, item, base);
		break;
	case SCHEMA_SERVICES:
		decode_names(d, row, item->value);
		break;
	case SCHEMA_TABLE:
		decode_table(d, row, item->value, base);
		break;
	case SCHEMA_DEFAULTS: /* its keys are decoded where they are merged into a service */
		if (item->value->kind != YNODE_MAP)
			manifest_value_wrong_kind(d, row, item->value, NULL);
		break;
	case SCHEMA_ANY:
		break;
	default:
		manifest_value_decode(d, row, item->value, base);
	}
}

/* The set's name: the last layer's; its files that give one must agree. */
static void take_name(struct manifest_decoder *d, const struct ynode *root, unsigned layer,
		      char *name)
{
	struct manifest_set *set = d->set;
	const struct ynode *at = yamltree_get(root, "name");

	if (!set->name || layer > set->name_layer) {
		mem_free(set->name);
		set->name = name;
		set->name_at = (struct manifest_place){at->file, at->line, at->column};
		set->name_layer = layer;
		return;
	}
	if (strcmp(set->name, name) != 0)
		manifest_value_add(d, at, NULL,
				   "name: \"%s\" is not the name that %s:%u gives, \"%s\"", name,
				   set->name_at.file, set->name_at.line, set->name);
	mem_free(name);
}

void manifest_decode_file(const struct ynode *root, unsigned layer, struct manifest_set *set,
			  struct manifest_errors *errors)
{
	struct manifest_decoder d = {.set = set, .errors = errors};
	struct schema_head head = {0};

	if (root->kind != YNODE_MAP) {
		manifest_value_add(&d, root, "a manifest begins with \"version: 1\"",
				   "expected a map, this is %s", yamltree_kind_name(root));
		return;
	}
	decode_keys(&d, NULL, root, &head);
	check_required(&d, NULL, root, root, "");
	if (head.name)
		take_name(&d, root, layer, head.name);
	decoder_done(&d);
}

void manifest_decode_done(struct manifest_set *set)
{
	for (size_t i = 0; i < set->n; i++)
		service_spec_free(set->entries[i].spec);
	mem_free(set->entries);
	mem_free(set->name);
	manifest_errors_done(&set->warnings);
	*set = (struct manifest_set){0};
}
