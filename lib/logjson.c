/* logjson: see logjson.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/logjson.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/mem.h"

struct reader {
	const char *p, *end;
	struct logjson *out;
	unsigned depth;
	bool has_fields; /* "fields" was flattened */
};

/* ---- JSON ---- */

static void skip_space(struct reader *r)
{
	while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\r' || *r->p == '\n'))
		r->p++;
}

static bool take(struct reader *r, char c)
{
	if (r->p >= r->end || *r->p != c)
		return false;
	r->p++;
	return true;
}

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* Behind the backslash. */
static bool skip_escape(struct reader *r)
{
	if (r->p >= r->end)
		return false;
	if (*r->p != 'u')
		return strchr("\"\\/bfnrt", *r->p) != NULL && *r->p++ != '\0';
	if (r->end - r->p < 5)
		return false;
	for (int i = 1; i <= 4; i++)
		if (!is_hex(r->p[i]))
			return false;
	r->p += 5;
	return true;
}

/* From the quote on; the slice is without them. */
static bool read_string(struct reader *r, const char **at, size_t *len)
{
	if (!take(r, '"'))
		return false;
	*at = r->p;
	while (r->p < r->end && *r->p != '"') {
		unsigned char c = (unsigned char)*r->p++;

		if (c < 0x20 || (c == '\\' && !skip_escape(r)))
			return false;
	}
	*len = (size_t)(r->p - *at);
	return take(r, '"');
}

static size_t skip_digits(struct reader *r)
{
	const char *from = r->p;

	while (r->p < r->end && *r->p >= '0' && *r->p <= '9')
		r->p++;
	return (size_t)(r->p - from);
}

static bool skip_number(struct reader *r)
{
	take(r, '-');
	if (!take(r, '0') && skip_digits(r) == 0)
		return false;
	if (take(r, '.') && skip_digits(r) == 0)
		return false;
	if (take(r, 'e') || take(r, 'E')) {
		if (!take(r, '+'))
			take(r, '-');
		return skip_digits(r) > 0;
	}
	return true;
}

static bool skip_word(struct reader *r)
{
	/* Python's json.dumps writes the last three */
	static const char *const known[] = {"true", "false",	"null",
					    "NaN",  "Infinity", "-Infinity"};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		size_t n = strlen(known[i]);

		if ((size_t)(r->end - r->p) >= n && memcmp(r->p, known[i], n) == 0) {
			r->p += n;
			return true;
		}
	}
	return false;
}

static bool skip_value(struct reader *r, enum logjson_type *type);

/* An array or an object, whose members are of no interest. */
static bool skip_nested(struct reader *r)
{
	bool object = *r->p == '{';
	char close = object ? '}' : ']';
	enum logjson_type type;
	const char *key;
	size_t len;

	r->p++;
	skip_space(r);
	if (take(r, close))
		return true;
	do {
		skip_space(r);
		if (object) {
			if (!read_string(r, &key, &len))
				return false;
			skip_space(r);
			if (!take(r, ':'))
				return false;
		}
		skip_space(r);
		if (!skip_value(r, &type))
			return false;
		skip_space(r);
	} while (take(r, ','));
	return take(r, close);
}

static bool skip_value(struct reader *r, enum logjson_type *type)
{
	const char *at;
	size_t len;
	bool ok;

	*type = LOGJSON_OTHER;
	if (r->p >= r->end)
		return false;
	switch (*r->p) {
	case '"':
		*type = LOGJSON_STRING;
		return read_string(r, &at, &len);
	case '{':
	case '[':
		if (r->depth >= LOGJSON_DEPTH)
			return false;
		r->depth++;
		ok = skip_nested(r);
		r->depth--;
		return ok;
	default:
		if (skip_word(r))
			return true;
		*type = LOGJSON_NUMBER;
		return skip_number(r);
	}
}

/* ---- members ---- */

static bool is_key(const struct logjson_member *m, const char *key)
{
	return strlen(key) == m->key_len && memcmp(m->key, key, m->key_len) == 0;
}

static bool read_members(struct reader *r);

