/* http_request: see http_request.h; the public part is in http_server.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/http_request.h"

#include <string.h>
#include <strings.h>

#include "lib/http_conn.h"
#include "lib/http_server.h"
#include "lib/mem.h"

struct http_request *http_request_new(struct http_conn *conn, size_t body_max)
{
	struct http_request *r = mem_alloc(sizeof(*r));

	if (!r)
		return NULL;
	r->conn = conn;
	http_parse_init(&r->parse, body_max);
	return r;
}

void http_request_free(struct http_request *r)
{
	if (!r)
		return;
	http_parse_done(&r->parse);
	mem_free(r->params);
	mem_free(r);
}

static int hex(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

/* Percent-decodes s in place; false for a bad escape or a NUL. */
static bool decode(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (*s == '%') {
			int hi = hex(s[1]), lo = hi < 0 ? -1 : hex(s[2]);

			if (lo < 0 || (hi == 0 && lo == 0))
				return false;
			*to++ = (char)(hi << 4 | lo);
			s += 2;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
	return true;
}

static const char *split_query(struct http_request *r, char *query, int *ret_status)
{
	size_t n = 1;

	for (const char *c = query; *c; c++)
		n += *c == '&';
	if (n > HTTP_PARAMS_MAX)
		return "too many query parameters";
	r->params = mem_array(n, sizeof(*r->params));
	if (!r->params) {
		*ret_status = 503;
		return "out of memory";
	}
	for (char *next = query; next;) {
		char *name = next, *value;

		next = strchr(name, '&');
		if (next)
			*next++ = '\0';
		if (!*name)
			continue;
		value = strchr(name, '=');
		if (value)
			*value++ = '\0';
		else
			value = name + strlen(name);
		if (!decode(name) || !decode(value))
			return "bad percent-encoding in the query";
		r->params[r->n_params++] = (struct http_param){.name = name, .value = value};
	}
	return NULL;
}

/* "/path?query" of a target in origin or absolute form; NULL otherwise. */
static char *origin_form(char *target)
{
	char *authority = strncasecmp(target, "http://", 7) == 0 ? target + 7 : NULL;

	return *target == '/' ? target : authority ? strchr(authority, '/') : NULL;
}

const char *http_request_resolve(struct http_request *r, int *ret_status)
{
	char *query, *fragment;

	*ret_status = 400;
	r->head_only = r->parse.ll.method == HTTP_HEAD;
	r->path = origin_form(r->parse.target);
	if (!r->path)
		return "the request target is not a path";
	fragment = strchr(r->path, '#');
	if (fragment)
		*fragment = '\0';
	query = strchr(r->path, '?');
	if (query)
		*query++ = '\0';
	if (!decode(r->path))
		return "bad percent-encoding in the path";
	return query ? split_query(r, query, ret_status) : NULL;
}

void http_request_gone(struct http_request *r)
{
	r->conn = NULL;
	if (r->state == HTTP_REQUEST_READING)
		http_request_free(r);
	else if (r->on_gone)
		r->on_gone(r, r->user);
}

const char *http_request_method(const struct http_request *r)
{
	return llhttp_method_name((llhttp_method_t)r->parse.ll.method);
}

const char *http_request_path(const struct http_request *r)
{
	return r->path;
}

const char *http_request_query_nth(const struct http_request *r, const char *name, size_t nth)
{
	for (size_t i = 0; i < r->n_params; i++)
		if (strcmp(r->params[i].name, name) == 0 && nth-- == 0)
			return r->params[i].value;
	return NULL;
}

const char *http_request_query(const struct http_request *r, const char *name)
{
	return http_request_query_nth(r, name, 0);
}

const char *http_request_header(const struct http_request *r, const char *name)
{
	return http_parse_field(&r->parse, name);
}

const char *http_request_body(const struct http_request *r, size_t *len)
{
	if (len)
		*len = r->parse.body.len;
	return buf_cstr(&r->parse.body);
}

int http_request_fd(const struct http_request *r)
{
	return r->conn ? http_conn_fd(r->conn) : -1;
}

void http_request_set_user(struct http_request *r, void *user,
			   void (*on_gone)(struct http_request *r, void *user))
{
	r->user = user;
	r->on_gone = on_gone;
}

void http_request_forget(struct http_request *r)
{
	if (!r->conn)
		http_request_free(r);
}
