/* manifest_value: see manifest_value.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/manifest_value.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/manifest.h"
#include "lib/mem.h"
#include "lib/schema.h"
#include "lib/schema_hint.h"
#include "lib/schema_tree.h"
#include "lib/yamltree.h"

#define WORD_MAX 64 /* bytes of a number, duration, word: more is a mistake */
#define INTS_MAX 256

size_t manifest_value_enter(struct manifest_decoder *d, const char *key, size_t index)
{
	size_t length = d->path.len;

	if (key)
		buf_printf(&d->path, "%s%s", length ? "." : "", key);
	else
		buf_printf(&d->path, "[%zu]", index);
	d->errors->nomem |= d->path.failed;
	return length;
}

void manifest_value_leave(struct manifest_decoder *d, size_t length)
{
	if (length >= d->path.len)
		return;
	d->path.len = length;
	d->path.data[length] = '\0';
}

const char *manifest_value_shown(const struct manifest_decoder *d)
{
	return buf_cstr(&d->path);
}

void manifest_value_add(struct manifest_decoder *d, const struct ynode *at, const char *hint,
			const char *fmt, ...)
{
	struct manifest_place place = {at->file, at->line, at->column};
	_cleanup_free_ char *origin = NULL;
	va_list ap;

	if (at->origin_line)
		hint = origin = mem_printf("%s%san alias brings it here from line %u",
					   hint ? hint : "", hint ? "; " : "", at->origin_line);
	else if (at->is_default && strcmp(manifest_value_shown(d), "defaults") != 0)
		hint = origin = mem_printf("%s%s`defaults` give it to the services of the file",
					   hint ? hint : "", hint ? "; " : "");
	va_start(ap, fmt);
	manifest_errors_vadd(d->errors, &place, hint, fmt, ap);
	va_end(ap);
}

void manifest_value_place(struct manifest_decoder *d, const struct ynode *key)
{
	struct spec_place p = {.key = mem_strdup(manifest_value_shown(d)),
			       .at = {key->file, key->line, key->column}};

	if (!p.key ||
	    mem_grow(&d->places, &d->places_cap, d->n_places + 1, sizeof(*d->places)) < 0) {
		mem_free(p.key);
		d->errors->nomem = true;
		return;
	}
	d->places[d->n_places++] = p;
}

static const char *expected(const struct schema_row *row)
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
		[SCHEMA_UMASK] = "an octal number such as 022",
		[SCHEMA_LIMIT] = "a number, unlimited, \"soft:hard\" or { soft: ..., hard: ... }",
		[SCHEMA_INTS] = "a list of whole numbers",
		[SCHEMA_PORTREF] = "a port's number or its name in ports",
		[SCHEMA_TABLE] = "a map of names to maps",
		[SCHEMA_DEFAULTS] = "a map of keys of a service",
		[SCHEMA_BOOL] = "true or false",
		[SCHEMA_SHARE] = "a whole number or a share such as 25%",
		[SCHEMA_TREE] = "a map",
		[SCHEMA_ANY] = "anything",
	};

	if (row->flags & SCHEMA_NAMES)
		return "a list of names, or a map of names to maps";
	if (row->brief)
		return "a text or a map";
	if (row->type == SCHEMA_TABLE && row[1].brief)
		return "a list of texts or maps";
	return row->flags & SCHEMA_LISTED ? "a list of maps" : names[row->type];
}

void manifest_value_wrong_kind(struct manifest_decoder *d, const struct schema_row *row,
			       const struct ynode *node, const char *hint)
{
	const char *shown = manifest_value_shown(d);
	char words[SCHEMA_WORDS_SIZE];

	if (row->flags & SCHEMA_LONE)
		manifest_value_add(d, node, hint,
				   "%s: expected all, a whole number or a map, this is %s", shown,
				   yamltree_kind_name(node));
	else if (row->type == SCHEMA_ENUM)
		manifest_value_add(d, node, hint, "%s: expected one of %s, this is %s", shown,
				   schema_words(row, words, sizeof(words)),
				   yamltree_kind_name(node));
	else if ((row->flags & SCHEMA_SHORTHAND) && schema_next(row, NULL)->type == SCHEMA_STRING)
		manifest_value_add(d, node, hint, "%s: expected a map or a text, this is %s", shown,
				   yamltree_kind_name(node));
	else if ((row->flags & SCHEMA_SHORTHAND) && schema_next(row, NULL)->type == SCHEMA_INT)
		manifest_value_add(d, node, hint,
				   "%s: expected a whole number or a map, this is %s", shown,
				   yamltree_kind_name(node));
	else if (row->flags & SCHEMA_SHORTHAND)
		manifest_value_add(d, node, hint, "%s: expected a map or one of %s, this is %s",
				   shown,
				   schema_words(schema_next(row, NULL), words, sizeof(words)),
				   yamltree_kind_name(node));
	else
		manifest_value_add(d, node, hint, "%s: expected %s, this is %s", shown,
				   expected(row), yamltree_kind_name(node));
}

