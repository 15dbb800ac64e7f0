/* pretty: see pretty.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/pretty.h"

#include <string.h>

#include "lib/buf.h"

struct printer {
	const char *p, *end;
	struct buf *out;
	size_t depth;
};

static void newline(struct printer *pr)
{
	buf_char(pr->out, '\n');
	for (size_t i = 0; i < pr->depth; i++)
		buf_str(pr->out, "  ");
}

static void skip_space(struct printer *pr)
{
	while (pr->p < pr->end && strchr(" \t\r\n", *pr->p) && *pr->p)
		pr->p++;
}

/* As it stands, but DEL and the control characters above it are escaped: terminals obey them. */
static void put(struct printer *pr, const char *p, const char *end)
{
	for (; p < end; p++) {
		unsigned char c = (unsigned char)p[0], next = p + 1 < end ? (unsigned char)p[1] : 0;

		if (c == 0x7f)
			buf_str(pr->out, "\\u007f");
		else if (c == 0xc2 && next >= 0x80 && next < 0xa0)
			buf_printf(pr->out, "\\u%04x", next), p++;
		else
			buf_char(pr->out, (char)c);
	}
}

/* A string, number or word. */
static void scalar(struct printer *pr)
{
	const char *start = pr->p;

	if (*pr->p == '"') {
		for (pr->p++; pr->p < pr->end && *pr->p != '"'; pr->p++)
			pr->p += *pr->p == '\\' && pr->p + 1 < pr->end;
		pr->p += pr->p < pr->end;
	} else {
		while (pr->p < pr->end && *pr->p && !strchr(",:]} \t\r\n", *pr->p))
			pr->p++;
		pr->p += pr->p == start;
	}
	put(pr, start, pr->p);
}

static void open_bracket(struct printer *pr)
{
	char c = *pr->p++;

	buf_char(pr->out, c);
	skip_space(pr);
	if (pr->p < pr->end && (*pr->p == ']' || *pr->p == '}')) {
		buf_char(pr->out, *pr->p++); /* empty: on one line */
		return;
	}
	pr->depth++;
	newline(pr);
}

static void close_bracket(struct printer *pr)
{
	pr->depth -= pr->depth > 0;
	newline(pr);
	buf_char(pr->out, *pr->p++);
}

static void token(struct printer *pr)
{
	switch (*pr->p) {
	case '{':
	case '[':
		open_bracket(pr);
		break;
	case '}':
	case ']':
		close_bracket(pr);
		break;
	case ',':
		buf_char(pr->out, *pr->p++);
		newline(pr);
		break;
	case ':':
		buf_str(pr->out, ": ");
		pr->p++;
		break;
	default:
		scalar(pr);
	}
}

void pretty_json(const char *text, size_t len, struct buf *out)
{
	struct printer pr = {.p = text, .end = text + len, .out = out};

	for (skip_space(&pr); pr.p < pr.end; skip_space(&pr))
		token(&pr);
	buf_char(out, '\n');
}
