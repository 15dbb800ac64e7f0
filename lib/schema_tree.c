/* schema_tree: see schema_tree.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/schema_tree.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/buf.h"
#include "lib/mem.h"
#include "lib/yamltree.h"

#define DIGITS "0123456789"

static bool skip_digits(const char **p)
{
	size_t n = strspn(*p, DIGITS);

	*p += n;
	return n > 0;
}

/* As RFC 8259 writes them: no leading zeros, no sign but "-", digits on both sides of the dot. */
static bool is_number(const char *p)
{
	p += *p == '-';
	if (p[0] == '0' && p[1] >= '0' && p[1] <= '9')
		return false;
	if (!skip_digits(&p))
		return false;
	if (*p == '.') {
		p++;
		if (!skip_digits(&p))
			return false;
	}
	if (*p == 'e' || *p == 'E') {
		p++;
		p += *p == '-' || *p == '+';
		if (!skip_digits(&p))
			return false;
	}
	return !*p;
}

static bool is_raw(unsigned code)
{
	if (code == '"' || code == '\\' || code < 0x20 || (code >= 0x7f && code < 0xa0))
		return false;
	return code != 0x2028 && code != 0x2029 && code != 0xfeff && code != 0xfffe &&
	       code != 0xffff;
}

static void write_string(struct buf *out, const char *text)
{
	const char *end = text + strlen(text);
	unsigned code;

	buf_char(out, '"');
	while (text < end) {
		size_t n = yamltree_utf8(text, end, &code);

		if (n == 0) {
			buf_str(out, "\\ufffd");
			n = 1;
		} else if (is_raw(code)) {
			buf_append(out, text, n);
		} else if (code == '"' || code == '\\') {
			buf_printf(out, "\\%c", (char)code);
		} else {
			buf_printf(out, "\\u%04x", code);
		}
		text += n;
	}
	buf_char(out, '"');
}

static void write_scalar(struct buf *out, const struct ynode *node)
{
	if (yamltree_is_null(node))
		buf_str(out, "null");
	else if (!node->quoted && strcasecmp(node->text, "true") == 0)
		buf_str(out, "true");
	else if (!node->quoted && strcasecmp(node->text, "false") == 0)
		buf_str(out, "false");
	else if (!node->quoted && is_number(node->text))
		buf_str(out, node->text);
	else
		write_string(out, node->text);
}

static int by_key(const void *a, const void *b)
{
	const struct yitem *const *x = a, *const *y = b;

	return strcmp((*x)->key->text, (*y)->key->text);
}

static void write_map(struct buf *out, const struct ynode *node)
{
	const struct yitem **items = mem_array(node->n + 1, sizeof(const struct yitem *));

	if (!items) {
		out->failed = true;
		return;
	}
	for (size_t i = 0; i < node->n; i++)
		items[i] = &node->items[i];
	qsort(items, node->n, sizeof(const struct yitem *), by_key);
	buf_char(out, '{');
	for (size_t i = 0; i < node->n; i++) {
		buf_str(out, i ? "," : "");
		write_string(out, items[i]->key->text);
		buf_char(out, ':');
		schema_tree_json(items[i]->value, out);
	}
	buf_char(out, '}');
	mem_free(items);
}

void schema_tree_json(const struct ynode *node, struct buf *out) /* as deep as the tree may be */
{
	switch (node->kind) {
	case YNODE_SCALAR:
		write_scalar(out, node);
		return;
	case YNODE_MAP:
		write_map(out, node);
		return;
	case YNODE_LIST:
	default:
		buf_char(out, '[');
		for (size_t i = 0; i < node->n; i++) {
			buf_str(out, i ? "," : "");
			schema_tree_json(node->items[i].value, out);
		}
		buf_char(out, ']');
	}
}
