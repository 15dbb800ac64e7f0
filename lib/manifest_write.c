/*
 * manifest_write: see manifest_write.h. One walk over the rows feeds one of two sinks, YAML or
 * JSON. The walk knows what to leave out, a sink only how a map, a list and a scalar look.
 */
/* SPDX-License-Identifier: MIT */
#include "lib/manifest_write.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/buf.h"
#include "lib/jsonw.h"
#include "lib/manifest.h"
#include "lib/mem.h"
#include "lib/parse.h"
#include "lib/schema.h"
#include "lib/yamltree.h"

/* A word is plain in YAML, although other readers may take it for a number (022). */
enum scalar { SCALAR_TEXT, SCALAR_NUMBER, SCALAR_WORD }; /* number: any JSON */

/* key is NULL in a list. */
struct sink {
	void (*open)(struct sink *s, const char *key, bool list, bool empty);
	void (*close)(struct sink *s, bool list, bool empty);
	void (*scalar)(struct sink *s, const char *key, const char *text, enum scalar type);
	unsigned never;	      /* schema_flags of the rows that the service cannot have */
	struct buf *out;      /* YAML */
	unsigned indent;      /* YAML: spaces */
	bool started;	      /* YAML: "- " stands there already, the first key follows it */
	struct jsonw *json;   /* JSON */
	unsigned flags;	      /* enum manifest_write_flags */
	struct buf *failures; /* where running out of memory is noted */
};

/* --- YAML ------------------------------------------------------------------------------- */

/* Words that some version of YAML reads as a boolean or as nothing. */
static bool is_reserved_word(const char *text)
{
	static const char *const words[] = {"null", "true", "false", "yes",  "no",   "on", "off",
					    "y",    "n",    "~",     ".inf", ".nan", "<<", "="};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcasecmp(text, words[i]) == 0)
			return true;
	return false;
}

/* Might it be a number or a date? Addresses and versions, with two dots and more, are neither. */
static bool looks_numeric(const char *text)
{
	const char *p = text + (text[0] == '-' || text[0] == '+'), *dot = strchr(p, '.');

	if (*p != '.' && (*p < '0' || *p > '9'))
		return false;
	if (strcasecmp(p, ".inf") == 0)
		return true;
	if (dot && strchr(dot + 1, '.'))
		return false;
	return p[strspn(p, "0123456789abcdefABCDEFxXoO_.:+-tTZ ")] == '\0';
}

/* One character that may stand in a plain scalar, wherever. */
static bool is_plain_char(unsigned code)
{
	if (code < 0x20 || (code >= 0x7f && code < 0xa0))
		return false;
	return code != 0x2028 && code != 0x2029 && code != 0xfeff && code < 0xfffe;
}

static bool is_plain(const char *text)
{
	const char *end = text + strlen(text);
	unsigned code;

	if (!*text || strchr(" ?:,[]{}#&*!|>'\"%@`", *text) || end[-1] == ' ' || end[-1] == ':')
		return false;
	if (*text == '-' && (text[1] == '\0' || text[1] == ' ' || strncmp(text, "---", 3) == 0))
		return false;
	if (strncmp(text, "...", 3) == 0 || strstr(text, ": ") || strstr(text, " #"))
		return false;
	for (const char *p = text; p < end;) {
		size_t n = yamltree_utf8(p, end, &code);

		if (n == 0 || !is_plain_char(code))
			return false;
		p += n;
	}
	return !is_reserved_word(text) && !looks_numeric(text);
}

static void quoted_char(struct buf *b, unsigned code, const char *p, size_t n)
{
	if (code == '"' || code == '\\')
		buf_printf(b, "\\%c", (char)code);
	else if (code == '\n')
		buf_str(b, "\\n");
	else if (code == '\t')
		buf_str(b, "\\t");
	else if (is_plain_char(code) || code > 0xffff)
		buf_append(b, p, n);
	else if (code < 0x100)
		buf_printf(b, "\\x%02x", code);
	else
		buf_printf(b, "\\u%04x", code);
}

