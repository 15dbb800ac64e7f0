/* spec_view: see spec_view.h. */
/* SPDX-License-Identifier: MIT */
#include "cli/spec_view.h"

#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/js.h"
#include "cli/term.h"
#include "cli/text.h"
#include "cli/x.h"
#include "lib/buf.h"
#include "lib/mem.h"

#define NARROW 16 /* less room than this for the values: they get lines of their own */

struct row {
	char *key, *value, *place;
};

struct rows {
	struct row *v;
	size_t n, cap;
};

/* A word of a command as one would type it. */
static void quote(struct buf *out, const char *word)
{
	if (*word && !strpbrk(word, " \t\n\"'\\$`*?[]{}()<>|&;#~!")) {
		buf_str(out, word);
		return;
	}
	buf_char(out, '\'');
	for (; *word; word++) {
		if (*word == '\'')
			buf_str(out, "'\\''");
		else
			buf_char(out, *word);
	}
	buf_char(out, '\'');
}

static void put_scalar(struct buf *out, const cJSON *v)
{
	char *text;

	if (cJSON_IsString(v)) {
		quote(out, v->valuestring);
		return;
	}
	text = x_check(cJSON_PrintUnformatted(v));
	buf_str(out, text);
	cJSON_free(text);
}

/* Lists of words stay on a line; one text is not quoted. */
static char *value_text(const cJSON *v)
{
	struct buf out = {0};
	const cJSON *e;

	if (cJSON_IsString(v))
		return x_strdup(v->valuestring);
	if (!cJSON_IsArray(v)) {
		put_scalar(&out, v);
		return x_check(buf_take(&out));
	}
	cJSON_ArrayForEach (e, v) {
		buf_str(&out, out.len ? " " : "");
		put_scalar(&out, e);
	}
	return out.data ? x_check(buf_take(&out)) : x_strdup("(none)");
}

/* "line 13" in the file of the service, else file and line; "" when nobody gave the key. */
static char *place_text(const cJSON *service, const char *key)
{
	const cJSON *place = js_get(js_get(service, "keys"), key);
	const char *file = js_str(place, "file", "");

	if (*file && strcmp(file, js_str(service, "file", "")) == 0)
		return x_printf("line %lld", (long long)js_int(place, "line", 0));
	return text_place(place);
}

static void flatten(struct rows *rows, const cJSON *service, const char *key, const cJSON *v)
{
	const cJSON *m;

	if (cJSON_IsObject(v) && v->child) {
		cJSON_ArrayForEach (m, v) {
			_cleanup_free_ char *sub =
				x_printf("%s%s%s", key, *key ? "." : "", m->string);

			flatten(rows, service, sub, m);
		}
		return;
	}
	if (strcmp(key, "description") == 0)
		return;
	x_grow(&rows->v, &rows->cap, rows->n + 1, sizeof(*rows->v));
	rows->v[rows->n++] = (struct row){x_strdup(key), value_text(v), place_text(service, key)};
}

/* Puts text into a column of `width`, then the gap. */
static void column(const struct term *t, struct buf *out, const char *text, size_t width)
{
	size_t used = term_put(t, out, text, 0);

	buf_printf(out, "%*s", (int)(width > used ? width - used : 0) + 2, "");
}

static void print_row(const struct term *t, const struct row *r, size_t keys)
{
	_cleanup_free_ char *text = x_printf("%s%s%s%s", r->value, *r->place ? "  (" : "", r->place,
					     *r->place ? ")" : "");
	bool narrow = t->columns && t->columns < 2 + keys + 2 + NARROW;
	_cleanup_buf_ struct buf out = {0};

	buf_str(&out, "  ");
	if (narrow) {
		term_wrap(t, &out, r->key, 2);
		buf_str(&out, "\n    ");
	} else {
		column(t, &out, r->key, keys);
	}
	term_wrap(t, &out, text, narrow ? 4 : 2 + keys + 2);
	if (out.failed)
		x_check(NULL);
	puts(buf_cstr(&out));
}

void spec_view(const struct term *term, const cJSON *service)
{
	const cJSON *spec = js_get(service, "spec");
	struct rows rows = {0};
	size_t width = 0;

	if (!cJSON_IsObject(spec) || !spec->child)
		return;
	flatten(&rows, service, "", spec);
	for (size_t i = 0; i < rows.n; i++) {
		size_t w = term_width(term, rows.v[i].key);

		width = w > width ? w : width;
	}
	printf("\n%sSpecification%s\n", term_paint(term, TERM_BOLD), term_paint(term, TERM_RESET));
	for (size_t i = 0; i < rows.n; i++) {
		print_row(term, &rows.v[i], width);
		mem_free(rows.v[i].key);
		mem_free(rows.v[i].value);
		mem_free(rows.v[i].place);
	}
	mem_free(rows.v);
}
