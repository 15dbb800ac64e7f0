/* log_safe: see log_safe.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/log_safe.h"

#include <string.h>

#include "cli/term.h"
#include "lib/buf.h"

#define ESC '\033'
#define DEL 0x7f
#define COLOR_MAX 32 /* bytes of a sequence that sets a colour */

static bool is_control(const char *p, const char *end)
{
	unsigned char c = (unsigned char)*p;

	return (c < 0x20 && c != '\t') || c == DEL ||
	       (c == 0xc2 && p + 1 < end && ((unsigned char)p[1] & 0xe0) == 0x80);
}

/* The first one, or end. */
static const char *find_control(const char *p, const char *end)
{
	while (p < end && !is_control(p, end))
		p++;
	return p;
}

/* How long "ESC [ 1 ; 31 m" is at p; 0: it is something else. */
static size_t color_len(const char *p, const char *end)
{
	size_t n = 2;

	if (end - p < 3 || p[0] != ESC || p[1] != '[')
		return 0;
	while (p + n < end && n < COLOR_MAX && p[n] && strchr("0123456789;:", p[n]))
		n++;
	return p + n < end && p[n] == 'm' ? n + 1 : 0;
}

/* Returns how many bytes that was. */
static size_t put_control(struct buf *out, const char *p)
{
	unsigned char c = (unsigned char)*p;

	if (c == 0xc2) {
		buf_printf(out, "\\u%04x", (unsigned char)p[1]);
		return 2;
	}
	buf_char(out, '^');
	buf_char(out, (char)(c ^ 0x40));
	return 1;
}

const char *log_safe(struct buf *scratch, const char *text, size_t *n, bool color)
{
	const char *end = text + *n, *p;
	bool painted = false;

	while (end > text && end[-1] == '\r')
		end--;
	p = memrchr(text, '\r', (size_t)(end - text));
	text = p ? p + 1 : text;
	*n = (size_t)(end - text);
	p = find_control(text, end);
	if (p == end)
		return text;
	buf_clear(scratch);
	while (p < end) {
		size_t len = color_len(p, end);

		buf_append(scratch, text, (size_t)(p - text));
		if (len && color)
			buf_append(scratch, p, len);
		painted |= len && color;
		text = p + (len ? len : put_control(scratch, p));
		p = find_control(text, end);
	}
	buf_append(scratch, text, (size_t)(end - text));
	buf_str(scratch, painted ? TERM_RESET : "");
	*n = scratch->len;
	return buf_cstr(scratch);
}