/* Bytes that are not UTF-8 become U+FFFD: YAML has no way to write them. */
static void quote(struct buf *b, const char *text)
{
	const char *end = text + strlen(text);
	unsigned code;

	buf_char(b, '"');
	for (const char *p = text; p < end;) {
		size_t n = yamltree_utf8(p, end, &code);

		if (n > 0)
			quoted_char(b, code, p, n);
		else
			buf_str(b, "\xef\xbf\xbd");
		p += n ? n : 1;
	}
	buf_char(b, '"');
}

void manifest_write_scalar(struct buf *out, const char *text)
{
	if (is_plain(text))
		buf_str(out, text);
	else
		quote(out, text);
}

/* Indentation and "key:", or "-" in a list; what follows it brings its own space. */
static void yaml_begin(struct sink *s, const char *key)
{
	if (!s->started)
		buf_printf(s->out, "%*s", (int)s->indent, "");
	s->started = false;
	if (!key) {
		buf_char(s->out, '-');
		return;
	}
	manifest_write_scalar(s->out, key);
	buf_char(s->out, ':');
}

static void yaml_open(struct sink *s, const char *key, bool list, bool empty)
{
	yaml_begin(s, key);
	if (empty)
		buf_str(s->out, list ? " []\n" : " {}\n");
	else if (key)
		buf_char(s->out, '\n');
	else
		buf_char(s->out, ' ');
	s->started = !key && !empty;
	s->indent += 2;
}

static void yaml_close(struct sink *s, bool list, bool empty)
{
	(void)list;
	(void)empty;
	s->indent -= 2;
}

static void yaml_scalar(struct sink *s, const char *key, const char *text, enum scalar type)
{
	yaml_begin(s, key);
	buf_char(s->out, ' ');
	if (type == SCALAR_TEXT)
		manifest_write_scalar(s->out, text);
	else
		buf_str(s->out, text);
	buf_char(s->out, '\n');
}

/* --- JSON ------------------------------------------------------------------------------- */

static void json_open(struct sink *s, const char *key, bool list, bool empty)
{
	(void)empty;
	if (list)
		jsonw_array_begin(s->json, key);
	else
		jsonw_object_begin(s->json, key);
}

static void json_close(struct sink *s, bool list, bool empty)
{
	(void)empty;
	if (list)
		jsonw_array_end(s->json);
	else
		jsonw_object_end(s->json);
}

static void json_scalar(struct sink *s, const char *key, const char *text, enum scalar type)
{
	if (type == SCALAR_NUMBER)
		jsonw_raw(s->json, key, text);
	else
		jsonw_string(s->json, key, text);
}

static struct sink yaml_sink(struct buf *out, unsigned flags)
{
	return (struct sink){.open = yaml_open,
			     .close = yaml_close,
			     .scalar = yaml_scalar,
			     .out = out,
			     .flags = flags,
			     .failures = out};
}

static struct sink json_sink(struct jsonw *w, unsigned flags)
{
	return (struct sink){.open = json_open,
			     .close = json_close,
			     .scalar = json_scalar,
			     .json = w,
			     .flags = flags,
			     .failures = w->out};
}

/* --- values ----------------------------------------------------------------------------- */

struct unit {
	const char *name;
	int64_t factor;
};

