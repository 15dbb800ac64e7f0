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
	const struct expand_vars *vars;	 /* NULL: only check, */
	const struct service_spec *spec; /* for a replica of this */
	struct buf *out;
	size_t at;	  /* offset of the ${ being read */
	uint32_t sockets; /* the ports whose ${SOCKET} was met */
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

static size_t n_ports(const struct expansion *x)
{
	return x->vars ? x->vars->n_ports : x->spec->ports.n;
}

static const char *port_name(const struct expansion *x, size_t i)
{
	return x->vars ? x->vars->ports[i].name
		       : ((const struct port_spec *)x->spec->ports.v)[i].name;
}

/* "PORT|REPLICA|...|PORT_METRICS": caller frees; NULL when out of memory. */
static char *known_names(const struct expansion *x)
{
	char variable[MANIFEST_PORT_VARIABLE_SIZE];
	struct buf b = {0};

	buf_str(&b, "PORT|REPLICA|SERVICE|REVISION|SOCKET|LISTEN_FD");
	for (size_t i = 0; i < n_ports(x); i++)
		buf_printf(&b, "|%s",
			   manifest_port_variable(port_name(x, i), variable, sizeof(variable)));
	return buf_take(&b);
}

static int unknown_name(const struct expansion *x, const char *name, size_t len,
			struct err **reterr)
{
	_cleanup_free_ char *copy = mem_strndup(name, len), *names = known_names(x);
	const char *near;
	size_t near_len = 0;

	if (!copy || !names)
		return err_nomem(reterr);
	if (strncmp(copy, "PORT_", 5) == 0)
		err_set(reterr, ERR_INVALID, "${%.80s}: the service has no such port", copy);
	else
		err_set(reterr, ERR_INVALID, "${%.60s} is not known", copy);
	near = schema_hint_nearest(names, copy, &near_len);
	if (near)
		return err_hint(reterr, "did you mean ${%.*s}?", (int)near_len, near);
	if (strncmp(copy, "PORT_", 5) == 0)
		return err_hint(reterr, "${PORT_METRICS} is the port named metrics in ports");
	return err_hint(reterr,
			"known are ${PORT}, ${PORT_NAME}, ${SOCKET}, ${LISTEN_FD}, ${REPLICA}, "
			"${SERVICE}, ${REVISION}, ${env:NAME} and ${secret:NAME}; $${ is a "
			"literal ${");
}

static bool is_name(const char *name, size_t len, const char *want)
{
	return strlen(want) == len && memcmp(name, want, len) == 0;
}

static int expand_main_port(const struct expansion *x, struct err **reterr)
{
	bool known = x->vars ? x->vars->port != 0 : service_spec_main_port(x->spec) != NULL;

	if (!known && n_ports(x) > 0) {
		char variable[MANIFEST_PORT_VARIABLE_SIZE];

		err_set(reterr, ERR_INVALID, "${PORT}: none of the service's ports is named http");
		return err_hint(
			reterr, "write ${%s} or another of its ports",
			manifest_port_variable(port_name(x, 0), variable, sizeof(variable)));
	}
	if (!known) {
		err_set(reterr, ERR_INVALID, "${PORT}: the service has no port");
		return err_hint(reterr, "give the service a port: each replica then gets its own");
	}
	if (x->vars)
		buf_printf(x->out, "%u", x->vars->port);
	return 0;
}

/* ${PORT_NAME} of a port that exists: true and written, unless this replica lacks it. */
static bool expand_port(const struct expansion *x, const char *name, size_t len)
{
	char variable[MANIFEST_PORT_VARIABLE_SIZE];

	for (size_t i = 0; i < n_ports(x); i++) {
		manifest_port_variable(port_name(x, i), variable, sizeof(variable));
		if (!is_name(name, len, variable) || (x->vars && x->vars->ports[i].port == 0))
			continue;
		if (x->vars)
			buf_printf(x->out, "%u", x->vars->ports[i].port);
		return true;
	}
	return false;
}

/* ---- ${SOCKET}, ${LISTEN_FD}, and those of a name ---- */

#define LISTEN_FD "LISTEN_FD"
#define SOCKET "SOCKET"

static bool is_word(const char *name, size_t len, const char *word)
{
	size_t n = strlen(word);

	return len >= n && memcmp(name, word, n) == 0 && (len == n || name[n] == '_');
}

/* Of "WORD" the main one, of "WORD_METRICS" that; n_ports() = there is none. */
static size_t find_port(const struct expansion *x, const char *word, const char *name, size_t len)
{
	size_t n = n_ports(x), skip = strlen(word) + 1;
	char variable[MANIFEST_PORT_VARIABLE_SIZE];

	for (size_t i = 0; i < n; i++) {
		const char *port = port_name(x, i);

		if (len < skip ? n == 1 || strcmp(port, "http") == 0
			       : is_name(name + skip, len - skip,
					 manifest_port_variable(port, variable, sizeof(variable)) +
						 strlen("PORT_")))
			return i;
	}
	return n;
}

static bool is_handed(const struct expansion *x, size_t i)
{
	return x->vars ? x->vars->ports[i].listen_fd != 0
		       : ((const struct port_spec *)x->spec->ports.v)[i].mode == PORT_SOCKET;
}

static int no_such_port(const char *name, size_t len, struct err **reterr)
{
	err_set(reterr, ERR_INVALID, "${%.*s}: the service has no such port", (int)len, name);
	return err_hint(reterr,
			"${PORT}, ${SOCKET} and ${LISTEN_FD} are of the port named http, or of the "
			"only one; ${SOCKET_METRICS} is of the one named metrics");
}