static bool read_member(struct reader *r)
{
	struct logjson_member *m;

	if (r->out->n == LOGJSON_MEMBERS)
		return false;
	m = &r->out->members[r->out->n];
	*m = (struct logjson_member){0};
	if (!read_string(r, &m->key, &m->key_len))
		return false;
	skip_space(r);
	if (!take(r, ':'))
		return false;
	skip_space(r);
	/* Rust's tracing has the message and all the rest in there */
	if (!r->has_fields && r->p < r->end && *r->p == '{' && is_key(m, "fields")) {
		r->has_fields = true;
		return read_members(r);
	}
	m->value = r->p;
	if (!skip_value(r, &m->type))
		return false;
	m->value_len = (size_t)(r->p - m->value);
	if (m->type == LOGJSON_STRING) {
		m->value++;
		m->value_len -= 2;
	}
	r->out->n++;
	return true;
}

static bool read_members(struct reader *r)
{
	if (!take(r, '{'))
		return false;
	skip_space(r);
	if (take(r, '}'))
		return true;
	do {
		skip_space(r);
		if (!read_member(r))
			return false;
		skip_space(r);
	} while (take(r, ','));
	return take(r, '}');
}

/* ---- which is what ---- */

/* A small whole number; -1 when it is none. */
static long number_of(const struct logjson_member *m)
{
	long v = 0;

	if (m->type != LOGJSON_NUMBER || m->value_len == 0 || m->value_len > 3)
		return -1;
	for (size_t i = 0; i < m->value_len; i++) {
		if (m->value[i] < '0' || m->value[i] > '9')
			return -1;
		v = 10 * v + (m->value[i] - '0');
	}
	return v;
}

static void set_name(struct logjson *j, const char *word, size_t n)
{
	for (size_t i = 0; i < n && i + 1 < sizeof(j->name); i++) {
		j->name[i] =
			(char)(word[i] >= 'a' && word[i] <= 'z' ? word[i] - 'a' + 'A' : word[i]);
		j->name[i + 1] = '\0';
	}
}

/* Is it a level? Python's numbers stand one step below those of others from 40 on. */
static bool take_level(struct logjson *j, const struct logjson_member *m)
{
	long number = number_of(m);

	if (m->type == LOGJSON_STRING) {
		j->priority = loglevel_of_word(m->value, m->value_len);
		if (j->priority != LOGLEVEL_NONE)
			set_name(j, m->value, m->value_len);
	} else if (number >= 0) {
		const char *name;

		if (is_key(m, "levelno") && number >= 40)
			number += 10;
		name = loglevel_number_name(number);
		j->priority = loglevel_of_number(number);
		if (name)
			set_name(j, name, strlen(name));
		else
			set_name(j, m->value, m->value_len);
	}
	return j->priority != LOGLEVEL_NONE;
}

static void find_level(struct logjson *j)
{
	static const char *const keys[] = {"level",    "levelname",	"severity",    "lvl",
					   "loglevel", "log_level",	"log.level",   "@level",
					   "levelno",  "severity_text", "SeverityText"};

	for (size_t k = 0; k < ARRAY_SIZE(keys); k++)
		for (size_t i = 0; i < j->n; i++)
			if (is_key(&j->members[i], keys[k]) && take_level(j, &j->members[i])) {
				j->members[i].hidden = true;
				j->level = &j->members[i];
				return;
			}
}

static void find_message(struct logjson *j)
{
	/* the last is structlog's; without a level it may be anything */
	static const char *const keys[] = {"message", "msg", "@message", "short_message", "event"};
	size_t n = ARRAY_SIZE(keys) - (j->level ? 0 : 1);

	for (size_t k = 0; k < n; k++)
		for (size_t i = 0; i < j->n; i++)
			if (is_key(&j->members[i], keys[k]) &&
			    j->members[i].type == LOGJSON_STRING) {
				j->members[i].hidden = true;
				j->message = &j->members[i];
				return;
			}
}

/* A line's time is the one of its arrival: what the line says besides is not shown. */
static void hide_times(struct logjson *j)
{
	static const char *const keys[] = {"time",    "timestamp", "ts",
					   "asctime", "datetime",  "@timestamp"};

	for (size_t i = 0; i < j->n; i++)
		for (size_t k = 0; k < ARRAY_SIZE(keys); k++)
			if (is_key(&j->members[i], keys[k]))
				j->members[i].hidden = true;
}

bool logjson_read(const char *line, size_t n, struct logjson *ret)
{
	struct reader r = {.p = line, .end = line + n, .out = ret};

	if (n < 2 || line[0] != '{')
		return false;
	ret->n = 0;
	ret->level = ret->message = NULL;
	ret->priority = LOGLEVEL_NONE;
	ret->name[0] = '\0';
	if (!read_members(&r))
		return false;
	skip_space(&r);
	if (r.p != r.end)
		return false;
	find_level(ret);
	find_message(ret);
	hide_times(ret);
	return ret->level || ret->message;
}

