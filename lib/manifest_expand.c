/*
 * manifest_expand: ${NAME} in commands and variables. A lone "$" means itself, so that
 * [sh, -c, "echo $HOME"] does what it says.
 */
/* SPDX-License-Identifier: MIT */
#include "lib/manifest.h"

#include <inttypes.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/err.h"
#include "lib/mem.h"
#include "lib/schema_hint.h"

struct expansion {
	const struct expand_vars *vars; /* NULL: only check */
	bool has_port;
	struct buf *out;
};

/* The value of NAME in "NAME=value"..., or NULL. */
static const char *find_variable(char *const *environ, const char *name, size_t len)
{
	for (size_t i = 0; environ && environ[i]; i++)
		if (strncmp(environ[i], name, len) == 0 && environ[i][len] == '=')
			return environ[i] + len + 1;
	return NULL;
}

static int expand_env(const struct expansion *x, const char *name, size_t len, struct err **reterr)
{
	const char *value;

	if (len == 0)
		return err_set(reterr, ERR_INVALID, "${env:} lacks a variable's name");
	if (!x->vars)
		return 0;
	value = find_variable(x->vars->environ, name, len);
	if (!value)
		return err_set(reterr, ERR_INVALID, "${env:%.*s}: this variable is not set",
			       (int)len, name);
	buf_str(x->out, value);
	return 0;
}

static int unknown_name(const char *name, size_t len, struct err **reterr)
{
	_cleanup_free_ char *copy = mem_strndup(name, len);
	const char *near;
	size_t near_len = 0;

	if (!copy)
		return err_nomem(reterr);
	if (err_set(reterr, ERR_INVALID, "${%.60s} is not known", copy) == -ERR_NOMEM)
		return -ERR_NOMEM;
	near = schema_hint_nearest("PORT|REPLICA|SERVICE|REVISION", copy, &near_len);
	if (near)
		return err_hint(reterr, "did you mean ${%.*s}?", (int)near_len, near);
	return err_hint(reterr, "known are ${PORT}, ${REPLICA}, ${SERVICE}, ${REVISION} and "
				"${env:NAME}; $${ is a literal ${");
}

static bool is_name(const char *name, size_t len, const char *want)
{
	return strlen(want) == len && memcmp(name, want, len) == 0;
}

static int expand_port(const struct expansion *x, struct err **reterr)
{
	if (!x->has_port) {
		err_set(reterr, ERR_INVALID, "${PORT}: the service has no port");
		return err_hint(reterr, "give the service a port: each replica then gets its own");
	}
	if (x->vars)
		buf_printf(x->out, "%u", x->vars->port);
	return 0;
}

/* What stands between "${" and "}". */
static int expand_name(const struct expansion *x, const char *name, size_t len, struct err **reterr)
{
	if (is_name(name, len, "PORT"))
		return expand_port(x, reterr);
	if (len >= 4 && memcmp(name, "env:", 4) == 0)
		return expand_env(x, name + 4, len - 4, reterr);
	if (len >= 7 && memcmp(name, "secret:", 7) == 0)
		return err_set(reterr, ERR_INVALID,
			       "${secret:...} is not supported yet in this version");
	if (!is_name(name, len, "REPLICA") && !is_name(name, len, "SERVICE") &&
	    !is_name(name, len, "REVISION"))
		return unknown_name(name, len, reterr);
	if (!x->vars)
		return 0;
	if (is_name(name, len, "SERVICE"))
		buf_str(x->out, x->vars->service);
	else if (is_name(name, len, "REPLICA"))
		buf_printf(x->out, "%u", x->vars->replica);
	else
		buf_printf(x->out, "%" PRIu64, x->vars->revision);
	return 0;
}

static int expand(const struct expansion *x, const char *text, struct err **reterr)
{
	const char *p = text;
	int r;

	while (*p) {
		size_t plain = strcspn(p, "$");

		buf_append(x->out, p, plain);
		p += plain;
		if (p[0] == '$' && p[1] == '{') {
			size_t len = strcspn(p + 2, "}");

			if (!p[2 + len])
				return err_set(reterr, ERR_INVALID, "\"${\" without \"}\"");
			r = expand_name(x, p + 2, len, reterr);
			if (r < 0)
				return r;
			p += len + 3;
		} else if (p[0] == '$') {
			buf_char(x->out, '$');
			p += p[1] == '$' ? 2 : 1;
		}
	}
	return x->out->failed ? err_nomem(reterr) : 0;
}

int manifest_expand(const char *text, const struct expand_vars *vars, char **ret,
		    struct err **reterr)
{
	_cleanup_buf_ struct buf out = {0};
	struct expansion x = {.vars = vars, .has_port = vars->port != 0, .out = &out};
	char *s;
	int r = expand(&x, text, reterr);

	if (r < 0)
		return r;
	s = buf_take(&out);
	if (!s)
		return err_nomem(reterr);
	*ret = s;
	return 0;
}

int manifest_expand_check(const char *text, bool has_port, struct err **reterr)
{
	_cleanup_buf_ struct buf out = {0};
	struct expansion x = {.has_port = has_port, .out = &out};

	return expand(&x, text, reterr);
}
