/*
 * yaml_out: see yaml_out.h. The text is parsed once as JSON (js_parse) to know that it is sound;
 * the walk below then follows the text itself, because a tree of doubles would lose digits.
 */
/* SPDX-License-Identifier: MIT */
#include "cli/yaml_out.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "cli/js.h"
#include "cli/x.h"
#include "lib/buf.h"
#include "lib/mem.h"
#include "lib/yamltree.h"

#define DEPTH_MAX 64
#define KEY_MAX 1000 /* YAML: a longer key needs "? " before it */

struct walk {
	const char *p, *end;
	struct buf *out;
};

static void skip_space(struct walk *w)
{
	while (w->p < w->end && *w->p && strchr(" \t\r\n", *w->p))
		w->p++;
}

/* The next character that counts, or NUL. */
static char peek(struct walk *w)
{
	skip_space(w);
	return w->p < w->end ? *w->p : '\0';
}

static bool take(struct walk *w, char c)
{
	if (peek(w) != c)
		return false;
	w->p++;
	return true;
}

static void indent(struct buf *out, int depth)
{
	for (int i = 0; i < depth; i++)
		buf_str(out, "  ");
}

/* ---- scalars ---- */

/* What some reader takes for null, a boolean or a merge. */
static bool is_word(const char *s)
{
	static const char *const words[] = {"null", "true", "false", "yes", "no",  "on",
					    "off",  "y",    "n",     "inf", "nan", "infinity"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcasecmp(words[i], s) == 0)
			return true;
	}
	return false;
}

/* Letters first, then letters, digits and marks that mean nothing inside a plain scalar. */
static bool is_plain(const char *s)
{
	if (!isascii(*s) || (!isalpha((unsigned char)*s) && *s != '/' && *s != '_') || is_word(s))
		return false;
	for (const char *p = s; *p; p++) {
		if (isascii(*p) && isalnum((unsigned char)*p))
			continue;
		if (strchr("/_.@%+=-", *p))
			continue;
		if ((*p == ' ' || *p == '(' || *p == ')' || *p == ';' || *p == ',') && p[1] &&
		    p[1] != '#')
			continue;
		if (*p == ':' && p[1] && p[1] != ' ')
			continue;
		if (*p == ')')
			continue;
		return false;
	}
	return s[strlen(s) - 1] != ' ';
}

/* Characters that YAML allows as they are and that do nothing to a terminal. */
static bool is_printable(unsigned code)
{
	return code >= 0x20 && code != 0x7f && !(code >= 0x80 && code < 0xa0) && code != 0xfeff &&
	       code != 0x2028 && code != 0x2029 && !(code >= 0xd800 && code < 0xe000) &&
	       !(code >= 0x200e && code <= 0x200f) && !(code >= 0x202a && code <= 0x202e) &&
	       !(code >= 0x2066 && code <= 0x2069) && (code & 0xfffe) != 0xfffe;
}

static void put_escape(struct buf *out, unsigned code)
{
	switch (code) {
	case '"':
		buf_str(out, "\\\"");
		break;
	case '\\':
		buf_str(out, "\\\\");
		break;
	case '\n':
		buf_str(out, "\\n");
		break;
	case '\t':
		buf_str(out, "\\t");
		break;
	default:
		buf_printf(out,
			   code < 0x100	    ? "\\x%02x"
			   : code < 0x10000 ? "\\u%04x"
					    : "\\U%08x",
			   code);
	}
}

static void put_quoted(struct buf *out, const char *s)
{
	const char *end = s + strlen(s);

	buf_char(out, '"');
	while (s < end) {
		unsigned code = 0;
		size_t n = yamltree_utf8(s, end, &code);

		if (n == 0)
			n = 1, buf_str(out, "\xef\xbf\xbd");
		else if (code == '"' || code == '\\' || !is_printable(code))
			put_escape(out, code);
		else
			buf_append(out, s, n);
		s += n;
	}
	buf_char(out, '"');
}

void yaml_out_scalar(const char *s, struct buf *out)
{
	if (is_plain(s))
		buf_str(out, s);
	else
		put_quoted(out, s);
}

void yaml_out_flow(const char *s, struct buf *out)
{
	if (is_plain(s) && !strpbrk(s, ",[]{}"))
		buf_str(out, s);
	else
		put_quoted(out, s);
}

/* Several lines that a literal block gives back exactly: no blank first, none before a line's end. */
static bool is_block(const char *s)
{
	const char *end = s + strlen(s);
	bool lines = false;

	for (const char *p = s; p < end;) {
		unsigned code = 0;
		size_t n = yamltree_utf8(p, end, &code);
		bool start = p == s || p[-1] == '\n';

		if (n == 0 || (code != '\n' && !is_printable(code)))
			return false;
		if (code == ' ' && (p == s || p[1] == '\n' || !p[1]))
			return false;
		if (code == '\n') {
			if (start && (p == s || !p[1])) /* an empty line first or last */
				return false;
			lines |= p[1] != '\0';
		}
		p += n;
	}
	return lines;
}