/* A text that is no number, duration, ...: false and an error when it cannot be tried at all. */
static bool is_word(struct manifest_decoder *d, const struct schema_row *row,
		    const struct ynode *node)
{
	const char *shown = manifest_value_shown(d);

	if (strlen(node->text) > WORD_MAX) {
		manifest_value_add(d, node, NULL, "%s: expected %s, this is a text of %zu bytes",
				   shown, expected(row), strlen(node->text));
		return false;
	}
	if ((row->flags & SCHEMA_BARE_NO) && !node->quoted && strcmp(node->text, "no") == 0) {
		manifest_value_add(d, node, "write never, or \"no\" in quotes",
				   "%s: a bare no is the boolean false for other YAML readers",
				   shown);
		return false;
	}
	return true;
}

/* What was probably meant: caller frees; NULL = no idea. */
static char *value_hint(const struct schema_row *row, const char *text)
{
	const char *names = row->type == SCHEMA_ENUM	 ? row->names
			    : row->flags & SCHEMA_ALL	 ? "all"
			    : row->type == SCHEMA_SIGNAL ? schema_hint_signals
			    : row->type == SCHEMA_LIMIT	 ? "unlimited"
							 : NULL;
	size_t len = 0;
	const char *near = names ? schema_hint_nearest(names, text, &len) : NULL;

	if (near)
		return mem_printf("did you mean %.*s?", (int)len, near);
	return schema_hint_units(row, text);
}

static void store_failed(struct manifest_decoder *d, const struct schema_row *row,
			 const struct ynode *node, const struct err *e)
{
	_cleanup_free_ char *near = value_hint(row, node->text);
	const char *hint = near ? near : e->hint, *shown = manifest_value_shown(d);

	if (e->code == ERR_NOMEM)
		d->errors->nomem = true;
	else if (row->type == SCHEMA_INT && row->min == row->max)
		manifest_value_add(d, node, hint, "%s: must be %lld, not %s", shown,
				   (long long)row->min, node->text);
	else
		manifest_value_add(d, node, hint, "%s: %s", shown, err_msg(e));
}

static void store_scalar(struct manifest_decoder *d, const struct schema_row *row,
			 const struct ynode *node, void *base)
{
	_cleanup_err_ struct err *e = NULL;
	const char *text = node->text;

	if ((row->flags & SCHEMA_BARE_NO) && strcmp(text, "no") == 0)
		text = "never";
	if (schema_store(row, base, text, &e) < 0)
		store_failed(d, row, node, e);
	else if (node->quoted && row->type == SCHEMA_BOOL)
		manifest_value_add(d, node, "remove the quotes",
				   "%s: expected true or false, this is text in quotes",
				   manifest_value_shown(d));
	else if (node->quoted && (row->type == SCHEMA_INT || row->type == SCHEMA_NUMBER ||
				  row->type == SCHEMA_INTS))
		manifest_value_add(d, node, "remove the quotes",
				   "%s: expected a %snumber, this is text in quotes",
				   manifest_value_shown(d),
				   row->type == SCHEMA_NUMBER ? "" : "whole ");
}

static void decode_scalar(struct manifest_decoder *d, const struct schema_row *row,
			  const struct ynode *node, void *base)
{
	bool literal =
		row->type == SCHEMA_STRING && !(row->flags & (SCHEMA_EXPANDED | SCHEMA_VERBATIM));

	if (node->kind != YNODE_SCALAR || yamltree_is_null(node))
		manifest_value_wrong_kind(d, row, node, NULL);
	else if (literal && strstr(node->text, "${"))
		manifest_value_add(d, node, NULL,
				   "%s: ${...} is replaced only in command and environment",
				   manifest_value_shown(d));
	else if (row->type == SCHEMA_STRING || is_word(d, row, node))
		store_scalar(d, row, node, base);
}

/* Text of a list item or of a variable. */
static bool is_text(struct manifest_decoder *d, const struct ynode *node, const char *null_hint)
{
	const char *shown = manifest_value_shown(d);

	if (node->kind != YNODE_SCALAR) {
		manifest_value_add(
			d, node,
			node->kind == YNODE_MAP ? "put a text that contains \": \" in quotes"
						: NULL,
			"%s: expected text, this is %s", shown, yamltree_kind_name(node));
		return false;
	}
	if (yamltree_is_null(node)) {
		manifest_value_add(d, node, null_hint, "%s: there is no value", shown);
		return false;
	}
	return true;
}

