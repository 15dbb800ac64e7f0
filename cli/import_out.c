/* import_out: see import_out.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/import_out.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include "cli/compose_value.h"
#include "cli/x.h"
#include "cli/yaml_out.h"
#include "lib/buf.h"
#include "lib/mem.h"

#define WIDTH 100

static void indent(struct buf *out, int depth)
{
	for (int i = 0; i < depth; i++)
		buf_str(out, "  ");
}

void import_out_key(struct buf *out, int depth, const char *key)
{
	indent(out, depth);
	yaml_out_scalar(key, out);
	buf_char(out, ':');
}

void import_out_open(struct buf *out, int depth, const char *key)
{
	import_out_key(out, depth, key);
	buf_char(out, '\n');
}

void import_out_scalar(struct buf *out, const char *text, bool flow)
{
	size_t start = strncmp(text, "./", 2) == 0 || strncmp(text, "~/", 2) == 0 ? 2
		       : text[0] != '-' || !text[1]				  ? 0
		       : text[1] == '-'						  ? 2
										  : 1;
	_cleanup_buf_ struct buf rest = {0};

	/* A path or an option is plain where what follows is; "-inf" and "-.5" are not. */
	yaml_out_flow(text + start, &rest);
	if (start > 0 && isalpha((unsigned char)text[start]) &&
	    strcmp(buf_cstr(&rest), text + start) == 0)
		buf_str(out, text);
	else if (flow)
		yaml_out_flow(text, out);
	else
		yaml_out_scalar(text, out);
}

static void scalar(struct buf *out, int depth, const char *text)
{
	buf_char(out, ' ');
	if (yaml_out_block(text, depth + 1, out))
		return;
	import_out_scalar(out, text, false);
	buf_char(out, '\n');
}

void import_out_text(struct buf *out, int depth, const char *key, const char *text)
{
	import_out_key(out, depth, key);
	scalar(out, depth, text);
}

void import_out_word(struct buf *out, int depth, const char *key, const char *fmt, ...)
{
	va_list ap;

	import_out_key(out, depth, key);
	buf_char(out, ' ');
	va_start(ap, fmt);
	buf_vprintf(out, fmt, ap);
	va_end(ap);
	buf_char(out, '\n');
}

void import_out_list(struct buf *out, int depth, const char *key, const struct compose_texts *t)
{
	_cleanup_buf_ struct buf flow = {0};
	bool lines = false;

	import_out_key(&flow, depth, key);
	buf_str(&flow, " [");
	for (size_t i = 0; i < t->n && flow.len <= WIDTH; i++) {
		lines |= strchr(t->v[i], '\n') != NULL;
		buf_str(&flow, i ? ", " : "");
		import_out_scalar(&flow, t->v[i], true);
	}
	buf_str(&flow, "]\n");
	if (flow.len <= WIDTH && !lines) {
		buf_str(out, buf_cstr(&flow));
		return;
	}
	import_out_open(out, depth, key);
	for (size_t i = 0; i < t->n; i++) {
		indent(out, depth + 1);
		buf_char(out, '-');
		scalar(out, depth + 1, t->v[i]);
	}
}

/* Nothing that a terminal or YAML would take for more than text. */
static char *safe(const char *text)
{
	char *copy = x_strdup(text);

	for (char *p = copy; *p; p++)
		if ((unsigned char)*p < ' ' || (unsigned char)*p >= 0x7f)
			*p = '?';
	return copy;
}

void import_out_comment(struct buf *out, int depth, const char *text)
{
	_cleanup_free_ char *copy = safe(text);
	size_t room = WIDTH - 2 - 2 * (size_t)depth, left = 0;
	const char *p = copy;

	while (*p) {
		size_t n = strcspn(p, " ");

		if (n >= left) {
			if (p > copy)
				buf_char(out, '\n');
			indent(out, depth);
			buf_str(out, "#");
			left = room;
		}
		buf_char(out, ' ');
		buf_append(out, p, n);
		left -= n < left ? n + 1 : left;
		p += n + (p[n] == ' ');
	}
	buf_char(out, '\n');
}

void import_out_duration(struct buf *out, int64_t ms)
{
	static const struct {
		const char *name;
		int64_t ms;
	} units[] = {{"h", 3600000}, {"m", 60000}, {"s", 1000}};

	if (ms == 0)
		buf_str(out, "0s");
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (ms >= units[i].ms)
			buf_printf(out, "%" PRId64 "%s", ms / units[i].ms, units[i].name);
		ms %= units[i].ms;
	}
	if (ms > 0)
		buf_printf(out, "%" PRId64 "ms", ms);
}

void import_out_size(struct buf *out, int64_t bytes)
{
	static const char *const units[] = {"", "KiB", "MiB", "GiB", "TiB"};
	size_t unit = 0;

	while (bytes > 0 && bytes % 1024 == 0 && unit + 1 < ARRAY_SIZE(units)) {
		bytes /= 1024;
		unit++;
	}
	buf_printf(out, "%" PRId64 "%s", bytes, units[unit]);
}

void import_out_thousandths(struct buf *out, int64_t n)
{
	_cleanup_free_ char *text = x_printf("%" PRId64 ".%03d", n / 1000, (int)(n % 1000));
	size_t len = strlen(text);

	while (text[len - 1] == '0')
		len--;
	len -= text[len - 1] == '.';
	buf_append(out, text, len);
}

char *import_out_escape(const char *text)
{
	struct buf out = {0};

	for (const char *p = text; *p; p++) {
		if (*p == '$' && (p[1] == '$' || p[1] == '{'))
			buf_char(&out, '$');
		buf_char(&out, *p);
	}
	return out.data || out.failed ? x_check(buf_take(&out)) : x_strdup("");
}