static const struct unit durations[] = {
	{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
static const struct unit sizes[] = {{"TiB", INT64_C(1) << 40},
				    {"GiB", INT64_C(1) << 30},
				    {"MiB", INT64_C(1) << 20},
				    {"KiB", INT64_C(1) << 10},
				    {"", 1}};

/* In the largest unit that needs no fraction. */
static void print_units(const struct unit *unit, int64_t value, char *buf)
{
	while (unit->factor > 1 && value % unit->factor != 0)
		unit++;
	snprintf(buf, MANIFEST_WRITE_NUMBER_SIZE, "%" PRId64 "%s", value / unit->factor,
		 unit->name);
}

static void print_word(const struct schema_row *row, int64_t index, char *buf)
{
	const char *p = row->names;

	while (index-- > 0)
		p += strcspn(p, "|") + 1;
	snprintf(buf, MANIFEST_WRITE_NUMBER_SIZE, "%.*s", (int)strcspn(p, "|"), p);
}

const char *manifest_write_number(const struct schema_row *row, int64_t value, char *buf)
{
	const char *name;

	if (row->type == SCHEMA_DURATION && value == 0)
		snprintf(buf, MANIFEST_WRITE_NUMBER_SIZE, "0s");
	else if (row->type == SCHEMA_DURATION)
		print_units(durations, value, buf);
	else if (row->type == SCHEMA_SIZE && value == 0)
		snprintf(buf, MANIFEST_WRITE_NUMBER_SIZE, "0");
	else if (row->type == SCHEMA_SIZE)
		print_units(sizes, value, buf);
	else if (row->type == SCHEMA_ENUM)
		print_word(row, value, buf);
	else if (row->type == SCHEMA_NUMBER)
		snprintf(buf, MANIFEST_WRITE_NUMBER_SIZE, "%.10g", (double)value / 1000);
	else if (row->type == SCHEMA_BOOL)
		snprintf(buf, MANIFEST_WRITE_NUMBER_SIZE, "%s", value ? "true" : "false");
	else if ((row->flags & SCHEMA_ALL) && value < 0)
		snprintf(buf, MANIFEST_WRITE_NUMBER_SIZE, "all");
	else if (row->type == SCHEMA_SHARE && value < 0)
		snprintf(buf, MANIFEST_WRITE_NUMBER_SIZE, "%" PRId64 "%%", -value);
	else if (row->type == SCHEMA_UMASK)
		snprintf(buf, MANIFEST_WRITE_NUMBER_SIZE, "0%02" PRIo64, (uint64_t)value);
	else if (row->type == SCHEMA_SIGNAL && (name = parse_signal_name((int)value)) != NULL)
		snprintf(buf, MANIFEST_WRITE_NUMBER_SIZE, "%s", name);
	else
		snprintf(buf, MANIFEST_WRITE_NUMBER_SIZE, "%" PRId64, value);
	return buf;
}

/* A map or list of rows: the children of an object, the elements of a table. */
struct level {
	const struct schema_row *row; /* of the object */
	const void *base, *defaults; /* the struct its rows store into, and one with the defaults */
};

static bool has_written_keys(const struct sink *s, const struct level *l);
static void write_keys(struct sink *s, const struct level *l);

static bool is_masked(const struct sink *s, const struct schema_row *row)
{
	return (s->flags & MANIFEST_WRITE_MASKED) && (row->flags & SCHEMA_SECRET);
}

static void write_string(struct sink *s, const struct schema_row *row, const void *field)
{
	s->scalar(s, schema_key(row), *(char *const *)field, SCALAR_TEXT);
}

static void write_number(struct sink *s, const struct schema_row *row, const void *field)
{
	char text[MANIFEST_WRITE_NUMBER_SIZE];

	s->scalar(s, schema_key(row), manifest_write_number(row, *(const int64_t *)field, text),
		  (row->type == SCHEMA_INT &&
		   !((row->flags & SCHEMA_ALL) && *(const int64_t *)field < 0)) ||
				  row->type == SCHEMA_BOOL ||
				  (row->type == SCHEMA_SHARE && *(const int64_t *)field >= 0)
			  ? SCALAR_NUMBER
			  : SCALAR_WORD);
}

/* JSON is YAML, in flow style. */
static void write_tree(struct sink *s, const struct schema_row *row, const void *field)
{
	s->scalar(s, schema_key(row), *(char *const *)field, SCALAR_NUMBER);
}

static void write_port(struct sink *s, const struct schema_row *row, const void *field)
{
	const char *text = *(char *const *)field;

	s->scalar(s, schema_key(row), text,
		  text[strspn(text, "0123456789")] ? SCALAR_TEXT : SCALAR_NUMBER);
}

static const char *print_limit(int64_t value, char *buf)
{
	if (value == SPEC_UNLIMITED)
		snprintf(buf, MANIFEST_WRITE_NUMBER_SIZE, "unlimited");
	else
		snprintf(buf, MANIFEST_WRITE_NUMBER_SIZE, "%" PRId64, value);
	return buf;
}

static void write_limit(struct sink *s, const struct schema_row *row, const void *field)
{
	const struct spec_limit *limit = field;
	char soft[MANIFEST_WRITE_NUMBER_SIZE], hard[MANIFEST_WRITE_NUMBER_SIZE];
	char both[2 * MANIFEST_WRITE_NUMBER_SIZE];

	print_limit(limit->soft, soft);
	print_limit(limit->hard, hard);
	snprintf(both, sizeof(both), "%s:%s", soft, hard);
	if (limit->soft != limit->hard)
		s->scalar(s, schema_key(row), both, SCALAR_TEXT);
	else
		s->scalar(s, schema_key(row), soft,
			  limit->soft == SPEC_UNLIMITED ? SCALAR_TEXT : SCALAR_NUMBER);
}

static void write_ints(struct sink *s, const struct schema_row *row, const void *field)
{
	const struct spec_ints *ints = field;
	char text[MANIFEST_WRITE_NUMBER_SIZE];

	s->open(s, schema_key(row), true, ints->n == 0);
	for (size_t i = 0; i < ints->n; i++) {
		snprintf(text, sizeof(text), "%" PRId64, ints->v[i]);
		s->scalar(s, NULL, text, SCALAR_NUMBER);
	}
	s->close(s, true, false);
}

/* The shortest text that is read back as the same number. */
static void write_decimal(struct sink *s, const struct schema_row *row, const void *field)
{
	char text[MANIFEST_WRITE_NUMBER_SIZE];
	const double *d = field;
	double back = 0;

	for (int digits = 6; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, *d);
		if (parse_double(text, *d, *d, &back, NULL) == 0)
			break;
	}
	s->scalar(s, schema_key(row), text, SCALAR_NUMBER);
}

static void write_list(struct sink *s, const struct schema_row *row, const void *field)
{
	char *const *v = *(char **const *)field;

	s->open(s, schema_key(row), true, !v || !v[0]);
	for (; v && *v; v++)
		s->scalar(s, NULL, *v, SCALAR_TEXT);
	s->close(s, true, false);
}

static void write_map(struct sink *s, const struct schema_row *row, const void *field)
{
	char *const *v = *(char **const *)field;

	s->open(s, schema_key(row), false, !v || !v[0]);
	for (; v && *v; v++) {
		size_t n = strcspn(*v, "=");
		_cleanup_free_ char *name = mem_strndup(*v, n);

		if (!name)
			s->failures->failed = true;
		else
			s->scalar(s, name, is_masked(s, row) ? MANIFEST_WRITE_MASK : *v + n + 1,
				  SCALAR_TEXT);
	}
	s->close(s, false, false);
}

static void write_element(struct sink *s, const char *name, const struct level *l)
{
	bool empty = !has_written_keys(s, l);

	s->open(s, name, false, empty);
	write_keys(s, l);
	s->close(s, false, empty);
}

static void write_table(struct sink *s, const struct schema_row *row, const void *field)
{
	const struct spec_table *table = field;
	const struct schema_row *element = schema_next(row, NULL);
	bool listed = row->flags & SCHEMA_LISTED;
	void *defaults = mem_alloc(row->size);

	if (!defaults || schema_element_defaults(row, defaults) < 0) {
		s->failures->failed = true;
	} else {
		s->open(s, schema_key(row), listed, table->n == 0);
		for (size_t i = 0; i < table->n; i++) {
			const void *e = (const char *)table->v + i * row->size;

			write_element(s, listed ? NULL : *(char *const *)e,
				      &(struct level){element, e, defaults});
		}
		s->close(s, listed, table->n == 0);
	}
	if (defaults)
		schema_free_fields(element, defaults);
	mem_free(defaults);
}

/* --- which rows ------------------------------------------------------------------------- */

static bool same_text(const void *a, const void *b)
{
	const char *x = *(char *const *)a, *y = *(char *const *)b;

	return x == y || (x && y && strcmp(x, y) == 0);
}

static bool same_number(const void *a, const void *b)
{
	return *(const int64_t *)a == *(const int64_t *)b;
}

static bool same_decimal(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(double)) == 0;
}