static int expand_listen_fd(const struct expansion *x, const char *name, size_t len,
			    struct err **reterr)
{
	size_t i = find_port(x, LISTEN_FD, name, len);

	if (i == n_ports(x))
		return no_such_port(name, len, reterr);
	if (!is_handed(x, i)) {
		err_set(reterr, ERR_INVALID, "${%.*s}: no replica gets the socket of ports.%s",
			(int)len, name, port_name(x, i));
		return err_hint(reterr, "write ports: { %s: { port: N, mode: socket } }",
				port_name(x, i));
	}
	if (x->vars)
		buf_printf(x->out, "%d", x->vars->ports[i].listen_fd);
	return 0;
}

static int expand_socket(struct expansion *x, const char *name, size_t len, struct err **reterr)
{
	size_t i = find_port(x, SOCKET, name, len);

	if (i == n_ports(x))
		return no_such_port(name, len, reterr);
	if (is_handed(x, i)) {
		err_set(reterr, ERR_INVALID, "${%.*s}: ports.%s has mode: socket", (int)len, name,
			port_name(x, i));
		return err_hint(reterr, "its replicas get the stable port itself, as ${LISTEN_FD}");
	}
	x->sockets |= i < 32 ? UINT32_C(1) << i : 0;
	if (x->vars && !x->vars->sockets_dir)
		return err_set(reterr, ERR_INVALID, "${%.*s} is not known here", (int)len, name);
	if (x->vars)
		buf_printf(x->out, "%s/%s", x->vars->sockets_dir, port_name(x, i));
	return 0;
}

/* Of a process only: neither descriptors nor directories of ours reach into a container. */
static int not_inside(const char *name, size_t len, struct err **reterr)
{
	err_set(reterr, ERR_INVALID, "${%.*s}: a container has none", (int)len, name);
	return err_hint(reterr, "let it listen at ${PORT}");
}

static int unknown_secret(const struct spec_table *secrets, const char *name, size_t len,
			  struct err **reterr)
{
	const struct secret_spec *v = secrets ? secrets->v : NULL;
	_cleanup_free_ char *copy = mem_strndup(name, len);
	_cleanup_buf_ struct buf names = {0};
	const char *near;
	size_t near_len = 0;

	if (!copy)
		return err_nomem(reterr);
	for (size_t i = 0; v && i < secrets->n; i++)
		buf_printf(&names, "%s%s", i ? "|" : "", v[i].name);
	err_set(reterr, ERR_INVALID, "${secret:%.64s}: the service has no such secret", copy);
	near = schema_hint_nearest(buf_cstr(&names), copy, &near_len);
	if (near)
		return err_hint(reterr, "did you mean ${secret:%.*s}?", (int)near_len, near);
	return err_hint(reterr, "give it one: secrets: { %.64s: { file: PATH } }",
			copy[0] ? copy : "NAME");
}

static int expand_secret(const struct expansion *x, const char *name, size_t len,
			 struct err **reterr)
{
	const struct spec_table *secrets = x->vars ? x->vars->secrets : &x->spec->secrets;
	const struct secret_spec *v = secrets ? secrets->v : NULL;

	for (size_t i = 0; v && i < secrets->n; i++) {
		if (!is_name(name, len, v[i].name) || (x->vars && !x->vars->secrets_dir))
			continue;
		if (x->vars)
			buf_printf(x->out, "%s/%s", x->vars->secrets_dir, v[i].name);
		return 0;
	}
	return unknown_secret(secrets, name, len, reterr);
}

/* What stands between "${" and "}". */
static int expand_name(struct expansion *x, const char *name, size_t len, struct err **reterr)
{
	if (is_name(name, len, "PORT"))
		return expand_main_port(x, reterr);
	if (len >= 4 && memcmp(name, "env:", 4) == 0)
		return expand_env(x, name + 4, len - 4, reterr);
	if (len >= 7 && memcmp(name, "secret:", 7) == 0)
		return expand_secret(x, name + 7, len - 7, reterr);
	if (x->spec && service_spec_is_container(x->spec) &&
	    (is_word(name, len, LISTEN_FD) || is_word(name, len, SOCKET)))
		return not_inside(name, len, reterr);
	if (is_word(name, len, LISTEN_FD))
		return expand_listen_fd(x, name, len, reterr);
	if (is_word(name, len, SOCKET))
		return expand_socket(x, name, len, reterr);
	if (expand_port(x, name, len))
		return 0;
	if (!is_name(name, len, "REPLICA") && !is_name(name, len, "SERVICE") &&
	    !is_name(name, len, "REVISION"))
		return unknown_name(x, name, len, reterr);
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

static int expand(struct expansion *x, const char *text, struct err **reterr)
{
	const char *p = text;
	int r;

	while (*p) {
		size_t plain = strcspn(p, "$");

		buf_append(x->out, p, plain);
		p += plain;
		if (p[0] == '$' && p[1] == '{') {
			size_t len = strcspn(p + 2, "}");

			x->at = (size_t)(p - text);
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
	struct expansion x = {.vars = vars, .out = &out};
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

int manifest_expand_check(const char *text, const struct service_spec *s, size_t *ret_at,
			  struct err **reterr)
{
	_cleanup_buf_ struct buf out = {0};
	struct expansion x = {.spec = s, .out = &out};
	int r = expand(&x, text, reterr);

	if (r < 0)
		*ret_at = x.at;
	return r;
}

uint32_t manifest_expand_sockets(const char *text, const struct service_spec *s)
{
	_cleanup_buf_ struct buf out = {0};
	struct expansion x = {.spec = s, .out = &out};
	_cleanup_err_ struct err *err = NULL;

	if (strstr(text, "${" SOCKET))
		expand(&x, text, &err);
	return x.sockets;
}
