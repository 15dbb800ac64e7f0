/*
 * manifest_decode: see manifest_decode.h. decode_value dispatches on the row's type; each decoder
 * gets the value and the row and stores at base + offset. Errors never stop the walk: the field
 * keeps its default and the next key is read.
 */
/* SPDX-License-Identifier: MIT */
#include "lib/manifest_decode.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/fs.h"
#include "lib/manifest.h"
#include "lib/manifest_check.h"
#include "lib/mem.h"
#include "lib/schema.h"
#include "lib/schema_hint.h"
#include "lib/yamltree.h"

#define WORD_MAX 64 /* bytes of a number, duration, word: more is a mistake */

struct decoder {
	struct manifest_set *set;
	struct manifest_errors *errors;
};

static void decode_value(struct decoder *d, const struct schema_row *row, const struct yitem *item,
			 void *base);

__attribute__((format(printf, 4, 5))) static void add(struct decoder *d, const struct ynode *at,
						      const char *hint, const char *fmt, ...)
{
	struct manifest_place place = {at->file, at->line, at->column};
	_cleanup_free_ char *origin = NULL;
	va_list ap;

	if (at->origin_line)
		hint = origin = mem_printf("%s%san alias brings it here from line %u",
					   hint ? hint : "", hint ? "; " : "", at->origin_line);
	else if (at->is_default)
		hint = origin = mem_printf("%s%s`defaults` give it to the services of the file",
					   hint ? hint : "", hint ? "; " : "");
	va_start(ap, fmt);
	manifest_errors_vadd(d->errors, &place, hint, fmt, ap);
	va_end(ap);
}

static const char *expected(enum schema_type type)
{
	static const char *const names[SCHEMA_TYPE_MAX_] = {
		[SCHEMA_OBJECT] = "a map",
		[SCHEMA_SERVICES] = "a map of services",
		[SCHEMA_STRING] = "text",
		[SCHEMA_INT] = "a whole number",
		[SCHEMA_NUMBER] = "a number",
		[SCHEMA_DURATION] = "a duration such as 500ms, 10s or 5m",
		[SCHEMA_SIZE] = "a size such as 512KiB or 20MiB",
		[SCHEMA_ENUM] = "a word",
		[SCHEMA_SIGNAL] = "a signal such as SIGTERM",
		[SCHEMA_LIST] = "a list of texts",
		[SCHEMA_MAP] = "a map of names to values",
	};

	return names[type];
}

static void add_wrong_kind(struct decoder *d, const struct schema_row *row, const char *shown,
			   const struct ynode *node, const char *hint)
{
	char words[SCHEMA_WORDS_SIZE];

	if (row->type == SCHEMA_ENUM)
		add(d, node, hint, "%s: expected one of %s, this is %s", shown,
		    schema_words(row, words, sizeof(words)), yamltree_kind_name(node));
	else
		add(d, node, hint, "%s: expected %s, this is %s", shown, expected(row->type),
		    yamltree_kind_name(node));
}

/* A text that is no number, duration, ...: false and an error when it cannot be tried at all. */
static bool is_word(struct decoder *d, const struct schema_row *row, const struct ynode *node)
{
	const char *shown = schema_shown(row);

	if (strlen(node->text) > WORD_MAX) {
		add(d, node, NULL, "%s: expected %s, this is a text of %zu bytes", shown,
		    expected(row->type), strlen(node->text));
		return false;
	}
	if ((row->flags & SCHEMA_BARE_NO) && !node->quoted && strcmp(node->text, "no") == 0) {
		add(d, node, "write never, or \"no\" in quotes",
		    "%s: a bare no is the boolean false for other YAML readers", shown);
		return false;
	}
	return true;
}