bool logjson_is_trace(const struct logjson_member *m)
{
	static const char *const keys[] = {"exception",	 "exc_info",	"stack",
					   "stacktrace", "stack_trace", "stack_info",
					   "traceback",	 "exc_text",	"error.stack_trace"};

	for (size_t i = 0; m->type == LOGJSON_STRING && i < ARRAY_SIZE(keys); i++)
		if (is_key(m, keys[i]))
			return true;
	return false;
}

/* ---- text ---- */

static unsigned hex4(const char *p)
{
	unsigned v = 0;

	for (int i = 0; i < 4; i++) {
		char c = p[i];

		v = v << 4 | (unsigned)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
	}
	return v;
}

static void put_utf8(struct buf *out, uint32_t c)
{
	char t[4];
	size_t n = 0;

	if (c < 0x80) {
		t[n++] = (char)c;
	} else if (c < 0x800) {
		t[n++] = (char)(0xc0 | c >> 6);
		t[n++] = (char)(0x80 | (c & 0x3f));
	} else {
		if (c < 0x10000) {
			t[n++] = (char)(0xe0 | c >> 12);
		} else {
			t[n++] = (char)(0xf0 | c >> 18);
			t[n++] = (char)(0x80 | (c >> 12 & 0x3f));
		}
		t[n++] = (char)(0x80 | (c >> 6 & 0x3f));
		t[n++] = (char)(0x80 | (c & 0x3f));
	}
	buf_append(out, t, n);
}

/* \uXXXX, perhaps two of them; returns how long it was. */
static size_t put_unicode(struct buf *out, const char *p, size_t n)
{
	uint32_t c = hex4(p + 2);

	if (c >= 0xd800 && c < 0xdc00 && n >= 12 && p[6] == '\\' && p[7] == 'u') {
		uint32_t low = hex4(p + 8);

		if (low >= 0xdc00 && low < 0xe000) {
			put_utf8(out, 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00));
			return 12;
		}
	}
	if (c < 0x20 || (c >= 0x7f && c < 0xa0))
		buf_append(out, p, 6); /* it could move a terminal's cursor */
	else
		put_utf8(out, c >= 0xd800 && c < 0xe000 ? 0xfffd : c);
	return 6;
}

/* At the backslash; returns how long it was. */
static size_t put_escape(struct buf *out, const char *p, size_t n, bool lines)
{
	switch (p[1]) {
	case 'u':
		return put_unicode(out, p, n);
	case '"':
	case '\\':
	case '/':
		buf_char(out, p[1]);
		return 2;
	case 'n':
	case 't':
		if (lines) {
			buf_char(out, p[1] == 'n' ? '\n' : '\t');
			return 2;
		}
		break;
	}
	buf_append(out, p, 2);
	return 2;
}

void logjson_put_text(struct buf *out, const char *value, size_t n, bool lines)
{
	for (size_t i = 0; i < n;) {
		const char *next = memchr(value + i, '\\', n - i);
		size_t plain = next ? (size_t)(next - value) - i : n - i;

		buf_append(out, value + i, plain);
		i += plain;
		if (i < n)
			i += put_escape(out, value + i, n - i, lines);
	}
}

static bool is_bare(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strchr(" =\"\\", p[i]))
			return false;
	return n > 0;
}

static bool is_special(unsigned c)
{
	return c == '"' || c == '\\';
}

/* As logjson_put_text, but for \" and \\, which stay. */
static void put_quoted(struct buf *out, const char *value, size_t n)
{
	buf_char(out, '"');
	for (size_t i = 0; i < n;) {
		if (value[i] != '\\')
			buf_char(out, value[i++]);
		else if (value[i + 1] == 'u' && !is_special(hex4(value + i + 2)))
			i += put_unicode(out, value + i, n - i);
		else
			buf_append(out, value + i, 2), i += 2;
	}
	buf_char(out, '"');
}

void logjson_put_member(struct buf *out, const struct logjson_member *m)
{
	logjson_put_text(out, m->key, m->key_len, false);
	buf_char(out, '=');
	if (m->type != LOGJSON_STRING || is_bare(m->value, m->value_len))
		buf_append(out, m->value, m->value_len);
	else
		put_quoted(out, m->value, m->value_len);
}
