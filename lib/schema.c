/*
 * schema: see schema.h. What there is to find in the rows and how a scalar is read; the rows stand in
 * schema_table.c.
 */
/* SPDX-License-Identifier: MIT */
#include "lib/schema.h"

#include <string.h>
#include <strings.h>

#include "lib/err.h"
#include "lib/mem.h"
#include "lib/parse.h"
#include "lib/schema_check.h"
#include "lib/schema_table.h"

bool schema_is_label(const char *text)
{
	size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return n > 0 && n <= MANIFEST_NAME_MAX && !text[n] && text[0] != '-' && text[n - 1] != '-';
}

char *schema_make_label(const char *path, const char *fallback)
{
	const char *slash = strrchr(path, '/');
	char *name = mem_strdup(slash ? slash + 1 : path);
	size_t n = 0;

	if (!name)
		return NULL;
	for (const char *p = name; *p && n < MANIFEST_NAME_MAX; p++) {
		char c = *p >= 'A' && *p <= 'Z' ? (char)(*p + ('a' - 'A')) : *p;
		bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');

		if (plain || (n > 0 && name[n - 1] != '-'))
			name[n++] = plain ? c : '-';
	}
	while (n > 0 && name[n - 1] == '-')
		n--;
	name[n] = '\0';
	if (n > 0)
		return name;
	mem_free(name);
	return mem_strdup(fallback);
}

const struct schema_row *schema_rows(size_t *n)
{
	return schema_table_rows(n);
}

/* The length of the part of path before its last key, without the dot; 0 at the top. */
static size_t parent_len(const char *path)
{
	const char *dot = strrchr(path, '.');

	return dot ? (size_t)(dot - path) : 0;
}

static bool is_child(const struct schema_row *row, const struct schema_row *parent)
{
	const char *path = !parent			     ? ""
			   : parent->type == SCHEMA_DEFAULTS ? "services.*"
							     : parent->path;
	size_t len = strlen(path);

	return parent_len(row->path) == len && strncmp(row->path, path, len) == 0 &&
	       !(row->flags & SCHEMA_HIDDEN);
}

const struct schema_row *schema_find(const char *path)
{
	size_t n;
	const struct schema_row *rows = schema_table_rows(&n);

	for (size_t i = 0; i < n; i++)
		if (strcmp(rows[i].path, path) == 0)
			return &rows[i];
	return NULL;
}

const struct schema_row *schema_next(const struct schema_row *parent, const struct schema_row *last)
{
	size_t n;
	const struct schema_row *rows = schema_table_rows(&n);

	for (const struct schema_row *r = last ? last + 1 : rows; r < rows + n; r++)
		if (is_child(r, parent))
			return r;
	return NULL;
}

const struct schema_row *schema_child(const struct schema_row *parent, const char *key)
{
	const struct schema_row *r = NULL;

	while ((r = schema_next(parent, r)) != NULL)
		if (strcmp(schema_key(r), key) == 0 ||
		    (r->type == SCHEMA_ANY && strncmp(key, "x-", strlen("x-")) == 0))
			return r;
	return NULL;
}

const struct schema_row *schema_end(const struct schema_row *row)
{
	size_t n;
	const struct schema_row *rows = schema_table_rows(&n), *r = row + 1;

	while (r < rows + n && schema_below(r, row))
		r++;
	return r;
}

bool schema_below(const struct schema_row *row, const struct schema_row *parent)
{
	size_t len = strlen(parent->path);

	return strncmp(row->path, parent->path, len) == 0 &&
	       (row->path[len] == '.' || row->path[len] == '\0');
}

unsigned schema_only(const struct schema_row *row)
{
	size_t n;
	const struct schema_row *rows = schema_table_rows(&n);

	for (size_t i = 0; i < n; i++)
		if ((rows[i].flags & (SCHEMA_CONTAINER | SCHEMA_PROCESS)) &&
		    schema_below(row, &rows[i]))
			return rows[i].flags & (SCHEMA_CONTAINER | SCHEMA_PROCESS);
	return 0;
}

const char *schema_shown(const struct schema_row *row)
{
	if (row->flags & SCHEMA_BARE)
		row--; /* its parent */
	return strncmp(row->path, "services.*.", strlen("services.*.")) == 0
		       ? row->path + strlen("services.*.")
		       : row->path;
}

const char *schema_key(const struct schema_row *row)
{
	size_t len = parent_len(row->path);

	return row->path + len + (len > 0);
}

const char *schema_words(const struct schema_row *row, char *buf, size_t n)
{
	size_t len = 0;

	for (const char *p = row->names; *p && len + 3 < n; p++) {
		buf[len++] = *p == '|' ? ',' : *p;
		if (*p == '|')
			buf[len++] = ' ';
	}
	buf[len] = '\0';
	return buf;
}

static int parse_names(const struct schema_row *row, const char *text, int64_t *ret,
		       struct err **reterr)
{
	char words[SCHEMA_WORDS_SIZE];
	const char *p = row->names;