/* A copy of one entry of a list, or NULL with an error added. */
static char *list_entry(struct manifest_decoder *d, const struct schema_row *row,
			const struct ynode *node)
{
	const char *wrong;
	char *text = NULL;

	if (!is_text(d, node, "write \"\" for an empty text"))
		return NULL;
	wrong = row->check ? row->check(node->text) : NULL;
	if (wrong) {
		manifest_value_add(d, node, NULL, "%s: \"%s\" %s", manifest_value_shown(d),
				   node->text, wrong);
		return NULL;
	}
	text = mem_strdup(node->text);
	d->errors->nomem |= !text;
	return text;
}

/* True when the list (or the one value that stands for it) can be read; *n is its length. */
static bool is_list(struct manifest_decoder *d, const struct schema_row *row,
		    const struct ynode *node, const char *hint)
{
	if (node->kind == YNODE_SCALAR && (row->flags & SCHEMA_ONE_OR_MANY) &&
	    !yamltree_is_null(node))
		return true;
	if (node->kind == YNODE_LIST)
		return true;
	manifest_value_wrong_kind(d, row, node, hint);
	return false;
}

static bool is_length(struct manifest_decoder *d, const struct ynode *node, size_t min, size_t max)
{
	if (node->n >= min && node->n <= max)
		return true;
	manifest_value_add(d, node, NULL,
			   node->n ? "%s: more than %zu entries" : "%s: must not be empty",
			   manifest_value_shown(d), max);
	return false;
}

static void replace_strv(char ***to, char **v)
{
	mem_strv_free(*to);
	*to = v;
}

static void decode_list(struct manifest_decoder *d, const struct schema_row *row,
			const struct ynode *node, void *base)
{
	const char *hint = row->flags & SCHEMA_EXPANDED
				   ? "no shell is run: write a list such as [python3, app.py], or "
				     "[sh, -c, \"...\"] for a shell"
				   : NULL;
	size_t n = 0;
	char **v;

	if (!is_list(d, row, node, hint) ||
	    (node->kind == YNODE_LIST && !is_length(d, node, (size_t)row->min, (size_t)row->max)))
		return;
	v = mem_array(node->n + 2, sizeof(*v));
	d->errors->nomem |= !v;
	if (v && node->kind == YNODE_SCALAR) {
		v[0] = list_entry(d, row, node);
	}
	for (size_t i = 0; v && i < node->n; i++) {
		size_t length = manifest_value_enter(d, NULL, i);

		if (i == 0)
			manifest_value_place(d, node->items[i].value); /* the program */
		v[n] = list_entry(d, row, node->items[i].value);
		n += v[n] != NULL;
		manifest_value_leave(d, length);
	}
	replace_strv((char ***)(void *)((char *)base + row->offset), v);
}

static int by_name(const void *a, const void *b)
{
	const char *x = *(char *const *)a, *y = *(char *const *)b;
	size_t lx = strcspn(x, "="), ly = strcspn(y, "=");
	int order = strncmp(x, y, lx < ly ? lx : ly);

	return order ? order : (lx > ly) - (lx < ly);
}

/* "NAME=value" of one variable, or NULL with an error added. */
static char *map_entry(struct manifest_decoder *d, const struct schema_row *row,
		       const struct yitem *item)
{
	const char *wrong = row->check ? row->check(item->key->text) : NULL;
	const char *null_hint = row->flags & SCHEMA_EXPANDED
					? "write \"\" for an empty value, ${env:NAME} for the "
					  "caller's"
					: "write \"\" for an empty value";
	char *text = NULL;

	if (wrong)
		manifest_value_add(d, item->key, NULL, "%s %s", manifest_value_shown(d), wrong);
	else if (is_text(d, item->value, null_hint)) {
		text = mem_printf("%s=%s", item->key->text, item->value->text);
		d->errors->nomem |= !text;
		manifest_value_place(d, item->key);
	}
	return text;
}

static void decode_map(struct manifest_decoder *d, const struct schema_row *row,
		       const struct ynode *node, void *base)
{
	size_t n = 0;
	char **v;

	if (node->kind != YNODE_MAP) {
		manifest_value_wrong_kind(
			d, row, node,
			node->kind == YNODE_LIST ? "write NAME: value, not - NAME=value" : NULL);
		return;
	}
	if (!is_length(d, node, (size_t)row->min, (size_t)row->max))
		return;
	v = mem_array(node->n + 1, sizeof(*v));
	d->errors->nomem |= !v;
	for (size_t i = 0; v && i < node->n; i++) {
		size_t length = manifest_value_enter(d, node->items[i].key->text, 0);

		v[n] = map_entry(d, row, &node->items[i]);
		n += v[n] != NULL;
		manifest_value_leave(d, length);
	}
	if (n > 1)
		qsort(v, n, sizeof(*v), by_name);
	replace_strv((char ***)(void *)((char *)base + row->offset), v);
}

