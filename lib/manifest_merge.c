/*
 * manifest_merge: see manifest_merge.h. Where a service is named is collected as a list of parts,
 * sorted by name: each run of equal names is one service. Merged maps are new nodes, everything
 * below the first difference is shared with the files' trees.
 */
/* SPDX-License-Identifier: MIT */
#include "lib/manifest_merge.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/manifest_errors.h"
#include "lib/mem.h"
#include "lib/schema.h"
#include "lib/yamltree.h"

/* A file that names a service. */
struct part {
	const struct yitem *item;
	const struct manifest_merge_doc *doc;
	size_t order; /* over all files */
};

struct merger {
	struct yamltree *tree;
	struct manifest_errors *errors;
	struct part *parts;
	size_t n_parts;
	const struct part *deleted; /* the last service that a null took away */
	unsigned nodes;
};

static struct manifest_place place(const struct ynode *node)
{
	return (struct manifest_place){node->file, node->line, node->column};
}

static void *out_of_memory(struct merger *m)
{
	m->errors->nomem = true;
	return NULL;
}

/* ---- values ---- */

static struct ynode *merge_maps(struct merger *m, const struct schema_row *row,
				const struct ynode *base, const struct ynode *over);

/* `always` of a restart as { policy: always }. NULL: out of memory. */
static const struct ynode *spell_out(struct merger *m, const struct schema_row *row,
				     const struct ynode *value)
{
	struct ynode *map = yamltree_new_map(m->tree, value, 1);
	struct ynode *key = yamltree_new_text(m->tree, value, schema_key(schema_next(row, NULL)));

	if (!map || !key)
		return out_of_memory(m);
	map->items[map->n++] = (struct yitem){key, value};
	return map;
}

/* [a, b] of a table of names as { a: {}, b: {} }. NULL: out of memory. */
static const struct ynode *spell_out_names(struct merger *m, const struct ynode *list)
{
	struct ynode *map = yamltree_new_map(m->tree, list, list->n);

	for (size_t i = 0; map && i < list->n; i++) {
		const struct ynode *name = list->items[i].value;
		const struct ynode *empty = yamltree_new_map(m->tree, name, 0);

		if (!empty)
			return out_of_memory(m);
		map->items[map->n++] = (struct yitem){name, empty};
	}
	return map ? map : out_of_memory(m);
}

/* Each a text; else the list stays, for the decoder to report. */
static bool is_names(const struct schema_row *row, const struct ynode *value)
{
	if (!row || !(row->flags & SCHEMA_NAMES) || value->kind != YNODE_LIST)
		return false;
	for (size_t i = 0; i < value->n; i++)
		if (value->items[i].value->kind != YNODE_SCALAR)
			return false;
	return true;
}

/* A map with one item. NULL: out of memory. */
static struct ynode *wrap(struct merger *m, const struct ynode *key, const struct ynode *value)
{
	struct ynode *map = key ? yamltree_new_map(m->tree, value, 1) : NULL;

	if (!map)
		return out_of_memory(m);
	map->items[map->n++] = (struct yitem){key, value};
	return map;
}

/* A service with `port: N` as one with `ports: { http: { port: N } }`. NULL: out of memory. */
static const struct ynode *spell_out_port(struct merger *m, const struct ynode *service)
{
	struct ynode *rest = yamltree_new_map(m->tree, service, service->n), *http, *ports, *over;

	if (!rest)
		return out_of_memory(m);
	over = NULL;
	for (size_t i = 0; i < service->n; i++) {
		const struct yitem *item = &service->items[i];

		if (strcmp(item->key->text, "port") != 0) {
			rest->items[rest->n++] = *item;
			continue;
		}
		http = wrap(m, item->key, item->value);
		ports = http ? wrap(m, yamltree_new_text(m->tree, item->key, "http"), http) : NULL;
		over = ports ? wrap(m, yamltree_new_text(m->tree, item->key, "ports"), ports)
			     : NULL;
	}
	return over ? merge_maps(m, NULL, rest, over) : NULL;
}

/* Has one side the short form of the port, the other the long one? */
static bool is_port_mixed(const struct ynode *a, const struct ynode *b)
{
	const struct ynode *port = yamltree_get(a, "port");

	return port && port->kind == YNODE_SCALAR && !yamltree_is_null(port) &&
	       !yamltree_get(b, "port") && yamltree_get(yamltree_get(b, "ports"), "http");
}

static bool is_shorthand(const struct schema_row *row, const struct ynode *value)
{
	return row && (row->flags & SCHEMA_SHORTHAND) && value->kind == YNODE_SCALAR &&
	       !yamltree_is_null(value);
}