/* Lists have no defaults: the same only when both are empty. */
static bool same_list(const void *a, const void *b)
{
	char *const *x = *(char **const *)a, *const *y = *(char **const *)b;

	return (!x || !x[0]) && (!y || !y[0]);
}

static bool same_limit(const void *a, const void *b)
{
	const struct spec_limit *x = a, *y = b;

	return x->soft == y->soft && x->hard == y->hard;
}

static bool same_ints(const void *a, const void *b)
{
	const struct spec_ints *x = a, *y = b;

	return x->n == y->n && (x->n == 0 || memcmp(x->v, y->v, x->n * sizeof(*x->v)) == 0);
}

static bool same_table(const void *a, const void *b)
{
	const struct spec_table *x = a, *y = b;

	return x->n == 0 && y->n == 0;
}

/* What a type needs; a row of a type without an entry is not written. */
static const struct type_ops {
	void (*write)(struct sink *s, const struct schema_row *row, const void *field);
	bool (*same)(const void *a, const void *b);
} ops[SCHEMA_TYPE_MAX_] = {
	[SCHEMA_STRING] = {write_string, same_text},
	[SCHEMA_INT] = {write_number, same_number},
	[SCHEMA_DURATION] = {write_number, same_number},
	[SCHEMA_SIZE] = {write_number, same_number},
	[SCHEMA_ENUM] = {write_number, same_number},
	[SCHEMA_SIGNAL] = {write_number, same_number},
	[SCHEMA_NUMBER] = {write_decimal, same_decimal},
	[SCHEMA_LIST] = {write_list, same_list},
	[SCHEMA_MAP] = {write_map, same_list},
	[SCHEMA_UMASK] = {write_number, same_number},
	[SCHEMA_SHARE] = {write_number, same_number},
	[SCHEMA_BOOL] = {write_number, same_number},
	[SCHEMA_LIMIT] = {write_limit, same_limit},
	[SCHEMA_INTS] = {write_ints, same_ints},
	[SCHEMA_PORTREF] = {write_port, same_text},
	[SCHEMA_TREE] = {write_tree, same_text},
	[SCHEMA_TABLE] = {write_table, same_table},
};

