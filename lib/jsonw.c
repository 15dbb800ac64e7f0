/* jsonw: see jsonw.h. */
/* SPDX-License-Identifier: MIT */
#include "lib/jsonw.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/clock.h"

/* Length of the valid UTF-8 sequence at s (n bytes left), or 0. RFC 3629: no overlongs, no
 * surrogates. */
static size_t utf8_len(const unsigned char *s, size_t n)
{
	size_t len = s[0] < 0x80		   ? 1
		     : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
		     : (s[0] & 0xf0) == 0xe0	   ? 3
		     : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
						   : 0;

	if (len == 0 || len > n)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return len;
}

/* How many bytes at s stand for themselves. */
static size_t plain_len(const unsigned char *s, size_t n)
{
	size_t i = 0;

	while (i < n && s[i] >= 0x20 && s[i] < 0x7f && s[i] != '"' && s[i] != '\\')
		i++;
	return i;
}

static void quote(struct buf *b, const char *s, size_t n)
{
	const unsigned char *p = (const unsigned char *)s;

	buf_char(b, '"');
	for (size_t i = 0; i < n;) {
		size_t plain = plain_len(p + i, n - i), len;

		buf_append(b, p + i, plain);
		i += plain;
		if (i == n)
			break;
		len = utf8_len(p + i, n - i);

		if (len == 0) {
			buf_str(b, "\xef\xbf\xbd");
			i++;
			continue;
		}
		if (p[i] == '"' || p[i] == '\\')
			buf_printf(b, "\\%c", p[i]);
		else if (p[i] == '\n')
			buf_str(b, "\\n");
		else if (p[i] == '\t')
			buf_str(b, "\\t");
		else if (p[i] < 0x20 || p[i] == 0x7f)
			buf_printf(b, "\\u%04x", p[i]);
		else
			buf_append(b, p + i, len);
		i += len;
	}
	buf_char(b, '"');
}

static void begin_value(struct jsonw *w, const char *key)
{
	if (w->comma)
		buf_char(w->out, ',');
	w->comma = true;
	if (key) {
		quote(w->out, key, strlen(key));
		buf_char(w->out, ':');
	}
}

void jsonw_object_begin(struct jsonw *w, const char *key)
{
	begin_value(w, key);
	buf_char(w->out, '{');
	w->comma = false;
}

void jsonw_object_end(struct jsonw *w)
{
	buf_char(w->out, '}');
	w->comma = true;
}

void jsonw_array_begin(struct jsonw *w, const char *key)
{
	begin_value(w, key);
	buf_char(w->out, '[');
	w->comma = false;
}

void jsonw_array_end(struct jsonw *w)
{
	buf_char(w->out, ']');
	w->comma = true;
}

void jsonw_string_n(struct jsonw *w, const char *key, const char *value, size_t n)
{
	begin_value(w, key);
	quote(w->out, value, n);
}

void jsonw_string(struct jsonw *w, const char *key, const char *value)
{
	if (value)
		jsonw_string_n(w, key, value, strlen(value));
	else
		jsonw_null(w, key);
}

void jsonw_int(struct jsonw *w, const char *key, int64_t value)
{
	begin_value(w, key);
	buf_printf(w->out, "%" PRId64, value);
}

void jsonw_double(struct jsonw *w, const char *key, double value)
{
	if (!isfinite(value)) {
		jsonw_null(w, key);
		return;
	}
	begin_value(w, key);
	buf_printf(w->out, "%.10g", value);
}

void jsonw_bool(struct jsonw *w, const char *key, bool value)
{
	begin_value(w, key);
	buf_str(w->out, value ? "true" : "false");
}

void jsonw_null(struct jsonw *w, const char *key)
{
	begin_value(w, key);
	buf_str(w->out, "null");
}

void jsonw_raw(struct jsonw *w, const char *key, const char *json)
{
	begin_value(w, key);
	buf_str(w->out, json);
}

void jsonw_time(struct jsonw *w, const char *key, int64_t wall_ms)
{
	char stamp[CLOCK_RFC3339_SIZE];

	if (wall_ms == 0)
		jsonw_null(w, key);
	else
		jsonw_string(w, key, clock_rfc3339(wall_ms, stamp));
}