/* over laid over base; NULL: out of memory. */
static const struct ynode *merge_values(struct merger *m, const struct schema_row *row,
					const struct ynode *base, const struct ynode *over)
{
	if (base->kind == YNODE_MAP && is_shorthand(row, over))
		over = spell_out(m, row, over);
	else if (over->kind == YNODE_MAP && is_shorthand(row, base))
		base = spell_out(m, row, base);
	else if (over->kind == YNODE_MAP && is_names(row, base))
		base = spell_out_names(m, base);
	else if (base->kind == YNODE_MAP && is_names(row, over))
		over = spell_out_names(m, over);
	else if (row && strcmp(row->path, "services.*") == 0 && is_port_mixed(base, over))
		base = spell_out_port(m, base);
	else if (row && strcmp(row->path, "services.*") == 0 && is_port_mixed(over, base))
		over = spell_out_port(m, over);
	if (!base || !over)
		return NULL;
	return base->kind == YNODE_MAP && over->kind == YNODE_MAP ? merge_maps(m, row, base, over)
								  : over;
}

static size_t find_key(const struct ynode *map, const struct ynode *key)
{
	size_t i = 0;

	while (i < map->n && strcmp(map->items[i].key->text, key->text) != 0)
		i++;
	return i;
}

/* Lays one item of a later map into `to`, which has room for it. */
static bool merge_item(struct merger *m, const struct schema_row *parent, struct ynode *to,
		       const struct yitem *item)
{
	size_t at = find_key(to, item->key);
	const struct ynode *value;

	if (at == to->n) {
		to->items[to->n++] = *item;
		return true;
	}
	if (yamltree_is_null(item->value) && !yamltree_is_null(to->items[at].value)) {
		to->n--;
		memmove(&to->items[at], &to->items[at + 1], (to->n - at) * sizeof(to->items[0]));
		return true;
	}
	value = merge_values(m, parent ? schema_child(parent, item->key->text) : NULL,
			     to->items[at].value, item->value);
	if (!value)
		return false;
	if (value == item->value)
		to->items[at].key = item->key;
	to->items[at].value = value;
	return true;
}

static struct ynode *merge_maps(struct merger *m, const struct schema_row *row,
				const struct ynode *base, const struct ynode *over)
{
	const struct ynode *like = base->is_default ? over : base; /* the service's own place */
	struct ynode *map = yamltree_new_map(m->tree, like, base->n + over->n);

	if (!map)
		return out_of_memory(m);
	for (; map->n < base->n; map->n++)
		map->items[map->n] = base->items[map->n];
	for (size_t i = 0; i < over->n; i++)
		if (!merge_item(m, row, map, &over->items[i]))
			return NULL;
	return map;
}

/* ---- services ---- */

static int by_name(const void *a, const void *b)
{
	const struct part *x = a, *y = b;
	int order = strcmp(x->item->key->text, y->item->key->text);

	return order ? order : (x->order > y->order) - (x->order < y->order);
}

static int by_order(const void *a, const void *b)
{
	const struct part *x = *(const struct part *const *)a, *y = *(const struct part *const *)b;

	return (x->order > y->order) - (x->order < y->order);
}

static const struct ynode *services_of(const struct manifest_merge_doc *doc)
{
	const struct ynode *services = yamltree_get(doc->root, "services");

	return services && services->kind == YNODE_MAP ? services : NULL;
}

static int collect(struct merger *m, const struct manifest_merge_doc *docs, size_t n)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++) {
		const struct ynode *services = services_of(&docs[i]);

		sum += services ? services->n : 0;
	}
	m->parts = mem_array(sum + 1, sizeof(*m->parts));
	if (!m->parts)
		return -ERR_NOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct ynode *services = services_of(&docs[i]);

		for (size_t k = 0; services && k < services->n; k++) {
			m->parts[m->n_parts] =
				(struct part){&services->items[k], &docs[i], m->n_parts};
			m->n_parts++;
		}
	}
	qsort(m->parts, m->n_parts, sizeof(*m->parts), by_name);
	return 0;
}

/* Behind the run of parts that name the same service. */
static const struct part *run_end(const struct merger *m, const struct part *p)
{
	const struct part *end = m->parts + m->n_parts, *q = p;

	while (q < end && strcmp(q->item->key->text, p->item->key->text) == 0)
		q++;
	return q;
}

static void add_twice(struct merger *m, const struct part *first, const struct part *second)
{
	const struct ynode *a = first->item->key, *b = second->item->key;
	struct manifest_place at = place(b);

	manifest_errors_add(m->errors, &at, NULL, "services.%s: defined twice, first at %s:%u:%u",
			    b->text, a->file, a->line, a->column);
}