static const void *field_of(const struct schema_row *row, const void *base)
{
	return (const char *)base + row->offset;
}

static bool is_written(const struct sink *s, const struct schema_row *row, const struct level *l);

static bool has_written_keys(const struct sink *s, const struct level *l)
{
	const struct schema_row *r = NULL;

	while ((r = schema_next(l->row, r)) != NULL)
		if (is_written(s, r, l))
			return true;
	return false;
}

/* A text that is not given; "" is a port that is not. */
static bool is_absent(const struct schema_row *row, const void *field)
{
	const char *text;

	if (row->type != SCHEMA_STRING && row->type != SCHEMA_PORTREF && row->type != SCHEMA_TREE)
		return false;
	text = *(char *const *)field;
	return !text || (row->type == SCHEMA_PORTREF && !*text);
}

/* None of the others that could be chosen instead of row is written. */
static bool is_chosen(const struct sink *s, const struct schema_row *row, const struct level *l)
{
	const struct schema_row *r = NULL;

	while ((r = schema_next(l->row, r)) != NULL)
		if (r != row && (r->flags & SCHEMA_CHOICE) && is_written(s, r, l))
			return false;
	return true;
}

static bool is_written(const struct sink *s, const struct schema_row *row, const struct level *l)
{
	const void *field;

	if (row->flags & s->never)
		return false;
	if (row->type == SCHEMA_ENUM && (row->flags & SCHEMA_CHOICE))
		return is_chosen(s, row, l); /* its first word is 0, as one that is not given */

	if (row->type == SCHEMA_OBJECT && row->offset == SCHEMA_NO_FIELD)
		return (row->flags & SCHEMA_REQUIRED) ||
		       has_written_keys(s, &(struct level){row, l->base, l->defaults});
	if (row->offset == SCHEMA_NO_FIELD)
		return false;
	field = field_of(row, l->base);
	if (row->type == SCHEMA_OBJECT)
		return *(const bool *)field;
	if (!ops[row->type].write || is_absent(row, field))
		return false;
	if (row->flags & SCHEMA_REQUIRED)
		return true;
	return ((s->flags & MANIFEST_WRITE_DEFAULTS) && row->def && row->def[0]) ||
	       !ops[row->type].same(field, field_of(row, l->defaults));
}

