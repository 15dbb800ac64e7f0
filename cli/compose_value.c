/* compose_value: see compose_value.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/compose_value.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "cli/x.h"
#include "lib/buf.h"
#include "lib/mem.h"
#include "lib/parse.h"
#include "lib/yamltree.h"

void compose_value_add(struct compose_texts *t, const char *text, size_t len)
{
	x_grow(&t->v, &t->cap, t->n + 1, sizeof(*t->v));
	t->v[t->n++] = x_strndup(text, len);
}

void compose_value_done(struct compose_texts *t)
{
	for (size_t i = 0; i < t->n; i++)
		mem_free(t->v[i]);
	mem_free(t->v);
	*t = (struct compose_texts){0};
}

/* The number at *p, which is moved behind it. */
static bool number(const char **p, double *ret)
{
	size_t n = strspn(*p, "0123456789.");
	_cleanup_free_ char *digits = x_strndup(*p, n);
	const char *start = digits;

	while (start[0] == '0' && isdigit((unsigned char)start[1]))
		start++;
	*p += n;
	return n > 0 && n < 20 && parse_double(start, 0, 1e15, ret, NULL) == 0;
}

bool compose_value_duration(const char *text, int64_t *ret_ms)
{
	static const struct {
		const char *name;
		double ms;
	} units[] = {{"ns", 1e-6}, {"us", 1e-3},  {"ms", 1},	  {"s", 1000},
		     {"m", 60000}, {"h", 3600e3}, {"d", 86400e3}, {"w", 604800e3}};
	double sum = 0, value;
	const char *p = text;

	if (strcmp(text, "0") == 0) {
		*ret_ms = 0;
		return true;
	}
	while (*p) {
		size_t i = 0, n;

		if (!number(&p, &value))
			return false;
		n = strspn(p, "abcdefghijklmnopqrstuvwxyz");
		while (i < ARRAY_SIZE(units) &&
		       (strlen(units[i].name) != n || strncmp(units[i].name, p, n) != 0))
			i++;
		if (i == ARRAY_SIZE(units))
			return false;
		sum += value * units[i].ms;
		p += n;
	}
	if (p == text || sum > 1e15)
		return false;
	*ret_ms = (int64_t)(sum + 0.5);
	return true;
}

bool compose_value_size(const char *text, int64_t *ret)
{
	static const char units[] = "bkmgtp";
	const char *p = text, *unit;
	double value;

	if (!number(&p, &value))
		return false;
	while (*p == ' ')
		p++;
	unit = *p ? strchr(units, tolower((unsigned char)*p)) : units;
	if (!unit)
		return false;
	p += *p != '\0';
	if (unit > units && (*p == 'i' || *p == 'I') && (p[1] == 'b' || p[1] == 'B'))
		p++;
	if (unit > units && (*p == 'b' || *p == 'B'))
		p++;
	for (; unit > units; unit--)
		value *= 1024;
	if (*p || value > 9e18)
		return false;
	*ret = (int64_t)value;
	return true;
}

bool compose_value_thousandths(const char *text, int64_t *ret)
{
	const char *p = text;
	double value;

	if (!number(&p, &value) || *p || value > 1e9)
		return false;
	*ret = (int64_t)(value * 1000 + 0.5);
	return true;
}

bool compose_value_int(const char *text, int64_t min, int64_t max, int64_t *ret)
{
	return parse_i64(text, min, max, ret, NULL) == 0;
}

bool compose_value_bool(const char *text, bool *ret)
{
	static const char *const words[] = {"false", "true", "no", "yes", "off",
					    "on",    "n",    "y",  "0",	  "1"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcasecmp(words[i], text) != 0)
			continue;
		*ret = i % 2 == 1;
		return true;
	}
	return false;
}

/* One quoted piece; p: at its quote. NULL: it is not closed. */
static const char *quoted(const char *p, struct buf *out)
{
	char quote = *p++;

	for (; *p && *p != quote; p++) {
		if (quote == '"' && *p == '\\' && p[1] && strchr("\"\\$`", p[1]))
			p++;
		buf_char(out, *p);
	}
	return *p ? p + 1 : NULL;
}

bool compose_value_words(const char *text, struct compose_texts *ret)
{
	static const char blanks[] = " \t\r\n";
	const char *p = text + strspn(text, blanks);

	while (*p) {
		_cleanup_buf_ struct buf word = {0};

		while (p && *p && !strchr(blanks, *p)) {
			if (*p == '"' || *p == '\'') {
				p = quoted(p, &word);
				continue;
			}
			p += *p == '\\' && p[1];
			buf_char(&word, *p++);
		}
		if (!p)
			return false;
		compose_value_add(ret, buf_cstr(&word), word.len);
		p += strspn(p, blanks);
	}
	return true;
}

const char *compose_value_text(const struct ynode *node)
{
	return node && node->kind == YNODE_SCALAR && !yamltree_is_null(node) ? node->text : NULL;
}

const char *compose_value_get(const struct ynode *map, const char *key)
{
	return compose_value_text(yamltree_get(map, key));
}

bool compose_value_texts(const struct ynode *node, struct compose_texts *ret)
{
	if (node->kind == YNODE_SCALAR) {
		if (!yamltree_is_null(node))
			compose_value_add(ret, node->text, strlen(node->text));
		return true;
	}
	for (size_t i = 0; node->kind == YNODE_LIST && i < node->n; i++) {
		const struct ynode *item = node->items[i].value;

		if (item->kind != YNODE_SCALAR)
			return false;
		compose_value_add(ret, item->text, strlen(item->text));
	}
	return node->kind == YNODE_LIST;
}
