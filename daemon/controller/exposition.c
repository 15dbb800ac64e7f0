/* exposition: see exposition.h. */
/* SPDX-License-Identifier: MIT */
#include "daemon/controller/exposition.h"

#include <inttypes.h>
#include <math.h>

#include "lib/buf.h"

/* quotes: in a label's value they are escaped too. */
static void escape(struct buf *b, const char *text, bool quotes)
{
	for (; *text; text++) {
		if (*text == '\\')
			buf_str(b, "\\\\");
		else if (*text == '\n')
			buf_str(b, "\\n");
		else if (*text == '"' && quotes)
			buf_str(b, "\\\"");
		else
			buf_char(b, *text);
	}
}

void exposition_family(struct buf *b, const char *name, const char *type, const char *help)
{
	buf_printf(b, "# HELP %s ", name);
	escape(b, help, false);
	buf_printf(b, "\n# TYPE %s %s\n", name, type);
}

void exposition_begin(struct buf *b, const char *name)
{
	buf_str(b, name);
}

/* The first one opens the braces. */
void exposition_label(struct buf *b, const char *key, const char *value)
{
	bool more = b->len > 0 && b->data[b->len - 1] == '"';

	buf_printf(b, "%s%s=\"", more ? "," : "{", key);
	escape(b, value, true);
	buf_char(b, '"');
}

static void end_labels(struct buf *b)
{
	buf_str(b, b->len > 0 && b->data[b->len - 1] == '"' ? "} " : " ");
}

void exposition_end_int(struct buf *b, uint64_t value)
{
	end_labels(b);
	buf_printf(b, "%" PRIu64 "\n", value);
}

void exposition_end_double(struct buf *b, double value)
{
	end_labels(b);
	if (isnan(value))
		buf_str(b, "NaN\n");
	else if (isinf(value))
		buf_str(b, value > 0 ? "+Inf\n" : "-Inf\n");
	else
		buf_printf(b, "%.15g\n", value);
}
