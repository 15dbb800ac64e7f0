/* compose_env: see compose_env.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/compose_env.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "cli/compose_interp.h"
#include "cli/x.h"
#include "lib/buf.h"
#include "lib/manifest_errors.h"
#include "lib/mem.h"

struct reader {
	struct compose_env *env;
	const char *path, *p, *end;
	unsigned line;
	struct manifest_errors *errors;
};

const char *compose_env_file_value(const struct compose_env *e, const char *name)
{
	const char *value = e->parent ? compose_env_file_value(e->parent, name) : NULL;

	for (size_t i = e->n; !value && i-- > 0;)
		if (strcmp(e->v[i].name, name) == 0)
			value = e->v[i].value;
	return value;
}

const char *compose_env_get(const struct compose_env *e, const char *name)
{
	const struct compose_env *top = e;
	const char *value;

	while (top->parent)
		top = top->parent;
	value = top->shell ? top->shell(name) : NULL;
	return value ? value : compose_env_file_value(e, name);
}

static bool fail(const struct reader *r, const char *what)
{
	struct manifest_place at = {r->path, r->line, 1};

	manifest_errors_add(r->errors, &at, NULL, "%s", what);
	return false;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static void skip_blanks(struct reader *r)
{
	while (r->p < r->end && is_blank(*r->p))
		r->p++;
}

static void skip_line(struct reader *r)
{
	while (r->p < r->end && *r->p != '\n')
		r->p++;
	r->p += r->p < r->end;
	r->line++;
}

static char unescape(char c)
{
	static const char from[] = "nrt\\\"", to[] = "\n\r\t\\\"";
	const char *at = c ? strchr(from, c) : NULL;

	return at ? to[at - from] : '\0';
}

/* What stands between quotes; an escaped dollar comes out as "$$", for the replacing. */
static bool read_quoted(struct reader *r, struct buf *out)
{
	char quote = *r->p++, c;
	unsigned first = r->line;

	for (; r->p < r->end && *r->p != quote; r->p++) {
		bool escape = quote == '"' && *r->p == '\\' && r->p + 1 < r->end;

		c = escape ? unescape(r->p[1]) : '\0';
		if (escape && r->p[1] == '$') {
			buf_str(out, "$$");
			r->p++;
			continue;
		}
		r->p += c != '\0';
		r->line += !c && *r->p == '\n';
		buf_char(out, c ? c : *r->p);
	}
	if (r->p < r->end) {
		r->p++;
		return true;
	}
	r->line = first;
	return fail(r, "the quotes are not closed");
}

static void read_unquoted(struct reader *r, struct buf *out)
{
	const char *from = r->p, *to;

	while (r->p < r->end && *r->p != '\n' && !(*r->p == '#' && is_blank(r->p[-1])))
		r->p++;
	to = r->p;
	while (to > from && is_blank(to[-1]))
		to--;
	buf_append(out, from, (size_t)(to - from));
}

static void keep(struct compose_env *e, char *name, char *value)
{
	x_grow(&e->v, &e->cap, e->n + 1, sizeof(*e->v));
	e->v[e->n++] = (struct compose_variable){name, value};
}

static bool read_value(struct reader *r, struct buf *out)
{
	_cleanup_buf_ struct buf raw = {0};
	struct compose_interp in = {.env = r->env, .lax = true};
	bool single = false, ok = true;

	skip_blanks(r);
	if (r->p < r->end && (*r->p == '"' || *r->p == '\'')) {
		single = *r->p == '\'';
		ok = read_quoted(r, &raw);
	} else {
		read_unquoted(r, &raw);
	}
	if (!ok)
		return false;
	if (single)
		buf_str(out, buf_cstr(&raw));
	else if (!compose_interp_text(&in, buf_cstr(&raw), out))
		ok = fail(r, in.error);
	mem_free(in.error);
	return ok;
}

static void skip_export(struct reader *r)
{
	static const char word[] = "export";
	size_t len = strlen(word);

	if ((size_t)(r->end - r->p) > len && memcmp(r->p, word, len) == 0 && is_blank(r->p[len])) {
		r->p += len;
		skip_blanks(r);
	}
}

static bool is_name(char c)
{
	return c == '_' || c == '.' || c == '-' || isalnum((unsigned char)c);
}

static bool read_variable(struct reader *r)
{
	_cleanup_buf_ struct buf value = {0};
	const char *name, *end;

	skip_export(r);
	name = r->p;
	while (r->p < r->end && is_name(*r->p))
		r->p++;
	end = r->p;
	skip_blanks(r);
	if (end == name)
		return fail(r, "expected NAME=value, a comment or nothing");
	if (r->p == r->end || *r->p == '\n' || *r->p == '#')
		return true;
	if (*r->p != '=' && *r->p != ':')
		return fail(r, "expected NAME=value, a comment or nothing");
	r->p++;
	if (!read_value(r, &value))
		return false;
	keep(r->env, x_strndup(name, (size_t)(end - name)), x_strdup(buf_cstr(&value)));
	return true;
}

void compose_env_parse(struct compose_env *e, const char *path, const char *text, size_t len,
		       struct manifest_errors *errors)
{
	struct reader r = {e, path, text, text + len, 1, errors};

	if (memchr(text, '\0', len)) {
		fail(&r, "a NUL byte is not allowed");
		return;
	}
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		r.p += 3; /* an editor's byte-order mark */
	while (r.p < r.end && !errors->more) {
		skip_blanks(&r);
		if (r.p < r.end && *r.p != '\n' && *r.p != '#')
			read_variable(&r);
		skip_line(&r);
	}
}

void compose_env_done(struct compose_env *e)
{
	for (size_t i = 0; i < e->n; i++) {
		mem_free(e->v[i].name);
		mem_free(e->v[i].value);
	}
	mem_free(e->v);
	e->v = NULL;
	e->n = e->cap = 0;
}
