/* env_file: see env_file.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/env_file.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/manifest_errors.h"
#include "lib/mem.h"
#include "lib/yamltree.h"

struct reader {
	const char *path, *p, *end;
	unsigned line;
	size_t n; /* variables */
	struct env_file_list *to;
	const struct env_file_log *log;
};

static void add(const struct reader *r, struct manifest_errors *to, unsigned line, const char *what)
{
	struct manifest_place at = {r->path, line, 1};

	manifest_errors_add(to, &at, r->log->hint, "%s", what);
}

static bool fail(const struct reader *r, const char *what)
{
	add(r, r->log->errors, r->line, what);
	return false;
}

static bool at_end(const struct reader *r)
{
	return r->p == r->end || *r->p == '\n' ||
	       (*r->p == '\r' && r->p + 1 < r->end && r->p[1] == '\n');
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static void skip_blanks(struct reader *r)
{
	while (r->p < r->end && is_blank(*r->p))
		r->p++;
}

static void skip_line(struct reader *r)
{
	const char *nl = memchr(r->p, '\n', (size_t)(r->end - r->p));

	r->p = nl ? nl + 1 : r->end;
	r->line++;
}

/* A value's byte; what a manifest would replace is written so that it stays. */
static void put(struct buf *out, char c)
{
	buf_str(out, c == '$' ? "$" : "");
	buf_char(out, c);
}

static char unescape(char c)
{
	static const char from[] = "nrt\\\"$", to[] = "\n\r\t\\\"$";
	const char *at = c ? strchr(from, c) : NULL;

	return at ? to[at - from] : '\0';
}

static bool read_quoted(struct reader *r, struct buf *out)
{
	char quote = *r->p++, special;
	unsigned first = r->line;

	for (; r->p < r->end && *r->p != quote; r->p++) {
		special = quote == '"' && *r->p == '\\' && r->p + 1 < r->end ? unescape(r->p[1])
									     : '\0';
		if (special)
			r->p++;
		if (*r->p == '\r' && r->p + 1 < r->end && r->p[1] == '\n')
			continue;
		r->line += !special && *r->p == '\n';
		put(out, special ? special : *r->p);
	}
	if (r->p == r->end) {
		r->line = first;
		return fail(r, "the quotes are not closed");
	}
	r->p++;
	skip_blanks(r);
	if (!at_end(r) && *r->p != '#')
		return fail(r, "something stands behind the closing quote");
	return true;
}

static void read_unquoted(struct reader *r, struct buf *out)
{
	const char *from = r->p, *to;

	while (!at_end(r) && !(*r->p == '#' && is_blank(r->p[-1]))) /* at least "=" precedes */
		r->p++;
	to = r->p;
	while (to > from && is_blank(to[-1]))
		to--;
	while (from < to)
		put(out, *from++);
}

/* Variables that are ours to set. */
static const char *reserved(const char *assignment)
{
	if (strncmp(assignment, "PORT=", 5) == 0)
		return "PORT is set by aictl itself, this line is ignored";
	if (strncmp(assignment, "AICTL_", 6) == 0)
		return "AICTL_... is set by aictl itself, this line is ignored";
	return NULL;
}

static bool keep(struct reader *r, struct buf *assignment, unsigned line)
{
	struct env_file_list *to = r->to;
	char *text = buf_take(assignment);
	const char *ours = text ? reserved(text) : NULL;

	if (ours) {
		add(r, r->log->warnings, line, ours);
		mem_free(text);
		return true;
	}
	if (!text || mem_grow(&to->v, &to->cap, to->n + 1, sizeof(*to->v)) < 0) {
		mem_free(text);
		r->log->errors->nomem = true;
		return false;
	}
	to->v[to->n++] = text;
	return true;
}

static void skip_export(struct reader *r)
{
	static const char word[] = "export";
	size_t len = strlen(word);

	if ((size_t)(r->end - r->p) <= len || memcmp(r->p, word, len) != 0 || !is_blank(r->p[len]))
		return;
	r->p += len;
	skip_blanks(r);
}

/* NAME=value from r->p on, which is no blank line. false: an error was added. */
static bool read_variable(struct reader *r)
{
	_cleanup_buf_ struct buf out = {0};
	unsigned line = r->line;
	const char *name, *end;

	skip_export(r);
	name = r->p;
	while (r->p < r->end && (*r->p == '_' || isalnum((unsigned char)*r->p)))
		r->p++;
	end = r->p;
	skip_blanks(r);
	if (end == name || isdigit((unsigned char)*name) || r->p == r->end || *r->p != '=')
		return fail(r, "expected NAME=value, a comment or nothing");
	if (++r->n > ENV_FILE_VARIABLES_MAX)
		return fail(r, "more than 4096 variables");
	r->p++;
	buf_append(&out, name, (size_t)(end - name));
	buf_char(&out, '=');
	skip_blanks(r);
	if (r->p < r->end && (*r->p == '"' || *r->p == '\'')) {
		if (!read_quoted(r, &out))
			return false;
	} else {
		read_unquoted(r, &out);
	}
	return keep(r, &out, line);
}

/* The first byte that no variable can hold. */
static bool check_bytes(struct reader *r)
{
	unsigned code;
	size_t len;

	for (const char *p = r->p; p < r->end; p += len) {
		len = yamltree_utf8(p, r->end, &code);
		if (len == 0 || *p == '\0')
			return fail(r, len ? "a NUL byte is not allowed" : "not UTF-8");
		r->line += *p == '\n';
	}
	r->line = 1;
	return true;
}

void env_file_parse(const char *path, const char *data, size_t len, struct env_file_list *to,
		    const struct env_file_log *log)
{
	struct reader r = {
		.path = path, .p = data, .end = data + len, .line = 1, .to = to, .log = log};
	bool more = check_bytes(&r);

	if (len >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0)
		r.p += 3; /* an editor's byte-order mark */
	while (more && r.p < r.end) {
		skip_blanks(&r);
		if (!at_end(&r) && *r.p != '#' && !read_variable(&r))
			more = !log->errors->nomem && r.n <= ENV_FILE_VARIABLES_MAX &&
			       !log->errors->more;
		skip_line(&r);
	}
}

void env_file_done(struct env_file_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		mem_free(l->v[i]);
	mem_free(l->v);
	*l = (struct env_file_list){0};
}