/* What counts of a run: from the last deletion on. Two files of one layer are an error. */
static const struct part *live_part(struct merger *m, const struct part *first,
				    const struct part *end)
{
	const struct part *live = first;

	for (const struct part *p = first + 1; p < end; p++) {
		if (p->doc->layer == p[-1].doc->layer) {
			add_twice(m, p - 1, p);
		} else if (p > live && yamltree_is_null(p->item->value)) {
			m->deleted = p;
			live = p + 1;
		}
	}
	return live;
}

static const struct ynode *merge_service(struct merger *m, const struct part *first,
					 const struct part *end)
{
	const struct schema_row *row = schema_find("services.*");
	const struct ynode *value = NULL;

	for (const struct part *p = first; p < end; p++) {
		const struct ynode *defaults = yamltree_get(p->doc->root, "defaults");

		if (!defaults || defaults->kind != YNODE_MAP)
			continue;
		value = value ? merge_values(m, row, value, defaults) : defaults;
		if (!value)
			return NULL;
	}
	for (const struct part *p = first; p < end; p++) {
		if (p > first && p->doc->layer == p[-1].doc->layer)
			continue; /* is reported */
		value = value ? merge_values(m, row, value, p->item->value) : p->item->value;
		if (!value)
			return NULL;
	}
	return value;
}

/* Counts a merged value; false with an error added beyond the limits. at: the service's name. */
static bool count(struct merger *m, const struct ynode *node, unsigned depth,
		  const struct ynode *at)
{
	struct manifest_place where = place(depth > YAMLTREE_DEPTH_MAX ? node : at);

	if (depth > YAMLTREE_DEPTH_MAX) {
		manifest_errors_add(m->errors, &where, NULL, "nested more than %d levels deep",
				    YAMLTREE_DEPTH_MAX);
		return false;
	}
	if (++m->nodes > YAMLTREE_NODES_MAX) {
		manifest_errors_add(m->errors, &where,
				    "every key and value of all files counts, and `defaults` in "
				    "each service",
				    "services.%s: more than %d nodes after merging", at->text,
				    YAMLTREE_NODES_MAX);
		return false;
	}
	for (size_t i = 0; i < node->n; i++) {
		m->nodes += node->items[i].key != NULL;
		if (!count(m, node->items[i].value, depth + 1, at))
			return false;
	}
	return true;
}

/* Merges the services of the runs that begin at firsts[], in that order. */
static int merge_all(struct merger *m, const struct part **firsts, size_t n)
{
	struct ynode *root;

	if (n == 0)
		return 0;
	root = yamltree_new_map(m->tree, services_of(firsts[0]->doc), n);
	if (!root)
		return -ERR_NOMEM;
	yamltree_set_root(m->tree, root);
	for (size_t i = 0; i < n; i++) {
		const struct part *end = run_end(m, firsts[i]);
		const struct part *live = live_part(m, firsts[i], end);
		const struct ynode *value;

		if (live == end)
			continue;
		value = merge_service(m, live, end);
		if (!value)
			return -ERR_NOMEM;
		m->nodes++;
		if (!count(m, value, 3, live->item->key))
			return -ERR_INVALID;
		root->items[root->n++] = (struct yitem){live->item->key, value};
	}
	return 0;
}

static int merge_runs(struct merger *m)
{
	const struct part **firsts = mem_array(m->n_parts + 1, sizeof(*firsts));
	size_t n = 0;
	int r;

	if (!firsts)
		return -ERR_NOMEM;
	for (const struct part *p = m->parts; p < m->parts + m->n_parts; p = run_end(m, p))
		firsts[n++] = p;
	qsort(firsts, n, sizeof(*firsts), by_order);
	r = merge_all(m, firsts, n);
	mem_free(firsts);
	return r;
}

static void check_rest(struct merger *m)
{
	const struct ynode *root = yamltree_root(m->tree);
	struct manifest_place at;

	if (!m->deleted || !root || root->n > 0)
		return;
	at = place(m->deleted->item->value);
	manifest_errors_add(m->errors, &at, NULL,
			    "services.%s: null deletes the last service, nothing is left",
			    m->deleted->item->key->text);
}

int manifest_merge(const struct manifest_merge_doc *docs, size_t n, struct yamltree **ret,
		   struct manifest_errors *errors)
{
	struct merger m = {.tree = yamltree_new(), .errors = errors};
	int r = m.tree ? collect(&m, docs, n) : -ERR_NOMEM;

	if (r == 0)
		r = merge_runs(&m);
	if (r == 0)
		check_rest(&m);
	mem_free(m.parts);
	if (r == 0) {
		*ret = m.tree;
		return 0;
	}
	yamltree_free(m.tree);
	errors->nomem = errors->nomem || r == -ERR_NOMEM;
	return r;
}