static void decode_ints(struct manifest_decoder *d, const struct schema_row *row,
			const struct ynode *node, void *base)
{
	struct spec_ints *to = (void *)((char *)base + row->offset);

	if (!is_list(d, row, node, NULL) ||
	    (node->kind == YNODE_LIST && !is_length(d, node, 1, INTS_MAX)))
		return;
	to->n = 0;
	if (node->kind == YNODE_SCALAR && is_word(d, row, node))
		store_scalar(d, row, node, base);
	for (size_t i = 0; i < node->n; i++) {
		const struct ynode *entry = node->items[i].value;
		size_t length = manifest_value_enter(d, NULL, i);

		if (is_text(d, entry, NULL) && is_word(d, row, entry))
			store_scalar(d, row, entry, base);
		manifest_value_leave(d, length);
	}
}

/* One side of a limit that is written as a map; SPEC_UNSET with an error added. */
static int64_t limit_side(struct manifest_decoder *d, const struct schema_row *row,
			  const struct ynode *map, const char *key)
{
	const struct ynode *node = yamltree_get(map, key);
	_cleanup_err_ struct err *e = NULL;
	int64_t value = SPEC_UNSET;
	size_t length;

	if (!node) {
		manifest_value_add(d, map, NULL, "%s: %s is missing", manifest_value_shown(d), key);
		return SPEC_UNSET;
	}
	length = manifest_value_enter(d, key, 0);
	if (node->kind != YNODE_SCALAR || yamltree_is_null(node))
		manifest_value_add(d, node, NULL, "%s: expected a number or unlimited, this is %s",
				   manifest_value_shown(d), yamltree_kind_name(node));
	else if (is_word(d, row, node) && schema_parse_limit(row, node->text, &value, &e) < 0)
		store_failed(d, row, node, e);
	manifest_value_leave(d, length);
	return value;
}

static void decode_limit(struct manifest_decoder *d, const struct schema_row *row,
			 const struct ynode *node, void *base)
{
	struct spec_limit *to = (void *)((char *)base + row->offset), v;

	if (node->kind != YNODE_MAP) {
		decode_scalar(d, row, node, base);
		return;
	}
	for (size_t i = 0; i < node->n; i++) {
		const struct ynode *key = node->items[i].key;

		if (strcmp(key->text, "soft") != 0 && strcmp(key->text, "hard") != 0)
			manifest_value_add(d, key, "known keys are soft, hard",
					   "%s.%s: unknown key", manifest_value_shown(d),
					   key->text);
	}
	v.soft = limit_side(d, row, node, "soft");
	v.hard = limit_side(d, row, node, "hard");
	if (v.soft == SPEC_UNSET || v.hard == SPEC_UNSET)
		return;
	if (v.soft > v.hard)
		manifest_value_add(d, yamltree_get(node, "soft"), NULL,
				   "%s.soft: the soft limit (%s) is above the hard one (%s)",
				   manifest_value_shown(d), yamltree_get(node, "soft")->text,
				   yamltree_get(node, "hard")->text);
	else
		*to = v;
}

static void decode_tree(struct manifest_decoder *d, const struct schema_row *row,
			const struct ynode *node, void *base)
{
	char **to = (char **)(void *)((char *)base + row->offset);
	struct buf json = {0};

	if (node->kind != YNODE_MAP) {
		manifest_value_wrong_kind(d, row, node, NULL);
		return;
	}
	schema_tree_json(node, &json);
	d->errors->nomem |= json.failed;
	mem_free(*to);
	*to = buf_take(&json);
}

void manifest_value_decode(struct manifest_decoder *d, const struct schema_row *row,
			   const struct ynode *node, void *base)
{
	if (row->type == SCHEMA_LIST)
		decode_list(d, row, node, base);
	else if (row->type == SCHEMA_MAP)
		decode_map(d, row, node, base);
	else if (row->type == SCHEMA_INTS)
		decode_ints(d, row, node, base);
	else if (row->type == SCHEMA_LIMIT)
		decode_limit(d, row, node, base);
	else if (row->type == SCHEMA_TREE)
		decode_tree(d, row, node, base);
	else
		decode_scalar(d, row, node, base);
}