/* The first key of row, if it is all that is said there and may stand for it; else NULL. */
static const struct schema_row *bare_key(const struct sink *s, const struct schema_row *row,
					 const struct level *l)
{
	struct sink brief = *s;
	const struct schema_row *first = schema_next(row, NULL), *r = first;

	if (!first || !(first->flags & SCHEMA_BARE))
		return NULL;
	brief.flags &= ~MANIFEST_WRITE_DEFAULTS;
	while ((r = schema_next(row, r)) != NULL)
		if (is_written(&brief, r, l))
			return NULL;
	return first;
}

static void write_object(struct sink *s, const struct schema_row *row, const struct level *l)
{
	const struct level inside = {row, l->base, l->defaults};
	const struct schema_row *bare = bare_key(s, row, &inside);
	bool empty = !has_written_keys(s, &inside);

	if (bare) {
		struct schema_row named = *bare;

		named.path = row->path;
		ops[bare->type].write(s, &named, field_of(bare, l->base));
		return;
	}

	s->open(s, schema_key(row), false, empty);
	write_keys(s, &inside);
	s->close(s, false, empty);
}

static void write_keys(struct sink *s, const struct level *l)
{
	const struct schema_row *r = NULL;

	while ((r = schema_next(l->row, r)) != NULL) {
		if (!is_written(s, r, l))
			continue;
		if (r->type == SCHEMA_OBJECT)
			write_object(s, r, l);
		else
			ops[r->type].write(s, r, field_of(r, l->base));
	}
}

static void write_service(struct sink *s, const struct service_spec *spec)
{
	struct service_spec *defaults = mem_alloc(sizeof(*defaults));

	s->never = service_spec_is_container(spec) ? SCHEMA_PROCESS : SCHEMA_CONTAINER;
	if (!defaults || schema_defaults(defaults) < 0)
		s->failures->failed = true;
	else
		write_keys(s, &(struct level){.row = schema_find("services.*"),
					      .base = spec,
					      .defaults = defaults});
	service_spec_free(defaults);
}

void manifest_write_yaml(const struct service_spec *s, unsigned flags, struct buf *out)
{
	struct sink sink = yaml_sink(out, flags);

	write_service(&sink, s);
}

void manifest_write_json(const struct service_spec *s, unsigned flags, struct jsonw *w)
{
	struct sink sink = json_sink(w, flags);

	write_service(&sink, s);
}

static void write_file(struct sink *s, const struct manifest *m)
{
	s->scalar(s, "version", "1", SCALAR_NUMBER);
	s->scalar(s, "name", m->name, SCALAR_TEXT);
	s->open(s, "services", false, m->n_services == 0);
	for (size_t i = 0; i < m->n_services; i++) {
		s->open(s, m->services[i]->name, false, false);
		write_service(s, m->services[i]);
		s->close(s, false, false);
	}
	s->close(s, false, m->n_services == 0);
}

void manifest_write_file(const struct manifest *m, unsigned flags, struct buf *out)
{
	struct sink sink = yaml_sink(out, flags);

	write_file(&sink, m);
}

void manifest_write_file_json(const struct manifest *m, unsigned flags, struct jsonw *w)
{
	struct sink sink = json_sink(w, flags);

	write_file(&sink, m);
}