static void store_scalar(struct decoder *d, const struct schema_row *row, const struct ynode *node,
			 void *base)
{
	const char *text = node->text, *near = NULL;
	_cleanup_free_ char *hint = NULL;
	_cleanup_err_ struct err *e = NULL;
	size_t len = 0;

	if ((row->flags & SCHEMA_BARE_NO) && strcmp(text, "no") == 0)
		text = "never";
	if (schema_store(row, base, text, &e) == 0) {
		if (node->quoted && (row->type == SCHEMA_INT || row->type == SCHEMA_NUMBER))
			add(d, node, "remove the quotes", "%s: expected %s, this is text in quotes",
			    schema_shown(row), expected(row->type));
		return;
	}
	if (e->code == ERR_NOMEM) {
		d->errors->nomem = true;
		return;
	}
	if (row->type == SCHEMA_ENUM)
		near = schema_hint_nearest(row->names, text, &len);
	if (near)
		hint = mem_printf("did you mean %.*s?", (int)len, near);
	if (row->type == SCHEMA_INT && row->min == row->max)
		add(d, node, hint, "%s: must be %lld, not %s", schema_shown(row),
		    (long long)row->min, text);
	else
		add(d, node, hint, "%s: %s", schema_shown(row), err_msg(e));
}

static void decode_scalar(struct decoder *d, const struct schema_row *row, const struct ynode *node,
			  void *base)
{
	const char *shown = schema_shown(row);

	if (node->kind != YNODE_SCALAR || yamltree_is_null(node))
		add_wrong_kind(d, row, shown, node, NULL);
	else if (row->type == SCHEMA_STRING &&
		 !(row->flags & (SCHEMA_EXPANDED | SCHEMA_VERBATIM)) && strstr(node->text, "${"))
		add(d, node, NULL, "%s: ${...} is replaced only in command and environment", shown);
	else if (row->type == SCHEMA_STRING || is_word(d, row, node))
		store_scalar(d, row, node, base);
}

/* Text of a list item or of a variable. */
static bool is_text(struct decoder *d, const struct ynode *node, const char *shown,
		    const char *null_hint)
{
	if (node->kind != YNODE_SCALAR) {
		add(d, node,
		    node->kind == YNODE_MAP ? "put a text that contains \": \" in quotes" : NULL,
		    "%s: expected text, this is %s", shown, yamltree_kind_name(node));
		return false;
	}
	if (yamltree_is_null(node)) {
		add(d, node, null_hint, "%s: there is no value", shown);
		return false;
	}
	return true;
}

static void replace_strv(char ***to, char **v)
{
	mem_strv_free(*to);
	*to = v;
}

static void decode_list(struct decoder *d, const struct schema_row *row, const struct ynode *node,
			void *base)
{
	const char *shown = schema_shown(row);
	char **v;
	size_t n = 0;

	if (node->kind != YNODE_LIST) {
		add_wrong_kind(d, row, shown, node,
			       "no shell is run: write a list such as [python3, app.py], or [sh, "
			       "-c, \"...\"] for a shell");
		return;
	}
	if ((int64_t)node->n < row->min || (int64_t)node->n > row->max) {
		add(d, node, NULL, node->n ? "%s: more than %lld entries" : "%s: must not be empty",
		    shown, (long long)row->max);
		return;
	}
	v = mem_array(node->n + 1, sizeof(*v));
	for (size_t i = 0; v && i < node->n; i++) {
		_cleanup_free_ char *item = mem_printf("%s[%zu]", shown, i);

		if (!item) {
			d->errors->nomem = true;
			break;
		}
		if (!is_text(d, node->items[i].value, item, "write \"\" for an empty text"))
			continue;
		v[n] = mem_strdup(node->items[i].value->text);
		if (!v[n++])
			break;
	}
	if (!v || (n > 0 && !v[n - 1]))
		d->errors->nomem = true;
	replace_strv((char ***)(void *)((char *)base + row->offset), v);
}

static int by_name(const void *a, const void *b)
{
	const char *x = *(char *const *)a, *y = *(char *const *)b;
	size_t lx = strcspn(x, "="), ly = strcspn(y, "=");
	int order = strncmp(x, y, lx < ly ? lx : ly);

	return order ? order : (lx > ly) - (lx < ly);
}