static void put_block(struct buf *out, const char *s, int depth)
{
	buf_str(out, s[strlen(s) - 1] == '\n' ? "|\n" : "|-\n");
	while (*s) {
		size_t n = strcspn(s, "\n");

		if (n)
			indent(out, depth);
		buf_append(out, s, n);
		buf_char(out, '\n');
		s += n + (s[n] == '\n');
	}
}

bool yaml_out_block(const char *s, int depth, struct buf *out)
{
	if (!is_block(s))
		return false;
	put_block(out, s, depth);
	return true;
}

/* ---- the walk ---- */

static const char *skip_string(struct walk *w)
{
	const char *start = w->p++;

	while (w->p < w->end && *w->p != '"')
		w->p += *w->p == '\\' && w->p + 1 < w->end ? 2 : 1;
	w->p += w->p < w->end;
	return start;
}

/* A JSON string without its escapes. Caller frees. */
static char *string(struct walk *w)
{
	const char *start = skip_string(w);
	_cleanup_free_ char *quoted = x_strndup(start, (size_t)(w->p - start));
	_cleanup_js_ cJSON *o = js_parse(quoted, strlen(quoted));

	return x_strdup(cJSON_IsString(o) ? o->valuestring : "");
}

/* A number or word, as it stands. */
static void word(struct walk *w)
{
	const char *start = w->p;

	while (w->p < w->end && *w->p && !strchr(",:]} \t\r\n", *w->p))
		w->p++;
	w->p += w->p == start;
	buf_append(w->out, start, (size_t)(w->p - start));
}

/* Too deep: JSON is YAML too. */
static void raw(struct walk *w)
{
	const char *start = w->p;
	int open = 0;

	do {
		if (*w->p == '"') {
			skip_string(w);
			continue;
		}
		open += *w->p == '[' || *w->p == '{';
		open -= *w->p == ']' || *w->p == '}';
		w->p++;
	} while (w->p < w->end && open > 0);
	buf_append(w->out, start, (size_t)(w->p - start));
	buf_char(w->out, '\n');
}

static void value(struct walk *w, int depth, bool in_list);

static void key(struct walk *w)
{
	_cleanup_free_ char *name = string(w);
	bool is_long = strlen(name) > KEY_MAX;

	buf_str(w->out, is_long ? "? " : "");
	yaml_out_scalar(name, w->out);
	if (is_long)
		buf_char(w->out, '\n');
}

static void map(struct walk *w, int depth, bool in_list)
{
	bool first = true;

	do {
		size_t from;

		if (peek(w) != '"')
			return;
		if (!first || !in_list)
			indent(w->out, depth);
		first = false;
		from = w->out->len;
		key(w);
		if (w->out->len > from && w->out->data[w->out->len - 1] == '\n')
			indent(w->out, depth);
		buf_char(w->out, ':');
		if (!take(w, ':'))
			return;
		value(w, depth + 1, false);
	} while (take(w, ','));
	take(w, '}');
}

static void list(struct walk *w, int depth, bool in_list)
{
	bool first = true;

	do {
		if (!first || !in_list)
			indent(w->out, depth);
		first = false;
		buf_char(w->out, '-');
		value(w, depth + 1, true);
	} while (take(w, ','));
	take(w, ']');
}

static void scalar(struct walk *w, int depth)
{
	_cleanup_free_ char *s = NULL;

	if (*w->p != '"') {
		word(w);
		buf_char(w->out, '\n');
		return;
	}
	s = string(w);
	if (is_block(s)) {
		put_block(w->out, s, depth);
		return;
	}
	yaml_out_scalar(s, w->out);
	buf_char(w->out, '\n');
}

/* What follows "key:" or "-" (or nothing, at the top: depth 0), with its newline. */
static void value(struct walk *w, int depth, bool in_list)
{
	char c = peek(w);
	const char *blank = depth ? " " : "";
	bool is_map = c == '{';

	if (c != '{' && c != '[') {
		buf_str(w->out, blank);
		if (c)
			scalar(w, depth ? depth : 1);
		return;
	}
	if (depth >= DEPTH_MAX) {
		buf_str(w->out, blank);
		raw(w);
		return;
	}
	w->p++;
	if (take(w, is_map ? '}' : ']')) {
		buf_printf(w->out, "%s%s\n", blank, is_map ? "{}" : "[]");
		return;
	}
	buf_str(w->out, in_list ? " " : depth ? "\n" : "");
	(is_map ? map : list)(w, depth, in_list);
}

void yaml_out_json(const char *text, size_t len, struct buf *out)
{
	struct walk w = {.p = text, .end = text + len, .out = out};
	_cleanup_js_ cJSON *sound = js_parse(text, len);

	if (sound) {
		value(&w, 0, false);
		return;
	}
	put_quoted(out, text);
	buf_char(out, '\n');
}