	for (int64_t i = 0;; i++) {
		size_t len = strcspn(p, "|");

		if (strlen(text) == len && strncmp(p, text, len) == 0) {
			*ret = i;
			return 0;
		}
		if (!p[len])
			break;
		p += len + 1;
	}
	return err_set(reterr, ERR_INVALID, "\"%s\" is not one of %s", text,
		       schema_words(row, words, sizeof(words)));
}

static int store_string(const struct schema_row *row, char **to, const char *text,
			struct err **reterr)
{
	const char *wrong = row->check ? row->check(text) : NULL;
	char *copy;

	if (wrong)
		return err_set(reterr, ERR_INVALID, "\"%s\" %s", text, wrong);
	copy = mem_strdup(text);
	if (!copy)
		return err_nomem(reterr);
	mem_free(*to);
	*to = copy;
	return 0;
}

static int store_port(const struct schema_row *row, char **to, const char *text,
		      struct err **reterr)
{
	int64_t number;
	int r = 0;

	if (text[0] && !text[strspn(text, "0123456789")])
		r = parse_i64(text, row->min, row->max, &number, reterr);
	else if (schema_check_port(text))
		r = err_set(reterr, ERR_INVALID, "\"%s\" is neither a port's number nor a name",
			    text);
	return r < 0 ? r : store_string(row, to, text, reterr);
}

static int parse_bool(const char *text, int64_t *ret, struct err **reterr)
{
	*ret = strcasecmp(text, "true") == 0;
	if (*ret || strcasecmp(text, "false") == 0)
		return 0;
	return err_set(reterr, ERR_INVALID, "\"%s\" is neither true nor false", text);
}

/* The leading 0 is asked for: tools that write YAML turn 022 into 18. */
static int parse_umask(const struct schema_row *row, const char *text, int64_t *ret,
		       struct err **reterr)
{
	int64_t value = 0;

	if (text[0] != '0' || text[strspn(text, "01234567")] || strlen(text) > 5)
		return err_set(reterr, ERR_INVALID, "\"%s\" is not octal with a leading 0, as 022",
			       text);
	for (const char *p = text; *p; p++)
		value = value * 8 + (*p - '0');
	if (value < row->min || value > row->max)
		return err_set(reterr, ERR_INVALID, "%s is not in 0..0%llo", text,
			       (unsigned long long)row->max);
	*ret = value;
	return 0;
}

int schema_parse_limit(const struct schema_row *row, const char *text, int64_t *ret,
		       struct err **reterr)
{
	if (strcmp(text, "unlimited") == 0) {
		*ret = SPEC_UNLIMITED;
		return 0;
	}
	if (strcmp(text, "-1") == 0) {
		err_set(reterr, ERR_INVALID, "-1 is not a limit");
		return err_hint(reterr, "write unlimited");
	}
	return parse_i64(text, row->min, row->max, ret, reterr);
}

/* "soft:hard", or one for both. */
static int store_limit(const struct schema_row *row, struct spec_limit *to, const char *text,
		       struct err **reterr)
{
	const char *colon = strchr(text, ':');
	_cleanup_free_ char *soft = colon ? mem_strndup(text, (size_t)(colon - text)) : NULL;
	struct spec_limit v = {0};
	int r;

	if (colon && !soft)
		return err_nomem(reterr);
	r = schema_parse_limit(row, colon ? soft : text, &v.soft, reterr);
	if (r == 0)
		r = schema_parse_limit(row, colon ? colon + 1 : text, &v.hard, reterr);
	if (r < 0)
		return r;
	if (v.soft > v.hard)
		return err_set(reterr, ERR_INVALID, "\"%s\": the soft limit is above the hard one",
			       text);
	*to = v;
	return 0;
}

/* One more number. */
static int store_ints(const struct schema_row *row, struct spec_ints *to, const char *text,
		      struct err **reterr)
{
	int64_t value, *v;
	int r = parse_i64(text, row->min, row->max, &value, reterr);

	if (r < 0)
		return r;
	v = mem_realloc(to->v, to->n + 1, sizeof(*v));
	if (!v)
		return err_nomem(reterr);
	to->v = v;
	to->v[to->n++] = value;
	return 0;
}

/* "3", or "25%" as -25. */
static int parse_share(const struct schema_row *row, const char *text, int64_t *ret,
		       struct err **reterr)
{
	size_t n = strlen(text);
	_cleanup_free_ char *percent = NULL;
	int r;

	if (n == 0 || text[n - 1] != '%')
		return parse_i64(text, row->min, row->max, ret, reterr);
	percent = mem_strndup(text, n - 1);
	if (!percent)
		return err_nomem(reterr);
	r = parse_i64(percent, 0, 100, ret, reterr);
	if (r == 0)
		*ret = -*ret;
	return r;
}