/* What is wrong with a variable's name, or NULL. */
static const char *wrong_variable(const char *name)
{
	const char *p = name;

	if (strcmp(name, "PORT") == 0 || strncmp(name, "AICTL_", strlen("AICTL_")) == 0)
		return "is set by aictl itself";
	if (isdigit((unsigned char)*p))
		return "is not a variable's name: it starts with a digit";
	while (*p == '_' || isalnum((unsigned char)*p))
		p++;
	return *p ? "is not a variable's name: letters, digits and \"_\" make one" : NULL;
}

/* "NAME=value" of one variable, or NULL with an error added. */
static char *decode_variable(struct decoder *d, const struct yitem *item, const char *shown)
{
	const char *wrong = wrong_variable(item->key->text);
	char *text = NULL;

	if (wrong)
		add(d, item->key, NULL, "%s %s", shown, wrong);
	else if (is_text(d, item->value, shown,
			 "write \"\" for an empty value, ${env:NAME} for the caller's")) {
		text = mem_printf("%s=%s", item->key->text, item->value->text);
		if (!text)
			d->errors->nomem = true;
	}
	return text;
}

static void decode_map(struct decoder *d, const struct schema_row *row, const struct ynode *node,
		       void *base)
{
	const char *shown = schema_shown(row);
	char **v;
	size_t n = 0;

	if (node->kind != YNODE_MAP) {
		add_wrong_kind(d, row, shown, node,
			       node->kind == YNODE_LIST ? "write NAME: value, not - NAME=value"
							: NULL);
		return;
	}
	v = mem_array(node->n + 1, sizeof(*v));
	if (!v)
		d->errors->nomem = true;
	for (size_t i = 0; v && i < node->n; i++) {
		_cleanup_free_ char *name = mem_printf("%s.%s", shown, node->items[i].key->text);

		v[n] = name ? decode_variable(d, &node->items[i], name) : NULL;
		n += v[n] != NULL;
		if (!name)
			d->errors->nomem = true;
	}
	if (n > 1)
		qsort(v, n, sizeof(*v), by_name);
	replace_strv((char ***)(void *)((char *)base + row->offset), v);
}

