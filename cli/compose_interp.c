/* compose_interp: see compose_interp.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/compose_interp.h"

#include <ctype.h>
#include <string.h>

#include "cli/compose_env.h"
#include "cli/x.h"
#include "lib/buf.h"
#include "lib/manifest_errors.h"
#include "lib/mem.h"
#include "lib/yamltree.h"

#define DEPTH_MAX 16

/* The expression under way: "NAME", then what is said for the case that there is (not) one. */
struct expression {
	char *name;
	char operator; /* '-', '?', '+', or NUL */
	bool colon;    /* an empty one counts as none */
};

static bool expand(struct compose_interp *in, const char *p, const char *end, unsigned depth,
		   struct buf *out);

static bool fail(struct compose_interp *in, char *why)
{
	mem_free(in->error);
	in->error = why;
	return false;
}

static void tell(struct compose_interp *in, const char *name, const char *value)
{
	if (in->used)
		in->used(in->user, in->at, name, value);
}

static size_t name_length(const char *p, const char *end)
{
	size_t n = 0;

	if (p < end && isdigit((unsigned char)*p))
		return 0;
	while (p + n < end && (p[n] == '_' || isalnum((unsigned char)p[n])))
		n++;
	return n;
}

/* The "}" that closes what p stands in, or NULL. */
static const char *find_close(const char *p, const char *end)
{
	for (unsigned open = 0; p < end; p++) {
		if (p[0] == '$' && p + 1 < end && p[1] == '$')
			p++;
		else if (p[0] == '$' && p + 1 < end && p[1] == '{')
			open++, p++;
		else if (*p == '}' && open-- == 0)
			return p;
	}
	return NULL;
}

static bool put(struct compose_interp *in, const char *name, const char *value, struct buf *out)
{
	tell(in, name, value);
	buf_str(out, value ? value : "");
	return true;
}

/* text to end: behind the operator. */
static bool apply(struct compose_interp *in, const struct expression *e, const char *text,
		  const char *end, unsigned depth, struct buf *out)
{
	const char *value = compose_env_get(in->env, e->name);
	_cleanup_buf_ struct buf said = {0};
	bool there = value && !(e->colon && value[0] == '\0');

	if (e->operator== '+')
		return there ? expand(in, text, end, depth + 1, out) : true;
	if (there || !e->operator)
		return put(in, e->name, value, out);
	if (e->operator== '-')
		return expand(in, text, end, depth + 1, out);
	if (!expand(in, text, end, depth + 1, &said))
		return false;
	in->missing = true;
	return fail(in, x_printf("${%s} is needed and not set%s%s", e->name, said.len ? ": " : "",
				 buf_cstr(&said)));
}

/* *p: behind "${". Moves behind the "}". */
static bool braces(struct compose_interp *in, const char **p, const char *end, unsigned depth,
		   struct buf *out)
{
	const char *close = find_close(*p, end), *at;
	_cleanup_free_ char *name = NULL;
	struct expression e = {0};
	size_t n = close ? name_length(*p, close) : 0;

	if (!close)
		return fail(in, x_strdup("\"${\" without \"}\""));
	at = *p + n;
	e.colon = at < close && *at == ':';
	at += e.colon;
	e.operator= at<close ? *at++ : '\0';
	if (n == 0 || (e.colon && !e.operator) || (e.operator&& !strchr("-?+", e.operator)))
		return fail(in, x_printf("${%.*s} is not a variable", (int)(close - *p), *p));
	e.name = name = x_strndup(*p, n);
	*p = close + 1;
	return apply(in, &e, at, close, depth, out);
}

/* *p: behind "$". */
static bool dollar(struct compose_interp *in, const char **p, const char *end, unsigned depth,
		   struct buf *out)
{
	_cleanup_free_ char *name = NULL;
	size_t n = name_length(*p, end);

	if (*p < end && (**p == '$' || **p == '{')) {
		(*p)++;
		if ((*p)[-1] == '{')
			return braces(in, p, end, depth, out);
		buf_char(out, '$');
		return true;
	}
	if (n == 0 && !in->lax)
		return fail(in, x_strdup("a \"$\" that begins no variable"));
	if (n == 0) {
		buf_char(out, '$');
		return true;
	}
	name = x_strndup(*p, n);
	*p += n;
	return put(in, name, compose_env_get(in->env, name), out);
}

static bool expand(struct compose_interp *in, const char *p, const char *end, unsigned depth,
		   struct buf *out)
{
	if (depth > DEPTH_MAX)
		return fail(in, x_strdup("${...} nested more than 16 levels deep"));
	while (p < end) {
		const char *next = memchr(p, '$', (size_t)(end - p));

		buf_append(out, p, (size_t)((next ? next : end) - p));
		p = next ? next + 1 : end;
		if (next && !dollar(in, &p, end, depth, out))
			return false;
	}
	return true;
}

bool compose_interp_text(struct compose_interp *in, const char *text, struct buf *out)
{
	return expand(in, text, text + strlen(text), 0, out);
}

static const struct ynode *scalar(struct compose_interp *in, const struct ynode *node)
{
	struct manifest_place at = {node->file, node->line, node->column};
	_cleanup_buf_ struct buf out = {0};
	struct ynode *copy;

	if (!strchr(node->text, '$'))
		return node;
	in->at = node;
	in->missing = false;
	if (!compose_interp_text(in, node->text, &out)) {
		manifest_errors_add(in->errors, &at,
				    in->missing ? "set it in the shell or in .env"
						: "a dollar is written as $$",
				    "%s", in->error);
		fail(in, NULL);
		return node;
	}
	copy = x_check(yamltree_new_text(in->tree, node, buf_cstr(&out)));
	copy->quoted = true; /* an empty one is text, too */
	copy->tag = node->tag;
	return copy;
}

const struct ynode *compose_interp_tree(struct compose_interp *in, const struct ynode *node)
{
	struct ynode *copy = NULL;

	if (node->kind == YNODE_SCALAR)
		return scalar(in, node);
	for (size_t i = 0; i < node->n; i++) {
		const struct ynode *value = compose_interp_tree(in, node->items[i].value);

		if (value == node->items[i].value)
			continue;
		if (!copy) {
			copy = x_check(yamltree_new_map(in->tree, node, node->n));
			copy->kind = node->kind;
			copy->tag = node->tag;
			copy->n = node->n;
			memcpy(copy->items, node->items, node->n * sizeof(*node->items));
		}
		copy->items[i].value = value;
	}
	return copy ? copy : node;
}