static int parse_all(const struct schema_row *row, const char *text, int64_t *ret,
		     struct err **reterr)
{
	if (text[0] && !text[strspn(text, "0123456789")])
		return parse_i64(text, row->min, row->max, ret, reterr);
	if (strcmp(text, "all") != 0)
		return err_set(reterr, ERR_INVALID, "\"%s\" is neither a whole number nor all",
			       text);
	*ret = -1;
	return 0;
}

static int parse_number(const struct schema_row *row, const char *text, int64_t *ret,
			struct err **reterr)
{
	int sig = 0, r;

	if (row->flags & SCHEMA_ALL)
		return parse_all(row, text, ret, reterr);
	if (row->type == SCHEMA_INT)
		return parse_i64(text, row->min, row->max, ret, reterr);
	if (row->type == SCHEMA_DURATION)
		return parse_duration_ms(text, row->min, row->max, ret, reterr);
	if (row->type == SCHEMA_SIZE)
		return parse_size(text, row->min, row->max, ret, reterr);
	if (row->type == SCHEMA_ENUM)
		return parse_names(row, text, ret, reterr);
	if (row->type == SCHEMA_UMASK)
		return parse_umask(row, text, ret, reterr);
	if (row->type == SCHEMA_BOOL)
		return parse_bool(text, ret, reterr);
	if (row->type == SCHEMA_SHARE)
		return parse_share(row, text, ret, reterr);
	if (row->type != SCHEMA_SIGNAL)
		return err_set(reterr, ERR_INVALID, "not a single value");
	r = parse_signal(text, &sig, reterr);
	*ret = sig;
	return r;
}

int schema_store(const struct schema_row *row, void *base, const char *text, struct err **reterr)
{
	void *to = (char *)base + row->offset;
	int64_t value = 0;
	int r;

	if (row->type == SCHEMA_STRING)
		return store_string(row, to, text, reterr);
	if (row->type == SCHEMA_PORTREF)
		return store_port(row, to, text, reterr);
	if (row->type == SCHEMA_LIMIT)
		return store_limit(row, to, text, reterr);
	if (row->type == SCHEMA_INTS)
		return store_ints(row, to, text, reterr);
	if (row->type == SCHEMA_NUMBER)
		return parse_double(text, (double)row->min / 1000, (double)row->max / 1000, to,
				    reterr);
	r = parse_number(row, text, &value, reterr);
	if (r == 0)
		*(int64_t *)to = value;
	return r;
}

/* What a field without a default holds that zero would not say. */
static int store_nothing(const struct schema_row *row, void *base)
{
	void *to = row->offset == SCHEMA_NO_FIELD ? base : (char *)base + row->offset;

	if (row->type == SCHEMA_LIMIT)
		*(struct spec_limit *)to = (struct spec_limit){SPEC_UNSET, SPEC_UNSET};
	else if (row->flags & SCHEMA_UNSET)
		*(int64_t *)to = SPEC_UNSET;
	else if (row->type == SCHEMA_PORTREF)
		return (*(char **)to = mem_strdup("")) ? 0 : -ERR_NOMEM;
	return 0;
}

static int store_defaults(const struct schema_row *parent, void *base)
{
	const struct schema_row *end = schema_end(parent);

	for (const struct schema_row *row = parent + 1; row < end; row++) {
		/* the tests prove that every default is valid */
		if ((row->def ? schema_store(row, base, row->def, NULL)
			      : store_nothing(row, base)) < 0)
			return -ERR_NOMEM;
		if (row->type == SCHEMA_TABLE)
			row = schema_end(row) - 1; /* its elements come later */
	}
	return 0;
}

int schema_defaults(struct service_spec *s)
{
	int r = store_defaults(schema_find("services.*"), s);

	s->probes[PROBE_STARTUP].failure_threshold = 1; /* no key: stall is what counts */
	return r;
}

int schema_element_defaults(const struct schema_row *table, void *element)
{
	return store_defaults(table + 1, element);
}

static void free_table(const struct schema_row *row, struct spec_table *table)
{
	for (size_t i = 0; i < table->n; i++) {
		void *element = (char *)table->v + i * row->size;

		if (!(row->flags & SCHEMA_LISTED))
			mem_free(*(char **)element);
		schema_free_fields(row + 1, element);
	}
	mem_free(table->v);
	*table = (struct spec_table){0};
}

void schema_free_fields(const struct schema_row *parent, void *base)
{
	const struct schema_row *end = schema_end(parent);

	for (const struct schema_row *row = parent + 1; row < end; row++) {
		void *field = row->offset == SCHEMA_NO_FIELD ? base : (char *)base + row->offset;

		if (row->type == SCHEMA_STRING || row->type == SCHEMA_PORTREF ||
		    row->type == SCHEMA_TREE)
			mem_free(*(char **)field);
		else if (row->type == SCHEMA_LIST || row->type == SCHEMA_MAP)
			mem_strv_free(*(char ***)field);
		else if (row->type == SCHEMA_INTS)
			mem_free(((struct spec_ints *)field)->v);
		if (row->type == SCHEMA_TABLE) {
			free_table(row, field);
			row = schema_end(row) - 1;
		}
	}
}