static void add_unknown(struct decoder *d, const struct schema_row *parent, const struct ynode *key,
			const struct ynode *value)
{
	const char *in = parent ? schema_shown(parent) : "", *dot = parent ? "." : "";
	_cleanup_free_ char *hint = NULL;

	if (parent && strcmp(parent->path, "services.*") == 0)
		in = dot = "";
	if (schema_hint_unbuilt(parent, key->text)) {
		add(d, key, NULL, "%s%s%s: not supported yet in this version", in, dot, key->text);
		return;
	}
	if (!parent && value->kind == YNODE_MAP && !schema_hint_row(NULL, key->text))
		hint = mem_strdup("services stand below \"services:\"");
	else
		hint = schema_hint_key(parent, key->text);
	if (!hint)
		d->errors->nomem = true;
	add(d, key, hint, "%s%s%s: unknown key", in, dot, key->text);
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

/* Reports each required key that the map lacks, at `at`; name is what is incomplete. */
static void check_required(struct decoder *d, const struct schema_row *parent,
			   const struct ynode *node, const struct ynode *at, const char *name)
{
	const struct schema_row *r = NULL;

	while ((r = schema_next(parent, r)) != NULL) {
		const char *hint = strcmp(r->path, "version") == 0 ? "begin with version: 1" : NULL;

		if ((r->flags & SCHEMA_REQUIRED) && !yamltree_get(node, schema_key(r)) &&
		    !is_misspelt(parent, node, r))
			add(d, at, hint, "%s%s%s is missing", name, name[0] ? ": " : "",
			    schema_key(r));
	}
}

static void decode_keys(struct decoder *d, const struct schema_row *parent,
			const struct ynode *node, void *base)
{
	for (size_t i = 0; i < node->n; i++) {
		const struct yitem *item = &node->items[i];
		const struct schema_row *row = schema_child(parent, item->key->text);

		if (row)
			decode_value(d, row, item, base);
		else
			add_unknown(d, parent, item->key, item->value);
	}
}

static void decode_object(struct decoder *d, const struct schema_row *row, const struct yitem *item,
			  void *base)
{
	const struct ynode *node = item->value;

	if ((row->flags & SCHEMA_SHORTHAND) && node->kind == YNODE_SCALAR &&
	    !yamltree_is_null(node)) {
		decode_scalar(d, schema_next(row, NULL), node, base);
		return;
	}
	if (node->kind != YNODE_MAP) {
		add_wrong_kind(d, row, schema_shown(row), node, NULL);
		return;
	}
	if (row->offset != SCHEMA_NO_FIELD)
		*(bool *)((char *)base + row->offset) = true;
	decode_keys(d, row, node, base);
	check_required(d, row, node, item->key, schema_shown(row));
}

/* Reads one service into a new specification; NULL when out of memory. */
static struct service_spec *decode_service(struct decoder *d, const struct yitem *item)
{
	const struct schema_row *row = schema_find("services.*");
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
	if (item->value->kind != YNODE_MAP) {
		add_wrong_kind(d, row, s->name, item->value, "a service needs at least command");
		return s;
	}
	decode_keys(d, row, item->value, s);
	check_required(d, row, item->value, item->key, s->name);
	manifest_check_service(s, item->value, d->errors);
	return s;
}

/* The names alone: what they hold is decoded when it is merged. */
static void decode_names(struct decoder *d, const struct schema_row *row, const struct ynode *node)
{
	static const char hint[] = "write NAME: { command: [...] } below it";

	if (node->kind == YNODE_MAP && node->n == 0)
		add(d, node, hint, "services: must not be empty");
	if (node->kind != YNODE_MAP) {
		add_wrong_kind(d, row, "services", node, hint);
		return;
	}
	for (size_t i = 0; i < node->n; i++)
		if (!schema_is_label(node->items[i].key->text))
			add(d, node->items[i].key, NULL,
			    "services.%s: a service's name must be 1 to 63 of a-z, 0-9 and \"-\", "
			    "without \"-\" at either end",
			    node->items[i].key->text);
}

void manifest_decode_services(const struct ynode *services, struct manifest_set *set,
			      struct manifest_errors *errors)
{
	struct decoder d = {.set = set, .errors = errors};

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
			return;
		}
		set->entries[set->n++] = e;
	}
}

static void decode_value(struct decoder *d, const struct schema_row *row, const struct yitem *item,
			 void *base)
{
	switch (row->type) {
	case SCHEMA_OBJECT:
		decode_object(d, row, item, base);
		break;
	case SCHEMA_SERVICES:
		decode_names(d, row, item->value);
		break;
	case SCHEMA_LIST:
		decode_list(d, row, item->value, base);
		break;
	case SCHEMA_MAP:
		decode_map(d, row, item->value, base);
		break;
	case SCHEMA_STRING:
	case SCHEMA_INT:
	case SCHEMA_NUMBER:
	case SCHEMA_DURATION:
	case SCHEMA_SIZE:
	case SCHEMA_ENUM:
	case SCHEMA_SIGNAL:
	case SCHEMA_TYPE_MAX_:
	default:
		decode_scalar(d, row, item->value, base);
	}
}

/* The set's name: the last layer's; its files that give one must agree. */
static void take_name(struct decoder *d, const struct ynode *root, unsigned layer, char *name)
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
		add(d, at, NULL, "name: \"%s\" is not the name that %s:%u gives, \"%s\"", name,
		    set->name_at.file, set->name_at.line, set->name);
	mem_free(name);
}

void manifest_decode_file(const struct ynode *root, unsigned layer, struct manifest_set *set,
			  struct manifest_errors *errors)
{
	struct decoder d = {.set = set, .errors = errors};
	struct schema_head head = {0};

	if (root->kind != YNODE_MAP) {
		add(&d, root, "a manifest begins with \"version: 1\"", "expected a map, this is %s",
		    yamltree_kind_name(root));
		return;
	}
	decode_keys(&d, NULL, root, &head);
	check_required(&d, NULL, root, root, "");
	if (head.name)
		take_name(&d, root, layer, head.name);
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
